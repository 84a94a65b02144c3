package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/tree"
)

// carryOut does operations in their order. Syncs wait until something else than an Append or a Sync
// is due, or the batch ends: then one fsync serves them all.
func (s *Store) carryOut(batch []queued) {
	var syncs []queued
	answer := func() {
		if len(syncs) == 0 {
			return
		}
		err := s.timedSync()
		if most := s.options.LogSizeMax; err == nil && most > 0 && s.log.file != nil && s.log.position > most {
			err = s.log.roll()
		}
		for _, q := range syncs {
			q.report(nil, err)
		}
		syncs = syncs[:0]
		s.tellAnswered()
	}
	for _, q := range batch {
		switch {
		case q.step == nil && q.operation.Kind == disk.Append:
			q.report(nil, s.log.append(q.operation.Entry))
		case q.step == nil && q.operation.Kind == disk.Sync:
			syncs = append(syncs, q)
		default:
			answer()
			s.carryOutOne(q)
			s.tellAnswered()
		}
	}
	answer()
	s.tellAnswered()
}

// tellAnswered calls Options.Answered.
func (s *Store) tellAnswered() {
	if s.options.Answered == nil {
		return
	}
	s.telling.Store(true)
	s.options.Answered()
	s.telling.Store(false)
}

// timedSync syncs the log, and tells how long that took if somebody wants to know.
func (s *Store) timedSync() error {
	if s.options.SyncTook == nil {
		return s.log.sync()
	}
	began := time.Now()
	err := s.log.sync()
	s.options.SyncTook(time.Since(began))
	return err
}

// carryOutOne does an operation other than Append and Sync.
func (s *Store) carryOutOne(q queued) {
	if q.step != nil {
		q.step()
		return
	}
	switch q.operation.Kind {
	case disk.WriteAcceptedEpoch:
		q.report(nil, s.writeEpoch(acceptedName, q.operation.Epoch))
	case disk.WriteCurrentEpoch:
		q.report(nil, s.writeEpoch(currentName, q.operation.Epoch))
	case disk.TakeSnapshot:
		s.takeSnapshot(q)
	case disk.ReadLog:
		s.readLog(q)
	case disk.AbortSnapshot:
		s.giveUpSnapshot()
		q.report(nil, nil)
	case disk.InstallSnapshot:
		s.giveUpSnapshot()
		q.report(nil, s.log.fail(s.installSnapshot(q.operation.Snapshot)))
	case disk.Truncate:
		s.giveUpSnapshot()
		state, err := s.truncate(q.operation.Zxid)
		if !errors.Is(err, disk.ErrNothingBefore) {
			err = s.log.fail(err)
		}
		q.report(state, err)
	default:
		panic(fmt.Sprintf("store: expected an operation of package disk, found kind %d", q.operation.Kind))
	}
}

// writeEpoch replaces an epoch file, after everything that was asked for before it is durable.
func (s *Store) writeEpoch(name string, epoch int64) error {
	if err := s.log.sync(); err != nil {
		return err
	}
	err := writeEpoch(s.directories.files, s.directories.snapshots, name, epoch)
	if err == nil && name == currentName {
		err = s.endCopy()
	}
	return s.log.fail(err)
}

// truncate removes everything after zxid. The log goes first and snapshots after it, each file from the
// newest on: so a crash in between leaves either the history as it was or a shorter one, never one
// with a hole. Whether the rest is enough is found out before anything is removed.
func (s *Store) truncate(zxid int64) (*disk.State, error) {
	if err := s.log.roll(); err != nil {
		return nil, err
	}
	s.names.Lock()
	defer s.names.Unlock()
	d := s.directories
	r, err := d.replay(zxid)
	var lost *LostError
	if errors.As(err, &lost) || errors.Is(err, errNothing) || (err == nil && (r.base == nil || r.last != zxid)) {
		// The history behind the newest snapshot that is old enough does not lead to zxid: that of a
		// snapshot which was installed later would, but holds too much.
		return nil, fmt.Errorf("truncate to %#x: %w", zxid, disk.ErrNothingBefore)
	}
	if err != nil {
		return nil, fmt.Errorf("truncate to %#x: %w", zxid, err)
	}
	if err := d.cutLogs(r.base.zxid, zxid); err != nil {
		return nil, fmt.Errorf("truncate to %#x: %w", zxid, err)
	}
	if s.options.Defects.On(defect.SnapshotUncommitted) {
		r, err = d.replay(noLimit)
	} else {
		err = d.removeSnapshotsAfter(r.base.namedFile)
	}
	if err != nil {
		return nil, fmt.Errorf("truncate to %#x: %w", zxid, err)
	}
	s.log.last = r.last
	s.snapshotSize.Store(r.base.size)
	state, _, err := d.state(r)
	return state, err
}

// installSnapshot replaces the history by a snapshot of another one. It is safe on the disk before
// anything is removed, and gets its name before other snapshots are removed.
func (s *Store) installSnapshot(source *tree.Snapshotter) error {
	if err := s.log.roll(); err != nil {
		return err
	}
	s.awaitAbandoned()
	job := s.newSnapshotJob(source)
	size, err := job.write()
	if err != nil {
		return fmt.Errorf("install snapshot %#x: %w", source.Zxid(), err)
	}
	s.names.Lock()
	defer s.names.Unlock()
	d := s.directories
	err = d.cutLogs(source.Zxid(), source.Zxid())
	if err == nil {
		err = job.publish()
	}
	if err == nil {
		err = d.removeSnapshotsAfter(namedFile{zxid: source.Zxid(), path: job.finalPath()})
	}
	if err != nil {
		return fmt.Errorf("install snapshot %#x: %w", source.Zxid(), err)
	}
	s.log.last = source.Zxid()
	s.snapshotSize.Store(size)
	return nil
}

