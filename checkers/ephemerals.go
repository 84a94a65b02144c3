package checkers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"ordeal/results/history"
)

// ephemerals judges the life of ephemeral znodes against that of their sessions. A session that was
// closed ended at the zxid of the answer; one that expired ended at a time that is known within
// bounds; one that is answered at a zxid was alive until then.
var ephemerals = &guarantee{
	name:      "ephemerals",
	describe:  "an ephemeral znode is there as long as its session, and gone after the session's end",
	promise:   "Ephemeral znodes live exactly as long as the session that created them.",
	workloads: []string{"lock"},
	nothing:   "no ephemeral znode was created",
	start: func(options Options) judge {
		return &ephemeralJudge{memory: newMemory(options), bound: expiryBound(options), paths: map[string]*ephemeral{},
			live: map[string]map[string]*ephemeral{}, lives: map[string]*life{}, faults: map[int]bool{}, deletes: map[string]bool{}}
	},
}

// expiryBound is how long after a session's end was told to its client the znodes may still be seen:
// a new leader gives every session its whole time-out again before it ends it.
func expiryBound(options Options) time.Duration {
	const ticks = 10
	if options.SessionTimeout == 0 {
		return time.Minute
	}
	return 2*options.SessionTimeout + ticks*options.TickTime
}

// ephemeral is an acknowledged ephemeral znode.
type ephemeral struct {
	path, session string
	czxid         int64
	operation     int64
	absentAt      int64 // the zxid of the first reply that did not show it; 0 if none
	absentBy      string
}

// life is what is known of a session that created ephemeral znodes, or owns some.
type life struct {
	closedAt int64         // the zxid of the answer to its close; 0 if none
	closed   string        // by which operation
	expired  time.Duration // when its client was told that it is gone; 0 if it was not
	aliveAt  int64         // the greatest zxid at which it was answered
	shownAt  int64         // the greatest zxid of a reply that showed one of its znodes
	shown    string
	overdue  bool // in evidence already
}

type ephemeralJudge struct {
	memory   memory
	bound    time.Duration
	evidence evidence
	paths    map[string]*ephemeral
	live     map[string]map[string]*ephemeral // by parent: acknowledged and not seen absent
	lives    map[string]*life
	faults   map[int]bool    // on
	deletes  map[string]bool // paths that somebody asked to delete
	restless time.Duration   // when a fault was last switched on or off
	answered time.Duration   // when an operation last succeeded: the ensemble worked until then
	judged   int
}

func (j *ephemeralJudge) life(session string) *life {
	l := j.lives[session]
	if l == nil {
		l = &life{}
		j.lives[session] = l
	}
	return l
}

func (j *ephemeralJudge) event(e history.Event) {
	switch e.Kind {
	case history.Call:
		if e.Request != nil && e.Request.Kind == history.Delete {
			j.deletes[e.Request.Path] = true
		}
	case history.FaultOn, history.FaultOff:
		j.restless = e.Time
		if e.Fault != nil {
			j.faults[e.Fault.ID] = e.Kind == history.FaultOn
		}
	case history.Session:
		if l := j.life(e.SessionID); e.State == history.Expired && l.expired == 0 {
			l.expired = e.Time
		}
	case history.Znode:
		if e.Node != nil && e.Node.Stat.EphemeralOwner != 0 {
			j.final(e)
		}
	}
}

// final judges an ephemeral znode in a final tree.
func (j *ephemeralJudge) final(e history.Event) {
	session := ownerName(e.Node.Stat.EphemeralOwner)
	l := j.lives[session]
	switch {
	case l == nil:
	case l.closedAt > 0:
		j.evidence.add("member %d still has %s of session %s, which was closed at zxid %s by %s",
			e.Member, e.Node.Path, session, zxidWord(l.closedAt), l.closed)
	case l.expired > 0 && j.overdue(l, j.answered):
		j.evidence.add("member %d still has %s of session %s, whose client was told at %s that it had expired",
			e.Member, e.Node.Path, session, timeWord(l.expired))
	}
}

// overdue tells whether an expired session should have ended for everybody by this time.
func (j *ephemeralJudge) overdue(l *life, now time.Duration) bool {
	for _, on := range j.faults {
		if on {
			return false
		}
	}
	return now-max(l.expired, j.restless) > j.bound
}

