package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"sync"

	"golang.org/x/sync/errgroup"

	"ordeal/results/history"
)

// Port is a server port of a member.
type Port int

// The ports on which members call one another.
const (
	Quorum Port = iota
	Election
)

// ports are all of them.
var ports = []Port{Quorum, Election}

// String is the port's name in errors.
func (p Port) String() string { return [...]string{Quorum: "quorum", Election: "election"}[p] }

// Plan says where a mesh listens and whom it calls.
type Plan struct {
	Members []int // ascending
	// Proxy is the address at which one member, or the clients (from is 0), reach another member
	// through the mesh.
	Proxy func(from, to int, port Port) string
	// Direct is the address on which a member itself listens.
	Direct func(member int, port Port) string
	// ClientProxy and ClientDirect are the same for a member's clients.
	ClientProxy  func(member int) string
	ClientDirect func(member int) string
	Log          *slog.Logger
}

// Mesh is the proxies on all links of an ensemble. Its methods may be called from several goroutines.
type Mesh struct {
	plan   Plan
	cancel context.CancelFunc
	group  *errgroup.Group

	mutex sync.Mutex
	cuts  map[history.Link]map[int]history.CutMode // by the cut's number
	// clientCuts are those between a member and all clients.
	clientCuts map[int]map[int]history.CutMode
	running    map[int]bool
	gates      map[history.Link]*gate
	proxies    map[history.Link][]*proxy // by caller and member called
	clients    map[int]*proxy
	closeOnce  sync.Once
	closeError error
}

// Open listens on all addresses of the plan. Members count as not running until Running says so. If
// an address is taken the error is EADDRINUSE and names it, and nothing stays open.
func Open(plan Plan) (*Mesh, error) {
	ctx, cancel := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	m := &Mesh{
		plan: plan, cancel: cancel, group: group,
		cuts:       map[history.Link]map[int]history.CutMode{},
		clientCuts: map[int]map[int]history.CutMode{},
		running:    map[int]bool{},
		gates:      map[history.Link]*gate{},
		proxies:    map[history.Link][]*proxy{},
		clients:    map[int]*proxy{},
	}
	if err := m.open(); err != nil {
		for _, p := range m.all() {
			p.door.listener.Close()
		}
		cancel()
		return nil, err
	}
	for _, p := range m.all() {
		p.start(ctx, group)
	}
	for _, member := range plan.Members {
		if err := m.Running(ctx, member, false); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return m, nil
}

func (m *Mesh) open() error {
	for _, link := range m.Links() {
		m.gates[link] = &gate{}
	}
	for _, link := range m.Links() {
		forward, back := m.gates[link], m.gates[history.Link{From: link.To, To: link.From}]
		for _, port := range ports {
			announce := ""
			if port == Election {
				announce = m.plan.Proxy(link.To, link.From, Election)
			}
			p, err := newProxy(m.plan.Proxy(link.From, link.To, port), m.plan.Direct(link.To, port),
				announce, forward, back, m.plan.Log)
			if err != nil {
				return err
			}
			m.proxies[link] = append(m.proxies[link], p)
		}
	}
	for _, member := range m.plan.Members {
		p, err := newProxy(m.plan.ClientProxy(member), m.plan.ClientDirect(member), "",
			&gate{}, &gate{}, m.plan.Log)
		if err != nil {
			return err
		}
		m.clients[member] = p
	}
	return nil
}

func (m *Mesh) all() []*proxy {
	var all []*proxy
	for _, proxies := range m.proxies {
		all = append(all, proxies...)
	}
	for _, p := range m.clients {
		all = append(all, p)
	}
	return all
}

// Links are all directed links between members, in order.
func (m *Mesh) Links() []history.Link {
	var links []history.Link
	for _, from := range m.plan.Members {
		for _, to := range m.plan.Members {
			if from != to {
				links = append(links, history.Link{From: from, To: to})
			}
		}
	}
	return links
}

// Running tells the mesh whether a member's process runs, so that calls to one that does not are
// refused.
func (m *Mesh) Running(ctx context.Context, member int, running bool) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.running[member] = running
	var failures []error
	for _, other := range m.plan.Members {
		if other != member {
			failures = append(failures, m.settle(ctx, history.Link{From: other, To: member}))
		}
	}
	return errors.Join(append(failures, m.settleClients(ctx, member))...)
}

