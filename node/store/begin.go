package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"
)

// This file is about servers without data: new ones, and those that have lost it. A new one begins with an empty
// tree. One that has lost its data must not, for it may have acknowledged what only a minority of the others has:
// with its vote they would elect a leader without that. It begins with the zxid -1, as Apache's server does, which
// counts in no election and in no confirmation of an epoch. The file "copying" says that it still does, also
// after it was stopped in the midst of what a leader sent: so that half a copy is not taken for a state.
//
// That it promised an epoch before is lost as well. A candidate that still counts on such a promise waits for
// others for initLimit at most, so who moves a folder away within that time should let it pass first.

// replayOrBegin recovers what there is, or begins a server's life.
func (s *Store) replayOrBegin() (*replayed, error) {
	d := s.directories
	copying, err := s.exists(s.copyingMarker())
	if err != nil {
		return nil, err
	}
	if copying {
		s.options.Log.Warn("what was copied from a leader before the last stop is not whole: copying it anew", "folder", d.snapshots)
		if err := d.removeData(); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	r, err := d.replay(noLimit)
	if took := s.options.StartTook; took != nil && r != nil {
		took(r.snapshotRead.Sub(began), time.Since(r.snapshotRead), r.entries)
	}
	if errors.Is(err, errNothing) {
		return s.initialize(r, copying || s.options.RequireInitialize)
	}
	return r, err
}

// initialize begins a server's life (protocol.md 4.4).
func (s *Store) initialize(empty *replayed, copying bool) (*replayed, error) {
	marked, err := s.exists(s.initializeMarker())
	if err != nil {
		return nil, err
	}
	switch {
	case !marked && copying:
		return s.beginCopy(empty)
	case !marked:
		if err := s.refuseOldEpochs(); err != nil {
			return nil, err
		}
	}
	job := s.newSnapshotJob(empty.tree.Snapshot())
	size, err := job.write()
	if err == nil {
		err = job.publish()
	}
	if err != nil {
		return nil, err
	}
	s.snapshotSize.Store(size)
	return empty, s.removeMarker(s.copyingMarker())
}

// beginCopy begins without a state, and sees to it that a later start does so too unless endCopy was called.
func (s *Store) beginCopy(empty *replayed) (*replayed, error) {
	name := s.copyingMarker()
	if err := replaceDurably(s.directories.files, name+temporarySuffix, name, []byte(copyingText)); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	s.copying = true
	empty.tree.SetLastZxid(-1)
	return empty, nil
}

// copyingText tells an operator what the file is for.
const copyingText = "This server lost its data. Until it has copied all of a leader's it takes part in no election.\n"

// endCopy says that this server has a state again: the whole history with which it has joined an epoch.
func (s *Store) endCopy() error {
	if !s.copying {
		return nil
	}
	if err := s.removeMarker(s.copyingMarker()); err != nil {
		return err
	}
	s.copying = false
	return nil
}

// removeData removes all snapshots and logs.
func (d *directories) removeData() error {
	snapshots, err := listSnapshots(d.files, d.snapshots)
	if err != nil {
		return err
	}
	logs, err := listLogs(d.files, d.logs)
	if err != nil {
		return err
	}
	for _, file := range slices.Concat(snapshots, logs) {
		if err := d.files.Remove(file.path); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) initializeMarker() string { return path.Join(s.options.DataDir, initializeName) }

func (s *Store) copyingMarker() string { return path.Join(s.directories.snapshots, copyingName) }

func (s *Store) exists(name string) (bool, error) {
	file, err := s.directories.files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, file.Close()
}

// removeInitialize removes the operator's word that this server may begin without data, durably. It
// counts for one start, with data or without: had it stayed, a later start would take a loss of
// everything for a beginning.
func (s *Store) removeInitialize() error { return s.removeMarker(s.initializeMarker()) }

// removeMarker removes a file that need not exist, durably.
func (s *Store) removeMarker(name string) error {
	err := s.directories.files.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.directories.files.SyncDir(path.Dir(name))
	}
	return err
}

// refuseOldEpochs refuses to take a server for a new one that has entered epochs before.
func (s *Store) refuseOldEpochs() error {
	d := s.directories
	for _, name := range []string{acceptedName, currentName} {
		epoch, _, err := readEpoch(d.files, d.snapshots, name)
		if err != nil {
			return err
		}
		if epoch > 0 {
			return &LostError{fmt.Sprintf("%s says %d, so this server has run before, but its snapshots and logs are gone", path.Join(d.snapshots, name), epoch)}
		}
	}
	return nil
}
