package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
	"ordeal/node/disk"
)

// countSyncs counts the syncs of log files.
func countSyncs(files *memoryFS) *atomic.Int64 {
	var syncs atomic.Int64
	files.failing = func(operation, name string) error {
		if operation == "sync" && strings.Contains(name, "/log.") {
			syncs.Add(1)
		}
		return nil
	}
	return &syncs
}

func TestSyncsThatWaitTogetherCostOne(t *testing.T) {
	files := newMemoryFS()
	s, _ := openTest(t, testOptions(files))
	syncs := countSyncs(files)
	var operations []disk.Operation
	for z := int64(1); z <= 100; z++ {
		operations = append(operations, logged(z)...)
	}
	r := run(s)
	r.must(t, operations...)
	const header = 1 // before the first entry
	require.Equal(t, int64(header+1), syncs.Load())
	r.must(t, disk.Operation{Kind: disk.Sync})
	require.Equal(t, int64(header+1), syncs.Load(), "nothing was appended since")
	require.NoError(t, r.stop())
}

// TestEpochsDoNotOvertakeTheLog asks for no Sync at all: the order alone must hold.
func TestEpochsDoNotOvertakeTheLog(t *testing.T) {
	files := newMemoryFS()
	options := testOptions(files)
	options.HoldUnsynced = true
	s, _ := openTest(t, options)
	r := run(s)
	r.must(t, disk.Operation{Kind: disk.Append, Entry: entryAt(1)}, disk.Operation{Kind: disk.WriteCurrentEpoch, Epoch: 0})
	_, state := openTest(t, testOptions(files.afterCrash(loseAll, false)))
	require.Equal(t, int64(1), state.Tree.LastZxid())
	require.NoError(t, r.stop())
}

// TestFailuresStick says that nothing is reported as done once a write or a sync of the log failed,
// not even if the disk is well again (ZOOKEEPER-4882).
func TestFailuresStick(t *testing.T) {
	failure := errors.New("no space left")
	for _, failing := range []string{"create", "truncate", "write", "sync", "syncdir"} {
		t.Run(failing, func(t *testing.T) {
			files := newMemoryFS()
			s, _ := openTest(t, testOptions(files))
			r := run(s)
			var ill atomic.Bool
			ill.Store(true)
			files.failing = func(operation, name string) error {
				if operation == failing && ill.Load() {
					return failure
				}
				return nil
			}
			require.ErrorIs(t, r.do(logged(1)...)[1].Err, failure)
			ill.Store(false)
			for _, operation := range []disk.Operation{
				{Kind: disk.Append, Entry: entryAt(2)}, {Kind: disk.Sync}, {Kind: disk.WriteAcceptedEpoch, Epoch: 1},
				{Kind: disk.WriteCurrentEpoch, Epoch: 1}, {Kind: disk.Truncate, Zxid: 1},
				{Kind: disk.TakeSnapshot, Snapshot: treeOf(1).Snapshot()}, {Kind: disk.InstallSnapshot, Snapshot: treeOf(1).Snapshot()},
			} {
				require.ErrorIs(t, r.do(operation)[0].Err, failure, "operation of kind %d", operation.Kind)
			}
			require.ErrorIs(t, r.stop(), failure)
			_, state := openTest(t, testOptions(files.clone()))
			require.LessOrEqual(t, state.Tree.LastZxid(), int64(1))
			require.Zero(t, state.AcceptedEpoch)
		})
	}
}

func TestEpochFailuresStick(t *testing.T) {
	for _, kind := range []disk.Kind{disk.WriteAcceptedEpoch, disk.WriteCurrentEpoch} {
		for _, failing := range []string{"create", "write", "sync", "rename", "syncdir"} {
			t.Run(fmt.Sprintf("%d %s", kind, failing), func(t *testing.T) {
				failure := errors.New("input/output error")
				files := newMemoryFS()
				s, _ := openTest(t, testOptions(files))
				r := run(s)
				files.failing = func(operation, name string) error {
					if operation == failing {
						return failure
					}
					return nil
				}
				require.ErrorIs(t, r.do(disk.Operation{Kind: kind, Epoch: 1})[0].Err, failure)
				require.ErrorIs(t, r.do(logged(1)...)[1].Err, failure)
				require.ErrorIs(t, r.stop(), failure)
			})
		}
	}
}

