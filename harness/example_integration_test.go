//go:build integration

package harness_test

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/harness"
)

// TestIntegrationGate is a plan that a team keeps beside its own code: real members, and a build that
// fails if a guarantee does. In another repository nothing of it changes.
func TestIntegrationGate(t *testing.T) {
	program := filepath.Join(t.TempDir(), "ordeal")
	output, err := exec.Command("go", "build", "-o", program, "ordeal/harness/cmd/ordeal").CombinedOutput()
	require.NoError(t, err, "%s", output)

	verdict, err := harness.Run(t.Context(), harness.Plan{
		Driver:    harness.DriverProcess,
		Workloads: []string{"register", "lock"},
		Nemeses:   []string{"kill-leader", "partition-leader"},
		Duration:  10 * time.Second,
		Seed:      7,
		Out:       t.TempDir(),
		Binary:    program,
	})
	require.NoError(t, err)
	require.Equal(t, "valid", verdict.Verdict, "%s; see %s, repeat it with %s", verdict.Reason, verdict.Results, verdict.Rerun)
	require.NotZero(t, verdict.Faults)
}
