package container

import (
	"context"
	"fmt"

	"github.com/moby/moby/client"

	"ordeal/results/history"
)

// watch follows the engine's events and reports members that end by themselves, until ctx ends or
// the engine is gone.
func (e *Ensemble) watch(ctx context.Context) error {
	events := e.engine.Events(ctx, client.EventsListOptions{
		Filters: make(client.Filters).Add("label", labelRun+"="+e.spec.Run).Add("type", "container").Add("event", "die"),
	})
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-events.Err:
			if ctx.Err() == nil {
				e.spec.Notify(history.Event{Kind: history.Note, Text: fmt.Sprintf("the Docker engine stopped telling events: %v", err)})
			}
			return nil
		case event := <-events.Messages:
			e.died(event.Actor.ID, event.Actor.Attributes["exitCode"])
		}
	}
}

// died reports the end of a container.
func (e *Ensemble) died(id, code string) {
	for _, m := range e.members {
		switch {
		case m.agent != nil && m.agent.GetContainerID() == id && !m.exitExpected():
			e.notify(m.id, history.Crashed, "the agent that holds the member's network ended with code "+code)
		case m.server != nil && m.server.GetContainerID() == id && m.exitExpected():
			e.notify(m.id, history.Exited, "with code "+code)
		case m.server != nil && m.server.GetContainerID() == id:
			e.notify(m.id, history.Crashed, fmt.Sprintf("ended by itself with code %s: %s", code, m.log.tail()))
		}
	}
}

func (e *Ensemble) notify(member int, state history.State, text string) {
	e.spec.Notify(history.Event{Kind: history.Member, Member: member, State: state, Text: text})
}
