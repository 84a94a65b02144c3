package checkers

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"ordeal/results/history"
)

// sessionOrder judges what one session sees, with Porcupine: a partition is a session, and the model's
// state is what that session has seen and written, so that the search is a single path.
var sessionOrder = &guarantee{
	name:     "session-order",
	describe: "each session is answered in order, reads its own writes and never goes back in time",
	promise:  "A session's operations take effect in the order it sent them; it sees its own writes and never goes back in time.",
	nothing:  "no operation of a session was answered",
	start: func(options Options) judge {
		return &sessionJudge{memory: newMemory(options, "what sessions have seen"), sessions: map[string]*sessionPart{}, sent: map[string][]int64{}, deletes: firstAsked{}}
	},
}

// sessionChunk is how many operations of a session are judged at once. A session has one operation
// under way, so that a history can be cut anywhere between two.
const sessionChunk = 256

// sentBytes is what an operation under way costs.
const sentBytes = 100

// seenZnode is what a session knows of a znode.
type seenZnode struct {
	czxid, mzxid, pzxid int64
	version             int32
	value               uint64 // print of the value, if valued
	valued              bool
	unversioned         bool // version is not known
	absent              bool
	asOf                int64 // if absent: the zxid at which it was
	// lasting is true if it is known not to be ephemeral: only a delete takes it away.
	lasting bool
	// by is the operation that wrote it; 0 if it was only seen. The parts of one multi have one zxid.
	by int64
}

// sessionState is what a session has seen.
type sessionState struct {
	zxid   int64
	znodes versioned[seenZnode]
}

// sessionPart is a session whose operations are being collected.
type sessionPart struct {
	state   sessionState
	waiting []operation
	bytes   int  // that all this takes
	broken  bool // what follows the first violation proves nothing more
}

type sessionJudge struct {
	*memory
	evidence
	sessions map[string]*sessionPart
	sent     map[string][]int64 // by session: operations under way, in the order of their calls
	deletes  firstAsked
	judged   int
}

func (j *sessionJudge) event(e history.Event) {
	switch e.Kind {
	case history.Call:
		if e.Request != nil {
			j.asked(e.Request, e.Time)
		}
		if e.SessionID != "" && j.memory.take(sentBytes) {
			j.sent[e.SessionID] = append(j.sent[e.SessionID], e.Operation)
		}
	case history.Return:
		j.returned(e)
	case history.Session:
		if e.State == history.Expired || e.State == history.Abandoned {
			j.end(e.SessionID)
		}
	}
}

// firstAsked is when somebody first asked to delete a path.
type firstAsked map[string]time.Duration

// before tells whether that was before an operation returned.
func (f firstAsked) before(path string, op *operation) bool {
	at, asked := f[path]
	return asked && at <= op.ret
}

// asked notes what may be deleted from now on.
func (j *sessionJudge) asked(r *history.Request, now time.Duration) {
	const each = 60 // bytes that a path costs beside its name
	if _, known := j.deletes[r.Path]; r.Kind == history.Delete && !known && j.memory.take(each+len(r.Path)) {
		j.deletes[r.Path] = now
	}
	for i := range r.Parts {
		j.asked(&r.Parts[i], now)
	}
}

// returned checks that answers come in the order of requests.
func (j *sessionJudge) returned(e history.Event) {
	sent := j.sent[e.SessionID]
	at := slices.Index(sent, e.Operation)
	if at < 0 {
		return
	}
	if at > 0 && e.Result != nil && e.Result.Answered {
		j.evidence.add("session %s got the answer to operation %d before that to operation %d, which it had sent earlier (at %s)",
			e.SessionID, e.Operation, sent[0], timeWord(e.Time))
	}
	j.memory.give(sentBytes)
	if len(sent) == 1 {
		delete(j.sent, e.SessionID)
		return
	}
	j.sent[e.SessionID] = slices.Delete(sent, at, at+1)
}

func (j *sessionJudge) operation(op operation) {
	if op.session == "" || !(op.ok() || op.result.Answered) {
		return
	}
	part := j.sessions[op.session]
	if part == nil {
		part = &sessionPart{}
		j.sessions[op.session] = part
	}
	if part.broken {
		return
	}
	if op.load {
		j.judged++
	}
	if !j.memory.take(op.size()) {
		return
	}
	part.bytes += op.size()
	part.waiting = append(part.waiting, op)
	if len(part.waiting) == sessionChunk {
		j.judge(part)
	}
	if op.request.Kind == history.CloseSession && op.ok() {
		j.end(op.session)
	}
}

