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
// closed ended at the zxid of the answer; one whose client has gone expires within a time that is
// known; one that is answered at a zxid was alive until then.
var ephemerals = &guarantee{
	name:      "ephemerals",
	describe:  "an ephemeral znode is there as long as its session, and gone after the session's end",
	promise:   "Ephemeral znodes live exactly as long as the session that created them.",
	workloads: []string{"lock"},
	nothing:   "no ephemeral znode was looked for after its session's end",
	start: func(options Options) judge {
		return &ephemeralJudge{options: options, memory: newMemory(options, "ephemeral znodes"), paths: map[string]*ephemeral{},
			live: map[string]map[string]*ephemeral{}, lives: map[string]*life{}, current: map[int]*life{},
			looked: map[string]int64{}, faults: map[int]bool{}, deletes: map[string]bool{}}
	},
}

// sessionTimeoutLongest stands for the session time-out where neither a session nor Options tells it.
const sessionTimeoutLongest = time.Minute

// expiryBound is how long after its client was last heard of, or after the last change of leaders, a
// session and its znodes may still be there. Sessions expire in buckets of a tick, and a follower tells
// its leader of a client up to half a tick late. A new leader gives every session its whole time-out again.
func (j *ephemeralJudge) expiryBound(l *life) time.Duration {
	const ticks = 2
	timeout := l.timeout
	if timeout == 0 {
		timeout = j.options.SessionTimeout
	}
	if timeout == 0 {
		timeout = sessionTimeoutLongest
	}
	return timeout + ticks*j.options.TickTime
}

// ephemeral is an acknowledged ephemeral znode.
type ephemeral struct {
	path, session string
	czxid         int64
	operation     int64
	load          bool
	absentAt      int64 // the zxid of the first reply that did not show it; 0 if none
	absentBy      string
}

// life is what is known of a session that created ephemeral znodes, or owns some.
type life struct {
	client   int
	timeout  time.Duration // as granted; 0 if not known
	closedAt int64         // the zxid of the answer to its close; 0 if none
	closed   author        // by which operation
	heard    time.Duration // when its client last did or was told anything while it had this session
	end      string        // how its client lost it, in words; empty while it has it
	aliveAt  int64         // the greatest zxid at which it was answered
	shownAt  int64         // the greatest zxid of a reply that showed one of its znodes
	shown    string
	overdue  bool // in evidence already
}

type ephemeralJudge struct {
	options Options
	*memory
	evidence
	early    evidence // znodes of sessions of which nobody can say yet that they are over
	paths    map[string]*ephemeral
	live     map[string]map[string]*ephemeral // by parent: acknowledged and not seen absent
	lives    map[string]*life
	current  map[int]*life    // by client: the session that it has
	looked   map[string]int64 // by path: the greatest zxid of a reply that shows whether a znode is there
	faults   map[int]bool     // on
	deletes  map[string]bool  // paths that somebody asked to delete
	restless time.Duration    // when a fault was last switched on or off, or a leader began to lead
	finalAt  time.Duration    // when the final phase began; 0 before
	finals   bool             // final trees were recorded
	judged   int
}

// life returns what is known of a session, or nil if there is no memory for it.
func (j *ephemeralJudge) life(session string) *life {
	l := j.lives[session]
	if l == nil {
		const each = 300 // bytes that a session costs
		if !j.memory.take(each) {
			return nil
		}
		l = &life{}
		j.lives[session] = l
	}
	return l
}

func (j *ephemeralJudge) event(e history.Event) {
	if e.Client != 0 {
		j.hear(e)
	}
	switch e.Kind {
	case history.Call:
		if e.Request != nil {
			noteDeletes(j.memory, j.deletes, e.Request)
		}
	case history.FaultOn, history.FaultOff:
		j.restless = e.Time
		if e.Fault != nil {
			j.faults[e.Fault.ID] = e.Kind == history.FaultOn
		}
	case history.Member:
		if e.State == history.Leading {
			j.restless = e.Time
		}
	case history.Phase:
		if e.Text == finalPhase {
			j.finalAt = e.Time
		}
	case history.Final:
		j.finals = true
	case history.Znode:
		if e.Node != nil && e.Node.Stat.EphemeralOwner != 0 {
			j.final(e)
		}
	}
}

// hear notes a sign of life of a client, and which session it has. Pings are not recorded, nor are
// attempts to connect: a client that has a session may keep it alive without an event.
func (j *ephemeralJudge) hear(e history.Event) {
	l := j.current[e.Client]
	if e.SessionID != "" && (l == nil || j.lives[e.SessionID] != l) {
		if l != nil && l.end == "" {
			l.heard, l.end = e.Time, "given up for another session"
		}
		if l = j.life(e.SessionID); l == nil {
			return
		}
		l.client = e.Client
		j.current[e.Client] = l
	}
	if l == nil || l.end != "" {
		return
	}
	l.heard = e.Time
	if e.Kind != history.Session {
		return
	}
	if e.Count > 0 {
		l.timeout = time.Duration(e.Count) * time.Millisecond
	}
	switch e.State {
	case history.Expired:
		l.end = "told its client that it had expired"
	case history.Abandoned:
		l.end = "abandoned"
	}
}