// Cut cuts links until Heal is called with the same number.
func (m *Mesh) Cut(ctx context.Context, number int, links []history.Link, mode history.CutMode) error {
	if err := checkMode(mode); err != nil {
		return err
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, link := range links {
		if m.gates[link] == nil {
			return fmt.Errorf("no link %d→%d: members are %v", link.From, link.To, m.plan.Members)
		}
	}
	for _, link := range links {
		add(m.cuts, link, number, mode)
	}
	return m.settlePairs(ctx, links, mode == history.Reset)
}

// CutClients keeps all clients from members until Heal is called with the same number.
func (m *Mesh) CutClients(ctx context.Context, number int, members []int, mode history.CutMode) error {
	if err := checkMode(mode); err != nil {
		return err
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, member := range members {
		if m.clients[member] == nil {
			return fmt.Errorf("no member %d: members are %v", member, m.plan.Members)
		}
	}
	var failures []error
	for _, member := range members {
		add(m.clientCuts, member, number, mode)
		failures = append(failures, m.settleClients(ctx, member))
		if mode == history.Reset {
			m.clients[member].resetAll()
		}
	}
	return errors.Join(failures...)
}

// Heal takes back what was cut with this number.
func (m *Mesh) Heal(ctx context.Context, number int) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var healed []history.Link
	for link, cuts := range m.cuts {
		if _, on := cuts[number]; on {
			delete(cuts, number)
			healed = append(healed, link)
		}
	}
	failures := []error{m.settlePairs(ctx, healed, false)}
	for member, cuts := range m.clientCuts {
		if _, on := cuts[number]; on {
			delete(cuts, number)
			failures = append(failures, m.settleClients(ctx, member))
		}
	}
	return errors.Join(failures...)
}

// settlePairs brings gates and doors of the links, and the doors of their opposites, to where the
// cuts say that they belong.
func (m *Mesh) settlePairs(ctx context.Context, links []history.Link, reset bool) error {
	var failures []error
	for _, link := range links {
		opposite := history.Link{From: link.To, To: link.From}
		for _, l := range []history.Link{link, opposite} {
			failures = append(failures, m.settle(ctx, l))
		}
		if !reset {
			continue
		}
		for _, l := range []history.Link{link, opposite} {
			for _, p := range m.proxies[l] {
				p.resetAll()
			}
		}
	}
	return errors.Join(failures...)
}

func (m *Mesh) settle(ctx context.Context, link history.Link) error {
	here, opposite := m.cuts[link], m.cuts[history.Link{From: link.To, To: link.From}]
	m.gates[link].set(!holds(here, history.Drop))
	state := m.door(link.To, here, opposite)
	var failures []error
	for _, p := range m.proxies[link] {
		failures = append(failures, p.door.set(ctx, state))
	}
	return errors.Join(failures...)
}

func (m *Mesh) settleClients(ctx context.Context, member int) error {
	p, cuts := m.clients[member], m.clientCuts[member]
	open := !holds(cuts, history.Drop)
	p.forward.set(open)
	p.back.set(open)
	return p.door.set(ctx, m.door(member, cuts, nil))
}

// door says how calls to a member are treated, given the cuts there and back.
func (m *Mesh) door(member int, here, back map[int]history.CutMode) doorState {
	switch {
	case holds(here, history.Drop) || holds(back, history.Drop):
		return doorHanging
	case holds(here, history.Reset) || holds(back, history.Reset) || !m.running[member]:
		return doorRefusing
	}
	return doorOpen
}

// Pass proves that the links carry bytes: none is cut, and for each a probe is sent to each of the
// proxies that its connections use, and through the gates of both directions.
func (m *Mesh) Pass(ctx context.Context, links []history.Link) error {
	var failures []error
	for _, link := range links {
		if err := m.pass(ctx, link); err != nil {
			failures = append(failures, fmt.Errorf("link %d→%d does not pass: %w", link.From, link.To, err))
		}
	}
	return errors.Join(failures...)
}

func (m *Mesh) pass(ctx context.Context, link history.Link) error {
	m.mutex.Lock()
	var numbers []int
	for number := range m.cuts[link] {
		numbers = append(numbers, number)
	}
	m.mutex.Unlock()
	if len(numbers) > 0 {
		sort.Ints(numbers)
		return fmt.Errorf("cut by fault %v", numbers)
	}
	var failures []error
	for _, port := range ports {
		if err := probe(ctx, m.plan.Proxy(link.From, link.To, port)); err != nil {
			failures = append(failures, fmt.Errorf("%s port: %w", port, err))
		}
	}
	return errors.Join(failures...)
}

// Close ends all connections and frees all addresses. It is safe to call twice.
func (m *Mesh) Close() error {
	m.closeOnce.Do(func() {
		m.cancel()
		m.closeError = m.group.Wait()
	})
	return m.closeError
}

func checkMode(mode history.CutMode) error {
	if mode != history.Drop && mode != history.Reset {
		return fmt.Errorf("unknown mode %q of a cut: known are %s and %s", mode, history.Drop, history.Reset)
	}
	return nil
}

func add[K comparable](cuts map[K]map[int]history.CutMode, where K, number int, mode history.CutMode) {
	if cuts[where] == nil {
		cuts[where] = map[int]history.CutMode{}
	}
	cuts[where][number] = mode
}

func holds(cuts map[int]history.CutMode, mode history.CutMode) bool {
	for _, m := range cuts {
		if m == mode {
			return true
		}
	}
	return false
}
