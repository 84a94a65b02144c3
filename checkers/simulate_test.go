package checkers

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"ordeal/results/history"
	"ordeal/workloads"
)

// simulation is an ensemble that keeps every promise: one log of transactions, members that apply it
// at different paces, clients of the real workloads whose connections break. What it records must be
// valid, whatever the seed.
type simulation struct {
	random  *rand.Rand
	now     time.Duration
	queue   eventQueue
	serial  int64
	log     []transaction // zxid is the index + 1
	members []int         // how many transactions each has applied
	clients []*simulatedClient
	events  history.Memory
	lost    int // per cent of operations whose connection breaks
	number  int64
	last    int64          // session
	ended   map[int64]bool // sessions
}

type simulatedZnode struct {
	exists bool
	value  string
	stat   history.Stat
	serial int64 // children ever created
}

type transaction struct {
	tree    versioned[simulatedZnode]
	changes []history.Watch
}

type simulatedClient struct {
	number            int
	workload          string
	client            workloads.Client
	session           int64
	member            int
	seen              int // transactions
	data, exist, kids map[string]bool
	waiting           int64 // serial of the wait that a watch event cuts short
	done              bool
}

func (c *simulatedClient) name() string { return ownerName(c.session) }

type queuedStep struct {
	at     time.Duration
	serial int64
	run    func()
}

