package process

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"ordeal/harness/ensemble"
	"ordeal/results/history"
)

// Refuses names the faults that need what this ensemble has not.
func (e *Ensemble) Refuses() map[history.FaultKind]string {
	refused := ensemble.RefusedFaults(e.spec)
	if e.spec.Direct {
		refused[history.Cut] = "members reach each other directly"
		refused[history.ClientCut] = "clients reach members directly"
	}
	return refused
}

// Spares names the members that a fault can't be given to.
func (e *Ensemble) Spares() map[history.FaultKind]ensemble.Spared {
	return ensemble.SparedMembers(e.spec)
}

// Inject applies a fault. If it fails, it takes back itself what was done, though ctx may have ended.
func (e *Ensemble) Inject(ctx context.Context, fault history.Fault) error {
	if err := ensemble.Refusal(e, fault); err != nil {
		return err
	}
	members, err := e.find(fault)
	if err != nil {
		return fmt.Errorf("%s is not possible: %w", fault, err)
	}
	if fault.Kind != history.Cut && fault.Kind != history.ClientCut {
		for _, m := range members {
			if !m.isRunning() {
				return fmt.Errorf("%s is not possible: member %d is not running", fault, m.id)
			}
		}
	}
	e.mutex.Lock()
	_, known := e.faults[fault.ID]
	if !known {
		e.faults[fault.ID] = fault
	}
	e.mutex.Unlock()
	if known {
		return fmt.Errorf("%s: a fault numbered %d is on already", fault, fault.ID)
	}
	if err := e.apply(ctx, fault, members); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", fault, err), e.Heal(context.WithoutCancel(ctx), fault))
	}
	return nil
}

func (e *Ensemble) apply(ctx context.Context, fault history.Fault, members []*member) error {
	switch fault.Kind {
	case history.Cut:
		return e.mesh.Cut(ctx, fault.ID, fault.Links, fault.Mode)
	case history.ClientCut:
		mode := fault.Mode
		if mode == "" {
			mode = history.Drop
		}
		return e.mesh.CutClients(ctx, fault.ID, fault.Members, mode)
	case history.Kill, history.PowerLoss:
		for _, m := range members {
			m.hold(fault.ID)
		}
		return kill(ctx, members)
	case history.Stop:
		for _, m := range members {
			m.hold(fault.ID)
		}
		return stop(ctx, members)
	case history.Pause:
		var failures []error
		for _, m := range members {
			failures = append(failures, m.signal(unix.SIGSTOP, false))
		}
		for _, m := range members {
			failures = append(failures, m.standsStill(ctx))
		}
		return errors.Join(failures...)
	}
	return fmt.Errorf("unknown kind of fault; known are %v", history.FaultKinds)
}

// Heal takes a fault back, if it is on. If it fails, the fault stays known, so that it can be tried again.
func (e *Ensemble) Heal(ctx context.Context, fault history.Fault) error {
	e.mutex.Lock()
	applied, known := e.faults[fault.ID]
	e.mutex.Unlock()
	if !known {
		return nil
	}
	fault = applied // by number: a caller may have added words since
	members, err := e.find(fault)
	if err != nil {
		return fmt.Errorf("heal %s: %w", fault, err)
	}
	var failures []error
	switch fault.Kind {
	case history.Cut, history.ClientCut:
		failures = append(failures, e.mesh.Heal(ctx, fault.ID))
	case history.Pause:
		for _, m := range members {
			// A member that was killed or crashed while it was paused has nothing to resume.
			if m.isRunning() && !e.pausedByOthers(m.id, fault.ID) {
				failures = append(failures, m.signal(unix.SIGCONT, false))
			}
		}
	default:
		for _, m := range members {
			m.release(fault.ID)
			failures = append(failures, m.start(ctx))
		}
	}
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("heal %s: %w", fault, err)
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	delete(e.faults, fault.ID)
	return nil
}

// pausedByOthers tells whether a pause other than this fault wants the member to stand still.
func (e *Ensemble) pausedByOthers(member, fault int) bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return ensemble.Holds(e.faults, member, fault, history.Pause)
}
