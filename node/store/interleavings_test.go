package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
)

// The tests of this file have the numbers of issues in Apache's tracker: what stopped its servers from starting, or let
// them start with less than they had.

// requireStarts opens a directory and requires its history and epochs.
func requireStarts(t *testing.T, files *memoryFS, history []int64, current, accepted int64) {
	t.Helper()
	s, state := openTest(t, testOptions(files))
	require.NoError(t, s.Close())
	sameTree(t, treeOf(history...), state.Tree)
	require.Equal(t, current, state.CurrentEpoch)
	require.Equal(t, accepted, state.AcceptedEpoch)
}

// Test2332And1621: the power went between the creation of a log and its header, or the disk was full then.
func Test2332And1621(t *testing.T) {
	for name, last := range map[string][]byte{"no byte": nil, "zeros": make([]byte, 4096), "half a header": logOf()[:7]} {
		t.Run(name, func(t *testing.T) {
			files := directory{"snapshot.0": snapshotOf(t, Plain), "log.1": logOf(1), "log.2": last}.files()
			requireStarts(t, files, upTo(1), 0, 0)
		})
	}
}

// Test2354And1653: a leader's snapshot is on the disk, or the first transactions of its epoch are, and currentEpoch still
// says the epoch before: the power went in between. The epoch was accepted, and its history is whole.
func Test2354And1653(t *testing.T) {
	e2 := zxid(2, 1)
	accepted, current := []byte("2"), []byte("1")
	for name, files := range map[string]directory{
		"a snapshot":   {"snapshot.200000001": snapshotOf(t, Plain, 1, e2), "acceptedEpoch": accepted, "currentEpoch": current},
		"a log":        {"snapshot.1": snapshotOf(t, Plain, 1), "log.200000001": logOf(e2), "acceptedEpoch": accepted, "currentEpoch": current},
		"a .tmp of it": {"snapshot.200000001": snapshotOf(t, Plain, 1, e2), "acceptedEpoch": accepted, "currentEpoch": current, "currentEpoch.tmp": []byte("2")},
	} {
		t.Run(name, func(t *testing.T) { requireStarts(t, files.files(), []int64{1, e2}, 2, 2) })
	}
}

// Test2307: wherever the power goes, the epoch that was accepted is never behind the one that was entered, so that the
// server starts.
func Test2307(t *testing.T) {
	for crashAt, finished := 1, false; !finished; crashAt++ {
		files := newMemoryFS()
		files.crashAt = crashAt
		if s, _, err := Open(testOptions(files)); err == nil {
			r := run(s)
			for epoch := int64(1); epoch <= 3; epoch++ {
				r.do(disk.Operation{Kind: disk.WriteAcceptedEpoch, Epoch: epoch}, disk.Operation{Kind: disk.WriteCurrentEpoch, Epoch: epoch})
			}
			finished = !files.crashed
			r.stop()
		}
		for _, names := range []bool{false, true} {
			s, state, err := Open(testOptions(files.afterCrash(keepAll, names)))
			require.NoError(t, err, "crash at operation %d", crashAt)
			require.NoError(t, s.Close())
			require.GreaterOrEqual(t, state.AcceptedEpoch, state.CurrentEpoch)
		}
	}
}

// Test2325And3056: the snapshots are gone and the logs are not: that is no empty server.
func Test2325And3056(t *testing.T) {
	for name, files := range map[string]directory{
		"none":          {"log.1": logOf(1, 2)},
		"an empty file": {"snapshot.0": nil, "log.1": logOf(1, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Open(testOptions(files.files()))
			var lost *LostError
			require.ErrorAs(t, err, &lost)
		})
	}
}
