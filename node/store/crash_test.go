package store

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
)

// step is something that a server does with its disk, and the history that it holds afterwards.
type step struct {
	operations []disk.Operation
	after      []int64
}

// life is what happens to a server: it serves, follows, is cut back, gets another's state.
func life() []step {
	e1 := func(counters ...int64) []int64 { return inEpoch(1, counters...) }
	first := e1(1, 2, 3)
	snapshotted := append(e1(1, 2, 3, 4, 5), inEpoch(2, 1)...)
	truncated := e1(1, 2, 3, 4)
	installed := append(e1(1, 2, 3, 4), inEpoch(3, 1, 2)...)
	return []step{
		{[]disk.Operation{{Kind: disk.WriteAcceptedEpoch, Epoch: 1}, {Kind: disk.WriteCurrentEpoch, Epoch: 1}}, nil},
		{logged(first...), first},
		{[]disk.Operation{{Kind: disk.TakeSnapshot, Snapshot: treeOf(first...).Snapshot()}}, first},
		{[]disk.Operation{{Kind: disk.WriteAcceptedEpoch, Epoch: 2}}, first},
		{logged(zxid(1, 4), zxid(1, 5), zxid(2, 1)), snapshotted},
		{[]disk.Operation{{Kind: disk.TakeSnapshot, Snapshot: treeOf(snapshotted...).Snapshot()}}, snapshotted},
		{logged(zxid(2, 2)), append(snapshotted[:6:6], zxid(2, 2))},
		{[]disk.Operation{{Kind: disk.WriteAcceptedEpoch, Epoch: 3}}, append(snapshotted[:6:6], zxid(2, 2))},
		{[]disk.Operation{{Kind: disk.Truncate, Zxid: zxid(1, 4)}}, truncated},
		{append([]disk.Operation{{Kind: disk.WriteCurrentEpoch, Epoch: 3}}, logged(zxid(3, 1))...), append(truncated[:4:4], zxid(3, 1))},
		{[]disk.Operation{{Kind: disk.InstallSnapshot, Snapshot: treeOf(installed...).Snapshot()}}, installed},
		{logged(zxid(3, 3), zxid(3, 4)), append(installed[:6:6], inEpoch(3, 3, 4)...)},
		// A leader may force a learner back to a snapshot that is behind it.
		{[]disk.Operation{{Kind: disk.InstallSnapshot, Snapshot: treeOf(installed[:5]...).Snapshot()}}, installed[:5]},
		{logged(zxid(3, 2)), installed},
	}
}

func inEpoch(epoch int64, counters ...int64) []int64 {
	var zxids []int64
	for _, c := range counters {
		zxids = append(zxids, zxid(epoch, c))
	}
	return zxids
}

func TestTruncateBelowEverySnapshotIsRefused(t *testing.T) {
	files := newMemoryFS()
	s, _ := openTest(t, testOptions(files))
	r := run(s)
	r.must(t, logged(1, 2, 3, 4)...)
	r.must(t, disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(1, 2, 3, 4).Snapshot()})
	require.NoError(t, files.Remove(inData("snapshot.0")))
	before := files.listing(dataDir + "/" + versionDir)
	require.ErrorIs(t, r.do(disk.Operation{Kind: disk.Truncate, Zxid: 2})[0].Err, disk.ErrNothingBefore)
	require.Equal(t, before, files.listing(dataDir+"/"+versionDir))
	r.must(t, logged(5)...)
	require.NoError(t, r.stop())
}

// live takes the steps until the power goes, and returns the histories that the disk may hold then.
func live(t *testing.T, files *memoryFS, holdBack bool) (before, after []int64, finished bool) {
	options := testOptions(files)
	options.HoldUnsynced = holdBack
	s, _, err := Open(options)
	if err != nil {
		require.ErrorIs(t, err, errPowerLost)
		return nil, nil, false
	}
	r := run(s)
	defer r.stop()
	for i, step := range life() {
		before, after = after, step.after
		for _, result := range r.do(step.operations...) {
			if result.Err != nil {
				require.ErrorIs(t, result.Err, errPowerLost, "step %d", i)
				return before, after, false
			}
		}
		if files.crashed { // after the last thing that counts
			return after, after, false
		}
	}
	return after, after, true
}

