package store

import (
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"path"
	"sync/atomic"

	"ordeal/node/disk"
	"ordeal/node/jute"
)

const (
	logMagic       int32 = 0x5A4B4C47 // "ZKLG"
	logVersion     int32 = 2
	fileHeaderSize       = 4 + 4 + 8

	// entryEnd is the byte behind every entry.
	entryEnd = 'B'
	// entryHeaderSize is the checksum and the payload's length before every entry.
	entryHeaderSize = 8 + 4

	// preallocateDefault is zookeeper.preAllocSize, in bytes.
	preallocateDefault = 64 << 20
	// preallocateMargin is how near the end of a file its next extension is due (Apache's FilePadding).
	preallocateMargin = 4096

	// markInterval is how many synced bytes may lie behind the mark in a log's header. Each mark costs
	// another block of the file at the next sync.
	markInterval = 64 << 10

	// bufferMax is how many bytes of entries wait in memory for the next Sync, before they are written
	// without it.
	bufferMax = 64 << 10
	// heldMax is the same while un-synced bytes are held back on purpose. A disk's cache is finite too.
	heldMax = 64 << 20
)

// logWriter appends entries to the newest log file. Its first error sticks: a partial record must
// never be followed by others (ZOOKEEPER-4882), and after a failed fsync nobody knows what the disk
// holds.
type logWriter struct {
	files       FS
	dir         string
	preallocate int64
	forceSync   bool
	holdBack    bool

	file     File // nil until the first entry after a start or a roll is written
	path     string
	position int64 // where the next byte goes
	size     int64 // with what is preallocated
	unsynced bool  // bytes were written since the last sync
	synced   int64 // all before it is on the disk
	marked   int64 // what the file's header says of synced

	buffer []byte // entries that are not written yet
	first  int64  // zxid of the first entry in buffer
	last   int64  // zxid of the last entry, or of the snapshot that it follows
	failed error

	// written tells readers on other goroutines how far the file may be read: beyond, a write may be
	// half done.
	written atomic.Pointer[writtenPart]
}

// writtenPart is the part of the newest log file that is whole.
type writtenPart struct {
	path string
	size int64
}

// fail makes an error stick.
func (w *logWriter) fail(err error) error {
	if w.failed == nil && err != nil {
		w.failed = err
	}
	return w.failed
}

// append puts an entry behind the others, in memory.
func (w *logWriter) append(entry disk.Entry) error {
	if w.failed != nil {
		return w.failed
	}
	if !follows(w.last, entry.Zxid) {
		return w.fail(fmt.Errorf("log: transaction %#x cannot follow %#x: numbers between them are missing or used twice",
			entry.Zxid, w.last))
	}
	if len(w.buffer) == 0 {
		w.first = entry.Zxid
	}
	w.last = entry.Zxid
	w.buffer = binary.BigEndian.AppendUint64(w.buffer, uint64(adler32.Checksum(entry.Payload)))
	w.buffer = binary.BigEndian.AppendUint32(w.buffer, uint32(len(entry.Payload)))
	w.buffer = append(w.buffer, entry.Payload...)
	w.buffer = append(w.buffer, entryEnd)

	switch {
	case w.holdBack && len(w.buffer) >= heldMax:
		return w.force()
	case !w.holdBack && len(w.buffer) >= bufferMax:
		return w.write()
	}
	return nil
}

// sync makes everything appended so far durable, as far as forceSync=no lets it.
func (w *logWriter) sync() error {
	if w.forceSync {
		return w.force()
	}
	if w.holdBack {
		return w.failed
	}
	return w.write()
}

// force writes what is in memory and syncs the file.
func (w *logWriter) force() error {
	if err := w.write(); err != nil {
		return err
	}
	if !w.unsynced {
		return nil
	}
	if w.synced-w.marked >= markInterval {
		if err := w.mark(); err != nil {
			return err
		}
	}
	if err := w.file.Sync(); err != nil {
		return w.fail(fmt.Errorf("sync the log: %w", err))
	}
	w.unsynced, w.synced = false, w.position
	return nil
}

