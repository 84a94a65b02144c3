package workloads_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"ordeal/results/history"
	"ordeal/workloads"
)

// model is a tiny ensemble: one tree in memory, one session for each client, answers at once. It
// loses some answers and ends some sessions, so that workloads meet every outcome.
type model struct {
	random   *rand.Rand
	faults   bool
	zxid     int64
	znodes   map[string]*znode
	sessions map[int]int64 // by client
	next     int64         // session
	watches  map[string]map[int]bool
	children map[string]map[int]bool // child watches
	notify   func(client int, e history.Event)
}

type znode struct {
	value    string
	stat     history.Stat
	created  int32 // children so far
	children map[string]bool
}

func newModel(seed uint64, faults bool) *model {
	return &model{
		random: rand.New(rand.NewPCG(seed, 99)), faults: faults,
		znodes: map[string]*znode{"/": {children: map[string]bool{}}}, sessions: map[int]int64{},
		watches: map[string]map[int]bool{}, children: map[string]map[int]bool{},
	}
}

// perform carries out one request of a client.
func (m *model) perform(client int, request history.Request) history.Result {
	if m.faults {
		switch m.random.IntN(100) {
		case 0: // the answer is lost, the request is carried out or not
			if m.random.IntN(2) == 0 {
				m.carryOut(client, request)
			}
			if request.Kind == history.CloseSession {
				m.endSession(client, "")
			}
			if slices.Contains([]history.OpKind{history.Create, history.Set, history.Delete, history.Multi, history.CloseSession}, request.Kind) {
				return history.Result{Outcome: history.Unknown, Error: "ConnectionLoss"}
			}
			return history.Result{Outcome: history.Failed, Error: "ConnectionLoss"}
		case 1:
			if m.random.IntN(10) == 0 {
				m.endSession(client, history.Expired)
				return history.Result{Outcome: history.Failed, Error: "SessionExpired"}
			}
		}
	}
	return m.carryOut(client, request)
}

func (m *model) carryOut(client int, request history.Request) history.Result {
	if m.sessions[client] == 0 {
		m.next++
		m.sessions[client] = m.next
		m.notify(client, history.Event{Kind: history.Session, State: history.Connected})
	}
	m.zxid++
	var result history.Result
	if request.Kind == history.Multi {
		result = m.multi(client, request)
	} else {
		result = m.one(client, request)
	}
	result.Answered, result.Zxid, result.Outcome = true, m.zxid, history.OK
	if result.Error != "" {
		result.Outcome = history.Failed
	}
	return result
}

// multi tries each part on its own first: the workloads' multis have no part that depends on another,
// save the children of a parent created first.
func (m *model) multi(client int, request history.Request) history.Result {
	planned := map[string]bool{}
	for _, part := range request.Parts {
		if e := m.refuses(part, planned); e != "" {
			return history.Result{Error: e}
		}
		planned[part.Path] = part.Kind == history.Create
	}
	var result history.Result
	for _, part := range request.Parts {
		r := m.one(client, part)
		r.Outcome = history.OK
		result.Parts = append(result.Parts, r)
	}
	return result
}

func (m *model) refuses(r history.Request, planned map[string]bool) string {
	node := m.znodes[r.Path]
	if r.Kind == history.Create {
		parent := parentOf(r.Path)
		switch {
		case m.znodes[parent] == nil && !planned[parent]:
			return "NoNode"
		case node != nil && !r.Sequential:
			return "NodeExists"
		}
		return ""
	}
	switch {
	case node == nil:
		return "NoNode"
	case r.Kind == history.Delete && len(node.children) > 0:
		return "NotEmpty"
	case (r.Kind == history.Set || r.Kind == history.Delete || r.Kind == history.Check) &&
		r.Version != history.AnyVersion && r.Version != node.stat.Version:
		return "BadVersion"
	}
	return ""
}

