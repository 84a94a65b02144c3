package store

import "fmt"

// RetainMin is the least number of snapshots that a purge keeps (autopurge.snapRetainCount).
const RetainMin = 3

// Purge removes what recovery no longer needs: it keeps the newest retain snapshots that are whole, at
// least RetainMin, whatever is newer than the oldest of them, and the logs that go on from there. It
// removes nothing if there are not that many. It may run beside all other operations.
func (s *Store) Purge(retain int) error {
	s.names.Lock()
	defer s.names.Unlock()
	d := s.directories
	snapshots, err := listSnapshots(d.files, d.snapshots)
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	whole, oldest := 0, -1
	for i, snapshot := range snapshots {
		if err := verifySnapshot(d.files, snapshot); err != nil {
			s.options.Log.Warn("purge found a damaged snapshot", "error", err)
			continue
		}
		if whole++; whole == max(retain, RetainMin) {
			oldest = i
			break
		}
	}
	if oldest < 0 {
		return nil
	}
	logs, err := listLogs(d.files, d.logs)
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	needed := len(logsFrom(logs, snapshots[oldest].zxid))
	for _, log := range logs[:len(logs)-needed] {
		if err := d.files.Remove(log.path); err != nil {
			return fmt.Errorf("purge: %w", err)
		}
	}
	for i := len(snapshots) - 1; i > oldest; i-- {
		if err := d.files.Remove(snapshots[i].path); err != nil {
			return fmt.Errorf("purge: %w", err)
		}
	}
	return nil
}
