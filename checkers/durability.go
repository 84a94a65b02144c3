package checkers

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"time"

	"ordeal/results/history"
)

// durability judges the promise that an acknowledged write is never lost. What a later write may have
// replaced is judged by versions and zxids, which never go back. That it is on a majority of disks is
// judged by where the members' logs end: a log has everything before its end, or convergence says so.
var durability = &guarantee{
	name:     "durability",
	describe: "every acknowledged write is in the final tree of every member, and on a majority of disks",
	promise:  "An acknowledged write is on a majority of disks, and no minority of failures loses it.",
	nothing:  "no acknowledged write could be compared with a final tree",
	start: func(options Options) judge {
		return &durabilityJudge{seed: maphash.MakeSeed(), memory: newMemory(options, "acknowledged writes"),
			last: map[string]*lastWrite{}, ephemeral: map[string]bool{}, finals: map[int]history.Event{}, members: map[int]bool{}}
	},
}

// lastWrite is the acknowledged write of a path with the greatest zxid.
type lastWrite struct {
	zxid      int64
	client    int
	operation int64
	answered  time.Duration
	deleted   bool
	load      bool
	// mayBeGone is true if a delete with unknown outcome may have taken effect, or another may have
	// changed the znode in a way that its version does not show.
	mayBeGone bool
	version   int32
	versioned bool   // version is known
	print     uint64 // of the value
	members   memberSet
}

type durabilityJudge struct {
	seed maphash.Seed
	*memory
	evidence
	last   map[string]*lastWrite
	newest lastWrite // of all
	// ephemeral are paths where somebody may have created an ephemeral znode: it goes with its session.
	ephemeral map[string]bool
	finals    map[int]history.Event
	members   map[int]bool // that are known to exist
	judged    int
}

func (j *durabilityJudge) operation(op operation) {
	switch op.request.Kind {
	case history.Create, history.Delete, history.Set:
		j.write(op, op.request, op.result)
	case history.Multi:
		for i := range op.request.Parts {
			var part *history.Result
			if i < len(op.result.Parts) {
				part = &op.result.Parts[i]
			}
			j.write(op, &op.request.Parts[i], part)
		}
	}
}

// write notes one write; result is nil or unknown where the outcome is.
func (j *durabilityJudge) write(op operation, request *history.Request, result *history.Result) {
	path := request.Path
	if result != nil && result.Path != "" {
		path = result.Path
	}
	unknown := op.result.Outcome == history.Unknown
	if (op.ok() || unknown) && ephemeralBy(request, result) && !j.ephemeral[path] {
		const each = 60 // bytes that a path costs beside its name
		if j.memory.take(each + len(path)) {
			j.ephemeral[path] = true
		}
	}
	if unknown {
		if request.Kind == history.Delete {
			if w := j.at(path); w != nil {
				w.mayBeGone = true
			}
		}
		return
	}
	if !op.ok() || request.Kind == history.Check {
		return
	}
	w := j.at(path)
	zxid := writeZxid(op, request, result)
	// Of the parts of one multi, which have one zxid, the last one counts.
	if w == nil || zxid < w.zxid || zxid == w.zxid && op.id != w.operation {
		return
	}
	w.zxid, w.client, w.operation, w.answered, w.load = zxid, op.client, op.id, op.ret, op.load
	w.versioned = false
	switch request.Kind {
	case history.Create:
		w.deleted = false
		w.version, w.versioned = 0, true
	case history.Set:
		w.deleted = false
		if result != nil && result.Stat != nil {
			w.version, w.versioned = result.Stat.Version, true
		}
	case history.Delete:
		w.deleted = true
	}
	w.print = maphash.String(j.seed, request.Value)
	if zxid > j.newest.zxid && isTransaction(zxid) {
		j.newest = *w
	}
}

// ephemeralBy tells whether a write, or its answer, says that the znode is ephemeral.
func ephemeralBy(request *history.Request, result *history.Result) bool {
	return request.Ephemeral || result != nil && result.Stat != nil && result.Stat.EphemeralOwner != 0
}