func (m *model) one(client int, r history.Request) history.Result {
	switch r.Kind {
	case history.CloseSession:
		m.endSession(client, history.Closed)
		return history.Result{}
	case history.AbandonSession:
		m.endSession(client, history.Abandoned)
		return history.Result{}
	}
	e := m.refuses(r, nil)
	if r.Watch && (e == "" || r.Kind == history.Exists) {
		table := m.watches
		if r.Kind == history.Children {
			table = m.children
		}
		if table[r.Path] == nil {
			table[r.Path] = map[int]bool{}
		}
		table[r.Path][client] = true
	}
	if e != "" {
		return history.Result{Error: e}
	}
	node := m.znodes[r.Path]
	switch r.Kind {
	case history.Create:
		return m.create(client, r)
	case history.Delete:
		m.remove(r.Path)
		return history.Result{}
	case history.Set:
		node.value = r.Value
		node.stat.Version++
		m.fire(m.watches, r.Path, "changed")
	case history.Get, history.SyncGet:
		stat := node.stat
		return history.Result{Value: node.value, Stat: &stat}
	case history.Children, history.SyncChildren:
		var children []string
		for child := range node.children {
			children = append(children, child)
		}
		slices.Sort(children)
		return history.Result{Children: children}
	case history.Exists, history.Check:
	default:
		panic(fmt.Sprintf("the model cannot %s", r.Kind))
	}
	stat := node.stat
	return history.Result{Stat: &stat}
}

func (m *model) create(client int, r history.Request) history.Result {
	parent := m.znodes[parentOf(r.Path)]
	path := r.Path
	if r.Sequential {
		path = fmt.Sprintf("%s%010d", path, parent.created)
	}
	parent.created++
	node := &znode{value: r.Value, children: map[string]bool{}, stat: history.Stat{Czxid: m.zxid}}
	if r.Ephemeral {
		node.stat.EphemeralOwner = m.sessions[client]
	}
	m.znodes[path] = node
	parent.children[path[strings.LastIndexByte(path, '/')+1:]] = true
	m.fire(m.watches, path, "created")
	m.fire(m.children, parentOf(path), "children")
	stat := node.stat
	return history.Result{Path: path, Stat: &stat}
}

func (m *model) remove(path string) {
	delete(m.znodes, path)
	delete(m.znodes[parentOf(path)].children, path[strings.LastIndexByte(path, '/')+1:])
	m.fire(m.watches, path, "deleted")
	m.fire(m.children, parentOf(path), "children")
}

func (m *model) fire(table map[string]map[int]bool, path, what string) {
	watchers := table[path]
	delete(table, path)
	for _, client := range slices.Sorted(maps.Keys(watchers)) {
		m.notify(client, history.Event{Kind: history.WatchFired, Watch: &history.Watch{Type: what, Path: path}})
	}
}

// endSession removes what the session owned. The state is what its client is told, empty for nothing.
func (m *model) endSession(client int, state history.State) {
	session := m.sessions[client]
	delete(m.sessions, client)
	var owned []string
	for path, node := range m.znodes {
		if session != 0 && node.stat.EphemeralOwner == session {
			owned = append(owned, path)
		}
	}
	slices.Sort(owned)
	for _, table := range []map[string]map[int]bool{m.watches, m.children} {
		for _, watchers := range table {
			delete(watchers, client)
		}
	}
	for _, path := range owned {
		m.remove(path)
	}
	if state != "" {
		m.notify(client, history.Event{Kind: history.Session, State: state})
	}
}

func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// step is what one client did, for comparison and judgement.
type step struct {
	client  int
	at      time.Duration
	request history.Request
	result  history.Result
}

// simulate runs a workload on a model for so many operations, in virtual time.
func simulate(w workloads.Workload, n int, seed uint64, operations int, faults bool) ([]step, *model) {
	m := newModel(seed, faults)
	clients := w.Clients(n, seed)
	m.notify = func(client int, e history.Event) {}
	for _, request := range w.Setup() {
		m.carryOut(0, request)
	}
	wakeAt := make([]time.Duration, n+1)
	m.notify = func(client int, e history.Event) {
		if client > 0 {
			wakeAt[client] = 0
			clients[client-1].Notify(e)
		}
	}
	schedule := rand.New(rand.NewPCG(seed, 7))
	var steps []step
	now := time.Duration(0)
	for len(steps) < operations {
		now += time.Millisecond
		client := 1 + schedule.IntN(n)
		if wakeAt[client] > now {
			continue
		}
		s := clients[client-1].Next(now)
		if s.Do == nil {
			wakeAt[client] = now + s.Wait
			continue
		}
		result := m.perform(client, *s.Do)
		steps = append(steps, step{client, now, *s.Do, result})
		clients[client-1].Return(*s.Do, result)
	}
	return steps, m
}
