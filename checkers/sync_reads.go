package checkers

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ordeal/results/history"
)

// syncReads judges reads that a sync precedes. They are no part of the linearizability that is judged
// elsewhere if the implementation is known not to keep this promise.
var syncReads = &guarantee{
	name:      "sync-reads",
	describe:  "a read after sync shows every write that was acknowledged before the sync was sent",
	promise:   "A read that follows a sync sees every write acknowledged before the sync was sent.",
	workloads: []string{"register", "bank", "queue", "lock", "set"},
	nothing:   "no read after a sync was answered",
	start: func(options Options) judge {
		return &syncJudge{weak: options.KnownWeakSync && !options.StrictSync, memory: newMemory(options, "reads after sync"),
			paths: map[string]acknowledged{}, pending: map[int64]snapshot{}, children: map[string]*membership{},
			deletes: map[string]bool{}, creates: map[string]int{}, ephemeral: map[string]bool{},
			ticks: options.TickTime, faults: map[int]bool{}}
	},
}

// knownWeakness is what evidence says where a promise is known not to be kept. Apache's leader answers a
// sync without asking a quorum whether it still leads: what a deposed leader does not know is excused near
// a fault or a change of leaders.
const knownWeakness = "known weakness ZOOKEEPER-1675 (sync is not a quorum operation)"

const (
	// staleUnnoticed is how old a write may be that is excused without any fault. Apache's leader answers a sync on a
	// connection of its own even before it has applied a commit that a follower has applied and answered: stale
	// for less than a millisecond (seen on 3.8.0), or for as long as a busy machine lets its threads wait.
	staleUnnoticed = 10 * time.Millisecond
	// deposedTicks is how long after the last fault, or the last change of leaders, a leader may not know that it
	// is none any more: syncLimit, at Apache's default of 5 ticks, for either side of a link to notice.
	deposedTicks = 10
	// deposedLongest stands for it if the tick is not known.
	deposedLongest = 20 * time.Second
)

// acknowledged is a write of which a client knows that it took effect.
type acknowledged struct {
	zxid      int64
	deleted   bool
	operation int64
	client    int
	answered  time.Duration
	path      string
}

// snapshot is what had been acknowledged when a sync was sent.
type snapshot struct {
	newest acknowledged // of all writes
	path   acknowledged // of the path read
	old    acknowledged // newest of those that were acknowledged more than staleUnnoticed before
	usable bool
}

// membership is what was acknowledged of a parent's children.
type membership struct {
	present, gone map[string]acknowledged
}

type syncJudge struct {
	weak bool
	*memory
	evidence
	stale  evidence // known weakness
	judged int

	newest acknowledged
	paths  map[string]acknowledged
	// fresh are writes answered at the instant fresh[0].answered: calls of that same instant overlap
	// with them.
	fresh    []acknowledged
	recent   []acknowledged // in newest, and not in old yet
	old      acknowledged
	settled  time.Duration // no write answered later is in newest and paths
	pending  map[int64]snapshot
	children map[string]*membership
	// A delete that was ever sent may be why a znode is missing, and a second create why one is there.
	deletes map[string]bool
	creates map[string]int
	// ephemeral are paths where somebody may have created an ephemeral znode: it goes with its session.
	ephemeral map[string]bool

	ticks    time.Duration
	faults   map[int]bool  // on
	restless time.Duration // when a fault was last switched on or off, or a leader began to lead
	shaken   bool          // that ever happened
}

func (j *syncJudge) event(e history.Event) {
	switch e.Kind {
	case history.FaultOn, history.FaultOff:
		if e.Fault != nil {
			j.faults[e.Fault.ID] = e.Kind == history.FaultOn
		}
		j.restless, j.shaken = e.Time, true
	case history.Member:
		if e.State == history.Leading {
			j.restless, j.shaken = e.Time, true
		}
	case history.Call:
		if e.Request != nil {
			j.called(e)
		}
	}
}