// end judges what is left of a session and forgets it.
func (j *sessionJudge) end(session string) {
	if part := j.sessions[session]; part != nil {
		j.judge(part)
		j.memory.give(part.bytes)
		delete(j.sessions, session)
	}
	j.memory.give(sentBytes * len(j.sent[session]))
	delete(j.sent, session)
}

func (j *sessionJudge) finish(context.Context) Result {
	for _, session := range slices.Sorted(maps.Keys(j.sessions)) {
		j.judge(j.sessions[session])
	}
	return j.evidence.conclude(j.judged)
}

// judge searches an order for what a session has collected, and keeps what the session has seen.
func (j *sessionJudge) judge(part *sessionPart) {
	if len(part.waiting) == 0 || part.broken || j.memory.exceeded {
		return
	}
	operations := make([]porcupine.Operation, len(part.waiting))
	for i := range part.waiting {
		// The order of requests is the order that must hold: each returns before the next is called.
		operations[i] = porcupine.Operation{ClientId: part.waiting[i].client, Input: &part.waiting[i],
			Call: int64(2 * i), Return: int64(2*i + 1)}
	}
	model := porcupine.Model{
		Init: func() any { return part.state },
		Step: func(state, input, _ any) (bool, any) {
			next, reason := state.(sessionState).step(input.(*operation), j.deletes)
			return reason == "", next
		},
		Equal: func(a, b any) bool {
			x, y := a.(sessionState), b.(sessionState)
			return x.zxid == y.zxid && x.znodes.print() == y.znodes.print()
		},
	}
	held := porcupine.CheckOperations(model, operations)
	for i := range part.waiting {
		next, reason := part.state.step(&part.waiting[i], j.deletes)
		if !held && reason != "" {
			j.evidence.add("session %s: %s: %s", part.waiting[i].session, reason, part.waiting[i])
			part.broken = true
			break
		}
		part.state = next
	}
	clear(part.waiting)
	part.waiting = part.waiting[:0]
	j.memory.give(part.bytes)
	const each = 200 // bytes that a znode costs in the state
	part.bytes = each * part.state.znodes.len()
	if !j.memory.take(part.bytes) {
		part.bytes = 0
	}
}

// step takes one operation into what the session has seen, or says why it contradicts it. deletes are what
// somebody may have deleted.
func (s sessionState) step(op *operation, deletes firstAsked) (sessionState, string) {
	zxid := op.result.Zxid
	if zxid > 0 {
		if zxid < s.zxid {
			return s, fmt.Sprintf("it goes back from zxid %s to %s", zxidWord(s.zxid), zxidWord(zxid))
		}
		if op.ok() && op.writes() && zxid == s.zxid {
			return s, fmt.Sprintf("a write takes effect at zxid %s, which it had seen before", zxidWord(zxid))
		}
		s.zxid = zxid
	}
	if op.request.Kind != history.Multi {
		return s.part(op, op.request, op.result, deletes)
	}
	for i := range op.request.Parts {
		if !op.ok() || i >= len(op.result.Parts) {
			break
		}
		var reason string
		if s, reason = s.part(op, &op.request.Parts[i], &op.result.Parts[i], deletes); reason != "" {
			return s, reason
		}
	}
	return s, ""
}

// part takes one operation, or one of a multi.
func (s sessionState) part(op *operation, request *history.Request, result *history.Result, deletes firstAsked) (sessionState, string) {
	zxid := op.result.Zxid
	path := request.Path
	if result.Path != "" {
		path = result.Path
	}
	before, known := s.znodes.get(path)
	switch request.Kind {
	case history.Create, history.Set:
		if !op.ok() {
			break
		}
		// Its own stat must follow what was seen; without one, the reply's zxid says enough.
		after := seenZnode{czxid: before.czxid, mzxid: zxid, pzxid: before.pzxid, unversioned: true, lasting: before.lasting}
		if request.Kind == history.Create {
			after = seenZnode{czxid: zxid, mzxid: zxid, pzxid: zxid, lasting: !request.Ephemeral}
		}
		if result.Stat != nil {
			after = seenStat(result.Stat)
		} else if request.Kind == history.Set && !known {
			return s, ""
		}
		if before.by != op.id {
			if reason := before.follow(after, known, zxid); reason != "" {
				return s, path + " " + reason
			}
		}
		after.value, after.valued, after.by = maphash.String(prints, request.Value), true, op.id
		s.znodes = s.znodes.with(path, after)
	case history.Delete:
		if op.ok() {
			s.znodes = s.znodes.with(path, seenZnode{absent: true, asOf: zxid})
		}
	case history.Get, history.SyncGet, history.Exists, history.Children, history.SyncChildren:
		return s.read(op, path, before, known, deletes)
	}
	return s, ""
}

