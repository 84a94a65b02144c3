package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/harness/ensemble"
	"ordeal/nemesis"
	"ordeal/results/history"
)

// fakeEnsemble notes the faults that it is given, and keeps to the contract of ensemble.Ensemble.
// Methods that it does not have must not be called.
type fakeEnsemble struct {
	ensemble.Ensemble
	size     int
	on       []int // faults, by ID, also those that are half on
	injected []history.Fault
	refuse   func(history.Fault) error // why an injection fails, after half of it was done
	stuck    error                     // why nothing can be healed
}

func (e *fakeEnsemble) Size() int { return e.size }

func (e *fakeEnsemble) ProbeAddress(member int) string { return fmt.Sprintf("probe-%d", member) }

func (e *fakeEnsemble) ClientAddress(member int) string { return fmt.Sprintf("client-%d", member) }

func (e *fakeEnsemble) Inject(_ context.Context, fault history.Fault) error {
	e.on = append(e.on, fault.ID)
	if e.refuse != nil {
		if err := e.refuse(fault); err != nil {
			return err
		}
	}
	e.injected = append(e.injected, fault)
	return nil
}

func (e *fakeEnsemble) Heal(ctx context.Context, fault history.Fault) error {
	if err := errors.Join(e.stuck, ctx.Err()); err != nil {
		return err
	}
	e.on = slices.DeleteFunc(e.on, func(id int) bool { return id == fault.ID })
	return nil
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
func newTestFaults(t *testing.T) (*faults, *fakeEnsemble, *fakeMembers, *recorded) {
	o, members, log := newTestObserver(status("follower", 5), status("leader", 5), status("follower", 5))
	var ticks atomic.Int64
	clock := func() time.Duration { return time.Duration(ticks.Add(int64(time.Millisecond))) }
	o.now = clock
	o.round(t.Context())
	watching(t, o)
	e := o.ensemble.(*fakeEnsemble)
	return &faults{ensemble: e, observer: o, recorder: log, now: clock, voters: []int{1, 2, 3}, members: []int{1, 2, 3}}, e, members, log
}

// inject is what a schedule wants done to these members.
func inject(kind history.FaultKind, members ...int) nemesis.Action {
	return nemesis.Action{Inject: &history.Fault{Kind: kind, Members: members}}
}

func (r *recorded) of(kind history.EventKind) []history.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.Memory), func(e history.Event) bool { return e.Kind != kind })
}

func TestFaultsAreAppliedHealedAndRecorded(t *testing.T) {
	f, e, _, log := newTestFaults(t)
	s := &script{actions: []nemesis.Action{inject(history.Kill, 2), inject(history.Pause, 1), {Heal: 1}}}
	require.NoError(t, f.unleash(t.Context(), "test", s, 0, 30*time.Millisecond))
	require.Equal(t, []int{2}, e.on)
	require.Equal(t, history.Fault{ID: 1, Nemesis: "test", Kind: history.Kill, Members: []int{2}, Leader: 2, Epoch: 5}, e.injected[0],
		"a fault says who led")
	require.Len(t, s.views[2].Active, 2, "a nemesis sees what is on")
	require.NoError(t, f.healAll(t.Context()))
	require.Empty(t, e.on)
	for _, kind := range []history.EventKind{history.FaultOn, history.FaultOff} {
		require.Len(t, log.of(kind), 2)
		for i, event := range log.of(kind) {
			require.Equal(t, i+1, event.Fault.ID)
			require.Positive(t, event.Began)
			require.Less(t, event.Began, event.Time, "%s: it takes time", kind)
		}
	}
}

func TestAFaultThatWasChosenUnderAnotherLeaderIsLeft(t *testing.T) {
	f, e, members, _ := newTestFaults(t)
	fault := history.Fault{Kind: history.Kill, Members: []int{2}, Leader: 2, Epoch: 5}
	members.say(status("leader", 6), status("follower", 6), status("follower", 6))
	require.NoError(t, f.inject(t.Context(), fault))
	require.Empty(t, e.on)
	require.Empty(t, f.activeNow())
	// Now that the new one is known, a fault hits it.
	require.NoError(t, f.unleash(t.Context(), "test", &script{actions: []nemesis.Action{inject(history.Kill, 1)}}, 0, f.now()+10*time.Millisecond))
	require.Equal(t, leadership{1, 6}, leadership{e.injected[0].Leader, e.injected[0].Epoch})
}

