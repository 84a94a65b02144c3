package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"ordeal/harness/ensemble"
	"ordeal/results/history"
)

// stopGrace is how long a member may take to stop in order, before that counts as a failure.
const stopGrace = 10 * time.Second

// linkTimeout is how long traffic may take to prove that a link passes.
const linkTimeout = 5 * time.Second

// Inject applies a fault and returns when it is on. If it fails, it takes back itself what was done.
func (e *Ensemble) Inject(ctx context.Context, fault history.Fault) error {
	if err := ensemble.Refusal(e, fault); err != nil {
		return err
	}
	members := e.named(fault)
	if fault.Kind != history.Cut && fault.Kind != history.ClientCut {
		for _, m := range members {
			if !m.running() {
				return fmt.Errorf("%s is not possible: member %d is not running", fault, m.id)
			}
		}
	}
	e.mu.Lock()
	_, known := e.active[fault.ID]
	if !known {
		e.active[fault.ID] = fault
	}
	e.mu.Unlock()
	if known {
		return fmt.Errorf("%s: a fault numbered %d is on already", fault, fault.ID)
	}
	if err := e.apply(ctx, fault, members); err != nil {
		healing, cancel := context.WithTimeout(context.WithoutCancel(ctx), engineTimeout)
		defer cancel()
		return errors.Join(fmt.Errorf("%s: %w", fault, err), e.Heal(healing, fault))
	}
	return nil
}

func (e *Ensemble) apply(ctx context.Context, fault history.Fault, members []*member) error {
	switch fault.Kind {
	case history.Cut, history.ClientCut:
		return e.applyRules(ctx)
	case history.Kill, history.PowerLoss:
		return atOnce(ctx, members, (*member).kill, (*member).gone)
	case history.Stop:
		return atOnce(ctx, members, (*member).stop)
	case history.Pause:
		return atOnce(ctx, members, (*member).pause)
	}
	return fmt.Errorf("unknown kind of fault; known are %v", history.FaultKinds)
}

// Heal takes a fault back, if it is on, and returns when it is off. If it fails, the fault stays known, so
// that it can be tried again.
func (e *Ensemble) Heal(ctx context.Context, fault history.Fault) error {
	e.mu.Lock()
	applied, known := e.active[fault.ID]
	if known && (applied.Kind == history.Cut || applied.Kind == history.ClientCut) {
		delete(e.active, fault.ID) // the rules follow from what is active
	}
	e.mu.Unlock()
	if !known {
		return nil
	}
	fault = applied // by number: a caller may have added words since
	var err error
	switch fault.Kind {
	case history.Cut, history.ClientCut:
		err = e.applyRules(ctx)
	case history.Pause:
		err = atOnce(ctx, e.without(fault, history.Pause), (*member).resume)
	default:
		err = atOnce(ctx, e.without(fault, history.Kill, history.PowerLoss, history.Stop), (*member).start)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.active[fault.ID] = fault
		return fmt.Errorf("heal %s: %w", fault, err)
	}
	delete(e.active, fault.ID)
	return nil
}

// named are the members that a fault names.
func (e *Ensemble) named(fault history.Fault) []*member {
	var members []*member
	for _, id := range fault.Members {
		members = append(members, e.members[id-1])
	}
	return members
}

// without are the members of a fault to whom no other fault that is on does the like: healing it
// changes them.
func (e *Ensemble) without(fault history.Fault, kinds ...history.FaultKind) []*member {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.DeleteFunc(e.named(fault), func(m *member) bool { return ensemble.Holds(e.active, m.id, fault.ID, kinds...) })
}

func (e *Ensemble) applyRules(ctx context.Context) error {
	return e.each(ctx, func(ctx context.Context, m *member) error { return m.apply(ctx) })
}

