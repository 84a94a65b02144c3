package store

import (
	"fmt"
	"slices"
)

// RetainMin is the least number of snapshots that a purge keeps (autopurge.snapRetainCount).
const RetainMin = 3

// Purge removes what recovery no longer needs: it keeps the newest retain snapshots that are whole, at
// least RetainMin, whatever is newer than the oldest of them, and the logs that go on from there. It
// removes nothing if there are not that many. It may run beside all other operations.
func (s *Store) Purge(retain int) error {
	d := s.directories
	snapshots, err := listSnapshots(d.files, d.snapshots)
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	// To read whole snapshots takes long. The log must be able to go on meanwhile, and with it whoever wants
	// to name a snapshot.
	var kept []namedFile
	for _, snapshot := range snapshots {
		if err := verifySnapshot(d.files, snapshot); err != nil {
			s.options.Log.Warn("purge found a damaged snapshot", "error", err)
			continue
		}
		if kept = append(kept, snapshot); len(kept) == max(retain, RetainMin) {
			return s.purgeBefore(kept)
		}
	}
	return nil
}

// purgeBefore removes what is older than the snapshots to keep, newest first, and the logs that lead up to
// them. It does nothing if one of them has been removed meanwhile: then what is older may be needed.
func (s *Store) purgeBefore(kept []namedFile) error {
	s.names.Lock()
	defer s.names.Unlock()
	d := s.directories
	snapshots, err := listSnapshots(d.files, d.snapshots)
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	for _, snapshot := range kept {
		if !slices.Contains(snapshots, snapshot) {
			return nil
		}
	}
	oldest := kept[len(kept)-1]
	logs, err := listLogs(d.files, d.logs)
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	needed := len(logsFrom(logs, oldest.zxid))
	for _, log := range logs[:len(logs)-needed] {
		if err := d.files.Remove(log.path); err != nil {
			return fmt.Errorf("purge: %w", err)
		}
	}
	for i := len(snapshots) - 1; snapshots[i] != oldest; i-- {
		if err := d.files.Remove(snapshots[i].path); err != nil {
			return fmt.Errorf("purge: %w", err)
		}
	}
	return nil
}