// mark writes into the file's header how much of it is on the disk, for the next Sync to make durable.
func (w *logWriter) mark() error {
	file, err := w.files.Edit(w.path)
	if err == nil {
		err = writeMark(file, w.synced)
		if closing := file.Close(); err == nil {
			err = closing
		}
	}
	if err != nil {
		return w.fail(fmt.Errorf("mark the log: %w", err))
	}
	w.marked, w.unsynced = w.synced, true
	return nil
}

// writeMark writes a log's header, at the start of the file. The mark stands where Apache's format has
// the number of a database, which its servers write as 0 and never read.
func writeMark(file File, synced int64) error {
	_, err := file.Write(fileHeader(logMagic, synced))
	return err
}

// write hands what is in memory to the file system.
func (w *logWriter) write() error {
	if w.failed != nil || len(w.buffer) == 0 {
		return w.failed
	}
	if w.file == nil {
		if err := w.create(); err != nil {
			return w.fail(err)
		}
	}
	if err := w.extend(int64(len(w.buffer))); err != nil {
		return w.fail(err)
	}
	n, err := w.file.Write(w.buffer)
	w.position += int64(n)
	w.unsynced = true
	if err != nil {
		return w.fail(fmt.Errorf("write to the log: %w", err))
	}
	w.buffer = w.buffer[:0]
	if cap(w.buffer) > heldMax {
		w.buffer = nil
	}
	w.written.Store(&writtenPart{path: w.path, size: w.position})
	return nil
}

// create begins the file that is named after the first entry in memory. Its name and its header are
// durable before any entry in it can be: Apache's server does not see to that.
func (w *logWriter) create() error {
	name := path.Join(w.dir, logName(w.first))
	// Readers must know this file as the unfinished one before they can find it.
	w.written.Store(&writtenPart{path: name})
	file, err := w.files.Create(name)
	if err != nil {
		return fmt.Errorf("begin a log file: %w", err)
	}
	w.file, w.path, w.position, w.size = file, name, 0, 0
	w.synced, w.marked = 0, 0
	n, err := file.Write(fileHeader(logMagic, 0))
	if err != nil {
		return fmt.Errorf("begin a log file: %w", err)
	}
	w.position, w.size, w.unsynced = int64(n), int64(n), true
	if !w.forceSync {
		return nil
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("begin a log file: sync %s: %w", name, err)
	}
	if err := w.files.SyncDir(w.dir); err != nil {
		return fmt.Errorf("begin a log file: sync %s: %w", w.dir, err)
	}
	return nil
}

// extend preallocates so much that n more bytes fit with a margin.
func (w *logWriter) extend(n int64) error {
	size := w.size
	for w.preallocate > 0 && w.position+n+preallocateMargin >= size {
		size += w.preallocate
	}
	if size == w.size {
		return nil
	}
	if err := w.file.Truncate(size); err != nil {
		return fmt.Errorf("preallocate %s: %w", w.path, err)
	}
	w.size = size
	return nil
}

// roll syncs, marks and closes the file; the next entry begins a new one.
func (w *logWriter) roll() error {
	if err := w.settle(); err != nil {
		return err
	}
	if w.file == nil {
		return nil
	}
	if w.forceSync && w.synced > w.marked {
		if err := w.mark(); err != nil {
			return err
		}
		if err := w.force(); err != nil {
			return err
		}
	}
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return w.fail(fmt.Errorf("close the log: %w", err))
	}
	return nil
}

// settle leaves nothing in memory, and nothing un-synced unless forceSync=no says so.
func (w *logWriter) settle() error {
	if w.forceSync {
		return w.force()
	}
	return w.write()
}

// fileHeader returns the 16 bytes that logs and snapshots begin with.
func fileHeader(magic int32, database int64) []byte {
	e := jute.NewEncoder(make([]byte, 0, fileHeaderSize))
	e.Int(magic)
	e.Int(logVersion)
	e.Long(database)
	return e.Bytes()
}
