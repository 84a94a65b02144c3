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

// observer asks every member again and again how it is, so that the leader is found and not guessed,
// and records what changes.
type observer struct {
	ensemble ensemble.Ensemble
	recorder history.Recorder
	now      func() time.Duration

	mu      sync.Mutex
	status  []client.Status // by member, zero if it did not answer
	serving []bool
	leader  int
	epoch   int64
	changes int
	changed chan struct{} // closed and replaced after each round
}

func newObserver(e ensemble.Ensemble, recorder history.Recorder, now func() time.Duration) *observer {
	return &observer{
		ensemble: e, recorder: recorder, now: now,
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
		case <-ticker.C:
		}
	}
}

// round asks all members at once and takes in the answers.
func (o *observer) round(ctx context.Context) {
	answers := make([]client.Status, o.ensemble.Size())
	answered := make([]bool, o.ensemble.Size())
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var group errgroup.Group
	for i := range answers {
		group.Go(func() error {
			status, err := client.Probe(ctx, o.ensemble.ProbeAddress(i+1))
			answers[i], answered[i] = status, err == nil
			return nil
		})
	}
	_ = group.Wait()
	o.take(answers, answered)
}

// take records what is new: a member that began to serve, a leader of a greater epoch.
func (o *observer) take(answers []client.Status, answered []bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	leader, epoch := 0, int64(0)
	for i, status := range answers {
		if answered[i] && !o.serving[i] {
			o.recorder.Record(history.Event{Time: o.now(), Kind: history.Member, Member: i + 1, State: history.Serving, Zxid: status.Zxid})
		}
		// A deposed leader may still say that it leads: the greatest epoch counts.
		if answered[i] && status.Mode == "leader" && status.Epoch() > epoch {
			leader, epoch = i+1, status.Epoch()
		}
	}
	if leader != 0 && (leader != o.leader || epoch != o.epoch) && epoch >= o.epoch {
		o.recorder.Record(history.Event{Time: o.now(), Kind: history.Member, Member: leader, State: history.Leading, Epoch: epoch})
		if o.epoch != 0 {
			o.changes++
		}
		o.epoch = epoch
	}
	o.status, o.serving, o.leader = answers, answered, leader
	close(o.changed)
	o.changed = make(chan struct{})
}

// snapshot is what was last seen.
func (o *observer) snapshot() (leader int, epoch int64, serving []int, changes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, serves := range o.serving {
		if serves {
			serving = append(serving, i+1)
		}
	}
	return o.leader, o.epoch, serving, o.changes
}

// await returns when what was last seen satisfies condition, or ctx ends.
func (o *observer) await(ctx context.Context, condition func(o *observer) bool) error {
	for {
		o.mu.Lock()
		done, changed := condition(o), o.changed
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