func (j *syncJudge) called(e history.Event) {
	switch e.Request.Kind {
	case history.SyncGet, history.SyncChildren:
		j.settle(e.Time)
		j.pending[e.Operation] = snapshot{newest: j.newest, path: j.paths[e.Request.Path], old: j.old, usable: j.settled < e.Time || j.settled == 0}
	case history.Create, history.Delete:
		j.sent(e.Request)
	case history.Multi:
		for i := range e.Request.Parts {
			j.sent(&e.Request.Parts[i])
		}
	}
}

// sent notes a write that may take effect from now on.
func (j *syncJudge) sent(r *history.Request) {
	const each = 60 // bytes that a path costs beside its name
	if r.Ephemeral && !r.Sequential {
		j.mayGo(r.Path)
	}
	switch {
	case r.Kind == history.Delete && !j.deletes[r.Path] && j.memory.take(each+len(r.Path)):
		j.deletes[r.Path] = true
	case r.Kind == history.Create && !r.Sequential && j.memory.take(each+len(r.Path)):
		j.creates[r.Path]++
	}
}

// mayGo notes that a znode of this path may go with its session.
func (j *syncJudge) mayGo(path string) {
	const each = 60 // bytes that a path costs beside its name
	if !j.ephemeral[path] && j.memory.take(each+len(path)) {
		j.ephemeral[path] = true
	}
}

// settle takes in what was answered before now.
func (j *syncJudge) settle(now time.Duration) {
	kept := j.fresh[:0]
	for _, a := range j.fresh {
		if a.answered >= now {
			kept = append(kept, a)
			continue
		}
		j.settled = max(j.settled, a.answered)
		j.recent = append(j.recent, a)
		if a.zxid > j.newest.zxid {
			j.newest = a
		}
		if a.zxid > j.paths[a.path].zxid {
			j.paths[a.path] = a
		}
	}
	j.fresh = kept
	kept = j.recent[:0]
	for _, a := range j.recent {
		switch {
		case a.answered+staleUnnoticed >= now:
			kept = append(kept, a)
		case a.zxid > j.old.zxid:
			j.old = a
		}
	}
	j.recent = kept
}

func (j *syncJudge) operation(op operation) {
	switch op.request.Kind {
	case history.SyncGet, history.SyncChildren:
		snap := j.pending[op.id]
		delete(j.pending, op.id)
		if op.ok() || op.failed("NoNode") {
			j.read(op, snap)
		}
	case history.Create, history.Delete, history.Set:
		if op.ok() {
			j.acknowledge(op, op.request, op.result)
		}
	case history.Multi:
		for i := range op.request.Parts {
			if op.ok() && i < len(op.result.Parts) {
				j.acknowledge(op, &op.request.Parts[i], &op.result.Parts[i])
			}
		}
	}
}

func (j *syncJudge) acknowledge(op operation, request *history.Request, result *history.Result) {
	if request.Kind == history.Check {
		return
	}
	path := request.Path
	if result.Path != "" {
		path = result.Path
	}
	const each = 400 // bytes that a path costs beside its name
	if _, known := j.paths[path]; !known && !j.memory.take(each+len(path)) {
		return
	}
	if ephemeralBy(request, result) {
		j.mayGo(path)
	}
	a := acknowledged{zxid: writeZxid(op, request, result), deleted: request.Kind == history.Delete,
		operation: op.id, client: op.client, answered: op.ret, path: path}
	j.settle(op.ret)
	j.fresh = append(j.fresh, a)

	m := j.children[parent(path)]
	if m == nil {
		m = &membership{present: map[string]acknowledged{}, gone: map[string]acknowledged{}}
		j.children[parent(path)] = m
	}
	switch {
	case request.Kind == history.Create && a.zxid > m.gone[path].zxid:
		m.present[path] = a
		delete(m.gone, path)
	case a.deleted && a.zxid > m.present[path].zxid:
		m.gone[path] = a
		delete(m.present, path)
	}
}

