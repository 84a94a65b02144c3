package store

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
)

// copies is what a leader makes a server do that has lost its data.
func copies(accepted int64) []disk.Operation {
	last := append(inEpoch(1, 1, 2, 3), zxid(accepted, 1))
	operations := []disk.Operation{
		{Kind: disk.WriteAcceptedEpoch, Epoch: accepted},
		{Kind: disk.InstallSnapshot, Snapshot: treeOf(last[:3]...).Snapshot()},
	}
	return append(append(operations, logged(last[3])...), disk.Operation{Kind: disk.WriteCurrentEpoch, Epoch: accepted})
}

// A server that lost its data has no state before it has all of a leader's, wherever it was stopped: not even if
// it is started without the setting again.
func TestHalfACopyIsNoState(t *testing.T) {
	for crashAt := 1; ; crashAt++ {
		files := newMemoryFS()
		files.crashAt = crashAt
		options := testOptions(files)
		options.RequireInitialize = true
		s, state, err := Open(options)
		joined := false
		if err == nil {
			require.Equal(t, int64(-1), state.Tree.LastZxid())
			r := run(s)
			for _, result := range r.do(copies(2)...) {
				err = result.Err
			}
			joined = err == nil
			_ = r.stop() // it fails if the power is gone
		}
		if joined && !files.crashed {
			require.Greater(t, crashAt, 20, "the test expects to see many operations")
			return
		}
		require.True(t, joined || err != nil)
		for name, kept := range map[string]fate{"lost": loseAll, "torn": keepHalf, "kept": keepAll} {
			where := fmt.Sprintf("crash at operation %d, bytes %s", crashAt, name)
			after := files.afterCrash(kept, true)
			again := testOptions(after)
			again.RequireInitialize = crashAt < 8 // until the file says it
			s, state, err := Open(again)
			require.NoError(t, err, where)
			r := run(s)
			if last := state.Tree.LastZxid(); joined || last != -1 {
				require.Equal(t, zxid(2, 1), last, where)
				require.Equal(t, int64(2), state.CurrentEpoch, where)
			} else {
				require.Empty(t, state.Committed, where)
				require.Zero(t, state.CurrentEpoch, where)
				r.must(t, copies(3)...)
			}
			require.NoError(t, r.stop(), where)
			require.NotContains(t, after.names, inData(copyingName), where)
		}
	}
}

// Who says that a server may begin without data says so of one that was copying too.
func TestInitializeEndsACopy(t *testing.T) {
	files := newMemoryFS()
	options := testOptions(files)
	options.RequireInitialize = true
	s, state := openTest(t, options)
	require.NoError(t, s.Close())
	require.Equal(t, int64(-1), state.Tree.LastZxid())
	files.put(dataDir+"/"+initializeName, nil)
	for range 2 {
		s, state = openTest(t, options)
		require.NoError(t, s.Close())
		require.Zero(t, state.Tree.LastZxid())
	}
}
