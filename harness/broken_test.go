package harness

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/harness/ensemble"
	"ordeal/results"
)

// What the harness itself breaks is the run's failure, and no member's.
func TestWhatADriverBreaksEndsTheRun(t *testing.T) {
	e := newIdleEnsemble(t, notServing)
	breaks := driver{name: "idle", start: func(_ context.Context, spec ensemble.Spec) (ensemble.Ensemble, error) {
		spec.Failed(errors.New("the agent is gone"))
		spec.Failed(errors.New("so is the next"))
		return e, nil
	}}
	verdict, err := carryOut(t.Context(), atPhase(t, PhaseStart, func() {}), breaks)
	require.NoError(t, err)
	require.Equal(t, results.Failed, verdict.Verdict)
	require.Equal(t, "the agent is gone", verdict.Reason)
	require.Equal(t, []string{"stop", "collect", "close"}, e.calls)
}