// final judges an ephemeral znode in a final tree.
func (j *ephemeralJudge) final(e history.Event) {
	session := ownerName(e.Node.Stat.EphemeralOwner)
	l := j.lives[session]
	if l == nil {
		return // a session that this history knows nothing of
	}
	// The tree was read after the final phase began, and may be recorded some time later.
	readAt := e.Time
	if j.finalAt > 0 {
		readAt = j.finalAt
	}
	switch {
	case l.closedAt > 0:
		j.evidence.add("member %d still has %s of session %s, which was closed at zxid %s by %s",
			e.Member, e.Node.Path, session, zxidWord(l.closedAt), l.closed)
	case j.expired(l, readAt):
		j.evidence.add("member %d still has %s of session %s, which should have expired: %s", e.Member, e.Node.Path, session, j.why(l, readAt))
	default:
		j.early.add("member %d still has %s of session %s, and it is too early to say whether it should: %s", e.Member, e.Node.Path, session, j.why(l, readAt))
	}
}

// expired tells whether a session whose client has gone must have ended for everybody by this time.
func (j *ephemeralJudge) expired(l *life, now time.Duration) bool {
	for _, on := range j.faults {
		if on {
			return false
		}
	}
	return now-max(l.heard, j.restless) >= j.expiryBound(l)
}

// why says what the end of a session is reckoned from.
func (j *ephemeralJudge) why(l *life, now time.Duration) string {
	end := l.end
	if end == "" {
		end = "never closed"
	}
	return fmt.Sprintf("%s, last heard of at %s; the last fault, or change of leaders, was at %s; looked for at %s, and the bound is %s",
		end, timeWord(l.heard), timeWord(j.restless), timeWord(now), j.expiryBound(l))
}

func (j *ephemeralJudge) operation(op operation) {
	if !op.ok() && !op.result.Answered {
		return
	}
	zxid := op.result.Zxid
	if op.ok() && op.session != "" && op.request.Kind != history.CloseSession {
		if l := j.life(op.session); l != nil {
			l.aliveAt = max(l.aliveAt, zxid)
		}
	}
	switch op.request.Kind {
	case history.Create:
		if op.ok() {
			j.created(op, op.request, op.result)
		}
	case history.Multi:
		for i := range op.request.Parts {
			if op.ok() && i < len(op.result.Parts) {
				j.created(op, &op.request.Parts[i], &op.result.Parts[i])
			}
		}
	case history.CloseSession:
		if l := j.life(op.session); l != nil && op.ok() {
			l.closedAt, l.closed = zxid, op.author()
		}
	case history.Get, history.SyncGet, history.Exists:
		j.look(op.request.Path, zxid)
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

// created notes an acknowledged create, or one of a multi.
func (j *ephemeralJudge) created(op operation, request *history.Request, result *history.Result) {
	if request.Kind != history.Create || !request.Ephemeral {
		return
	}
	path := result.Path
	if path == "" {
		path = request.Path
	}
	const each = 400 // bytes that an ephemeral znode costs
	if j.life(op.session) == nil || !j.memory.take(each+2*len(path)) {
		return
	}
	e := &ephemeral{path: path, session: op.session, czxid: writeZxid(op, request, result), operation: op.id, load: op.load}
	j.paths[path] = e
	siblings := j.live[parent(path)]
	if siblings == nil {
		siblings = map[string]*ephemeral{}
		j.live[parent(path)] = siblings
	}
	siblings[path] = e
}

// look notes at which zxid somebody last saw whether a znode is there, or which children it has.
func (j *ephemeralJudge) look(path string, zxid int64) {
	const each = 80 // bytes that a path costs beside its name
	if _, known := j.looked[path]; (known || j.paths[path] != nil || j.live[path] != nil) && (known || j.memory.take(each+len(path))) {
		j.looked[path] = max(j.looked[path], zxid)
	}
}

// shown notes a reply that shows a znode of this session.
func (j *ephemeralJudge) shown(op operation, path, session string) {
	l := j.life(session)
	if l == nil {
		return
	}
	if op.result.Zxid > l.shownAt {
		l.shownAt, l.shown = op.result.Zxid, fmt.Sprintf("%s, which shows %s", op, path)
	}
	synced := op.request.Kind == history.SyncGet || op.request.Kind == history.SyncChildren
	if synced && l.end != "" && !l.overdue && j.expired(l, op.call) {
		l.overdue = true
		j.evidence.add("session %s should have expired, and its %s is still there (%s): %s", session, path, j.why(l, op.call), op)
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
	j.look(op.request.Path, op.result.Zxid)
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
		if e.load && j.compared(e, l) {
			j.judged++
		}
		if e.absentAt > 0 && !j.deletes[path] && l.aliveAt > e.absentAt {
			j.evidence.add("%s of session %s (created by operation %d at zxid %s) was gone while the session was alive, at least until zxid %s, and nobody deleted it: %s",
				path, e.session, e.operation, zxidWord(e.czxid), zxidWord(l.aliveAt), e.absentBy)
		}
	}
	r := j.evidence.conclude(j.judged)
	switch {
	case r.Verdict != "":
	case j.early.found():
		r.Verdict, r.Reason = Unknown, j.early.lines[0]
	}
	return r
}

// compared tells whether somebody looked for an ephemeral znode after its session's end.
func (j *ephemeralJudge) compared(e *ephemeral, l *life) bool {
	if l.closedAt > 0 {
		return j.finals || max(j.looked[e.path], j.looked[parent(e.path)]) >= l.closedAt
	}
	return j.finals && j.finalAt > 0 && j.expired(l, j.finalAt) || e.absentAt > l.aliveAt && l.end != ""
}

// ownerName is a session's number as ZooKeeper prints it.
func ownerName(owner int64) string { return "0x" + strconv.FormatUint(uint64(owner), 16) }
