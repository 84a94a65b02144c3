package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/tree"
)

// commitLogCountDefault is zookeeper.commitLogCount, which is also its least value.
const commitLogCountDefault = 500

// Options say where a server's files are and how to treat them. Only DataDir is required.
type Options struct {
	// DataDir and LogDir are dataDir and dataLogDir of zoo.cfg, without version-2. An empty LogDir
	// stands for DataDir.
	DataDir, LogDir string
	// FS is the file system; nil stands for the operating system's.
	FS FS
	// Tree is how the tree is built that is recovered.
	Tree tree.Options
	// CommitLogCount is how many of the newest entries the recovered state carries (default 500).
	CommitLogCount int
	// Preallocate is zookeeper.preAllocSize in bytes (default 64 MiB); a negative number turns it off.
	Preallocate int64
	// LogSizeMax is zookeeper.txnLogSizeLimitInKb, in bytes: a log that has grown beyond it is followed by a
	// new one (default: no bound).
	LogSizeMax int64
	// FieldMax bounds one string or buffer of a snapshot, in bytes (default: jute.MaxFieldDefault).
	FieldMax int
	// Compression is how new snapshots are stored. All kinds are read.
	Compression Compression
	// NoForceSync is zookeeper.forceSync=no: a Sync hands the log to the operating system and no
	// further. A power failure then loses what was reported as synced.
	NoForceSync bool
	// HoldUnsynced keeps log entries in memory until they are synced, so that kill -9 loses what a
	// power failure would lose.
	HoldUnsynced bool
	// TrustEmptySnapshot is zookeeper.snapshot.trust.empty: logs without any snapshot are accepted.
	TrustEmptySnapshot bool
	// RequireInitialize is zookeeper.db.autocreate=false: a server without data does not count its
	// empty tree as a state (its zxid is -1) unless the operator put a file "initialize" into DataDir. Nor does
	// it count what it copies from a leader until it has all of that.
	RequireInitialize bool
	// Guard runs the function that copies the next znodes for a snapshot while nothing changes the
	// tree: the server takes its read lock around it. Nothing in it waits for anything. nil calls it as it is.
	Guard func(func())
	// SnapshotNodes is how many znodes are copied for a snapshot at once (default 64): so long does the
	// server wait at most.
	SnapshotNodes int
	// Beside begins to run work, the writing of a snapshot or the reading of the log, beside everything else,
	// and returns what waits for its end. nil starts a goroutine; it is for who has none, as a simulator.
	Beside func(work func()) (wait func())
	// SyncTook, if not nil, is told how long each fsync of the log took.
	SyncTook func(time.Duration)
	// StartTook, if not nil, is told how long it took Open to read the newest snapshot, and the log behind it with so many
	// entries.
	StartTook func(snapshot, log time.Duration, entries int)
	// Answered, if not nil, is called on the goroutine of Run when operations may have been reported. It may call
	// Do, which does not wait then, and nothing else of the store's.
	Answered func()
	// Defects are the planted mistakes. This package holds defect.SnapshotUncommitted.
	Defects defect.Set
	// Log gets warnings about what recovery met.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.LogDir == "" {
		o.LogDir = o.DataDir
	}
	if o.FS == nil {
		o.FS = osFS{}
	}
	o.CommitLogCount = max(o.CommitLogCount, commitLogCountDefault)
	if o.Preallocate == 0 {
		o.Preallocate = preallocateDefault
	}
	if o.Guard == nil {
		o.Guard = func(f func()) { f() }
	}
	if o.SnapshotNodes == 0 {
		o.SnapshotNodes = snapshotNodesDefault
	}
	if o.Beside == nil {
		o.Beside = onGoroutine
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// onGoroutine is the usual Options.Beside.
func onGoroutine(work func()) (wait func()) {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		work()
	}()
	return func() { <-finished }
}

