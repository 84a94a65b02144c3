package harness

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/harness/client"
	"ordeal/harness/ensemble"
	"ordeal/nemesis"
	"ordeal/results/history"
)

// fakeEnsemble notes the faults that it is given. Methods that it does not have must not be called.
type fakeEnsemble struct {
	ensemble.Ensemble
	size     int
	on       []int // faults, by ID
	injected []history.Fault
	refuse   error
}

func (e *fakeEnsemble) Size() int { return e.size }

func (e *fakeEnsemble) Inject(_ context.Context, fault history.Fault) error {
	e.on = append(e.on, fault.ID)
	e.injected = append(e.injected, fault)
	return e.refuse
}

func (e *fakeEnsemble) Heal(_ context.Context, fault history.Fault) error {
	for i, id := range e.on {
		if id == fault.ID {
			e.on = append(e.on[:i], e.on[i+1:]...)
			return nil
		}
	}
	return errors.New("not on")
}

func (e *fakeEnsemble) LinksPass(context.Context) error { return nil }

// script is a schedule that does what it was told, then waits.
type script struct {
	actions []nemesis.Action
	views   []nemesis.View
}

func (s *script) Next(view nemesis.View) nemesis.Action {
	s.views = append(s.views, view)
	if len(s.actions) == 0 {
		return nemesis.Action{Wait: time.Hour}
	}
	next := s.actions[0]
	s.actions = s.actions[1:]
	return next
}

// newTestFaults has three members led by member 2 in epoch 5, and a clock that ticks at each look.
func newTestFaults() (*faults, *fakeEnsemble, *recorded) {
	e := &fakeEnsemble{size: 3}
	log := &recorded{}
	var now time.Duration
	clock := func() time.Duration { now += time.Millisecond; return now }
	o := newObserver(e, log, clock)
	o.take([]client.Status{status("follower", 5), status("leader", 5), status("follower", 5)}, []bool{true, true, true})
	return &faults{ensemble: e, observer: o, recorder: log, now: clock, voters: []int{1, 2, 3}, members: []int{1, 2, 3}}, e, log
}

func TestFaultsAreAppliedHealedAndRecorded(t *testing.T) {
	f, e, log := newTestFaults()
	s := &script{actions: []nemesis.Action{
		{Inject: &history.Fault{Kind: history.Kill, Members: []int{2}}},
		{Inject: &history.Fault{Kind: history.Pause, Members: []int{1}}},
		{Heal: 1},
	}}
	require.NoError(t, f.unleash(context.Background(), "test", s, 0, 30*time.Millisecond))
	require.Equal(t, []int{2}, e.on)
	require.Equal(t, history.Fault{ID: 1, Nemesis: "test", Kind: history.Kill, Members: []int{2}, Leader: 2, Epoch: 5}, e.injected[0],
		"a fault says who led")
	require.Len(t, s.views[2].Active, 2, "a nemesis sees what is on")
	require.NoError(t, f.healAll(context.Background()))
	require.Empty(t, e.on)
	require.Equal(t, 2, f.count())
	var kinds []history.EventKind
	for _, event := range log.Memory {
		if event.Fault != nil {
			kinds = append(kinds, event.Kind)
		}
	}
	require.Equal(t, []history.EventKind{history.FaultOn, history.FaultOn, history.FaultOff, history.FaultOff}, kinds)
}

func TestFaultThatFailsHalfwayIsHealedAndNotRecordedAsApplied(t *testing.T) {
	f, e, log := newTestFaults()
	e.refuse = errors.New("the engine is gone")
	s := &script{actions: []nemesis.Action{{Inject: &history.Fault{Kind: history.Kill, Members: []int{2}}}}}
	err := f.unleash(context.Background(), "test", s, 0, time.Second)
	require.ErrorContains(t, err, "inject kill member 2")
	require.ErrorContains(t, err, "the engine is gone")
	require.NoError(t, f.healAll(context.Background()))
	require.Empty(t, e.on)
	for _, event := range log.Memory {
		require.NotEqual(t, history.FaultOn, event.Kind)
	}
}

func TestHealingWhatIsNotOnIsAnError(t *testing.T) {
	f, _, _ := newTestFaults()
	require.ErrorContains(t, f.heal(context.Background(), 7), "not active")
}