// TestSnapshotFailureCostsNothing says that the server goes on when a snapshot can't be written.
func TestSnapshotFailureCostsNothing(t *testing.T) {
	for _, failing := range []string{"create", "write", "sync", "rename"} {
		t.Run(failing, func(t *testing.T) {
			failure := errors.New("no space left")
			files := newMemoryFS()
			s, _ := openTest(t, testOptions(files))
			r := run(s)
			r.must(t, logged(1)...)
			files.failing = func(operation, name string) error {
				if operation == failing && strings.Contains(name, unfinishedPrefix) {
					return failure
				}
				return nil
			}
			require.ErrorIs(t, r.do(disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(1).Snapshot()})[0].Err, failure)
			r.must(t, logged(2)...)
			require.NoError(t, r.stop())
			_, state := openTest(t, testOptions(files.afterCrash(loseAll, false)))
			sameTree(t, treeOf(1, 2), state.Tree)
		})
	}
}

// heldSnapshot is a store whose snapshot waits in its guard until told to go on.
type heldSnapshot struct {
	*runner
	files   *memoryFS
	results chan disk.Result
	entered chan struct{}
	proceed chan struct{}
	task    *snapshotTask
}

func holdSnapshot(t *testing.T) *heldSnapshot {
	h := &heldSnapshot{
		files: newMemoryFS(), results: make(chan disk.Result, 1),
		entered: make(chan struct{}, 100), proceed: make(chan struct{}),
	}
	options := testOptions(h.files)
	options.HoldUnsynced = true
	s, _ := openTest(t, options)
	s.options.Guard = func(next func()) {
		h.entered <- struct{}{}
		<-h.proceed
		next()
	}
	h.runner = run(s)
	h.must(t, logged(1)...)
	h.Do([]disk.Operation{{Kind: disk.TakeSnapshot, Ticket: 1, Snapshot: treeOf(1).Snapshot()}}, func(r disk.Result) { h.results <- r })
	<-h.entered
	h.task = s.snapshot
	return h
}

func TestSnapshotRunsBesideTheLog(t *testing.T) {
	h := holdSnapshot(t)
	h.must(t, logged(2)...)
	require.ErrorIs(t, h.do(disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(1, 2).Snapshot()})[0].Err, ErrSnapshotBusy)
	h.must(t, disk.Operation{Kind: disk.Append, Entry: entryAt(3)})
	close(h.proceed)
	require.NoError(t, (<-h.results).Err)
	_, state := openTest(t, testOptions(h.files.afterCrash(loseAll, false)))
	require.Equal(t, int64(3), state.Tree.LastZxid(), "a snapshot must not reach the disk before the log that it may know of")
	require.Equal(t, "log.1 log.2 snapshot.0 snapshot.1", h.files.listing(dataDir+"/"+versionDir))
	require.NoError(t, h.stop())
}

