package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// epochFileMax bounds what is read of an epoch file, in bytes.
const epochFileMax = 64

// readEpoch reads an epoch file; ok is false if there is none.
func readEpoch(files FS, dir, name string) (epoch int64, ok bool, err error) {
	file, err := files.Open(path.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, 0, epochFileMax))
	if err != nil {
		return 0, false, fmt.Errorf("read %s: %w", path.Join(dir, name), err)
	}
	epoch, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || epoch < 0 {
		return 0, false, &CorruptError{File: path.Join(dir, name), Reason: fmt.Sprintf("%q is not an epoch", text)}
	}
	return epoch, true, nil
}

// writeEpoch replaces an epoch file, durably: a crash leaves the old one or the new one.
func writeEpoch(files FS, dir, name string, epoch int64) error {
	temporary := path.Join(dir, name+temporarySuffix)
	if err := replaceDurably(files, temporary, path.Join(dir, name), []byte(strconv.FormatInt(epoch, 10))); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func replaceDurably(files FS, temporary, final string, content []byte) error {
	if err := files.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := files.Create(temporary)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = files.Rename(temporary, final)
	}
	if err == nil {
		err = files.SyncDir(path.Dir(final))
	}
	return err
}

// epochs are the two epoch files' values.
type epochs struct {
	current, accepted int64
	// repaired is true if the file currentEpoch says less than the log.
	repaired bool
}

// recoverEpochs reads the epoch files and holds them against the last transaction (protocol.md 4.3).
//
// A crash between logging the first transactions of a new epoch and writing currentEpoch leaves
// currentEpoch behind. Whoever has a transaction of an epoch also has all that came before it, since a
// leader sends its history in order: so the epoch counts as entered, if it was accepted.
func recoverEpochs(files FS, dir string, lastZxid int64) (epochs, error) {
	last := max(epochOf(lastZxid), 0)
	current, found, err := readEpoch(files, dir, currentName)
	if err != nil {
		return epochs{}, err
	}
	if !found {
		current = last
	}
	accepted, found, err := readEpoch(files, dir, acceptedName)
	if err != nil {
		return epochs{}, err
	}
	if !found && last < current {
		return epochs{}, &LostError{fmt.Sprintf("%s/%s says that epoch %d was entered, but there is no file %s, which says that it was accepted",
			dir, currentName, current, acceptedName)}
	}
	if !found {
		accepted = last
	}
	if last > accepted {
		return epochs{}, &LostError{fmt.Sprintf("the last transaction, %#x, is of epoch %d, but %s/%s says that only epoch %d was accepted",
			lastZxid, last, dir, acceptedName, accepted)}
	}
	if accepted < current {
		return epochs{}, &LostError{fmt.Sprintf("%s says that epoch %d was entered, but %s that only epoch %d was accepted (both in %s)",
			currentName, current, acceptedName, accepted, dir)}
	}
	return epochs{current: max(current, last), accepted: accepted, repaired: current < last}, nil
}