func (j *ephemeralJudge) operation(op operation) {
	if !op.ok() && !op.result.Answered {
		return
	}
	zxid := op.result.Zxid
	if op.ok() {
		j.answered = max(j.answered, op.ret)
		if op.session != "" && op.request.Kind != history.CloseSession {
			l := j.life(op.session)
			l.aliveAt = max(l.aliveAt, zxid)
		}
	}
	switch op.request.Kind {
	case history.Create:
		if op.ok() && op.request.Ephemeral {
			j.created(op)
		}
	case history.CloseSession:
		if op.ok() {
			l := j.life(op.session)
			l.closedAt, l.closed = zxid, op.short()
		}
	case history.Get, history.SyncGet, history.Exists:
		if op.failed("NoNode") {
			j.absent(op, j.paths[op.request.Path])
		} else if op.ok() && op.result.Stat != nil && op.result.Stat.EphemeralOwner != 0 {
			j.shown(op, op.request.Path, ownerName(op.result.Stat.EphemeralOwner))
		}
	case history.Children, history.SyncChildren:
		if op.ok() {
			j.listed(op)
		}
	}
}

func (j *ephemeralJudge) created(op operation) {
	path := op.result.Path
	if path == "" {
		path = op.request.Path
	}
	const each = 400 // bytes that an ephemeral znode costs
	if !j.memory.take(each + 2*len(path)) {
		return
	}
	j.judged++
	e := &ephemeral{path: path, session: op.session, czxid: writeZxid(op, op.request, op.result), operation: op.id}
	j.life(op.session)
	j.paths[path] = e
	siblings := j.live[parent(path)]
	if siblings == nil {
		siblings = map[string]*ephemeral{}
		j.live[parent(path)] = siblings
	}
	siblings[path] = e
}

// shown notes a reply that shows a znode of this session.
func (j *ephemeralJudge) shown(op operation, path, session string) {
	l := j.life(session)
	if op.result.Zxid > l.shownAt {
		l.shownAt, l.shown = op.result.Zxid, fmt.Sprintf("%s, which shows %s", op, path)
	}
	synced := op.request.Kind == history.SyncGet || op.request.Kind == history.SyncChildren
	if synced && l.expired > 0 && !l.overdue && j.overdue(l, op.call) {
		l.overdue = true
		j.evidence.add("session %s had expired at %s, and its %s is still there: %s", session, timeWord(l.expired), path, op)
	}
}

// absent notes a reply that does not show an ephemeral znode.
func (j *ephemeralJudge) absent(op operation, e *ephemeral) {
	if e != nil && e.absentAt == 0 && op.result.Zxid > e.czxid {
		e.absentAt, e.absentBy = op.result.Zxid, op.String()
		delete(j.live[parent(e.path)], e.path)
	}
}

func (j *ephemeralJudge) listed(op operation) {
	names := make(map[string]bool, len(op.result.Children))
	for _, name := range op.result.Children {
		path := child(op.request.Path, name)
		names[path] = true
		// The znode listed is the one known only if its name is never given again.
		if e := j.paths[path]; e != nil && sequentialName(name) {
			j.shown(op, path, e.session)
		}
	}
	siblings := j.live[op.request.Path]
	for _, path := range slices.Sorted(maps.Keys(siblings)) {
		if !names[path] {
			j.absent(op, siblings[path])
		}
	}
}

// sequentialName tells whether a name ends like that of a sequential znode.
func sequentialName(name string) bool {
	if len(name) < suffixDigits {
		return false
	}
	return strings.Trim(name[len(name)-suffixDigits:], "0123456789") == ""
}

func (j *ephemeralJudge) finish(context.Context) Result {
	for _, session := range slices.Sorted(maps.Keys(j.lives)) {
		l := j.lives[session]
		if l.closedAt > 0 && l.shownAt >= l.closedAt {
			j.evidence.add("session %s was closed at zxid %s by %s, and its znode was seen after that: %s",
				session, zxidWord(l.closedAt), l.closed, l.shown)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(j.paths)) {
		e := j.paths[path]
		l := j.lives[e.session]
		if e.absentAt > 0 && !j.deletes[path] && l.aliveAt > e.absentAt {
			j.evidence.add("%s of session %s (created by operation %d at zxid %s) was gone while the session was alive, at least until zxid %s, and nobody deleted it: %s",
				path, e.session, e.operation, zxidWord(e.czxid), zxidWord(l.aliveAt), e.absentBy)
		}
	}
	r := j.evidence.conclude(j.judged)
	if r.Verdict == "" && j.memory.exceeded {
		r.Verdict, r.Reason = Unknown, j.memory.reason("ephemeral znodes")
	}
	return r
}

// ownerName is a session's number as ZooKeeper prints it.
func ownerName(owner int64) string { return "0x" + strconv.FormatUint(uint64(owner), 16) }