func (j *syncJudge) read(op operation, snap snapshot) {
	if !snap.usable {
		return
	}
	if op.load && snap.newest.zxid > 0 {
		j.judged++
	}
	if op.result.Zxid > 0 && op.result.Zxid < snap.newest.zxid {
		words := fmt.Sprintf("%s shows the state of zxid %s, older than the write acknowledged to %s before the sync was sent",
			op, zxidWord(op.result.Zxid), snap.newest)
		if j.weak && j.excused(op, snap) {
			j.stale.add("%s: %s", knownWeakness, words)
		} else {
			j.evidence.add("%s", words)
		}
		return
	}
	j.content(op, snap.path)
	if op.request.Kind == history.SyncChildren && op.ok() {
		j.members(op)
	}
}

// excused tells whether the known weakness explains a stale read: hardly stale, or near a fault or a change
// of leaders. An election that follows a fault ends with such a change, however long it takes.
func (j *syncJudge) excused(op operation, snap snapshot) bool {
	if op.result.Zxid >= snap.old.zxid {
		return true
	}
	for _, on := range j.faults {
		if on {
			return true
		}
	}
	within := deposedTicks * j.ticks
	if within == 0 {
		within = deposedLongest
	}
	return j.shaken && op.call-j.restless < within
}

// content compares one znode with what was acknowledged of it.
func (j *syncJudge) content(op operation, a acknowledged) {
	stat := op.result.Stat
	switch {
	case a.zxid == 0:
	case stat == nil:
		if !op.ok() && !a.deleted && j.certain(a) {
			j.evidence.add("%s does not find what was written for %s before the sync was sent, and nobody deleted it", op, a)
		}
	case a.deleted && stat.Czxid < a.zxid:
		j.evidence.add("%s shows the znode created at zxid %s, whose delete was acknowledged to %s before the sync was sent",
			op, zxidWord(stat.Czxid), a)
	case !a.deleted && stat.Mzxid < a.zxid:
		j.evidence.add("%s shows mzxid %s, older than the write acknowledged to %s before the sync was sent",
			op, zxidWord(stat.Mzxid), a)
	}
}

// members compares a list of children with those that must be, and must not be, in it.
func (j *syncJudge) members(op operation) {
	m := j.children[op.request.Path]
	if m == nil {
		return
	}
	listed := make(map[string]bool, len(op.result.Children))
	for _, name := range op.result.Children {
		path := child(op.request.Path, name)
		listed[path] = true
		if a, ok := m.gone[path]; ok && j.creates[path] <= 1 && a.answered < op.call {
			j.evidence.add("%s lists %s, whose delete was acknowledged to %s before the sync was sent", op, name, a)
		}
	}
	var missing []string
	for path, a := range m.present {
		if !listed[path] && j.certain(a) && a.answered < op.call {
			missing = append(missing, fmt.Sprintf("%s, created for %s", path, a))
		}
	}
	if len(missing) > 0 {
		j.evidence.add("%s does not list %s", op, smallest(missing))
	}
}

// certain tells whether only a delete that nobody sent could take the znode away.
func (j *syncJudge) certain(a acknowledged) bool { return !j.ephemeral[a.path] && !j.deletes[a.path] }

// smallest returns the first of the words in their order, and how many others there are.
func smallest(words []string) string {
	first := words[0]
	for _, w := range words {
		if strings.Compare(w, first) < 0 {
			first = w
		}
	}
	if len(words) > 1 {
		first += fmt.Sprintf(" and %d others", len(words)-1)
	}
	return first
}

func (j *syncJudge) finish(context.Context) Result {
	r := j.evidence.conclude(j.judged)
	r.Evidence = append(r.Evidence, j.stale.all()...)
	return r
}

func (a acknowledged) String() string {
	return fmt.Sprintf("client %d (operation %d on %s, answered at %s, zxid %s)", a.client, a.operation, a.path,
		timeWord(a.answered), zxidWord(a.zxid))
}