func TestSnapshotIsGivenUp(t *testing.T) {
	for name, test := range map[string]struct {
		ending func(*heldSnapshot) error
		// waits is whether it takes until the snapshot's writer has noticed.
		waits bool
	}{
		"by request": {func(h *heldSnapshot) error { return h.do(disk.Operation{Kind: disk.AbortSnapshot})[0].Err }, false},
		"by truncation": {func(h *heldSnapshot) error {
			return h.do(disk.Operation{Kind: disk.Truncate, Zxid: 1})[0].Err
		}, false},
		"by another state": {func(h *heldSnapshot) error {
			h.options.Guard = func(next func()) { next() }
			return h.do(disk.Operation{Kind: disk.InstallSnapshot, Snapshot: treeOf(upTo(9)...).Snapshot()})[0].Err
		}, true},
		"by another one": {func(h *heldSnapshot) error {
			h.options.Guard = func(next func()) { next() }
			h.must(t, disk.Operation{Kind: disk.AbortSnapshot})
			return h.do(disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(1, 2).Snapshot()})[0].Err
		}, true},
		"by the end": {func(h *heldSnapshot) error { return h.stop() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := holdSnapshot(t)
			if test.waits {
				ended := make(chan error, 1)
				go func() { ended <- test.ending(h) }()
				require.Eventually(t, h.task.givenUp.Load, 10*time.Second, time.Millisecond)
				close(h.proceed)
				require.NoError(t, <-ended)
			} else {
				require.NoError(t, test.ending(h))
				close(h.proceed)
			}
			require.ErrorIs(t, (<-h.results).Err, ErrAborted)
			require.Eventually(t, func() bool {
				return !strings.Contains(h.files.listing(dataDir+"/"+versionDir), unfinishedPrefix)
			}, 10*time.Second, time.Millisecond)
			require.NotContains(t, h.files.listing(dataDir+"/"+versionDir), "snapshot.1")
			require.NoError(t, h.stop())
		})
	}
}

// TestWhatIsLeft says how much of one synced and one un-synced entry each mode leaves, when the process
// is killed and the page cache stays, and when the power fails.
func TestWhatIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		holdUnsynced, noForceSync bool
		killed, powerLost         int64
	}{
		"as usual":           {false, false, 1, 1},
		"held back":          {true, false, 1, 1},
		"forceSync=no":       {false, true, 1, 0},
		"forceSync=no, held": {true, true, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			files := newMemoryFS()
			options := testOptions(files)
			options.HoldUnsynced, options.NoForceSync = c.holdUnsynced, c.noForceSync
			s, _ := openTest(t, options)
			r := run(s)
			r.must(t, logged(1)...)
			r.must(t, disk.Operation{Kind: disk.Append, Entry: entryAt(2)})
			_, state := openTest(t, testOptions(files.afterCrash(keepAll, true)))
			require.Equal(t, c.killed, state.Tree.LastZxid(), "after kill -9")
			_, state = openTest(t, testOptions(files.afterCrash(loseAll, false)))
			require.Equal(t, c.powerLost, state.Tree.LastZxid(), "after a power failure")
			require.NoError(t, r.stop())
			_, state = openTest(t, testOptions(files.afterCrash(keepAll, true)))
			require.Equal(t, int64(2), state.Tree.LastZxid(), "after a graceful stop")
		})
	}
}

func TestSnapshotUncommittedIsADefect(t *testing.T) {
	options := testOptions(newMemoryFS())
	options.Defects = defect.Set{defect.SnapshotUncommitted: true}
	s, _ := openTest(t, options)
	r := run(s)
	r.must(t, logged(1, 2)...)
	r.must(t, disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(1, 2).Snapshot()})
	r.must(t, logged(3, 4)...)
	r.must(t, disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(1, 2, 3, 4).Snapshot()})
	state := r.must(t, disk.Operation{Kind: disk.Truncate, Zxid: 3})[0].State
	sameTree(t, treeOf(1, 2, 3, 4), state.Tree)
	require.NoError(t, r.stop())
}

func TestTruncateRemovesNewerSnapshots(t *testing.T) {
	files := newMemoryFS()
	s, _ := openTest(t, testOptions(files))
	r := run(s)
	r.must(t, logged(1, 2)...)
	r.must(t, disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(1, 2).Snapshot()})
	r.must(t, logged(3, 4)...)
	r.must(t, disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(1, 2, 3, 4).Snapshot()})
	r.must(t, logged(5)...)
	r.must(t, disk.Operation{Kind: disk.WriteAcceptedEpoch, Epoch: 4})
	state := r.must(t, disk.Operation{Kind: disk.Truncate, Zxid: 3})[0].State
	sameTree(t, treeOf(1, 2, 3), state.Tree)
	require.Equal(t, []int64{3}, zxidsOf(state.Committed))
	require.Equal(t, int64(4), state.AcceptedEpoch)
	require.Equal(t, "acceptedEpoch log.1 log.3 snapshot.0 snapshot.2", files.listing(dataDir+"/"+versionDir))
	r.must(t, logged(zxid(4, 1))...)
	require.NoError(t, r.stop())
	_, state = openTest(t, testOptions(files))
	sameTree(t, treeOf(1, 2, 3, zxid(4, 1)), state.Tree)
}