func (j *durabilityJudge) at(path string) *lastWrite {
	w, ok := j.last[path]
	if !ok {
		const each = 180 // bytes that a path costs beside its name
		if !j.memory.take(each + len(path)) {
			return nil
		}
		w = &lastWrite{}
		j.last[path] = w
	}
	return w
}

func (j *durabilityJudge) event(e history.Event) {
	switch e.Kind {
	case history.Znode:
		if e.Node != nil {
			j.znode(e.Member, e.Node)
		}
	case history.Member:
		j.members[e.Member] = true
	case history.Final:
		j.finals[e.Member] = e
	}
}

func (j *durabilityJudge) znode(member int, n *history.Node) {
	w, ok := j.last[n.Path]
	if !ok {
		return
	}
	w.members.add(member)
	if w.zxid == 0 {
		return
	}
	if w.load {
		j.judged++
	}
	switch {
	case w.deleted && n.Stat.Czxid < w.zxid:
		j.evidence.add("member %d still has %s (czxid %s), whose delete was acknowledged to %s", member, n.Path,
			zxidWord(n.Stat.Czxid), w)
	case w.deleted:
	case n.Stat.Mzxid < w.zxid:
		j.evidence.add("member %d has %s as of mzxid %s, version %d, older than the write acknowledged to %s", member, n.Path,
			zxidWord(n.Stat.Mzxid), n.Stat.Version, w)
	case n.Stat.Mzxid == w.zxid && maphash.String(j.seed, n.Value) != w.print:
		j.evidence.add("member %d has %s with value %s, and not the value acknowledged to %s", member, n.Path, quote(n.Value), w)
	case n.Stat.Mzxid == w.zxid && w.versioned && n.Stat.Version != w.version:
		j.evidence.add("member %d has %s in version %d, and not version %d as acknowledged to %s", member, n.Path, n.Stat.Version, w.version, w)
	}
}

func (j *durabilityJudge) finish(context.Context) Result {
	for _, path := range slices.Sorted(maps.Keys(j.last)) {
		w := j.last[path]
		if w.zxid == 0 || w.deleted || w.mayBeGone || j.ephemeral[path] {
			continue
		}
		for _, member := range slices.Sorted(maps.Keys(j.finals)) {
			if !w.members.has(member) {
				j.judged++
				j.evidence.add("member %d does not have %s, whose write was acknowledged to %s", member, path, w)
			}
		}
	}
	j.disks()
	r := j.evidence.conclude(j.judged)
	missing := without(j.members, j.finals)
	switch {
	case r.Verdict != "":
	case len(j.finals) > 0 && len(missing) > 0:
		r.Verdict, r.Reason = Unknown, "the final tree is missing of member "+strings.Join(missing, ", ")
	}
	return r
}

// without lists the members that have no final tree.
func without(members map[int]bool, finals map[int]history.Event) []string {
	var missing []string
	for _, m := range slices.Sorted(maps.Keys(members)) {
		if _, ok := finals[m]; !ok {
			missing = append(missing, itoa(m))
		}
	}
	return missing
}

// disks finds the newest acknowledged write missing on so many disks that it is not on a majority.
func (j *durabilityJudge) disks() {
	var behind []string
	for _, member := range slices.Sorted(maps.Keys(j.finals)) {
		if end := j.finals[member].Zxid; end < j.newest.zxid {
			behind = append(behind, fmt.Sprintf("that of member %d at zxid %s", member, zxidWord(end)))
		}
	}
	if len(behind) > 0 && 2*(len(j.finals)-len(behind)) <= len(j.finals) {
		j.evidence.add("the write acknowledged to %s is not on a majority of disks: these logs end before it: %s",
			&j.newest, strings.Join(behind, ", "))
	}
}

func (w *lastWrite) String() string {
	return "client " + itoa(w.client) + " (operation " + itoa64(w.operation) + ", answered at " + timeWord(w.answered) + ", zxid " + zxidWord(w.zxid) + ")"
}
