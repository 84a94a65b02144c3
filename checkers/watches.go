package checkers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ordeal/results/history"
)

// watches judges one-shot watches. A change is known to concern a watch in two ways: the same session
// reads newer state of that znode, or a reply to it carries a zxid at or past an acknowledged change.
var watches = &guarantee{
	name:      "watches",
	describe:  "a watch fires once, in the order of changes, before the session sees newer state, and is never lost",
	promise:   "A watch fires once, in order, before any read shows what came after it, and is not lost across reconnects.",
	workloads: []string{"watch", "lock"},
	nothing:   "no watch was left on what changed",
	start: func(options Options) judge {
		return &watchJudge{memory: newMemory(options, "watches"), sessions: map[string]*watching{}, changes: map[string][]change{},
			children: map[string][]change{}, latest: map[watchedList]change{}, doubtful: map[string]bool{}, watched: map[string]bool{}}
	},
}

// armed is a watch that a session has left.
type armed struct {
	path      string
	child     bool  // on the children of path, not on path itself
	absent    bool  // path did not exist
	zxid      int64 // of the reply to the read that left it
	shown     int64 // the greatest zxid of replies to the session since
	shownBy   author
	session   string
	operation int64
	at        time.Duration
	fired     bool
	firedAt   time.Duration
	eventZxid int64 // of the event, if it says so
	resumed   bool  // the session was resumed on another connection meanwhile
	told      bool  // that it was late is in evidence already
	load      bool
	// behind is true if the server had not applied all that had changed before anybody watched: which of
	// those changes fired it is not known.
	behind bool
}

// change is an acknowledged write.
type change struct {
	zxid int64
	by   author
}

// watchedList is what a watch is on: a znode, or its list of children.
type watchedList struct {
	path  string
	child bool
}

// watching is what a session waits for.
type watching struct {
	data, child map[string]*armed
	zxid        int64 // of the last reply
	shownBy     author
	fired       []*armed // on this connection, in the order of events
}

type watchJudge struct {
	*memory
	evidence
	sessions map[string]*watching
	done     []*armed            // to be compared with all changes at the end
	order    [][]*armed          // fired, by connection
	changes  map[string][]change // of a path itself
	children map[string][]change // of a path's list of children
	// latest is the newest change of what nobody watched yet: a server that is behind applies it only after
	// a watch was left.
	latest map[watchedList]change
	// doubtful are paths that may have changed in a way that no acknowledged write shows: by a write of
	// unknown outcome, or by the end of a session that had ephemeral znodes there.
	doubtful map[string]bool
	watched  map[string]bool // paths on which a watch was ever left
	judged   int
}

func (j *watchJudge) event(e history.Event) {
	switch e.Kind {
	case history.Call:
		if e.Request != nil && e.Request.Watch {
			j.watch(e.Request.Path)
		}
	case history.WatchFired:
		if e.Watch != nil {
			j.fire(e)
		}
	case history.Session:
		switch e.State {
		case history.Resumed:
			if w := j.sessions[e.SessionID]; w != nil {
				for _, a := range w.all() {
					a.resumed = true
				}
				// An event does not say how far its server had come: a session may be resumed on one that
				// is behind it, and hear there of what changed before.
				j.order = append(j.order, w.fired)
				w.fired = nil
			}
		case history.Expired, history.Abandoned:
			j.end(e.SessionID)
		}
	}
}

// watch begins to keep the changes of a path.
func (j *watchJudge) watch(path string) {
	const each = 100 // bytes that a path costs beside its name
	if j.watched[path] || !j.memory.take(each+len(path)) {
		return
	}
	j.watched[path] = true
	if c, ok := j.latest[watchedList{path, false}]; ok {
		j.changes[path] = append(j.changes[path], c)
	}
	if c, ok := j.latest[watchedList{path, true}]; ok {
		j.children[path] = append(j.children[path], c)
	}
}

// all returns the watches that have not fired, in the order of paths.
func (w *watching) all() []*armed {
	var all []*armed
	for _, table := range []map[string]*armed{w.data, w.child} {
		for _, path := range slices.Sorted(maps.Keys(table)) {
			all = append(all, table[path])
		}
	}
	return all
}

// fire takes in a watch event.
func (j *watchJudge) fire(e history.Event) {
	w := j.session(e.SessionID)
	tables := []map[string]*armed{w.data}
	switch e.Watch.Type {
	case "deleted":
		tables = []map[string]*armed{w.data, w.child}
	case "children":
		tables = []map[string]*armed{w.child}
	}
	found := false
	for _, table := range tables {
		a := table[e.Watch.Path]
		if a == nil {
			continue
		}
		found = true
		a.fired, a.firedAt, a.eventZxid = true, e.Time, e.Zxid
		a.shown, a.shownBy = w.zxid, w.shownBy
		delete(table, e.Watch.Path)
		w.fired = append(w.fired, a)
		j.done = append(j.done, a)
	}
	if !found {
		j.evidence.add("session %s got %q of %s at %s, and had no watch there: one that was left fires at most once",
			e.SessionID, e.Watch.Type, e.Watch.Path, timeWord(e.Time))
	}
}

