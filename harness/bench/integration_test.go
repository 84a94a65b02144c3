//go:build integration

package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/harness/ensemble"
)

// What is measured is of no interest here, only that it can be.
func TestIntegrationEverythingIsMeasured(t *testing.T) {
	implementations := []ensemble.Implementation{ensemble.Node, ensemble.Apache}
	if _, err := ensemble.FindApache(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Logf("only our node is measured: %v", err)
		implementations = implementations[:1]
	}
	binary := filepath.Join(t.TempDir(), "ordeal")
	build := exec.Command("go", "build", "-o", binary, "ordeal/harness/cmd/ordeal")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	profiles := t.TempDir()
	result, err := Run(t.Context(), Options{
		Implementations: implementations, Rounds: 1, Duration: 200 * time.Millisecond, WarmUp: 100 * time.Millisecond,
		TickTime: TickTimeDefault, Binary: binary, Dir: t.TempDir(), ProfileDir: profiles, Large: true, Znodes: 1100, Sessions: 60,
	})
	require.NoError(t, err)
	for _, i := range result.Implementations {
		for _, l := range loads {
			require.Positive(t, i.Loads[l.name].Rate(), l.name)
		}
		require.Positive(t, i.Resident)
		require.Len(t, i.Start, 1)
		require.Len(t, i.Gap, 1)
		require.Positive(t, i.Gap[0])
		require.Positive(t, i.Large.Fill)
		require.Positive(t, i.Large.Recovery)
		require.Positive(t, i.Large.Moved)
	}
	require.Positive(t, result.Fdatasync)
	written, err := filepath.Glob(filepath.Join(profiles, "*.pprof"))
	require.NoError(t, err)
	require.Len(t, written, 3*len(loads), "one of each member for each load")
}
