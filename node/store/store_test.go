package store

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ordeal/node/disk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRecoversWhatWasLogged(t *testing.T) {
	for _, files := range []string{"memory", "disk"} {
		t.Run(files, func(t *testing.T) {
			options := testOptions(newMemoryFS())
			if files == "disk" {
				options.FS, options.DataDir = nil, t.TempDir()
			}
			s, state := openTest(t, options)
			require.Equal(t, int64(0), state.Tree.LastZxid())
			r := run(s)
			r.must(t, logged(1, 2, 3)...)
			r.must(t, disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(1, 2).Snapshot()})
			r.must(t, logged(4, 5)...)
			r.must(t, disk.Operation{Kind: disk.WriteAcceptedEpoch, Epoch: 7}, disk.Operation{Kind: disk.WriteCurrentEpoch, Epoch: 6})
			require.NoError(t, r.stop())

			s, state = openTest(t, options)
			defer s.Close()
			sameTree(t, treeOf(upTo(5)...), state.Tree)
			require.Equal(t, []int64{3, 4, 5}, zxidsOf(state.Committed))
			require.Equal(t, int64(7), state.AcceptedEpoch)
			require.Equal(t, int64(6), state.CurrentEpoch)
		})
	}
}