// TestTruncateOfRepeatedTransactions has the same transactions in two files, as ZOOKEEPER-4712 leaves them.
func TestTruncateOfRepeatedTransactions(t *testing.T) {
	files := directory{"snapshot.0": snapshotOf(t, Plain), "log.1": logOf(1, 2, 3), "log.2": logOf(2, 3, 4)}.files()
	s, _ := openTest(t, testOptions(files))
	r := run(s)
	state := r.must(t, disk.Operation{Kind: disk.Truncate, Zxid: 2})[0].State
	sameTree(t, treeOf(1, 2), state.Tree)
	require.NoError(t, r.stop())
	s, state = openTest(t, testOptions(files))
	require.NoError(t, s.Close())
	sameTree(t, treeOf(1, 2), state.Tree)
}

// TestTruncatePassesOverSnapshotsThatKnowMore has a snapshot that is old by its name, but was written
// while newer transactions were applied.
func TestTruncatePassesOverSnapshotsThatKnowMore(t *testing.T) {
	files := newMemoryFS()
	s, _ := openTest(t, testOptions(files))
	r := run(s)
	r.must(t, logged(1, 2, 3)...)
	living := treeOf(1)
	snapshot := living.Snapshot()
	living.Apply(txnAt(2))
	living.Apply(txnAt(3))
	r.must(t, disk.Operation{Kind: disk.TakeSnapshot, Snapshot: snapshot})
	state := r.must(t, disk.Operation{Kind: disk.Truncate, Zxid: 2})[0].State
	sameTree(t, treeOf(1, 2), state.Tree)
	require.Equal(t, "log.1 snapshot.0", files.listing(dataDir+"/"+versionDir))
	require.NoError(t, r.stop())
}

func TestOperationsAfterTheEndAreRefused(t *testing.T) {
	s, _ := openTest(t, testOptions(newMemoryFS()))
	r := run(s)
	r.must(t, logged(1)...)
	require.NoError(t, r.stop())
	require.ErrorIs(t, r.do(logged(2)...)[1].Err, ErrClosed)
	require.ErrorIs(t, s.Run(context.Background()), ErrClosed)

	s, _ = openTest(t, testOptions(newMemoryFS()))
	results := make(chan disk.Result, 1)
	s.Do([]disk.Operation{{Kind: disk.Sync, Ticket: 1}}, func(r disk.Result) { results <- r })
	require.NoError(t, s.Close())
	require.ErrorIs(t, (<-results).Err, ErrClosed, "nobody ran it")
}

func TestRunEndsWithItsContextAndFinishesTheQueue(t *testing.T) {
	files := newMemoryFS()
	s, _ := openTest(t, testOptions(files))
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan disk.Result, 1)
	operations := logged(1, 2)
	operations[2].Ticket = 1
	s.Do(operations, func(r disk.Result) { results <- r })
	cancel()
	require.NoError(t, s.Run(ctx))
	require.NoError(t, (<-results).Err)
	require.NoError(t, s.Close())
}

