package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/harness/ensemble"
	"ordeal/nemesis"
	"ordeal/results/history"
)

// faultTimeout bounds the injection or the healing of one fault.
const faultTimeout = 15 * time.Second

// healTimeout bounds the time until all members serve again after the last fault was healed.
const healTimeout = 60 * time.Second

// failuresMost is how many injections may fail one after the other. One that fails may have met a member
// that ended at this moment; so many mean that the driver can do nothing.
const failuresMost = 10

// faults does what the nemeses choose, one fault at a time, and keeps the books.
type faults struct {
	ensemble ensemble.Ensemble
	observer *observer
	recorder history.Recorder
	now      func() time.Duration
	voters   []int
	members  []int
	spared   map[history.FaultKind][]int

	mu       sync.Mutex
	active   []history.Fault // in the order of their injection
	numbered int             // so far
	failures int             // injections that failed since one succeeded
	lastOn   time.Duration   // when the latest fault came on
	lastOff  time.Duration   // when the latest one was healed; 0 before
}

// unleash runs one schedule until the time given, on the clock of the load, or until ctx ends.
func (f *faults) unleash(ctx context.Context, name string, schedule nemesis.Schedule, loadStart, until time.Duration) error {
	for ctx.Err() == nil {
		now := f.now() - loadStart
		if now >= until {
			return nil
		}
		view := f.view(now)
		action := schedule.Next(view)
		switch {
		case action.Inject != nil:
			fault := *action.Inject
			fault.Nemesis, fault.Leader, fault.Epoch = name, view.Leader, view.Epoch
			if err := f.inject(ctx, fault); err != nil {
				return err
			}
		case action.Heal != 0:
			if err := f.heal(ctx, action.Heal); err != nil {
				return err
			}
		default:
			timer := time.NewTimer(max(min(action.Wait, until-now), time.Millisecond))
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
		}
	}
	return nil
}

// view is what a nemesis may know.
func (f *faults) view(now time.Duration) nemesis.View {
	leader, serving, _ := f.observer.snapshot()
	return nemesis.View{
		Now: now, Voters: f.voters, Members: f.members,
		Leader: leader.member, Epoch: leader.epoch, Serving: serving, Active: f.activeNow(), Spared: f.spared,
	}
}

func (f *faults) activeNow() []history.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.active)
}

// inject applies a fault and records it once it is on. It counts as active before that: a fault that
// is half applied must be healed too. A fault that was chosen under a leader who leads no more, as the
// members say when they are asked again, is left: its nemesis sees that, and chooses anew.
func (f *faults) inject(ctx context.Context, fault history.Fault) error {
	if fault.Leader != 0 {
		leader, err := f.observer.look(ctx)
		if err != nil || leader != (leadership{fault.Leader, fault.Epoch}) {
			return err
		}
	}
	f.mu.Lock()
	f.numbered++
	fault.ID = f.numbered
	f.active = append(f.active, fault)
	f.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, faultTimeout)
	defer cancel()
	began := f.now()
	if err := f.ensemble.Inject(limited, fault); err != nil {
		return f.takeBack(ctx, fault, fmt.Errorf("inject %v: %w", fault, err))
	}
	f.mu.Lock()
	f.failures = 0
	f.lastOn = f.now()
	f.mu.Unlock()
	f.recorder.Record(history.Event{Time: f.now(), Began: began, Kind: history.FaultOn, Fault: &fault})
	return nil
}

// takeBack heals what there is of a fault that could not be applied, also when it failed because ctx has
// ended. It returns why it failed only if the run cannot go on: nobody can tell what is on, or one
// fault after the other fails.
func (f *faults) takeBack(ctx context.Context, fault history.Fault, why error) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), faultTimeout)
	defer cancel()
	if err := f.ensemble.Heal(limited, fault); err != nil {
		return errors.Join(why, fmt.Errorf("take it back: %w", err))
	}
	f.mu.Lock()
	f.forget(fault.ID)
	f.failures++
	failures := f.failures
	f.mu.Unlock()
	if ctx.Err() != nil || failures >= failuresMost {
		return why
	}
	f.recorder.Record(history.Event{Time: f.now(), Kind: history.Note, Text: "not applied, and taken back: " + why.Error()})
	return nil
}

// forget takes a fault from the active ones. The caller holds the lock.
func (f *faults) forget(id int) {
	f.active = slices.DeleteFunc(f.active, func(fault history.Fault) bool { return fault.ID == id })
}

// heal ends one active fault and records it once it is off.
func (f *faults) heal(ctx context.Context, id int) error {
	f.mu.Lock()
	at := slices.IndexFunc(f.active, func(fault history.Fault) bool { return fault.ID == id })
	if at < 0 {
		f.mu.Unlock()
		return fmt.Errorf("heal fault %d: it is not active", id)
	}
	fault := f.active[at]
	f.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, faultTimeout)
	defer cancel()
	began := f.now()
	if err := f.ensemble.Heal(limited, fault); err != nil {
		return fmt.Errorf("heal %v: %w", fault, err)
	}
	f.mu.Lock()
	f.forget(id)
	f.lastOff = f.now()
	f.mu.Unlock()
	f.recorder.Record(history.Event{Time: f.now(), Began: began, Kind: history.FaultOff, Fault: &fault})
	return nil
}

// healAll ends every active fault, the newest first, and proves that the ensemble is whole: links
// pass, members run and serve, clients reach them. It tries all faults even if one cannot be healed.
func (f *faults) healAll(ctx context.Context) error {
	var failed error
	for _, fault := range slices.Backward(f.activeNow()) {
		failed = errors.Join(failed, f.heal(ctx, fault.ID))
	}
	if failed != nil {
		return failed
	}
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	if err := f.ensemble.LinksPass(ctx); err != nil {
		return fmt.Errorf("after all faults were healed, links do not pass: %w", err)
	}
	f.healed("every link passes")
	if err := f.observer.await(ctx, allServe); err != nil {
		_, serving, _ := f.observer.snapshot()
		return fmt.Errorf("after all faults were healed, members %v serve, not all %d, within %v (see members/<id>/log)",
			serving, f.ensemble.Size(), healTimeout)
	}
	f.healed("every member serves")
	if err := f.clientsPass(ctx); err != nil {
		return fmt.Errorf("after all faults were healed, clients cannot reach every member within %v: %w", healTimeout, err)
	}
	f.healed("clients reach every member")
	return nil
}

func (f *faults) healed(what string) {
	f.recorder.Record(history.Event{Time: f.now(), Kind: history.Note, Text: "healed: " + what})
}

// clientsPass asks each member for its state where clients connect, until it answers: that it answers
// elsewhere does not tell that a cut between it and its clients is gone.
func (f *faults) clientsPass(ctx context.Context) error {
	var group errgroup.Group
	for id := 1; id <= f.ensemble.Size(); id++ {
		group.Go(func() error {
			for {
				_, err := f.observer.probe(ctx, f.ensemble.ClientAddress(id))
				if err == nil {
					return nil
				}
				select {
				case <-ctx.Done():
					return fmt.Errorf("member %d: %w", id, err)
				case <-time.After(probeEvery):
				}
			}
		})
	}
	return group.Wait()
}

// hush tells whether a load that falls silent around faults should be silent now.
func (f *faults) hush(now time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.active) > 0 {
		return now > f.lastOn+hushAfter
	}
	return f.lastOff > 0 && now < f.lastOff+hushBeyond
}