// Store carries out a server's disk operations. Its methods may be called from any goroutine.
type Store struct {
	options     Options
	directories *directories
	locks       []io.Closer
	queue       *queue
	log         *logWriter // used by Run's goroutine only

	// names guards which snapshots and logs there are: Purge must not take away what a Truncate
	// builds on.
	names        sync.Mutex
	snapshotSize atomic.Int64
	copying      bool // used by Run's goroutine only, as what follows
	snapshot     *snapshotTask
	abandoned    *snapshotTask // the last one that was given up, until it has ended
	reading      *logRead
	toRead       []queued // the first of them is the one being read
	closing      sync.Once
	telling      atomic.Bool // whether Options.Answered is being called
}

var _ disk.Reader = (*Store)(nil)

// Open locks the data directory, recovers what it holds and repairs what a crash left behind: it cuts
// torn tails off logs, and removes log files without an entry and snapshots that were not finished.
// A directory that has never been used gets an empty snapshot.0. The caller must Run the store, and
// Close it.
func Open(options Options) (*Store, *disk.State, error) {
	options = options.withDefaults()
	s := &Store{options: options, directories: options.directories(), queue: newQueue()}
	state, err := s.open()
	if err != nil {
		s.unlock()
		return nil, nil, fmt.Errorf("open data directory %s: %w", options.DataDir, err)
	}
	return s, state, nil
}

func (s *Store) open() (*disk.State, error) {
	if err := s.lock(); err != nil {
		return nil, err
	}
	d := s.directories
	if err := d.checkSeparation(); err != nil {
		return nil, err
	}
	if err := s.removeUnfinished(); err != nil {
		return nil, err
	}
	r, err := s.replayOrBegin()
	if err != nil {
		return nil, err
	}
	s.warn(r)
	state, known, err := d.state(r)
	if err != nil {
		return nil, err
	}
	if s.copying {
		state.CurrentEpoch = 0 // it was joined with what is lost
	}
	if err := s.repair(r); err != nil {
		return nil, err
	}
	if known.repaired {
		s.options.Log.Warn("currentEpoch is behind the log, as after a crash: taking the log's epoch", "epoch", known.current)
		if err := writeEpoch(d.files, d.snapshots, currentName, known.current); err != nil {
			return nil, err
		}
	}
	if err := s.removeInitialize(); err != nil {
		return nil, err
	}
	if r.base != nil {
		s.snapshotSize.Store(r.base.size)
	}
	s.log = &logWriter{
		files: d.files, dir: d.logs,
		preallocate: s.options.Preallocate, forceSync: !s.options.NoForceSync, holdBack: s.options.HoldUnsynced,
		last: r.last,
	}
	return state, nil
}

func (s *Store) lock() error {
	d := s.directories
	for _, dir := range []string{d.snapshots, d.logs} {
		if err := d.files.MakeDir(dir); err != nil {
			return err
		}
	}
	d.recogniseOne()
	for _, dir := range d.all() {
		lock, err := d.files.Lock(path.Join(dir, lockName))
		if err != nil {
			return fmt.Errorf("another server may be using this directory: %w", err)
		}
		s.locks = append(s.locks, lock)
	}
	return nil
}

func (s *Store) unlock() error {
	var errs []error
	for _, lock := range s.locks {
		errs = append(errs, lock.Close())
	}
	s.locks = nil
	return errors.Join(errs...)
}