// TestReadDirChangesNothing looks at a directory that a crash left untidy.
func TestReadDirChangesNothing(t *testing.T) {
	dir := t.TempDir()
	version := filepath.Join(dir, versionDir)
	require.NoError(t, os.Mkdir(version, 0o755))
	content := directory{
		"snapshot.0": snapshotOf(t, Plain), "log.1": padded(logOf(1, 2)[:len(logOf(1))+60]), "log.2": nil,
		"currentEpoch": []byte("0"), unfinishedPrefix + "snapshot.1": []byte("half"),
	}
	for name, bytes := range content {
		require.NoError(t, os.WriteFile(filepath.Join(version, name), bytes, 0o444))
	}
	state, err := ReadDir(dir, "")
	require.NoError(t, err)
	sameTree(t, treeOf(1), state.Tree)
	entries, err := os.ReadDir(version)
	require.NoError(t, err)
	require.Len(t, entries, len(content))
	for name, bytes := range content {
		found, err := os.ReadFile(filepath.Join(version, name))
		require.NoError(t, err)
		require.Equal(t, len(bytes), len(found), name)
	}
	_, err = ReadDir(t.TempDir(), "")
	require.ErrorContains(t, err, "neither a snapshot nor a transaction log")
}

func BenchmarkGroupCommit(b *testing.B) {
	for _, together := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("%d together", together), func(b *testing.B) {
			s, _, err := Open(Options{DataDir: b.TempDir(), Tree: treeOptions})
			require.NoError(b, err)
			r := run(s)
			defer r.stop()
			entry := entryAt(1)
			entry.Payload = append(entry.Payload[:len(entry.Payload):len(entry.Payload)], make([]byte, 1024)...)
			next := int64(0)
			for b.Loop() {
				var operations []disk.Operation
				for range together {
					next++
					operations = append(operations, disk.Operation{Kind: disk.Append, Entry: disk.Entry{Zxid: next, Payload: entry.Payload}})
					operations = append(operations, disk.Operation{Kind: disk.Sync})
				}
				r.must(b, operations...)
			}
			b.ReportMetric(float64(next)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// Who has no goroutine to spare carries everything out himself, the writing of a snapshot too.
func TestCarryOutNeedsNoGoroutine(t *testing.T) {
	files := newMemoryFS()
	options := testOptions(files)
	var writes []func()
	options.SnapshotNodes = 1
	options.Beside = func(write func()) (wait func()) {
		writes = append(writes, write)
		return func() { writes[0](); writes = nil }
	}
	s, _ := openTest(t, options)
	var done []disk.Ticket
	report := func(result disk.Result) {
		require.NoError(t, result.Err)
		done = append(done, result.Ticket)
	}
	snapshot := disk.Operation{Kind: disk.TakeSnapshot, Ticket: 2, Snapshot: treeOf(1, 2).Snapshot()}
	s.CarryOut(append(logged(1, 2), disk.Operation{Kind: disk.Sync, Ticket: 1}, snapshot), report)
	require.Equal(t, []disk.Ticket{1}, done)
	s.CarryOut(logged(3), report)
	writes[0]()
	require.Equal(t, []disk.Ticket{1}, done, "written, but without its name")
	s.CarryOut(nil, report)
	require.Equal(t, []disk.Ticket{1, 2}, done)
	require.NoError(t, s.Close())

	_, state := openTest(t, testOptions(files))
	sameTree(t, treeOf(1, 2, 3), state.Tree)
	require.Contains(t, files.listing(dataDir+"/"+versionDir), "snapshot.2")
}

// Whoever is told of answers, on the store's own goroutine, may ask for more than the queue takes: it would wait for
// itself.
func TestWhoIsToldOfAnswersNeverWaits(t *testing.T) {
	var s *Store
	const asked = 2
	syncs := make([]disk.Operation, queueMax)
	for i := range syncs {
		syncs[i].Kind = disk.Sync
	}
	syncs[len(syncs)-1].Ticket = 1
	answers := make(chan disk.Result, asked)
	var once sync.Once
	options := testOptions(newMemoryFS())
	options.Answered = func() {
		once.Do(func() {
			for range asked {
				s.Do(syncs, func(result disk.Result) { answers <- result })
			}
		})
	}
	s, _ = openTest(t, options)
	r := run(s)
	r.must(t, logged(1)...)
	for range asked {
		require.NoError(t, (<-answers).Err)
	}
	require.NoError(t, r.stop())
}
