package harness

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/harness/client"
	"ordeal/harness/load"
	"ordeal/nemesis"
	"ordeal/results/history"
	"ordeal/workloads"
)

// progressEvery is how often the progress of the load is told, and the history's file looked after.
const progressEvery = 250 * time.Millisecond

// requestTimeout is how long a client waits for an answer before it gives its connection up.
const requestTimeout = 5 * time.Second

// setup does what each workload wants done before the load.
func (r *run) setup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	for _, workload := range r.workloads() {
		options := load.Options{Client: r.clientOptions(workload.Name(), r.addresses())}
		if _, err := load.Perform(ctx, options, workload.Setup()); err != nil {
			return fmt.Errorf("%s: %w", workload.Name(), err)
		}
	}
	return nil
}

// clientOptions are those of one more client.
func (r *run) clientOptions(workload string, members []client.Member) client.Options {
	r.clients++
	return client.Options{
		Client: r.clients, Workload: workload, Members: members, Seed: r.plan.Seed,
		SessionTimeout: r.plan.sessionTimeout(), RequestTimeout: requestTimeout,
		Recorder: r, Now: r.writer.Now, Numbers: &r.numbers,
	}
}

// crowd is the clients under way.
type crowd struct {
	group        errgroup.Group
	start, until time.Duration // of the load, on the history's clock
	end          context.CancelFunc
	healed       chan struct{} // closed when sessions may be closed
	pace         *load.Pace
}

// dismiss ends all clients as they are, and waits for them.
func (c *crowd) dismiss() error {
	c.end()
	close(c.healed)
	return c.group.Wait()
}

// startClients lets all clients of all workloads do their steps.
func (r *run) startClients(ctx context.Context) (*crowd, error) {
	pace, err := load.NewPace(r.plan.Rate)
	if err != nil {
		return nil, err
	}
	steps, end := context.WithCancel(ctx)
	c := &crowd{start: r.writer.Now(), end: end, healed: make(chan struct{}), pace: pace}
	c.until = c.start + r.plan.Duration
	list := r.workloads()
	for i, workload := range list {
		for number, machine := range workload.Clients(r.share(workload, i, list), r.plan.Seed) {
			options := load.Options{
				Client: r.clientOptions(workload.Name(), r.addresses()), Start: c.start, Until: c.until,
				Pace: pace, Hold: c.healed,
			}
			// Each client of a workload tries the members in an order of its own.
			options.Client.Seed += uint64(number)
			c.group.Go(func() error { return load.Run(steps, options, machine) })
		}
	}
	return c, nil
}

// share is how many of the plan's clients a workload gets: what it needs, and an equal part of the
// rest; the first workloads get what does not divide.
func (r *run) share(workload workloads.Workload, index int, all []workloads.Workload) int {
	rest := r.plan.Clients
	for _, each := range all {
		rest -= each.ClientsMin()
	}
	share := workload.ClientsMin() + rest/len(all)
	if index < rest%len(all) {
		share++
	}
	return share
}

// load lets the nemeses take turns until the planned time is over, or the run is interrupted. The
// clients go on; endClients ends them.
func (r *run) load(ctx context.Context, c *crowd) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer c.pace.Silence(false)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.unleashAll(ctx, c) })
	group.Go(func() error {
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-r.plan.Interrupt:
				return errInterrupted
			case err := <-r.broken:
				return err
			case <-ticker.C:
			}
			if err := r.writer.Err(); err != nil {
				return fmt.Errorf("the history cannot be written (is the disk full?): %w", err)
			}
			now := r.writer.Now()
			if now >= c.until {
				return nil
			}
			if r.plan.Hush {
				c.pace.Silence(r.faults.hush(now))
			}
			r.plan.Progress(r.progress(PhaseLoad, now-c.start))
		}
	})
	return group.Wait()
}

// unleashAll gives each nemesis its share of the load, one after the other.
func (r *run) unleashAll(ctx context.Context, c *crowd) error {
	share := r.plan.Duration / time.Duration(len(r.plan.Nemeses))
	for i, name := range r.plan.Nemeses {
		n, err := nemesis.Get(name)
		if err != nil {
			return err
		}
		schedule := n.Start(r.plan.Seed+uint64(i), r.possible())
		if err := r.faults.unleash(ctx, name, schedule, c.start, share*time.Duration(i+1)); err != nil {
			return err
		}
		// The next one starts on a whole ensemble. It heals its own faults, but time may run out.
		if i+1 < len(r.plan.Nemeses) {
			for _, fault := range r.faults.activeNow() {
				if err := r.faults.heal(ctx, fault.ID); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// endClients closes all sessions, now that the ensemble is healed, and waits for those that could not
// be closed to expire, so that nothing of theirs is left in the final trees.
func (r *run) endClients(ctx context.Context, c *crowd) error {
	defer c.end()
	// After an early end no client must begin another step.
	if r.writer.Now() < c.until {
		c.end()
	}
	close(c.healed)
	if err := c.group.Wait(); err != nil {
		return err
	}
	open := r.openSessions()
	if open == 0 {
		return nil
	}
	r.Record(history.Event{Time: r.writer.Now(), Kind: history.Note,
		Text: fmt.Sprintf("%d sessions were not closed: waiting %v for them to expire", open, r.expiry())})
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(r.expiry()):
		return nil
	}
}

// openSessions counts the sessions that were begun and whose end nobody has confirmed.
func (r *run) openSessions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tally.sessions)
}
