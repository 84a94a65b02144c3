// Package load lets workloads' clients do their steps on recording clients: it is the real-time runner
// of what package workloads decides.
//
// It knows workloads and clients. It must not know drivers, faults or checkers.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"ordeal/harness/client"
	"ordeal/results/history"
	"ordeal/workloads"
)

// Options say how one client is run.
type Options struct {
	Client client.Options
	// Start and Until are when the load begins and ends, on the history's clock. The workload is told
	// the time since Start; no step begins at Until or later.
	Start, Until time.Duration
	Pace         *Pace   // shared by all clients that keep to it; nil for as fast as it goes
	Counts       *Counts // shared by all clients that are counted together; nil for none
	// Hold, if not nil, keeps the session open after the last step until it is closed: sessions then
	// end on an ensemble that was healed.
	Hold <-chan struct{}
	// CloseTimeout bounds how long the end of the session may take.
	CloseTimeout time.Duration
}

// CloseTimeoutDefault is CloseTimeout if left 0.
const CloseTimeoutDefault = 5 * time.Second

// Run performs the steps of one workload client until the load is over or the context ends, then
// closes the session. That the session could not be closed is no error: the history tells. The only
// errors are options that make no sense.
func Run(ctx context.Context, options Options, steps workloads.Client) error {
	c, err := client.New(options.Client)
	if err != nil {
		return fmt.Errorf("run a workload client: %w", err)
	}
	random := rand.New(rand.NewPCG(options.Client.Seed, uint64(options.Client.Client)))
	r := runner{options: options, client: c, steps: steps, random: random}
	r.run(ctx)
	if options.Hold != nil {
		select {
		case <-options.Hold:
		case <-ctx.Done():
		}
	}
	end(ctx, c, options.CloseTimeout)
	return nil
}

// Perform does the requests in order on one client, each until the ensemble has answered it: what a
// workload's Setup and Final want. It returns the results, in order.
func Perform(ctx context.Context, options Options, requests []history.Request) ([]history.Result, error) {
	c, err := client.New(options.Client)
	if err != nil {
		return nil, fmt.Errorf("perform requests: %w", err)
	}
	defer end(ctx, c, options.CloseTimeout)
	var results []history.Result
	for _, request := range requests {
		result, err := perform(ctx, c, request, options.Counts)
		if err != nil {
			return results, fmt.Errorf("perform %s %s: %w", request.Kind, request.Path, err)
		}
		results = append(results, result)
	}
	return results, nil
}

// perform repeats a request until its outcome is known.
func perform(ctx context.Context, c *client.Client, request history.Request, counts *Counts) (history.Result, error) {
	last := "never answered"
	for {
		answer, err := c.Do(ctx, request)
		if err != nil {
			return history.Result{}, fmt.Errorf("%w (%s)", err, last)
		}
		counts.add(answer.Result)
		if answer.Result.Answered && answer.Result.Outcome != history.Unknown {
			return answer.Result, nil
		}
		last = "last: " + answer.Result.Error
	}
}

// end closes the session even if the run's context has ended: that is when a run is interrupted, and
// the history should still say how each session ended.
func end(ctx context.Context, c *client.Client, timeout time.Duration) {
	if timeout <= 0 {
		timeout = CloseTimeoutDefault
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	// The client has recorded whether the session was closed.
	_ = c.Close(ctx)
}

type runner struct {
	options Options
	client  *client.Client
	steps   workloads.Client
	random  *rand.Rand // chooses members to move to
}

func (r *runner) run(ctx context.Context) {
	for {
		r.notify(r.client.Notices())
		now := r.options.Client.Now()
		if now >= r.options.Until || ctx.Err() != nil {
			return
		}
		step := r.steps.Next(now - r.options.Start)
		switch {
		case step.Do != nil:
			if r.do(ctx, *step.Do) != nil {
				return
			}
		case step.Wait > 0:
			r.wait(ctx, min(step.Wait, r.options.Until-now))
		case step.Move:
			members := r.options.Client.Members
			r.client.Prefer(members[r.random.IntN(len(members))].Number)
		default:
			panic("load: a workload's step with nothing to do and no time to wait")
		}
	}
}

func (r *runner) do(ctx context.Context, request history.Request) error {
	if err := r.options.Pace.Wait(ctx); err != nil {
		return err
	}
	answer, err := r.client.Do(ctx, request)
	if err != nil {
		return err
	}
	r.options.Counts.add(answer.Result)
	r.notify(answer.Notices)
	r.steps.Return(request, answer.Result)
	return nil
}

func (r *runner) notify(notices []history.Event) {
	for _, e := range notices {
		r.steps.Notify(e)
	}
}

func (r *runner) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.client.Noticed():
	case <-ctx.Done():
	}
}

// Counts counts outcomes. A nil Counts counts nothing.
type Counts struct{ ok, failed, unknown atomic.Int64 }

func (c *Counts) add(result history.Result) {
	if c == nil {
		return
	}
	switch result.Outcome {
	case history.OK:
		c.ok.Add(1)
	case history.Failed:
		c.failed.Add(1)
	case history.Unknown:
		c.unknown.Add(1)
	}
}

// Totals returns the numbers of operations so far by outcome.
func (c *Counts) Totals() (ok, failed, unknown int64) {
	return c.ok.Load(), c.failed.Load(), c.unknown.Load()
}

// Pace spreads the operations of all clients that share it evenly over time. A nil Pace sets no
// limit.
type Pace struct {
	interval time.Duration
	mu       sync.Mutex
	next     time.Time
	resumed  chan struct{} // closed when silence ends; nil while there is none
}

// NewPace allows this many operations a second, all clients together.
func NewPace(perSecond float64) (*Pace, error) {
	if perSecond <= 0 {
		return nil, errors.New("a rate must be more than 0 operations a second")
	}
	return &Pace{interval: time.Duration(float64(time.Second) / perSecond)}, nil
}

// Silence holds all turns back, until it is called with false. Much that goes wrong in a recovery is
// mended, and hidden, by the next write: silence leaves it to be seen.
func (p *Pace) Silence(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.resumed == nil:
		p.resumed = make(chan struct{})
	case !on && p.resumed != nil:
		close(p.resumed)
		p.resumed = nil
	}
}

// Wait waits for the caller's turn. Turns that nobody took are not made up for.
func (p *Pace) Wait(ctx context.Context) error {
	if p == nil {
		return ctx.Err()
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	turn, resumed := p.next, p.resumed
	p.next = turn.Add(p.interval)
	p.mu.Unlock()
	if resumed != nil {
		select {
		case <-resumed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	timer := time.NewTimer(turn.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
