package harness

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/harness/client"
	"ordeal/harness/ensemble"
	"ordeal/results/history"
)

const (
	probeEvery   = 200 * time.Millisecond
	probeTimeout = 500 * time.Millisecond // a paused or cut member must not hold up the others for long
)

// leadership is who leads, and since which epoch: the two belong together.
type leadership struct {
	member int // 0 if nobody is known to lead
	epoch  int64
}

// observer asks every member again and again how it is, so that the leader is found and not guessed,
// and records what changes.
type observer struct {
	ensemble ensemble.Ensemble
	recorder history.Recorder
	now      func() time.Duration
	probe    func(ctx context.Context, address string) (client.Status, error)
	hurry    chan struct{} // asks for a round before its time

	mu      sync.Mutex
	begun   int             // rounds so far
	seen    int             // the round from which the answers are
	status  []client.Status // by member, zero if it did not answer
	serving []bool
	leader  leadership // who leads now
	newest  leadership // of the greatest epoch that was ever seen
	changes int
	changed chan struct{} // closed and replaced after each round
}

func newObserver(e ensemble.Ensemble, recorder history.Recorder, now func() time.Duration) *observer {
	return &observer{
		ensemble: e, recorder: recorder, now: now, probe: client.Probe, hurry: make(chan struct{}, 1),
		status: make([]client.Status, e.Size()), serving: make([]bool, e.Size()), changed: make(chan struct{}),
	}
}

// run asks until ctx ends.
func (o *observer) run(ctx context.Context) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		o.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-o.hurry:
		case <-ticker.C:
		}
	}
}

// round asks all members at once and takes in the answers, unless ctx ends first: silence says nothing
// then.
func (o *observer) round(ctx context.Context) {
	o.mu.Lock()
	o.begun++
	number := o.begun
	o.mu.Unlock()
	answers := make([]client.Status, o.ensemble.Size())
	answered := make([]bool, o.ensemble.Size())
	limited, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var group errgroup.Group
	for i := range answers {
		group.Go(func() error {
			status, err := o.probe(limited, o.ensemble.ProbeAddress(i+1))
			answers[i], answered[i] = status, err == nil
			return nil
		})
	}
	_ = group.Wait()
	if ctx.Err() == nil {
		o.take(number, answers, answered)
	}
}

// take records what is new in the answers of a round: a member that began to serve, a leader of a
// greater epoch.
func (o *observer) take(number int, answers []client.Status, answered []bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var leader leadership
	for i, status := range answers {
		if answered[i] && !o.serving[i] {
			o.recorder.Record(history.Event{Time: o.now(), Kind: history.Member, Member: i + 1, State: history.Serving, Zxid: status.Zxid})
		}
		// A deposed leader may still say that it leads: the greatest epoch counts.
		if answered[i] && status.Leads() && (leader.member == 0 || status.Epoch() > leader.epoch) {
			leader = leadership{i + 1, status.Epoch()}
		}
	}
	switch {
	case leader.member == 0:
	case leader.epoch < o.newest.epoch:
		leader = leadership{} // deposed, and the one who leads now did not answer
	case leader != o.newest:
		o.recorder.Record(history.Event{Time: o.now(), Kind: history.Member, Member: leader.member, State: history.Leading, Epoch: leader.epoch})
		if o.newest.member != 0 {
			o.changes++
		}
		o.newest = leader
	}
	o.seen, o.status, o.serving, o.leader = number, answers, answered, leader
	close(o.changed)
	o.changed = make(chan struct{})
}

// snapshot is what was last seen.
func (o *observer) snapshot() (leader leadership, serving []int, changes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, serves := range o.serving {
		if serves {
			serving = append(serving, i+1)
		}
	}
	return o.leader, serving, o.changes
}

// await returns when a round that began after the call satisfies condition, or ctx ends. What was seen
// before proves nothing: much may have happened since.
func (o *observer) await(ctx context.Context, condition func(o *observer) bool) error {
	o.mu.Lock()
	before := o.begun
	o.mu.Unlock()
	select {
	case o.hurry <- struct{}{}:
	default: // somebody else is in a hurry too, and one round serves both
	}
	for {
		o.mu.Lock()
		done, changed := o.seen > before && condition(o), o.changed
		o.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// look asks all members now, and returns who leads.
func (o *observer) look(ctx context.Context) (leadership, error) {
	var leader leadership
	err := o.await(ctx, func(o *observer) bool {
		leader = o.leader
		return true
	})
	return leader, err
}

// allServe is satisfied when every member answers clients and one of them, or a single server, leads.
func allServe(o *observer) bool {
	led := false
	for i, serves := range o.serving {
		if !serves {
			return false
		}
		led = led || o.status[i].Leads()
	}
	return led
}

// sameZxid is satisfied when all members serve and have applied the same transactions.
func sameZxid(o *observer) bool {
	if !allServe(o) {
		return false
	}
	for _, status := range o.status {
		if status.Zxid != o.status[0].Zxid {
			return false
		}
	}
	return true
}