// removeUnfinished removes snapshots that were being written when the server stopped.
func (s *Store) removeUnfinished() error {
	d := s.directories
	names, err := listNames(d.files, d.snapshots)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, unfinishedPrefix) {
			if err := d.files.Remove(path.Join(d.snapshots, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) warn(r *replayed) {
	for _, err := range r.damaged {
		s.options.Log.Warn("a snapshot is damaged; an older one and the log replace it", "error", err)
	}
	for _, disorder := range r.disorder {
		s.options.Log.Warn("the log holds a transaction twice, as ZOOKEEPER-4712 leaves it", "error", disorder)
	}
	for _, mismatch := range r.digests {
		s.options.Log.Error("the recovered tree is not the one that was written", "error", mismatch)
	}
	for _, tail := range r.tails {
		s.options.Log.Warn("cutting torn entries off the log, as a crash leaves them", "file", tail.path, "offset", tail.size, "bytes", tail.torn)
	}
	for _, name := range r.empty {
		s.options.Log.Warn("removing a log file without an entry, as a crash leaves it", "file", name)
	}
}

// repair clears away what a crash left behind, so that nothing is ever written after it.
func (s *Store) repair(r *replayed) error {
	d := s.directories
	for _, tail := range r.tails {
		if err := cutFile(d.files, tail.path, tail.size); err != nil {
			return err
		}
	}
	if err := removeAll(d.files, d.logs, r.empty); err != nil {
		return err
	}
	return s.secure(r)
}

// secure makes what was recovered durable. After a kill the log's last entries, and the last file that
// got its name, an epoch's for instance, may stand in the page cache only, but a server that starts with
// them answers for them: it votes, accepts and leads by them.
func (s *Store) secure(r *replayed) error {
	d := s.directories
	if s.options.NoForceSync {
		return nil
	}
	for _, dir := range d.all() {
		if err := d.files.SyncDir(dir); err != nil {
			return fmt.Errorf("sync %s: %w", dir, err)
		}
	}
	from := int64(0)
	if r.base != nil {
		from = r.base.zxid
	}
	logs, err := listLogs(d.files, d.logs)
	if err != nil {
		return err
	}
	if r.base != nil {
		if err := secureFile(d.files, r.base.path, 0); err != nil {
			return err
		}
	}
	for _, log := range logsFrom(logs, from) {
		end := int64(0)
		if log.newest {
			end = r.end
		}
		if err := secureFile(d.files, log.path, end); err != nil {
			return err
		}
	}
	return nil
}

// secureFile syncs a file, and then, unless mark is 0, marks it as synced up to there.
func secureFile(files FS, name string, mark int64) error {
	file, err := files.Edit(name)
	if err != nil {
		return err
	}
	err = file.Sync()
	if err == nil && mark > 0 {
		if err = writeMark(file, mark); err == nil {
			err = file.Sync()
		}
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return nil
}

// Close ends Run, if it is still running, and waits for it; then it writes what is still in memory and
// gives the directory free. Operations that are still queued are carried out first.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		s.queue.close()
		for _, q := range s.queue.waitForRunner() {
			q.report(nil, ErrClosed)
		}
		err = errors.Join(s.closeLog(), s.unlock())
	})
	return err
}

func (s *Store) closeLog() error {
	if s.log.failed != nil {
		if s.log.file != nil {
			s.log.file.Close()
		}
		return s.log.failed
	}
	return s.log.roll()
}

// Do queues operations. done hears of those with a ticket, on the goroutine of Run; it must neither
// call the store nor wait for the caller of Do. Do waits while very much is queued: the caller must not
// hold what Guard takes.
//
// The payload of an Append must stay as it is until its Sync is done.
func (s *Store) Do(operations []disk.Operation, done func(disk.Result)) {
	s.queue.put(operations, done, !s.telling.Load())
}

// CarryOut is Do and Run in one for who has no goroutine to spare, as a simulator: it carries out the
// operations, and whatever else waits, before it returns. Who calls it never calls Run.
func (s *Store) CarryOut(operations []disk.Operation, done func(disk.Result)) {
	s.Do(operations, done)
	s.carryOut(s.queue.takeWaiting())
}

// Run carries out operations until ctx ends or Close is called, then finishes those that are queued.
// One goroutine may call it, once.
func (s *Store) Run(ctx context.Context) error {
	if !s.queue.startRunner() {
		return ErrClosed
	}
	defer s.queue.stopRunner()
	stop := context.AfterFunc(ctx, s.queue.close)
	defer stop()
	for {
		batch, more := s.queue.take()
		if !more {
			break
		}
		s.carryOut(batch)
	}
	s.giveUpSnapshot()
	s.awaitAbandoned()
	s.giveUpReading()
	return s.log.failed
}
