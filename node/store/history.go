package store

import (
	"errors"
	"io"
	"io/fs"

	"ordeal/node/disk"
)

// SnapshotSize is the size of the newest snapshot in bytes.
func (s *Store) SnapshotSize() int64 { return s.snapshotSize.Load() }

// ReadFrom returns the logged entries from the one with the greatest zxid <= from onward, oldest first,
// or nil if the log does not reach back that far, has a hole, or holds more than sizeMax bytes (0: no
// bound) from there on. Entries that are still in memory are not among them. It may run beside all
// other operations.
func (s *Store) ReadFrom(from int64, sizeMax int64) ([]disk.Entry, error) {
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
	reading := historyReader{from: from, sizeMax: sizeMax, snapshots: snapshots}
	for _, log := range logsFrom(logs, from) {
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
	from      int64
	sizeMax   int64
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
	for {
		entry, err := reader.next()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
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
