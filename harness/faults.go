package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ordeal/harness/ensemble"
	"ordeal/nemesis"
	"ordeal/results/history"
)

// faultTimeout bounds the injection or the healing of one fault.
const faultTimeout = 15 * time.Second

// healTimeout bounds the time until all members serve again after the last fault was healed.
const healTimeout = 60 * time.Second

// faults does what the nemeses choose, one fault at a time, and keeps the books.
type faults struct {
	ensemble ensemble.Ensemble
	observer *observer
	recorder history.Recorder
	now      func() time.Duration
	voters   []int
	members  []int
	spared   map[history.FaultKind][]int

	mu      sync.Mutex
	active  []history.Fault // in the order of their injection
	applied int             // so far
	lastOn  time.Duration   // when the latest fault came on
	lastOff time.Duration   // when the latest one was healed; 0 before
}

// unleash runs one schedule until the time given, on the clock of the load, or until ctx ends.
func (f *faults) unleash(ctx context.Context, name string, schedule nemesis.Schedule, loadStart, until time.Duration) error {
	for ctx.Err() == nil {
		now := f.now() - loadStart
		if now >= until {
			return nil
		}
		action := schedule.Next(f.view(now))
		switch {
		case action.Inject != nil:
			fault := *action.Inject
			fault.Nemesis = name
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
	leader, epoch, serving, _ := f.observer.snapshot()
	return nemesis.View{
		Now: now, Voters: f.voters, Members: f.members,
		Leader: leader, Epoch: epoch, Serving: serving, Active: f.activeNow(), Spared: f.spared,
	}
}

func (f *faults) activeNow() []history.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.active)
}

// inject applies a fault and records it once it is on. It counts as active before that: a fault that
// is half applied must be healed too.
func (f *faults) inject(ctx context.Context, fault history.Fault) error {
	fault.Leader, fault.Epoch, _, _ = f.observer.snapshot()
	f.mu.Lock()
	f.applied++
	fault.ID = f.applied
	f.active = append(f.active, fault)
	f.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, faultTimeout)
	defer cancel()
	if err := f.ensemble.Inject(limited, fault); err != nil {
		return fmt.Errorf("inject %v: %w", fault, err)
	}
	f.mu.Lock()
	f.lastOn = f.now()
	f.mu.Unlock()
	f.recorder.Record(history.Event{Time: f.now(), Kind: history.FaultOn, Fault: &fault})
	return nil
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
	if err := f.ensemble.Heal(limited, fault); err != nil {
		return fmt.Errorf("heal %v: %w", fault, err)
	}
	f.mu.Lock()
	f.active = slices.DeleteFunc(f.active, func(other history.Fault) bool { return other.ID == id })
	f.lastOff = f.now()
	f.mu.Unlock()
	f.recorder.Record(history.Event{Time: f.now(), Kind: history.FaultOff, Fault: &fault})
	return nil
}

// healAll ends every active fault, the newest first, and proves that the ensemble is whole: links
// pass, members run and serve. It tries all of them even if one fails.
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
	f.recorder.Record(history.Event{Time: f.now(), Kind: history.Note, Text: "healed: every link passes"})
	if err := f.observer.await(ctx, allServe); err != nil {
		_, _, serving, _ := f.observer.snapshot()
		return fmt.Errorf("after all faults were healed, members %v serve, not all %d, within %v (see members/<id>/log)",
			serving, f.ensemble.Size(), healTimeout)
	}
	f.recorder.Record(history.Event{Time: f.now(), Kind: history.Note, Text: "healed: every member serves"})
	return nil
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

// count is how many faults were applied.
func (f *faults) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied
}
