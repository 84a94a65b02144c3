// Package container runs members as containers of a Docker engine, on a private network of their own.
//
// Beside each member stands an agent container (package agent) that owns the member's network
// namespace: addresses, published ports and link faults outlive a kill, and the image under test
// stays untouched. Link faults are packet filters in that namespace, on arrival, so each direction
// of a link is cut by itself. Client cuts stop what arrives and what leaves: a reply or a watch event
// that the member still owes does not get out. Ports are published on the loopback address only, or,
// for an engine on another host, on that host's address.
//
// # What a reset looks like
//
// A packet filter answers packets: a connection is reset by the next packet of either side, not by
// itself. Clients on the engine's own host reach a published port through the engine's user-space
// proxy (docker-proxy), where it is on, as it is by default. That proxy accepts before it has dialled
// the member. So during a reset a client's new connection is not refused, as it is by the process
// driver, but accepted and closed; and during a drop it is accepted and hears nothing. Bytes that the
// member had sent before the cut, and that stand in the proxy's buffers, still reach the client.
//
// The package knows Docker and faults. It must not know workloads, checkers, or why a fault is
// applied.
package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
	"golang.org/x/sync/errgroup"

	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/agent"
	"ordeal/results/history"
)

// closeTimeout bounds the removal of everything at the end, also after the run's own context ended.
const closeTimeout = 30 * time.Second

// Ensemble is an ensemble in containers. It implements ensemble.Ensemble.
type Ensemble struct {
	spec    ensemble.Spec
	engine  *testcontainers.DockerClient
	publish netip.Addr // where the engine publishes ports
	network *testcontainers.DockerNetwork
	members []*member
	images  map[string]string // what ran, for Versions

	mu     sync.Mutex
	active map[int]history.Fault // those that are on, by ID
	closed bool

	open      context.Context // until Close: what attends to members ends with it
	shut      context.CancelFunc
	attending sync.WaitGroup // to members and agents, as long as they live
}

var _ ensemble.Ensemble = (*Ensemble)(nil)

// Start makes the network, the agents and the members, and returns when all processes run. What it
// made is removed again if it fails.
func Start(ctx context.Context, spec ensemble.Spec) (*Ensemble, error) {
	engine, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	e := &Ensemble{spec: spec, engine: engine, active: map[int]history.Fault{}, images: map[string]string{}}
	if e.spec.Notify == nil {
		e.spec.Notify = func(history.Event) {}
	}
	if e.spec.Failed == nil {
		e.spec.Failed = func(error) {}
	}
	e.open, e.shut = context.WithCancel(context.WithoutCancel(ctx))
	if err := e.start(ctx); err != nil {
		return nil, errors.Join(err, e.Close(context.WithoutCancel(ctx)))
	}
	return e, nil
}

func (e *Ensemble) start(ctx context.Context) error {
	var err error
	if e.publish, err = publishAddress(ctx, e.engine.DaemonHost()); err != nil {
		return err
	}
	program, err := readProgram(e.spec.Binary)
	if err != nil {
		return err
	}
	e.sweep(ctx)
	needs := e.labels()
	needs[labelNeeds] = program.image()
	if slices.Contains(e.spec.Implementations, ensemble.Apache) {
		needs[labelNeeds] += "," + ApacheImage
	}
	// First, since its label keeps others from removing the images.
	e.network, err = network.New(ctx, network.WithLabels(needs))
	if err != nil {
		return fmt.Errorf("make a network for the run: %w", err)
	}
	if err := program.build(ctx, e.engine); err != nil {
		return err
	}
	e.images["agent"] = program.image()
	e.members = make([]*member, len(e.spec.Implementations))
	for i, implementation := range e.spec.Implementations {
		image, err := e.imageOf(ctx, implementation, program.image())
		if err != nil {
			return err
		}
		e.members[i] = &member{id: i + 1, implementation: implementation, image: image, ensemble: e}
		if e.images[string(implementation)], err = e.digest(ctx, image); err != nil {
			return err
		}
	}
	if err := e.each(ctx, func(ctx context.Context, m *member) error { return m.startAgent(ctx, program.image()) }); err != nil {
		return err
	}
	return e.each(ctx, func(ctx context.Context, m *member) error { return m.create(ctx) })
}

