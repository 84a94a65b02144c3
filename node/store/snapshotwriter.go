package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"io"
	"io/fs"
	"path"

	"ordeal/node/jute"
	"ordeal/node/tree"
)

const (
	snapshotMagic    int32 = 0x5A4B534E // "ZKSN"
	snapshotDatabase int64 = -1

	snapshotNodesDefault = 64

	// sealPath ends every seal, and the znodes.
	sealPath = "/"
	// sealSize is a seal's length: a checksum and sealPath.
	sealSize = 8 + 4 + len(sealPath)
)

// snapshotJob is a snapshot to be written.
type snapshotJob struct {
	files       FS
	dir         string
	compression Compression
	source      *tree.Snapshotter
	// guard runs what reads the living tree.
	guard func(func())
	nodes int // copied at once
	// givenUp ends the writing early when it returns true.
	givenUp func() bool
}

func (j *snapshotJob) finalPath() string {
	return path.Join(j.dir, snapshotName(j.source.Zxid(), j.compression))
}

func (j *snapshotJob) unfinishedPath() string {
	return path.Join(j.dir, unfinishedPrefix+snapshotName(j.source.Zxid(), j.compression))
}

// write puts the snapshot under its unfinished name and syncs it. After an error nothing is left.
func (j *snapshotJob) write() (size int64, err error) {
	name := j.unfinishedPath()
	if err := j.files.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("write a snapshot: %w", err)
	}
	file, err := j.files.Create(name)
	if err != nil {
		return 0, fmt.Errorf("write a snapshot: %w", err)
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
		if err != nil {
			err = fmt.Errorf("write %s: %w", name, err)
			j.files.Remove(name)
		}
	}()
	if err := j.stream(file); err != nil {
		return 0, err
	}
	if err := file.Sync(); err != nil {
		return 0, err
	}
	return file.Size()
}

// publish gives a written snapshot its name, durably.
func (j *snapshotJob) publish() error {
	if err := j.files.Rename(j.unfinishedPath(), j.finalPath()); err != nil {
		return fmt.Errorf("name a snapshot: %w", err)
	}
	if err := j.files.SyncDir(j.dir); err != nil {
		return fmt.Errorf("name a snapshot: sync %s: %w", j.dir, err)
	}
	return nil
}

// stream writes the file's bytes (protocol.md 4.2).
func (j *snapshotJob) stream(file io.Writer) error {
	stored := bufio.NewWriterSize(file, readBufferSize)
	compressed, err := j.compression.writer(stored)
	if err != nil {
		return err
	}
	out := sealer{out: compressed, checksum: newChecksum()}
	out.write(fileHeader(snapshotMagic, snapshotDatabase))
	for done := false; !done && out.err == nil; {
		if j.givenUp() {
			return ErrAborted
		}
		var chunk []byte
		j.guard(func() { chunk, done = j.source.Next(j.nodes) })
		out.write(chunk)
	}
	out.seal()
	if out.err != nil {
		return out.err // the walk may not be done, and then there is no trailer
	}
	if zxid, digest := j.source.Trailer(); zxid != 0 || digest != 0 {
		var e jute.Encoder
		e.Long(zxid)
		e.Int(jute.DigestVersion)
		e.Long(digest)
		out.write(e.Bytes())
		out.seal()
	}
	if out.err != nil {
		return out.err
	}
	if err := compressed.Close(); err != nil {
		return err
	}
	return stored.Flush()
}

// newChecksum returns the checksum that seals are made of.
func newChecksum() hash.Hash32 { return adler32.New() }

// sealer writes bytes and seals them with the Adler-32 of everything so far. Its first error sticks.
type sealer struct {
	out      io.Writer
	checksum hash.Hash32
	err      error
}

func (s *sealer) write(data []byte) {
	if s.err != nil {
		return
	}
	s.checksum.Write(data)
	_, s.err = s.out.Write(data)
}

func (s *sealer) seal() {
	seal := binary.BigEndian.AppendUint64(make([]byte, 0, sealSize), uint64(s.checksum.Sum32()))
	seal = binary.BigEndian.AppendUint32(seal, uint32(len(sealPath)))
	s.write(append(seal, sealPath...))
}
