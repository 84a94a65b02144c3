package container

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/moby/moby/client"

	"ordeal/results/history"
)

// stopGrace is how long a member may take to stop in order, before that counts as a failure.
const stopGrace = 10 * time.Second

// linkTimeout is how long traffic may take to prove that a link passes.
const linkTimeout = 5 * time.Second

// Inject applies a fault and returns when it is on.
func (e *Ensemble) Inject(ctx context.Context, fault history.Fault) error {
	if reason, refused := e.Refuses()[fault.Kind]; refused {
		return fmt.Errorf("%s is refused: %s", fault.Kind, reason)
	}
	if fault.Kind == history.Cut || fault.Kind == history.ClientCut {
		e.mu.Lock()
		e.active[fault.ID] = fault
		e.mu.Unlock()
		return e.applyRules(ctx)
	}
	return e.onMembers(ctx, fault, (*member).inject)
}

// Heal takes a fault back and returns when it is off.
func (e *Ensemble) Heal(ctx context.Context, fault history.Fault) error {
	if fault.Kind == history.Cut || fault.Kind == history.ClientCut {
		e.mu.Lock()
		delete(e.active, fault.ID)
		e.mu.Unlock()
		return e.applyRules(ctx)
	}
	return e.onMembers(ctx, fault, (*member).heal)
}

func (e *Ensemble) applyRules(ctx context.Context) error {
	return e.each(ctx, func(ctx context.Context, m *member) error { return m.apply(ctx) })
}

// onMembers does something to each member that the fault names, in order.
func (e *Ensemble) onMembers(ctx context.Context, fault history.Fault, do func(*member, context.Context, history.FaultKind) error) error {
	for _, id := range fault.Members {
		if id < 1 || id > len(e.members) {
			return fmt.Errorf("%s: there is no member %d, only 1 to %d", fault.Kind, id, len(e.members))
		}
		if err := do(e.members[id-1], ctx, fault.Kind); err != nil {
			return fmt.Errorf("%s member %d: %w", fault.Kind, id, err)
		}
	}
	return nil
}

func (m *member) inject(ctx context.Context, kind history.FaultKind) error {
	engine, id := m.ensemble.engine, m.server.GetContainerID()
	switch kind {
	case history.Kill, history.PowerLoss:
		m.expect(true)
		if _, err := engine.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
			return err
		}
		return m.waitExit(ctx)
	case history.Stop:
		return m.stop(ctx)
	case history.Pause:
		_, err := engine.ContainerPause(ctx, id, client.ContainerPauseOptions{})
		return err
	}
	return fmt.Errorf("this driver does not know the fault")
}

func (m *member) heal(ctx context.Context, kind history.FaultKind) error {
	switch kind {
	case history.Kill, history.PowerLoss, history.Stop:
		m.expect(false)
		// The container's own Start keeps its log consumer; a raw start would lose it.
		if err := m.server.Start(ctx); err != nil {
			return err
		}
		m.ensemble.notify(m.id, history.Started, "")
		return nil
	case history.Pause:
		_, err := m.ensemble.engine.ContainerUnpause(ctx, m.server.GetContainerID(), client.ContainerUnpauseOptions{})
		return err
	}
	return fmt.Errorf("this driver does not know the fault")
}

// stop ends the member in order, with the signal that its image names.
func (m *member) stop(ctx context.Context) error {
	m.expect(true)
	id := m.server.GetContainerID()
	if _, err := m.ensemble.engine.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "SIGTERM"}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if err := m.waitExit(ctx); err != nil {
		return fmt.Errorf("it did not stop within %v of SIGTERM: %w", stopGrace, err)
	}
	return nil
}

// waitExit returns when the member's process is gone.
func (m *member) waitExit(ctx context.Context) error {
	wait := m.ensemble.engine.ContainerWait(ctx, m.server.GetContainerID(), client.ContainerWaitOptions{})
	select {
	case err := <-wait.Error:
		return err
	case <-wait.Result:
		return nil
	}
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
	return e.each(ctx, func(ctx context.Context, m *member) error {
		state, err := m.server.State(ctx)
		if err != nil {
			return err
		}
		if !state.Running {
			return nil
		}
		return m.stop(ctx)
	})
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