// TestEveryCrashLeavesAPrefix loses the power at every operation on the disk, in every way, and once
// more while the server starts again.
func TestEveryCrashLeavesAPrefix(t *testing.T) {
	for _, holdBack := range []bool{false, true} {
		for crashAt := 1; ; crashAt++ {
			files := newMemoryFS()
			files.crashAt = crashAt
			before, after, finished := live(t, files, holdBack)
			if finished {
				require.Greater(t, crashAt, 50, "the test expects to see many operations")
				break
			}
			scattered := keepOdd
			if crashAt%2 == 0 {
				scattered = keepEven
			}
			for name, kept := range map[string]fate{"lost": loseAll, "torn": keepHalf, "kept": keepAll, "scattered": scattered} {
				for _, names := range []bool{false, true} {
					where := fmt.Sprintf("crash at operation %d, bytes %s, names kept %v, held back %v", crashAt, name, names, holdBack)
					disk := files.afterCrash(kept, names)
					recoverTwice(t, where, disk, before, after)
				}
			}
		}
	}
}

// recoverTwice opens the disk, with a crash at each operation of that first.
func recoverTwice(t *testing.T, where string, files *memoryFS, before, after []int64) {
	t.Helper()
	for crashAt := 1; ; crashAt++ {
		again := files.clone()
		again.crashAt = crashAt
		s, _, err := Open(testOptions(again))
		if err == nil {
			require.NoError(t, s.Close(), where)
			checkRecovered(t, where, again.afterCrash(loseAll, false), before, after)
			return
		}
		require.ErrorIs(t, err, errPowerLost, where)
		kept := keepHalf
		if crashAt%2 == 0 {
			kept = keepOdd
		}
		checkRecovered(t, fmt.Sprintf("%s, again at %d", where, crashAt), again.afterCrash(kept, true), before, after)
	}
}

// checkRecovered requires a history that begins with what before and after have in common and is a
// beginning of one of them, and that the server can go on from there.
func checkRecovered(t *testing.T, where string, files *memoryFS, before, after []int64) {
	t.Helper()
	options := testOptions(files)
	s, state, err := Open(options)
	require.NoError(t, err, where)
	require.NoError(t, s.Close(), where)
	last := state.Tree.LastZxid()
	history, ok := beginning(before, last)
	if !ok || len(history) < shared(before, after) {
		history, ok = beginning(after, last)
	}
	require.True(t, ok && len(history) >= shared(before, after), "%s: recovered up to %#x from %x on the way to %x", where, last, before, after)
	sameTree(t, treeOf(history...), state.Tree)
	require.GreaterOrEqual(t, state.AcceptedEpoch, state.CurrentEpoch, where)
	require.GreaterOrEqual(t, state.CurrentEpoch, epochOf(last), where)

	s, _ = openTest(t, options)
	r := run(s)
	next := max(last+1, zxid(1, 1)) // the file of a torn first entry would have this name
	r.must(t, disk.Operation{Kind: disk.WriteAcceptedEpoch, Epoch: 9})
	r.must(t, logged(next)...)
	require.NoError(t, r.stop(), where)
	_, state = openTest(t, testOptions(files.afterCrash(loseAll, false)))
	sameTree(t, treeOf(append(history, next)...), state.Tree)
}

// beginning returns the part of a history that ends with last.
func beginning(history []int64, last int64) ([]int64, bool) {
	if last == 0 {
		return nil, true
	}
	for i, z := range history {
		if z == last {
			return history[: i+1 : i+1], true
		}
	}
	return nil, false
}

func shared(a, b []int64) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// killed makes the machine go on with all that the process had handed to it, as after kill -9.
func (m *memoryFS) killed() {
	m.crashed, m.crashAt = false, 0
	clear(m.locked)
}

// TestWhatAStartFindsStays kills the server at every operation on the disk, starts it again, and loses the
// power then: what the server has found, and may have promised others by, is still there.
func TestWhatAStartFindsStays(t *testing.T) {
	for crashAt := 1; ; crashAt++ {
		files := newMemoryFS()
		files.crashAt = crashAt
		if _, _, finished := live(t, files, false); finished {
			require.Greater(t, crashAt, 50, "the test expects to see many operations")
			break
		}
		files.killed()
		s, found, err := Open(testOptions(files))
		require.NoError(t, err, "killed at operation %d", crashAt)
		after := files.afterCrash(loseAll, false)
		require.NoError(t, s.Close())
		_, left := openTest(t, testOptions(after))
		sameTree(t, found.Tree, left.Tree)
		require.Equal(t, found.AcceptedEpoch, left.AcceptedEpoch, "killed at operation %d", crashAt)
		require.Equal(t, found.CurrentEpoch, left.CurrentEpoch, "killed at operation %d", crashAt)
	}
}