func (s sessionState) read(op *operation, path string, before seenZnode, known bool, deletes firstAsked) (sessionState, string) {
	if op.failed("NoNode") {
		if before.lasts() && !deletes.before(path, op) {
			return s, before.missed(path)
		}
		s.znodes = s.znodes.with(path, seenZnode{absent: true, asOf: op.result.Zxid})
		return s, ""
	}
	if op.ok() && (op.request.Kind == history.Children || op.request.Kind == history.SyncChildren) {
		if reason := s.missing(path, op, deletes); reason != "" {
			return s, reason
		}
	}
	if !op.ok() || op.result.Stat == nil {
		return s, ""
	}
	after := seenStat(op.result.Stat)
	if op.request.Kind == history.Get || op.request.Kind == history.SyncGet {
		after.value, after.valued = maphash.String(prints, op.result.Value), true
	}
	if reason := before.follow(after, known, op.result.Zxid); reason != "" {
		return s, path + " " + reason
	}
	if !after.valued && before.mzxid == after.mzxid {
		after.value, after.valued = before.value, before.valued
	}
	s.znodes = s.znodes.with(path, after)
	return s, ""
}

func seenStat(stat *history.Stat) seenZnode {
	return seenZnode{czxid: stat.Czxid, mzxid: stat.Mzxid, pzxid: stat.Pzxid, version: stat.Version, lasting: stat.EphemeralOwner == 0}
}

// lasts tells whether a znode must be there for who has seen it, unless somebody has asked to delete it.
func (before seenZnode) lasts() bool { return before.lasting && !before.absent }

func (before seenZnode) missed(path string) string {
	seen := "seen"
	if before.by != 0 {
		seen = "written by operation " + itoa64(before.by) + " of this session"
	}
	return fmt.Sprintf("%s is not there, which was %s as of mzxid %s, and nobody has asked to delete it", path, seen, zxidWord(before.mzxid))
}

// missing finds a znode that a list of a parent's children must show to who has seen it.
func (s sessionState) missing(path string, op *operation, deletes firstAsked) string {
	listed := make(map[string]bool, len(op.result.Children))
	for _, name := range op.result.Children {
		listed[child(path, name)] = true
	}
	first, reason := "", ""
	s.znodes.each(func(p string, z seenZnode) {
		if p != path && parent(p) == path && !listed[p] && z.lasts() && !deletes.before(p, op) && (first == "" || p < first) {
			first, reason = p, z.missed(p)
		}
	})
	return reason
}

// follow says why a znode cannot be seen as after by someone who has seen it as before, in a reply of
// this zxid.
func (before seenZnode) follow(after seenZnode, known bool, zxid int64) string {
	versioned := !before.unversioned && !after.unversioned
	switch {
	case zxid > 0 && after.mzxid > zxid:
		return fmt.Sprintf("shows mzxid %s in a reply of zxid %s", zxidWord(after.mzxid), zxidWord(zxid))
	case !known:
		return ""
	case before.absent && before.asOf > 0 && after.czxid < before.asOf:
		return fmt.Sprintf("was absent at zxid %s and is back as created at %s", zxidWord(before.asOf), zxidWord(after.czxid))
	case before.absent:
		return ""
	case after.mzxid < before.mzxid:
		return fmt.Sprintf("goes back from mzxid %s (version %d) to %s (version %d)",
			zxidWord(before.mzxid), before.version, zxidWord(after.mzxid), after.version)
	case after.mzxid == before.mzxid && versioned && after.version != before.version:
		return fmt.Sprintf("has versions %d and %d at the same mzxid %s", before.version, after.version, zxidWord(after.mzxid))
	case after.mzxid == before.mzxid && before.valued && after.valued && after.value != before.value:
		return fmt.Sprintf("has another value than before at the same mzxid %s", zxidWord(after.mzxid))
	case after.czxid == before.czxid && versioned && after.mzxid > before.mzxid && after.version <= before.version:
		return fmt.Sprintf("goes back from version %d (mzxid %s) to version %d (mzxid %s)",
			before.version, zxidWord(before.mzxid), after.version, zxidWord(after.mzxid))
	case after.czxid == before.czxid && after.pzxid < before.pzxid:
		return fmt.Sprintf("goes back from pzxid %s to %s", zxidWord(before.pzxid), zxidWord(after.pzxid))
	}
	return ""
}
