//go:build integration

package sim

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIntegrationAThousandSeedsAreClean(t *testing.T) {
	summary := Search{From: 1, To: 1000, Workers: runtime.NumCPU()}.Run(context.Background())
	require.Empty(t, summary.Failures)
	require.Empty(t, summary.Unknown)
	require.Equal(t, 1000, summary.Seeds)
}

func TestIntegrationAThousandSeedsRepeat(t *testing.T) {
	for seed := uint64(1); seed <= 1000; seed++ {
		first, second := Run(Draw(seed, Options{}), Observation{}), Run(Draw(seed, Options{}), Observation{})
		require.Equal(t, first.Hash, second.Hash, "seed %d", seed)
		require.Equal(t, first.Events, second.Events, "seed %d", seed)
		require.Equal(t, first.Hash, Replay(first.Script(Draw(seed, Options{})), Observation{}).Hash, "seed %d as a script", seed)
	}
}
