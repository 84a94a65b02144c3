package container

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"ordeal/harness/ensemble"
	"ordeal/results/history"
)

// askAgain is the pause before the engine is asked again after it gave no answer, or one that cannot
// be all.
const askAgain = 100 * time.Millisecond

// A life is one run of a member's process, from start to exit.
type life struct {
	logFrom int64 // where its output begins in the log
	// asked is set before a signal that ends it: its exit is then no crash. The member's mutex guards it.
	asked bool
	ended chan struct{} // closed when it is over, its log is whole, and everybody knows
}

func (l *life) running() bool {
	if l == nil {
		return false
	}
	select {
	case <-l.ended:
		return false
	default:
		return true
	}
}

// begin attends to the life that has just begun. Each life has one goroutine, which Close waits for.
// The engine's stream of events would be the other way to learn of an end, but what happens while that
// stream is broken is never told; the state of a container can be asked for at any time.
func (m *member) begin() {
	l := &life{logFrom: m.log.written(), ended: make(chan struct{})}
	m.mu.Lock()
	m.life = l
	m.mu.Unlock()
	m.ensemble.notify(m.id, history.Started, "")
	m.ensemble.attending.Go(func() { m.seeOut(l) })
}

// seeOut takes in what a process prints until it ends, and reports its end.
func (m *member) seeOut(l *life) {
	defer close(l.ended)
	how, engineLost := m.untilEnd(m.server.GetContainerID(), m.copyLog)
	if how == "" {
		return // the ensemble is closed: what ends now is its own doing
	}
	m.mu.Lock()
	asked := l.asked
	m.mu.Unlock()
	if engineLost && !asked {
		// An engine that ends may take its containers with it.
		m.ensemble.spec.Failed(fmt.Errorf("member %d ended (%s) while the Docker engine did not answer", m.id, how))
	}
	end := ensemble.End{Member: m.id, Implementation: m.implementation, How: how, Asked: asked || engineLost, Log: m.log.path, LogFrom: l.logFrom}
	events, err := end.Events()
	if err != nil {
		m.ensemble.note("after the end of member %d: %v", m.id, err)
	}
	for _, event := range events {
		m.ensemble.spec.Notify(event)
	}
}

// attendAgent reports the end of the agent, which nothing but the end of the ensemble should bring.
func (m *member) attendAgent() {
	how, _ := m.untilEnd(m.agent.GetContainerID(), func(ctx context.Context) error {
		wait := m.ensemble.engine.ContainerWait(ctx, m.agent.GetContainerID(), client.ContainerWaitOptions{})
		select {
		case err := <-wait.Error:
			return err
		case <-wait.Result:
			return nil
		}
	})
	if how != "" {
		m.ensemble.spec.Failed(fmt.Errorf("the agent that holds the network of member %d ended: %s", m.id, how))
	}
}

// untilEnd returns when a container runs no more, and says how it ended; empty if the ensemble is closed
// before. engineLost tells that the engine gave no answer in between, and had not yet said since that the
// container ran.
// Following is what to do meanwhile; it returns when it takes the container for ended. It may be wrong
// or fail, since an engine that is started anew breaks off what it was telling: it is then done again.
func (m *member) untilEnd(id string, following func(context.Context) error) (how string, engineLost bool) {
	ctx := m.ensemble.open
	said := false
	for {
		failed := following(ctx)
		state, err := m.ensemble.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		switch {
		case ctx.Err() != nil:
			return "", false
		case errdefs.IsNotFound(err):
			return "its container was removed", engineLost
		case err == nil && !state.Container.State.Running:
			if state.Container.State.OOMKilled {
				return fmt.Sprintf("exit status %d, out of memory", state.Container.State.ExitCode), engineLost
			}
			return fmt.Sprintf("exit status %d", state.Container.State.ExitCode), engineLost
		}
		engineLost = err != nil
		if failed = errors.Join(failed, err); failed != nil && !said {
			m.ensemble.note("the Docker engine stopped telling of member %d, and is asked again until it does: %v", m.id, failed)
			said = true
		}
		select {
		case <-ctx.Done():
			return "", false
		case <-time.After(askAgain):
		}
	}
}

// copyLog takes what the member printed since the last piece, and what it prints, until the engine
// says that there will be no more.
func (m *member) copyLog(ctx context.Context) error {
	stream, err := m.ensemble.engine.ContainerLogs(ctx, m.server.GetContainerID(), client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: true, Timestamps: true, Since: m.log.since(),
	})
	if err != nil {
		return err
	}
	defer stream.Close()
	_, err = stdcopy.StdCopy(m.log, m.log, stream)
	return err
}

func (e *Ensemble) notify(member int, state history.State, text string) {
	e.spec.Notify(history.Event{Kind: history.Member, Member: member, State: state, Text: text})
}

func (e *Ensemble) note(format string, values ...any) {
	e.spec.Notify(history.Event{Kind: history.Note, Text: fmt.Sprintf(format, values...)})
}
