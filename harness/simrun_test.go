package harness

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/checkers"
	"ordeal/harness/ensemble"
	"ordeal/results"
	"ordeal/results/history"
)

// simPlan is a small simulated run.
func simPlan(t *testing.T) Plan {
	return Plan{
		Driver: DriverSim, Out: t.TempDir(), Seed: 7, Duration: 20 * time.Second, Rate: 50,
		Workloads: []string{"register"}, Nemeses: []string{"kill-leader"}, Progress: func(Progress) {},
	}
}

func TestASimulatedRunTellsHowItGoes(t *testing.T) {
	plan := simPlan(t)
	var told []Progress
	plan.Progress = func(p Progress) { told = append(told, p) }
	verdict, err := Run(t.Context(), plan)
	require.NoError(t, err)
	require.Equal(t, string(checkers.Valid), verdict.Verdict, verdict.Reason)
	phases := map[string]Progress{}
	for _, p := range told {
		phases[p.Phase] = p
	}
	healed := phases[PhaseFinal]
	require.Positive(t, healed.OK)
	require.Equal(t, 3, healed.Serving)
	require.Equal(t, 3, healed.Members)
	require.NotZero(t, healed.Leader)
	require.Positive(t, healed.Epoch)
	require.Positive(t, healed.LeaderChanges)
}

func TestASimulatedRunCanBeInterrupted(t *testing.T) {
	plan := simPlan(t)
	plan.Duration = 24 * time.Hour
	interrupt := make(chan struct{})
	plan.Interrupt = interrupt
	var once sync.Once
	var last Progress
	plan.Progress = func(p Progress) {
		if p.Phase == PhaseLoad && p.Elapsed > 0 {
			once.Do(func() { close(interrupt) })
		}
		last = p
	}
	verdict, err := Run(t.Context(), plan)
	require.NoError(t, err)
	require.Equal(t, results.Failed, verdict.Verdict)
	require.Contains(t, verdict.Reason, errInterrupted.Error())
	require.Equal(t, PhaseCheck, last.Phase)
	require.Less(t, verdict.DurationSeconds, time.Hour.Seconds())
}

func TestASimulatedRunEndsWithItsContext(t *testing.T) {
	plan := simPlan(t)
	plan.Duration = 24 * time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	plan.Progress = func(p Progress) {
		if p.Phase == PhaseLoad {
			cancel()
		}
	}
	verdict, err := Run(ctx, plan)
	require.NoError(t, err)
	require.Equal(t, results.Failed, verdict.Verdict)
}

// What the simulator cannot do is refused before anything is stored.
func TestASimulatedRunRefusesWhatItCannotDo(t *testing.T) {
	for want, change := range map[string]func(*Plan){
		"tick":           func(p *Plan) { p.TickTime = 500 * time.Microsecond },
		"load 30h":       func(p *Plan) { p.Duration = 30 * time.Hour },
		"--property":     func(p *Plan) { p.Properties = map[string]string{"snapCount": "10"} },
		"not \"apache\"": func(p *Plan) { p.Implementations = []ensemble.Implementation{ensemble.Apache} },
	} {
		t.Run(want, func(t *testing.T) {
			plan := simPlan(t)
			change(&plan)
			_, err := Run(t.Context(), plan)
			require.ErrorAs(t, err, &UsageError{})
			require.ErrorContains(t, err, want)
		})
	}
	plan, err := Plan{Driver: DriverSim, Clients: ClientsMax}.resolve()
	require.NoError(t, err)
	planned, err := plan.simulation()
	require.NoError(t, err)
	require.NoError(t, planned.Check(), "as many clients as other drivers take")
}

// With Hush no client begins anything once a fault has been on for a while, or is just healed.
func TestASimulatedLoadFallsSilent(t *testing.T) {
	for _, hush := range []bool{false, true} {
		plan := simPlan(t)
		plan.Hush = hush
		verdict, err := Run(t.Context(), plan)
		require.NoError(t, err)
		folder, err := results.Open(verdict.Results)
		require.NoError(t, err)
		run, err := folder.Run()
		require.NoError(t, err)
		require.Equal(t, hush, run.Hush)
		log, err := folder.History()
		require.NoError(t, err)
		active, lastOn, lastOff, loud := 0, time.Duration(0), time.Duration(0), 0
		load := false
		require.NoError(t, log.Each(func(e history.Event) error {
			switch e.Kind {
			case history.Phase:
				load = e.Text == PhaseLoad
			case history.FaultOn:
				active, lastOn = active+1, e.Time
			case history.FaultOff:
				active, lastOff = active-1, e.Time
			case history.Call:
				silent := active > 0 && e.Time > lastOn+hushAfter || active == 0 && lastOff > 0 && e.Time < lastOff+hushBeyond
				if load && silent {
					loud++
				}
			}
			return nil
		}))
		if hush {
			require.Zero(t, loud)
		} else {
			require.Positive(t, loud)
		}
	}
}
