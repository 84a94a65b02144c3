package store

import (
	"errors"
	"io/fs"
	"sync/atomic"

	"ordeal/node/disk"
)

// SnapshotSize is the size of the newest snapshot in bytes.
func (s *Store) SnapshotSize() int64 { return s.snapshotSize.Load() }

// ReadFrom returns the logged entries from the one with the greatest zxid <= from onward, oldest first,
// or nil if the log does not reach back that far, has a hole, or holds more than sizeMax bytes (0: no
// bound) from there on. Entries that are still in memory are not among them. It may run beside all
// other operations.
func (s *Store) ReadFrom(from int64, sizeMax int64) ([]disk.Entry, error) {
	return s.readFrom(historyReader{from: from, sizeMax: sizeMax, givenUp: func() bool { return false }})
}

func (s *Store) readFrom(reading historyReader) ([]disk.Entry, error) {
	d := s.directories
	logs, err := listLogs(d.files, d.logs)
	if err != nil {
		return nil, err
	}
	snapshots, err := listSnapshots(d.files, d.snapshots)
	if err != nil {
		return nil, err
	}
	written := s.log.written.Load()
	reading.snapshots = snapshots
	for _, log := range logsFrom(logs, reading.from) {
		limit := int64(0)
		if written != nil && written.path == log.path {
			if written.size == 0 {
				continue
			}
			limit = written.size
		}
		whole, err := reading.file(d.files, log.path, limit)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // purged in between
		}
		if !whole || err != nil {
			return nil, err
		}
	}
	return reading.entries, nil
}

// historyReader collects the entries of a history without a hole.
type historyReader struct {
	from    int64
	sizeMax int64
	// givenUp ends the reading early when it returns true.
	givenUp   func() bool
	snapshots []namedFile
	entries   []disk.Entry
	size      int64
}

// file reads one log; whole is false if its entries are of no use.
func (h *historyReader) file(files FS, name string, limit int64) (whole bool, err error) {
	reader, err := openLog(files, name, limit)
	if err != nil {
		return false, err
	}
	defer reader.close()
	for entry, err := range reader.entries() {
		if err != nil {
			return false, err
		}
		if h.givenUp() {
			return false, ErrAborted
		}
		if entry.Zxid <= h.from {
			h.entries, h.size = h.entries[:0], 0
		} else if len(h.entries) == 0 || h.broken(h.entries[len(h.entries)-1].Zxid, entry.Zxid) {
			return false, nil
		}
		h.entries = append(h.entries, entry)
		h.size += int64(len(entry.Payload))
		if h.sizeMax > 0 && h.size > h.sizeMax {
			return false, nil
		}
	}
	return true, nil
}

// broken tells whether two neighbours in the log may not be neighbours in the history. A snapshot of
// a state between them was once installed there, and what stands before it may be of a history that
// was given up.
func (h *historyReader) broken(previous, next int64) bool {
	if !follows(previous, next) {
		return true
	}
	for _, snapshot := range h.snapshots {
		if previous < snapshot.zxid && snapshot.zxid < next {
			return true
		}
	}
	return false
}

// logRead is a ReadLog that is under way beside other operations.
type logRead struct {
	givenUp atomic.Bool
	wait    func() // for its end
}

// readLog reads for those that have asked, one after the other, so that no more than one answer is in
// memory that nobody has taken yet.
func (s *Store) readLog(q queued) {
	s.toRead = append(s.toRead, q)
	s.readNext()
}

func (s *Store) readNext() {
	if s.reading != nil || len(s.toRead) == 0 {
		return
	}
	read, operation := &logRead{}, s.toRead[0].operation
	s.reading = read
	read.wait = s.options.Beside(func() {
		entries, err := s.readFrom(historyReader{from: operation.Zxid, sizeMax: operation.SizeMax, givenUp: read.givenUp.Load})
		s.queue.putStep(func() { s.finishRead(read, entries, err) })
	})
}

func (s *Store) finishRead(read *logRead, entries []disk.Entry, err error) {
	if s.reading != read {
		return
	}
	q := s.toRead[0]
	s.reading, s.toRead = nil, s.toRead[1:]
	q.answer(disk.Result{Err: err, Entries: entries})
	s.readNext()
}

// giveUpReading ends all that is being read.
func (s *Store) giveUpReading() {
	if s.reading != nil {
		s.reading.givenUp.Store(true)
		s.reading.wait()
		s.reading = nil
	}
	for _, q := range s.toRead {
		q.report(nil, ErrAborted)
	}
	s.toRead = nil
}
