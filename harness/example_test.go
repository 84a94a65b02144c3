package harness_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"ordeal/harness"
)

// A run is a plan and a verdict. This one is simulated: it needs no machine and takes no real minute. With
// DriverProcess or DriverContainer the same plan runs real members, and Binary names the program that they
// are; example_integration_test.go has such a gate, as a test.
func ExampleRun() {
	out, err := os.MkdirTemp("", "ordeal-runs-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(out)
	verdict, err := harness.Run(context.Background(), harness.Plan{
		Driver:    harness.DriverSim,
		Workloads: []string{"register", "lock"},
		Nemeses:   []string{"kill-leader", "partition-leader"},
		Duration:  time.Minute,
		Rate:      50,
		Seed:      7,
		Out:       out,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(verdict.Verdict, verdict.Faults > 0)
	// Output: valid true
}

// A plan that makes no sense is refused before anything is started.
func ExampleRun_refused() {
	_, err := harness.Run(context.Background(), harness.Plan{Workloads: []string{"tetris"}})
	fmt.Println(err)
	// Output: unknown workload "tetris"; known are: register, bank, queue, lock, watch, set
}