func TestAnInjectionThatFailsIsTakenBackAndAnotherIsChosen(t *testing.T) {
	f, e, _, log := newTestFaults(t)
	e.refuse = func(fault history.Fault) error {
		if fault.Kind == history.Kill {
			return errors.New("member 2 is not running")
		}
		return nil
	}
	s := &script{actions: []nemesis.Action{inject(history.Kill, 2), inject(history.Pause, 1)}}
	require.NoError(t, f.unleash(t.Context(), "test", s, 0, 30*time.Millisecond))
	require.Empty(t, s.views[1].Active, "its nemesis sees that it is not on")
	require.Equal(t, []int{2}, e.on)
	require.NoError(t, f.healAll(t.Context()))
	require.Len(t, log.of(history.FaultOn), 1)
	require.Equal(t, history.Pause, log.of(history.FaultOn)[0].Fault.Kind)
	require.Contains(t, log.of(history.Note)[0].Text, "not applied, and taken back: inject kill member 2 (leader 2, epoch 5): member 2 is not running")
}

func TestOneInjectionAfterTheOtherThatFailsEndsTheRun(t *testing.T) {
	f, e, _, _ := newTestFaults(t)
	e.refuse = func(history.Fault) error { return errors.New("the engine is gone") }
	s := &script{actions: slices.Repeat([]nemesis.Action{inject(history.Kill, 2)}, failuresMost)}
	err := f.unleash(t.Context(), "test", s, 0, time.Hour)
	require.ErrorContains(t, err, "inject kill member 2")
	require.ErrorContains(t, err, "the engine is gone")
	require.Len(t, s.views, failuresMost)
	require.NoError(t, f.healAll(t.Context()))
}

func TestAFaultThatCannotBeTakenBackEndsTheRunAndStaysActive(t *testing.T) {
	f, e, _, _ := newTestFaults(t)
	e.refuse = func(history.Fault) error { return errors.New("half done") }
	e.stuck = errors.New("the engine is gone")
	err := f.inject(t.Context(), history.Fault{Kind: history.Kill, Members: []int{2}})
	require.ErrorContains(t, err, "half done")
	require.ErrorContains(t, err, "take it back: the engine is gone")
	require.Len(t, f.activeNow(), 1)
	e.stuck = nil
	require.NoError(t, f.healAll(t.Context()))
	require.Empty(t, e.on)
}

func TestAnInterruptedInjectionIsTakenBack(t *testing.T) {
	f, e, _, _ := newTestFaults(t)
	ctx, interrupt := context.WithCancel(t.Context())
	e.refuse = func(history.Fault) error {
		interrupt()
		return ctx.Err()
	}
	require.ErrorIs(t, f.inject(ctx, history.Fault{Kind: history.Kill, Members: []int{2}}), context.Canceled)
	require.Empty(t, e.on)
	require.Empty(t, f.activeNow())
}

func TestHealingWhatIsNotOnIsAnError(t *testing.T) {
	f, _, _, _ := newTestFaults(t)
	require.ErrorContains(t, f.heal(t.Context(), 7), "not active")
}

func TestHealingIsProvedByMembersThatServeAfterIt(t *testing.T) {
	f, _, members, log := newTestFaults(t)
	// A kill that was healed before anybody asked: what was seen last is from before.
	members.say(status("follower", 5), silent, status("follower", 5))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, f.healAll(ctx), "members [1 3] serve, not all 3")
	for _, note := range log.of(history.Note) {
		require.NotContains(t, note.Text, "every member serves")
	}
}

func TestHealingIsProvedWhereClientsConnect(t *testing.T) {
	f, _, members, log := newTestFaults(t)
	members.hear("client-3", false)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, f.healAll(ctx), "clients cannot reach every member within 1m0s: member 3: no answer at client-3")
	members.hear("client-3", true)
	require.NoError(t, f.healAll(t.Context()))
	notes := log.of(history.Note)
	require.Equal(t, "healed: clients reach every member", notes[len(notes)-1].Text)
}
