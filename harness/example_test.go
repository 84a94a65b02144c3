package harness_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/harness"
)

// A team keeps its plan as a test beside its own code, and gates a build with it. Binary names an
// ordeal program, which plays the members; with an image of your own it is only the agents' program.
func ExampleRun() {
	gate := func(t *testing.T) {
		verdict, err := harness.Run(context.Background(), harness.Plan{
			Driver:    harness.DriverProcess,
			Workloads: []string{"register", "lock"},
			Nemeses:   []string{"kill-leader", "partition-leader"},
			Duration:  time.Minute,
			Seed:      7,
			Out:       t.TempDir(),
			Binary:    "bin/ordeal",
		})
		require.NoError(t, err)
		require.Equal(t, "valid", verdict.Verdict, "%s: %s", verdict.Reason, verdict.Results)
	}
	_ = gate // in your own test this is the body of a TestXxx

	// A plan that makes no sense is refused before anything is started.
	_, err := harness.Run(context.Background(), harness.Plan{Workloads: []string{"tetris"}})
	fmt.Println(err)
	// Output: unknown workload "tetris"; known are: register, bank, queue, lock, watch, set
}