func (j *watchJudge) session(id string) *watching {
	w := j.sessions[id]
	if w == nil {
		const each = 300 // bytes that a session costs; if they are too many, the judge gives up after this event
		j.memory.take(each)
		w = &watching{data: map[string]*armed{}, child: map[string]*armed{}}
		j.sessions[id] = w
	}
	return w
}

func (j *watchJudge) operation(op operation) {
	j.changed(op)
	if op.session == "" || !(op.ok() || op.result.Answered) {
		return
	}
	w := j.session(op.session)
	j.shows(op, w)
	if op.result.Zxid > w.zxid {
		w.zxid, w.shownBy = op.result.Zxid, op.author()
	}
	if op.request.Watch {
		j.arm(op, w)
	}
	if op.request.Kind == history.CloseSession && op.ok() {
		j.end(op.session)
	}
}

// end keeps what a session still waited for, and forgets the session.
func (j *watchJudge) end(id string) {
	w := j.sessions[id]
	if w == nil {
		return
	}
	for _, a := range w.all() {
		a.shown, a.shownBy = w.zxid, w.shownBy
		j.done = append(j.done, a)
	}
	j.order = append(j.order, w.fired)
	delete(j.sessions, id)
}

// arm notes the watch that an answered read has left: a session has at most one of a kind on a path.
func (j *watchJudge) arm(op operation, w *watching) {
	table, child := w.data, false
	switch op.request.Kind {
	case history.Children, history.SyncChildren:
		table, child = w.child, true
	}
	absent := op.failed("NoNode")
	if !op.ok() && !(absent && op.request.Kind == history.Exists) {
		return
	}
	const each = 300 // bytes that a watch costs
	if table[op.request.Path] != nil || !j.memory.take(each) {
		return
	}
	table[op.request.Path] = &armed{load: op.load, behind: j.latest[watchedList{op.request.Path, child}].zxid > op.result.Zxid,
		path: op.request.Path, child: child, absent: absent, zxid: op.result.Zxid,
		session: op.session, operation: op.id, at: op.ret}
}

// shows compares a reply with the watches that should have fired before it.
func (j *watchJudge) shows(op operation, w *watching) {
	show := func(request *history.Request, result *history.Result) {
		path := request.Path
		if result.Path != "" {
			path = result.Path
		}
		late := func(a *armed, what string, zxid int64) {
			if a != nil && zxid > a.zxid && a.zxid > 0 && !a.told {
				a.told = true
				j.evidence.add("%s saw %s at zxid %s before the event of its %s: %s", op.session, what, zxidWord(zxid), a, op)
			}
		}
		stat := result.Stat
		switch {
		case op.failed("NoNode") && reads(request.Kind):
			if a := w.data[path]; a != nil && !a.absent {
				late(a, path+" gone", op.result.Zxid)
			}
			late(w.child[path], path+" gone", op.result.Zxid)
		case !op.ok():
		case request.Kind == history.Create, request.Kind == history.Delete:
			zxid := writeZxid(op, request, result)
			late(w.data[path], "its own "+string(request.Kind)+" of "+path, zxid)
			late(w.child[parent(path)], "its own "+string(request.Kind)+" of "+path, zxid)
			if request.Kind == history.Delete {
				late(w.child[path], "its own delete of "+path, zxid)
			}
		case request.Kind == history.Set:
			late(w.data[path], "its own write of "+path, writeZxid(op, request, result))
		case stat != nil:
			late(w.data[path], path, max(stat.Czxid, stat.Mzxid))
			late(w.child[path], "the children of "+path, max(stat.Czxid, stat.Pzxid))
		}
	}
	if op.request.Kind != history.Multi {
		show(op.request, op.result)
		return
	}
	for i := range op.request.Parts {
		if i < len(op.result.Parts) {
			show(&op.request.Parts[i], &op.result.Parts[i])
		}
	}
}

func reads(kind history.OpKind) bool {
	switch kind {
	case history.Get, history.SyncGet, history.Exists, history.Children, history.SyncChildren:
		return true
	}
	return false
}