// atOnce does things to members, each to all of them at the same time, and the next only when the one
// before is done with everybody. So a power loss takes everybody at once: nobody waits until another
// is gone. It goes on where something failed: what is done to half of them helps nobody.
func atOnce(ctx context.Context, members []*member, things ...func(*member, context.Context) error) error {
	failures := make([]error, len(members))
	for _, do := range things {
		var group sync.WaitGroup
		for i, m := range members {
			group.Go(func() {
				if err := do(m, ctx); err != nil {
					failures[i] = errors.Join(failures[i], fmt.Errorf("member %d: %w", m.id, err))
				}
			})
		}
		group.Wait()
	}
	return errors.Join(failures...)
}

// signal sends a signal that ends the member's process.
func (m *member) signal(ctx context.Context, signal string) error {
	m.mu.Lock()
	l := m.life
	if l.running() {
		l.asked = true
	}
	m.mu.Unlock()
	if !l.running() {
		return fmt.Errorf("it is not running")
	}
	_, err := m.ensemble.engine.ContainerKill(ctx, m.server.GetContainerID(), client.ContainerKillOptions{Signal: signal})
	if errdefs.IsConflict(err) {
		return nil // it ended meanwhile, which is what was wanted
	}
	return err
}

func (m *member) kill(ctx context.Context) error { return m.signal(ctx, "SIGKILL") }

// stop ends the member in order, and returns when it is gone. If it takes too long it is killed, and the
// error says so.
func (m *member) stop(ctx context.Context) error {
	if err := m.signal(ctx, "SIGTERM"); err != nil {
		return err
	}
	// A paused process gets the signal when it goes on.
	if err := m.resume(ctx); err != nil {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if m.gone(patience) == nil {
		return nil
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), engineTimeout)
	defer cancel()
	return errors.Join(fmt.Errorf("it did not stop within %v of SIGTERM, and was killed: see %s", stopGrace, m.log.path),
		atOnce(ending, []*member{m}, (*member).kill, (*member).gone))
}

// gone returns when the member's process has ended and its log is whole.
func (m *member) gone(ctx context.Context) error {
	l := m.current()
	if l == nil {
		return nil
	}
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("it does not end: %w", ctx.Err())
	}
}

// start starts the member again, unless it runs already.
func (m *member) start(ctx context.Context) error {
	if m.running() {
		return nil
	}
	if _, err := m.ensemble.engine.ContainerStart(ctx, m.server.GetContainerID(), client.ContainerStartOptions{}); err != nil {
		return err
	}
	m.begin()
	return nil
}

func (m *member) pause(ctx context.Context) error { return m.freeze(ctx, true) }

// resume lets the member go on, if it stands still: one that was killed meanwhile has nothing to resume.
func (m *member) resume(ctx context.Context) error { return m.freeze(ctx, false) }

// freeze lets the member stand still or go on, unless it does so already.
func (m *member) freeze(ctx context.Context, still bool) error {
	engine, id := m.ensemble.engine, m.server.GetContainerID()
	found, err := engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil || found.Container.State.Paused == still {
		return err
	}
	if still {
		_, err = engine.ContainerPause(ctx, id, client.ContainerPauseOptions{})
	} else {
		_, err = engine.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
	}
	return err
}

// LinksPass proves that every link carries traffic, in both directions.
func (e *Ensemble) LinksPass(ctx context.Context) error {
	return e.each(ctx, func(ctx context.Context, m *member) error {
		arguments := []string{"reach", linkTimeout.String()}
		for _, peer := range e.members {
			if peer.id != m.id {
				arguments = append(arguments, peer.address.String())
			}
		}
		return m.ask(ctx, arguments...)
	})
}

// Stop ends all members that run, in order.
func (e *Ensemble) Stop(ctx context.Context) error {
	return atOnce(ctx, slices.DeleteFunc(slices.Clone(e.members), func(m *member) bool { return !m.running() }), (*member).stop)
}

// Collect copies logs and data into dir/<id>/.
func (e *Ensemble) Collect(ctx context.Context, dir string) error {
	return e.each(ctx, func(ctx context.Context, m *member) error {
		folder := filepath.Join(dir, strconv.Itoa(m.id))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		return m.collect(ctx, folder)
	})
}