// sweep removes what killed runs left behind, so that it does not pile up where nobody cleans. A run can
// do without that: where it fails it is only said.
func (e *Ensemble) sweep(ctx context.Context) {
	removed, err := sweep(ctx, e.engine)
	if err != nil {
		e.note("what killed runs left behind could not be removed: %v", err)
	}
	if len(removed) > 0 {
		e.note("removed what a killed run left behind: %s", strings.Join(removed, ", "))
	}
}

// each does something to all members at once.
func (e *Ensemble) each(ctx context.Context, do func(context.Context, *member) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, m := range e.members {
		if m == nil {
			continue
		}
		group.Go(func() error {
			if err := do(ctx, m); err != nil {
				return fmt.Errorf("member %d: %w", m.id, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (e *Ensemble) labels() map[string]string {
	return map[string]string{labelRun: e.spec.Run, labelOwner: self()}
}

// Driver is "container".
func (e *Ensemble) Driver() string { return "container" }

// Size is the number of members.
func (e *Ensemble) Size() int { return len(e.members) }

// ClientAddress is where clients of this member connect.
func (e *Ensemble) ClientAddress(member int) string { return e.members[member-1].clientAddress }

// ProbeAddress is where the harness asks a member; the agent forwards it, past client cuts.
func (e *Ensemble) ProbeAddress(member int) string { return e.members[member-1].probeAddress }

// Versions names the image of each implementation, by its digest.
func (e *Ensemble) Versions() map[string]string { return e.images }

// Refuses names the faults that this ensemble cannot give.
func (e *Ensemble) Refuses() map[history.FaultKind]string { return ensemble.RefusedFaults(e.spec) }

// Spares names the members that a fault can't be given to.
func (e *Ensemble) Spares() map[history.FaultKind]ensemble.Spared {
	return ensemble.SparedMembers(e.spec)
}

// Close removes all containers and the network.
func (e *Ensemble) Close(ctx context.Context) error {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	e.mu.Unlock()
	if closed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	e.shut()
	e.attending.Wait()
	err := e.each(ctx, func(ctx context.Context, m *member) error { return m.remove(ctx) })
	if e.network != nil {
		err = errors.Join(err, e.network.Remove(ctx))
	}
	return errors.Join(err, e.engine.Close())
}

// published is the address on which a container's port is reached from here.
func (e *Ensemble) published(ctx context.Context, container testcontainers.Container, port int) (string, error) {
	mapped, err := container.MappedPort(ctx, strconv.Itoa(port)+"/tcp")
	if err != nil {
		return "", fmt.Errorf("find the published port of %d: %w", port, err)
	}
	return net.JoinHostPort(e.publish.String(), mapped.Port()), nil
}

// rules are what a member's packet filter must do for the faults that are on.
func (e *Ensemble) rules(m *member) agent.Rules {
	e.mu.Lock()
	defer e.mu.Unlock()
	var rules agent.Rules
	seen := map[int]history.CutMode{}
	for _, fault := range e.active {
		switch fault.Kind {
		case history.Cut:
			for _, link := range fault.Links {
				if link.To == m.id {
					seen[link.From] = stronger(seen[link.From], fault.Mode)
				}
			}
		case history.ClientCut:
			if slices.Contains(fault.Members, m.id) {
				rules.Clients = stronger(rules.Clients, fault.Mode)
			}
		}
	}
	for _, peer := range e.members {
		if mode, cut := seen[peer.id]; cut {
			rules.From = append(rules.From, agent.Source{Address: peer.address, Mode: mode})
		}
	}
	return rules
}

// stronger is what two cuts of the same traffic do together: the silent one hides the other. A cut that
// says no mode is silent.
func stronger(a, b history.CutMode) history.CutMode {
	if a == history.Drop || b != history.Reset {
		return history.Drop
	}
	return history.Reset
}