// changed notes what an operation changed, or may have.
func (j *watchJudge) changed(op operation) {
	note := func(request *history.Request, result *history.Result) {
		path := request.Path
		if result.Path != "" {
			path = result.Path
		}
		structure := request.Kind == history.Create || request.Kind == history.Delete
		if !structure && request.Kind != history.Set {
			return
		}
		unknown := op.result.Outcome == history.Unknown
		if unknown || op.ok() && ephemeralBy(request, result) {
			j.doubt(path)
			j.doubt(parent(path))
		}
		if unknown || !op.ok() {
			return
		}
		c := change{zxid: writeZxid(op, request, result), by: op.author()}
		j.note(watchedList{path, false}, c)
		if structure {
			j.note(watchedList{parent(path), true}, c)
		}
		if request.Kind == history.Delete {
			j.note(watchedList{path, true}, c)
		}
	}
	if op.request.Kind != history.Multi {
		note(op.request, op.result)
		return
	}
	for i := range op.request.Parts {
		part := &history.Result{}
		if i < len(op.result.Parts) {
			part = &op.result.Parts[i]
		}
		note(&op.request.Parts[i], part)
	}
}

// note keeps a change of what somebody watches, and the newest one of what nobody does.
func (j *watchJudge) note(on watchedList, c change) {
	const each = 200 // bytes that a change costs
	last, known := j.latest[on]
	switch {
	case !j.watched[on.path]:
		if c.zxid > last.zxid && (known || j.memory.take(each+len(on.path))) {
			j.latest[on] = c
		}
	case !j.memory.take(each):
	case on.child:
		j.children[on.path] = append(j.children[on.path], c)
	default:
		j.changes[on.path] = append(j.changes[on.path], c)
	}
}

// doubt notes that a path may have changed without an acknowledgement.
func (j *watchJudge) doubt(path string) {
	const each = 60 // bytes that a path costs beside its name
	if !j.doubtful[path] && j.memory.take(each+len(path)) {
		j.doubtful[path] = true
	}
}

func (j *watchJudge) finish(context.Context) Result {
	for _, id := range slices.Sorted(maps.Keys(j.sessions)) {
		j.end(id)
	}
	for _, table := range []map[string][]change{j.changes, j.children} {
		for _, changes := range table {
			slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.zxid, b.zxid) })
		}
	}
	for _, a := range j.done {
		if _, changed := j.firstChange(a); a.load && (changed || a.fired) {
			j.judged++
		}
		j.lost(a)
	}
	for _, fired := range j.order {
		j.inOrder(fired)
	}
	return j.evidence.conclude(j.judged)
}

// firstChange finds the first acknowledged change after the watch was left.
func (j *watchJudge) firstChange(a *armed) (change, bool) {
	changes := j.changes[a.path]
	if a.child {
		changes = j.children[a.path]
	}
	i, _ := slices.BinarySearchFunc(changes, a.zxid+1, func(c change, zxid int64) int { return cmp.Compare(c.zxid, zxid) })
	if i == len(changes) {
		return change{}, false
	}
	return changes[i], true
}

// lost finds watches whose event came after, or never came before, a reply that proves the change.
func (j *watchJudge) lost(a *armed) {
	// A watch on a znode that is absent misses what comes and goes while no connection holds it.
	if a.told || a.zxid == 0 || a.absent && a.resumed {
		return
	}
	c, ok := j.firstChange(a)
	if !ok || c.zxid > a.shown {
		return
	}
	when := "never came"
	if a.fired {
		when = "came only at " + timeWord(a.firedAt)
	}
	j.evidence.add("session %s: the event of its %s %s, although %s changed it at zxid %s and the reply to %s already showed the state of zxid %s%s",
		a.session, a, when, c.by, zxidWord(c.zxid), a.shownBy, zxidWord(a.shown), across(a))
}

func across(a *armed) string {
	if a.resumed {
		return " (the session was resumed on another connection meanwhile)"
	}
	return ""
}

// inOrder compares the order of a connection's events with that of the changes, where both are certain.
func (j *watchJudge) inOrder(fired []*armed) {
	var last *armed
	var lastZxid int64
	for _, a := range fired {
		zxid := a.eventZxid
		if c, ok := j.firstChange(a); zxid == 0 && ok && !j.doubtful[a.path] && !a.resumed && !a.behind {
			zxid = c.zxid
		}
		if zxid == 0 {
			continue
		}
		if last != nil && zxid < lastZxid && !a.resumed {
			j.evidence.add("session %s got the event of its %s (change at zxid %s) after that of its %s (change at zxid %s)",
				a.session, a, zxidWord(zxid), last, zxidWord(lastZxid))
		}
		last, lastZxid = a, zxid
	}
}

func (a *armed) String() string {
	what := "watch"
	if a.child {
		what = "watch on the children"
	}
	return strings.TrimSpace(fmt.Sprintf("%s of %s (left by operation %d at %s, zxid %s)", what, a.path, a.operation, timeWord(a.at), zxidWord(a.zxid)))
}