type eventQueue []queuedStep

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].at, q[j].at), cmp.Compare(q[i].serial, q[j].serial)) < 0
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(queuedStep)) }
func (q *eventQueue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// nowhere is the member of a client without a connection.
const nowhere = -1

// simulate runs workloads until about this many operations were called.
func simulate(seed uint64, operations, lostPercent int, names ...string) history.Memory {
	s := &simulation{random: rand.New(rand.NewPCG(seed, 7)), members: make([]int, 3), lost: lostPercent, ended: map[int64]bool{}}
	s.note(history.Phase, "setup")
	for m := range s.members {
		s.record(history.Event{Kind: history.Member, Member: m + 1, State: history.Serving})
	}
	var each []workloads.Client
	for _, name := range names {
		w, err := workloads.Get(name)
		if err != nil {
			panic(err)
		}
		for _, r := range w.Setup() {
			s.commit(&r, 0)
		}
		for _, c := range w.Clients(4, seed) {
			s.clients = append(s.clients, &simulatedClient{number: len(s.clients) + 1, workload: name, client: c})
		}
		each = append(each, w.Clients(1, seed)...)
	}
	s.note(history.Phase, "load")
	fault := history.Fault{ID: 1, Kind: history.Kill, Members: []int{1}}
	s.record(history.Event{Kind: history.FaultOn, Fault: &fault})
	for _, c := range s.clients {
		s.connect(c)
		s.after(0, func() { s.next(c) })
	}
	for len(s.queue) > 0 && s.number < int64(operations) {
		s.step()
	}
	s.record(history.Event{Kind: history.FaultOff, Fault: &fault})
	for _, c := range s.clients {
		c.done = true
	}
	s.drain()
	s.note(history.Phase, "heal")
	for _, c := range s.clients {
		s.perform(c, history.Request{Kind: history.CloseSession}, s.chance(s.lost))
	}
	s.drain()
	s.now += simulatedOptions().SessionTimeout + 2*simulatedOptions().TickTime
	for session := range s.last {
		s.end(0x1000 + session + 1) // what was not closed has expired
	}
	s.note(history.Phase, finalPhase)
	for m := range s.members {
		s.apply(m, len(s.log))
	}
	for i, name := range names {
		w, _ := workloads.Get(name)
		c := &simulatedClient{number: len(s.clients) + 1, workload: name, client: each[i]}
		s.clients = append(s.clients, c)
		s.connect(c)
		c.done = true
		for _, r := range w.Final() {
			s.perform(c, r, false)
			s.drain()
		}
	}
	s.finals()
	s.note(history.Phase, "end")
	return s.events
}

func (s *simulation) drain() {
	for len(s.queue) > 0 {
		s.step()
	}
}

func (s *simulation) step() {
	next := heap.Pop(&s.queue).(queuedStep)
	s.now = next.at
	if s.random.IntN(3) == 0 { // members apply at their own pace
		m := s.random.IntN(len(s.members))
		s.apply(m, s.members[m]+s.random.IntN(1+len(s.log)-s.members[m]))
	}
	next.run()
}

func (s *simulation) after(d time.Duration, run func()) {
	s.serial++
	heap.Push(&s.queue, queuedStep{s.now + d, s.serial, run})
}

// pause is a random time of the order of a millisecond.
func (s *simulation) pause() time.Duration {
	return time.Duration(1 + s.random.ExpFloat64()*float64(time.Millisecond))
}

// late is how long a request may be under way whose connection is lost: seconds now and then, since
// the ensemble may be without a leader.
func (s *simulation) late() time.Duration {
	if s.chance(25) {
		return time.Duration(s.random.Int64N(int64(3 * time.Second)))
	}
	return s.pause()
}

func (s *simulation) chance(percent int) bool { return s.random.IntN(100) < percent }

func (s *simulation) record(e history.Event) {
	e.Time = s.now
	s.events = append(s.events, e)
}

func (s *simulation) note(kind history.EventKind, text string) {
	s.record(history.Event{Kind: kind, Text: text})
}

// connect gives a client a new session.
func (s *simulation) connect(c *simulatedClient) {
	s.last++
	c.session, c.member, c.seen = 0x1000+s.last, s.random.IntN(len(s.members)), 0
	c.data, c.exist, c.kids = map[string]bool{}, map[string]bool{}, map[string]bool{}
	s.state(c, history.Connected)
}

func (s *simulation) state(c *simulatedClient, state history.State) {
	e := history.Event{Kind: history.Session, Client: c.number, Workload: c.workload, Member: c.member + 1, SessionID: c.name(), State: state}
	s.record(e)
	c.client.Notify(e)
}

// resume moves a session to another member, and leaves its watches there.
func (s *simulation) resume(c *simulatedClient) {
	c.member = s.random.IntN(len(s.members))
	s.apply(c.member, c.seen)
	s.state(c, history.Resumed)
	tree, zxid := s.tree(c.member), int64(c.seen)
	check := func(table map[string]bool, fired func(simulatedZnode) string) {
		for _, path := range sortedKeys(table) {
			z, _ := tree.get(path)
			if word := fired(z); word != "" && table[path] {
				s.fire(c, history.Watch{Type: word, Path: path})
			}
		}
	}
	check(c.data, func(z simulatedZnode) string {
		switch {
		case !z.exists:
			return "deleted"
		case z.stat.Mzxid > zxid:
			return "changed"
		}
		return ""
	})
	check(c.exist, func(z simulatedZnode) string {
		if z.exists {
			return "created"
		}
		return ""
	})
	check(c.kids, func(z simulatedZnode) string {
		switch {
		case !z.exists:
			return "deleted"
		case z.stat.Pzxid > zxid:
			return "children"
		}
		return ""
	})
}

func sortedKeys(m map[string]bool) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// fire tells a client of a change, if it has a watch for it.
func (s *simulation) fire(c *simulatedClient, w history.Watch) {
	tables := []map[string]bool{c.data, c.exist}
	switch w.Type {
	case "deleted":
		tables = append(tables, c.kids)
	case "children":
		tables = []map[string]bool{c.kids}
	}
	armed := false
	for _, table := range tables {
		armed = armed || table[w.Path]
		delete(table, w.Path)
	}
	if !armed {
		return
	}
	e := history.Event{Kind: history.WatchFired, Client: c.number, Workload: c.workload, Member: c.member + 1, SessionID: c.name(), Watch: &w}
	s.record(e)
	c.client.Notify(e)
	if c.waiting != 0 {
		c.waiting = 0
		s.after(0, func() { s.next(c) })
	}
}

// apply lets a member apply transactions up to a number of them.
func (s *simulation) apply(member, count int) {
	for s.members[member] < count {
		t := s.log[s.members[member]]
		s.members[member]++
		for _, c := range s.clients {
			for _, w := range t.changes {
				if c.session != 0 && c.member == member {
					s.fire(c, w)
				}
			}
		}
	}
}

func (s *simulation) tree(member int) versioned[simulatedZnode] {
	if s.members[member] == 0 {
		return versioned[simulatedZnode]{}
	}
	return s.log[s.members[member]-1].tree
}

func (s *simulation) next(c *simulatedClient) {
	if c.done {
		return
	}
	step := c.client.Next(s.now)
	if step.Do != nil {
		s.perform(c, *step.Do, s.chance(s.lost))
		return
	}
	s.serial++
	mine := s.serial
	c.waiting = mine
	s.after(max(step.Wait, 1), func() {
		if c.waiting == mine {
			c.waiting = 0
			s.next(c)
		}
	})
}

// perform carries out one operation, or loses its connection.
func (s *simulation) perform(c *simulatedClient, r history.Request, lost bool) {
	s.number++
	number := s.number
	s.record(history.Event{Kind: history.Call, Operation: number, Client: c.number, Workload: c.workload, Member: c.member + 1, SessionID: c.name(), Request: &r})
	reply := func(result history.Result) {
		s.record(history.Event{Kind: history.Return, Operation: number, Client: c.number, Workload: c.workload, Member: c.member + 1, SessionID: c.name(), Result: &result})
		c.client.Return(r, result)
		if r.Kind == history.CloseSession && result.Outcome != history.Failed {
			s.connect(c)
		}
	}
	answer := func(result history.Result) {
		reply(result)
		s.after(s.pause(), func() { s.next(c) })
	}
	writes := operation{request: &r}.writes()
	if r.Kind == history.AbandonSession {
		session := c.session
		s.state(c, history.Abandoned)
		answer(history.Result{Outcome: history.OK})
		s.connect(c)
		s.after(simulatedOptions().SessionTimeout, func() { s.end(session) })
		return
	}
	if lost {
		s.lose(c, r, reply)
		return
	}
	if writes {
		s.after(s.pause(), func() {
			result := s.commit(&r, c.session)
			at := len(s.log)
			s.after(s.pause(), func() {
				s.apply(c.member, at)
				c.seen = max(c.seen, at)
				if r.Kind == history.CloseSession {
					s.state(c, history.Closed)
				}
				answer(result)
			})
		})
		return
	}
	s.after(s.pause(), func() {
		at := len(s.log)
		s.after(s.pause(), func() {
			if r.Kind == history.SyncGet || r.Kind == history.SyncChildren {
				s.apply(c.member, at)
			}
			c.seen = max(c.seen, s.members[c.member])
			answer(s.read(c, &r))
		})
	})
}

// lose breaks the connection under an operation. A write may have taken effect, or take effect later, but
// not after the session was resumed elsewhere: its leader then knows that it has moved.
func (s *simulation) lose(c *simulatedClient, r history.Request, reply func(history.Result)) {
	session := c.session
	outcome, settled := history.Failed, s.now
	if (operation{request: &r}).writes() {
		outcome = history.Unknown
		if s.chance(50) {
			late := s.late()
			settled += late
			s.after(late, func() { s.commit(&r, session) })
		}
	}
	s.after(5*s.pause(), func() {
		s.state(c, history.Disconnected)
		c.member = nowhere
		reply(history.Result{Outcome: outcome, Error: "ConnectionLoss"})
		s.after(max(1, settled+1-s.now), func() {
			switch {
			case r.Kind == history.CloseSession: // it has a new session already
				s.after(simulatedOptions().SessionTimeout, func() { s.end(session) })
			case s.chance(20):
				s.end(session)
				s.state(c, history.Expired)
				s.connect(c)
			default:
				s.resume(c)
			}
			s.next(c)
		})
	})
}

func (s *simulation) read(c *simulatedClient, r *history.Request) history.Result {
	tree := s.tree(c.member)
	result := history.Result{Outcome: history.OK, Answered: true, Zxid: int64(s.members[c.member])}
	z, _ := tree.get(r.Path)
	if !z.exists {
		if r.Watch && r.Kind == history.Exists {
			c.exist[r.Path] = true
		}
		result.Outcome, result.Error = history.Failed, "NoNode"
		return result
	}
	stat := z.stat
	result.Stat = &stat
	switch r.Kind {
	case history.Children, history.SyncChildren:
		result.Children = children(tree, r.Path)
		if r.Watch {
			c.kids[r.Path] = true
		}
	default:
		if r.Kind != history.Exists {
			result.Value = z.value
		}
		if r.Watch {
			c.data[r.Path] = true
		}
	}
	return result
}

func children(tree versioned[simulatedZnode], path string) []string {
	var names []string
	tree.each(func(p string, z simulatedZnode) {
		if z.exists && p != path && parent(p) == path {
			names = append(names, p[len(path)+1:])
		}
	})
	slices.Sort(names)
	return names
}

// commit puts a transaction at the end of the log, an error too.
func (s *simulation) commit(r *history.Request, session int64) history.Result {
	t := transaction{}
	if len(s.log) > 0 {
		t.tree = s.log[len(s.log)-1].tree
	}
	zxid := int64(len(s.log) + 1)
	var result history.Result
	switch {
	case s.ended[session]:
		result.Error = "SessionExpired"
	case r.Kind == history.Multi:
		before := t
		for i := range r.Parts {
			part := t.do(&r.Parts[i], session, zxid)
			if r.Parts[i].Kind == history.Create {
				part.Stat = nil
			}
			result.Parts = append(result.Parts, part)
			if part.Error != "" {
				t, result.Error = before, part.Error
				break
			}
		}
		if result.Error != "" {
			for i := range r.Parts {
				switch {
				case i < len(result.Parts)-1:
					result.Parts[i] = history.Result{Outcome: history.Failed, Error: "Ok"}
				case i >= len(result.Parts):
					result.Parts = append(result.Parts, history.Result{Outcome: history.Failed, Error: runtimeInconsistency})
				}
			}
		}
	case r.Kind == history.CloseSession:
		s.ended[session] = true
		t.tree.each(func(path string, z simulatedZnode) {
			if z.exists && z.stat.EphemeralOwner == session {
				t.do(&history.Request{Kind: history.Delete, Path: path, Version: history.AnyVersion}, session, zxid)
			}
		})
	default:
		result = t.do(r, session, zxid)
	}
	result.Outcome, result.Answered, result.Zxid = history.OK, true, zxid
	if result.Error != "" {
		result.Outcome = history.Failed
	}
	s.log = append(s.log, t)
	return result
}

// end ends a session as an expiry does, if it has not ended yet.
func (s *simulation) end(session int64) {
	if s.ended[session] {
		return
	}
	s.commit(&history.Request{Kind: history.CloseSession}, session)
}

// do changes the tree, or says why not.
func (t *transaction) do(r *history.Request, session, zxid int64) history.Result {
	z, _ := t.tree.get(r.Path)
	above, _ := t.tree.get(parent(r.Path))
	fail := func(code string) history.Result { return history.Result{Outcome: history.Failed, Error: code} }
	if r.Kind != history.Create {
		switch {
		case !z.exists:
			return fail("NoNode")
		case r.Version != history.AnyVersion && r.Version != z.stat.Version:
			return fail("BadVersion")
		}
	}
	switch r.Kind {
	case history.Create:
		path := r.Path
		if r.Sequential {
			path = fmt.Sprintf("%s%010d", path, above.serial)
			z, _ = t.tree.get(path)
		}
		switch {
		case z.exists:
			return fail("NodeExists")
		case parent(path) != "/" && !above.exists:
			return fail("NoNode")
		}
		z = simulatedZnode{exists: true, value: r.Value, stat: history.Stat{Czxid: zxid, Mzxid: zxid, Pzxid: zxid}}
		if r.Ephemeral {
			z.stat.EphemeralOwner = session
		}
		t.tree = t.tree.with(path, z)
		t.changes = append(t.changes, history.Watch{Type: "created", Path: path})
		above.serial++
		t.touch(path, above, zxid)
		stat := z.stat
		return history.Result{Outcome: history.OK, Path: path, Stat: &stat}
	case history.Delete:
		if len(children(t.tree, r.Path)) > 0 {
			return fail("NotEmpty")
		}
		t.tree = t.tree.with(r.Path, simulatedZnode{})
		t.changes = append(t.changes, history.Watch{Type: "deleted", Path: r.Path})
		t.touch(r.Path, above, zxid)
	case history.Set:
		z.value, z.stat.Mzxid, z.stat.Version = r.Value, zxid, z.stat.Version+1
		t.tree = t.tree.with(r.Path, z)
		t.changes = append(t.changes, history.Watch{Type: "changed", Path: r.Path})
		stat := z.stat
		return history.Result{Outcome: history.OK, Stat: &stat}
	}
	return history.Result{Outcome: history.OK}
}

// touch changes the parent of a znode that came or went.
func (t *transaction) touch(path string, above simulatedZnode, zxid int64) {
	if parent(path) == "/" {
		return
	}
	above.stat.Pzxid = zxid
	above.stat.Cversion++
	t.tree = t.tree.with(parent(path), above)
	t.changes = append(t.changes, history.Watch{Type: "children", Path: parent(path)})
}

// finals records the tree of every member.
func (s *simulation) finals() {
	for m := range s.members {
		s.apply(m, len(s.log))
		count := 0
		s.tree(m).each(func(path string, z simulatedZnode) {
			if z.exists {
				count++
				s.record(history.Event{Kind: history.Znode, Member: m + 1, Node: &history.Node{Path: path, Value: z.value, Stat: z.stat}})
			}
		})
		s.record(history.Event{Kind: history.Final, Member: m + 1, Zxid: int64(len(s.log)), Count: count, Digest: "d"})
	}
}