// cutLogs removes the entries after zxid, newest first, from all logs that a recovery from the snapshot
// base reads: where transactions are repeated (ZOOKEEPER-4712), more than one file may hold some.
func (d *directories) cutLogs(base, zxid int64) error {
	logs, err := listLogs(d.files, d.logs)
	if err != nil {
		return err
	}
	logs = logsFrom(logs, base)
	for i := len(logs) - 1; i >= 0; i-- {
		if logs[i].zxid > zxid {
			err = removeAll(d.files, d.logs, []string{logs[i].path})
		} else {
			err = d.cutLog(logs[i].path, zxid)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cutLog removes the entries after zxid from one file.
func (d *directories) cutLog(name string, zxid int64) error {
	reader, err := openLog(d.files, name, 0)
	if err != nil {
		return err
	}
	defer reader.close()
	for {
		before := reader.offset
		entry, err := reader.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry.Zxid > zxid {
			return cutFile(d.files, name, before)
		}
	}
}

// removeSnapshotsAfter removes every snapshot that would be preferred to base, newest first.
func (d *directories) removeSnapshotsAfter(base namedFile) error {
	snapshots, err := listSnapshots(d.files, d.snapshots)
	if err != nil {
		return err
	}
	for _, snapshot := range snapshots {
		if snapshot.zxid < base.zxid || snapshot.path == base.path {
			continue
		}
		if err := removeAll(d.files, d.snapshots, []string{snapshot.path}); err != nil {
			return err
		}
	}
	return nil
}

// cutFile shortens a file, durably.
func cutFile(files FS, name string, size int64) error {
	file, err := files.Edit(name)
	if err != nil {
		return err
	}
	err = file.Truncate(size)
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("cut %s at byte %d: %w", name, size, err)
	}
	return nil
}

// removeAll removes files of one directory, each durably before the next.
func removeAll(files FS, dir string, names []string) error {
	for _, name := range names {
		if err := files.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := files.SyncDir(dir); err != nil {
			return fmt.Errorf("remove %s: sync %s: %w", name, dir, err)
		}
	}
	return nil
}

// snapshotTask is a snapshot that is being written beside other operations.
type snapshotTask struct {
	request queued
	job     *snapshotJob
	givenUp atomic.Bool
	wait    func() // for the end of the writing
}

func (s *Store) newSnapshotJob(source *tree.Snapshotter) *snapshotJob {
	return &snapshotJob{
		files: s.directories.files, dir: s.directories.snapshots,
		compression: s.options.Compression, source: source,
		guard:   s.options.Guard,
		nodes:   s.options.SnapshotNodes,
		givenUp: func() bool { return false },
	}
}

// takeSnapshot begins a new log file and starts to write a snapshot.
func (s *Store) takeSnapshot(q queued) {
	if s.snapshot != nil {
		q.report(nil, ErrSnapshotBusy)
		return
	}
	s.awaitAbandoned()
	if err := s.log.roll(); err != nil {
		q.report(nil, err)
		return
	}
	task := &snapshotTask{request: q, job: s.newSnapshotJob(q.operation.Snapshot)}
	task.job.givenUp = task.givenUp.Load
	s.snapshot = task
	task.wait = s.options.Beside(func() {
		size, err := task.job.write()
		s.queue.putStep(func() { s.finishSnapshot(task, size, err) })
	})
}

// finishSnapshot gives a snapshot its name. The log goes to the disk before: the snapshot may hold
// effects of its newest entries, and must not be ahead of it.
func (s *Store) finishSnapshot(task *snapshotTask, size int64, err error) {
	if s.abandoned == task {
		s.removeAbandoned()
	}
	if s.snapshot != task {
		return
	}
	s.snapshot = nil
	if err == nil {
		err = s.log.sync()
	}
	if err == nil {
		s.names.Lock()
		err = task.job.publish()
		s.names.Unlock()
	}
	if err == nil {
		s.snapshotSize.Store(size)
	} else {
		s.options.Log.Warn("a snapshot was not written; the log stays longer for it", "error", err)
	}
	task.request.report(nil, err)
}

// giveUpSnapshot ends the snapshot that is being written, if there is one. It does not wait for its end,
// which may be that of the sync of a large file, and with it the end of a role.
func (s *Store) giveUpSnapshot() {
	task := s.snapshot
	if task == nil {
		return
	}
	s.snapshot, s.abandoned = nil, task
	task.givenUp.Store(true)
	task.request.report(nil, ErrAborted)
}

// awaitAbandoned waits for the end of a snapshot that was given up: another one may have the same name.
func (s *Store) awaitAbandoned() {
	if s.abandoned != nil {
		s.abandoned.wait()
		s.removeAbandoned()
	}
}

// removeAbandoned removes what was written of a snapshot that was given up, and has ended.
func (s *Store) removeAbandoned() {
	if err := s.directories.files.Remove(s.abandoned.job.unfinishedPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.options.Log.Warn("an unfinished snapshot stays until the next start", "error", err)
	}
	s.abandoned = nil
}
