package checkers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"ordeal/results/history"
)

// linearizable judges writes, and reads after sync where the implementation promises them, with
// Porcupine. Plain reads are not judged: ZooKeeper does not promise that they are linearizable.
//
// Znodes are judged apart where an operation concerns one of them alone. Those that a multi joins are
// judged together, and so are a parent and its sequential children.
var linearizable = &guarantee{
	name:     "linearizable",
	describe: "writes, and reads after sync, take effect in one order that agrees with time, versions and zxids (Porcupine)",
	promise:  "Writes are linearizable, and so are reads after sync as far as the implementation promises it.",
	nothing:  "no write was answered",
	start: func(options Options) judge {
		return &linearizableJudge{options: options, memory: newMemory(options, "the order of operations"), synced: !options.KnownWeakSync || options.StrictSync,
			joined: map[string]string{}, facts: map[string]*facts{}, alive: map[string]int64{},
			closed: map[string]bool{}, on: map[int]time.Duration{}, sequences: map[string]bool{}}
	},
}

type linearizableJudge struct {
	options Options
	*memory
	synced bool // reads after sync are promised

	moves     []*move
	joined    map[string]string // each path's neighbour towards the one that names its partition
	facts     map[string]*facts
	alive     map[string]int64 // by session
	closed    map[string]bool  // sessions whose close was acknowledged
	sequences map[string]bool  // parents of sequential znodes
	faults    []porcupine.Annotation
	on        map[int]time.Duration
}

func (j *linearizableJudge) event(e history.Event) {
	switch e.Kind {
	case history.FaultOn:
		if e.Fault != nil {
			j.on[e.Fault.ID] = e.From()
		}
	case history.FaultOff:
		if e.Fault != nil {
			j.faults = append(j.faults, porcupine.Annotation{Tag: "faults", Start: int64(j.on[e.Fault.ID]), End: int64(e.Time),
				Description: e.Fault.String(), BackgroundColor: "#f3d9a4"})
		}
	case history.Znode:
		if e.Node != nil {
			if f := j.fact(e.Node.Path); f != nil {
				j.see(f, &e.Node.Stat, &e.Node.Value, 0, false)
			}
		}
	}
}

// operation keeps what is to be ordered, and notes what is shown by the way.
func (j *linearizableJudge) operation(op operation) {
	const each = 200 // bytes that a session costs, alive and closed
	_, known := j.alive[op.session]
	if op.result.Answered && op.session != "" && op.ok() && (known || j.memory.take(each)) {
		j.alive[op.session] = max(j.alive[op.session], op.result.Zxid)
	}
	switch op.request.Kind {
	case history.Get, history.Exists, history.SyncGet:
		j.shown(op)
		if op.request.Kind == history.SyncGet && j.synced && (op.ok() || op.failed("NoNode")) {
			j.keep(op)
		}
	case history.SyncChildren:
		if j.synced && op.ok() {
			j.list(op)
			j.keep(op)
		}
	case history.Create, history.Delete, history.Set, history.Multi, history.CloseSession:
		j.write(op)
	}
}

// list notes what a list of children shows.
func (j *linearizableJudge) list(op operation) {
	for _, name := range op.result.Children {
		if !sequentialName(name) {
			continue // it may have been another life of the znode
		}
		if f := j.fact(child(op.request.Path, name)); f != nil {
			f.listed = max(f.listed, op.result.Zxid)
		}
	}
}

func (j *linearizableJudge) fact(path string) *facts {
	f := j.facts[path]
	if f == nil {
		const each = 500 // bytes that a path costs
		if !j.memory.take(each + len(path)) {
			return nil
		}
		f = newFacts()
		j.facts[path] = f
	}
	return f
}

// see takes in what was seen of a znode, and accounts for a version that nobody had seen.
func (j *linearizableJudge) see(f *facts, stat *history.Stat, value *string, zxid int64, written bool) {
	const each = 250 // bytes that a version costs, and that a life does
	before := len(f.versions)
	f.see(stat, value, zxid, written)
	j.memory.take(each * (len(f.versions) - before))
}

// shown notes what a read shows.
func (j *linearizableJudge) shown(op operation) {
	f := j.fact(op.request.Path)
	if f == nil || !op.ok() || op.result.Stat == nil {
		return
	}
	value := &op.result.Value
	if op.request.Kind == history.Exists {
		value = nil
	}
	j.see(f, op.result.Stat, value, op.result.Zxid, false)
}

func (j *linearizableJudge) write(op operation) {
	switch {
	case op.ok():
		if op.request.Kind == history.CloseSession {
			j.closed[op.session] = true
		}
		if op.request.Kind != history.Multi {
			j.wrote(op, op.request, op.result)
		}
		for i := range op.request.Parts {
			if i < len(op.result.Parts) {
				j.wrote(op, &op.request.Parts[i], &op.result.Parts[i])
			}
		}
	case op.result.Outcome == history.Failed:
		if !op.result.Answered || !telling(op) {
			return
		}
	}
	j.keep(op)
}

// telling says whether an error says something about znodes.
func telling(op operation) bool {
	if op.request.Kind == history.Multi {
		return len(op.result.Parts) == len(op.request.Parts)
	}
	return slices.Contains([]string{"NoNode", "NodeExists", "BadVersion", "NotEmpty"}, op.result.Error)
}

// wrote notes what an acknowledged write, or one part of a multi, shows.
func (j *linearizableJudge) wrote(op operation, request *history.Request, result *history.Result) {
	path := request.Path
	if result.Path != "" {
		path = result.Path
	}
	if path == "" {
		return
	}
	f := j.fact(path)
	if f == nil {
		return
	}
	zxid := writeZxid(op, request, result)
	switch {
	case request.Kind == history.Create:
		j.see(f, &history.Stat{Czxid: zxid, Mzxid: zxid}, &request.Value, zxid, true)
		if request.Sequential {
			j.sequences[parent(path)] = true
		}
	case request.Kind == history.Set && result.Stat != nil:
		j.see(f, result.Stat, &request.Value, zxid, true)
	}
}

// keep puts an operation with those to be ordered.
func (j *linearizableJudge) keep(op operation) {
	if !j.memory.take(op.size()) {
		return
	}
	m := &move{operation: op, zxid: op.result.Zxid}
	switch {
	case op.result.Outcome == history.Unknown:
		m.zxid = 0
	case op.ok() && op.request.Kind == history.Multi:
		for i := range op.result.Parts {
			if stat := op.result.Parts[i].Stat; stat != nil && op.request.Parts[i].Kind != history.Check {
				m.zxid = stat.Mzxid
			}
		}
	case op.ok():
		m.zxid = writeZxid(op, op.request, op.result)
	}
	j.moves = append(j.moves, m)
}

// home follows a path to the one that names its partition.
func (j *linearizableJudge) home(path string) string {
	root := path
	for j.joined[root] != "" {
		root = j.joined[root]
	}
	for path != root {
		j.joined[path], path = root, j.joined[path]
	}
	return root
}

func (j *linearizableJudge) join(a, b string) {
	if a, b = j.home(a), j.home(b); a != b {
		j.joined[max(a, b)] = min(a, b)
	}
}

// partitions divides the operations into those that must be ordered together.
func (j *linearizableJudge) partitions() []*partition {
	seen, writers := evidents(j.facts), writersOf(j.moves)
	for _, m := range j.moves {
		if m.result.Outcome == history.Unknown {
			settle(m, seen, writers)
		}
		first := ""
		m.paths(func(path string) {
			if first == "" {
				first = path
			}
			j.join(first, path)
			if j.sequences[parent(path)] {
				j.join(parent(path), path)
			}
		})
	}
	j.levelEpochStarts()
	found := map[string]*partition{}
	at := func(path string) *partition {
		home := j.home(path)
		if found[home] == nil {
			found[home] = &partition{name: home, rules: rules{facts: map[string]*facts{}, alive: j.alive}}
		}
		return found[home]
	}
	owners := map[string][]*partition{} // where sessions have ephemeral znodes
	var closes []*move
	for _, m := range j.moves {
		switch m.request.Kind {
		case history.CloseSession:
			closes = append(closes, m)
			continue
		case history.SyncChildren:
			if !j.sequences[m.request.Path] {
				continue // its children are judged apart; reads after sync have a checker of their own
			}
		}
		m.paths(func(path string) {
			p := at(path)
			if f := j.facts[path]; f != nil && p.rules.facts[path] == nil {
				p.rules.facts[path] = f
				p.paths++
			}
		})
		var p *partition
		m.paths(func(path string) { p = at(path) })
		if p == nil {
			continue
		}
		p.add(m)
		if m.makesEphemeral() && !slices.Contains(owners[m.session], p) {
			owners[m.session] = append(owners[m.session], p)
		}
	}
	for _, m := range closes {
		for _, p := range owners[m.session] {
			if m.result.Outcome == history.OK {
				one := *m
				p.add(&one)
			}
		}
	}
	for session, places := range owners {
		if !j.closed[session] {
			for _, p := range places {
				p.unknown = append(p.unknown, &move{operation: operation{request: &history.Request{}, result: &history.Result{Outcome: history.Unknown},
					session: session, ret: forever}, ends: session})
			}
		}
	}
	sorted := make([]*partition, 0, len(found))
	for _, home := range slices.Sorted(maps.Keys(found)) {
		p := found[home]
		p.rank()
		slices.SortFunc(p.unknown, func(a, b *move) int { return int(a.id - b.id) })
		sorted = append(sorted, p)
	}
	return sorted
}

// makesEphemeral tells whether the operation, or a part of it, creates an ephemeral znode.
func (m *move) makesEphemeral() bool {
	isEphemeral := func(r history.Request) bool { return r.Kind == history.Create && r.Ephemeral }
	return isEphemeral(*m.request) || slices.ContainsFunc(m.request.Parts, isEphemeral)
}

// levelEpochStarts gives answers at the start of an epoch the lowest zxid that is known to be of the same
// state: that of the last transaction before it, or of an earlier epoch's start. A new leader answers at the
// start of its epoch, which is no transaction's zxid, while its followers still answer at what they had:
// both have seen the same. That is known if something was answered there that was called after an answer
// at the start of the epoch; otherwise a write of unknown outcome may stand between.
func (j *linearizableJudge) levelEpochStarts() {
	first := map[int64]time.Duration{} // the first answer at the start of an epoch
	transactions := []int64{0}
	for _, m := range j.moves {
		switch {
		case isTransaction(m.zxid):
			transactions = append(transactions, m.zxid)
		case m.zxid != 0:
			if ret, known := first[m.zxid]; !known || m.ret < ret {
				first[m.zxid] = m.ret
			}
		}
	}
	slices.Sort(transactions)
	starts := slices.Sorted(maps.Keys(first))
	level := map[int64]int64{}
	for i, start := range starts {
		before, _ := slices.BinarySearch(transactions, start)
		level[start] = j.lowestAfter(first[start], transactions[before-1], start)
		// What lies between two zxids of the same state is of that state too.
		for k := i - 1; k >= 0 && starts[k] > level[start]; k-- {
			level[starts[k]] = min(level[starts[k]], level[start])
		}
	}
	for _, start := range starts { // upwards: what is below is final
		if lower, known := level[level[start]]; known {
			level[start] = lower
		}
	}
	for _, m := range j.moves {
		if lower, known := level[m.zxid]; known {
			m.zxid = lower
		}
	}
}

// lowestAfter returns the lowest zxid, from one zxid to another, of an answer to what was called after a time.
func (j *linearizableJudge) lowestAfter(when time.Duration, from, to int64) int64 {
	lowest := to
	for _, m := range j.moves {
		if m.zxid != 0 && m.zxid >= from && m.zxid < lowest && m.call > when {
			lowest = m.zxid
		}
	}
	return lowest
}

func (p *partition) add(m *move) {
	switch {
	case m.result.Outcome != history.Unknown:
		p.known = append(p.known, m)
	case m.request.Kind == history.Create && m.request.Sequential: // nobody saw its name
	default:
		p.unknown = append(p.unknown, m)
	}
}

func (j *linearizableJudge) finish(ctx context.Context) Result {
	limits := searchLimits{deadline: time.Now().Add(j.options.Time), memory: j.memory.left()}
	var r Result
	var undecided []string
	for _, p := range j.partitions() {
		for _, m := range p.known {
			if m.load {
				r.Judged++
			}
		}
		if err := ctx.Err(); err != nil {
			undecided = append(undecided, fmt.Sprintf("%s: %v", p.name, err))
			continue
		}
		found := p.search(limits)
		switch found.verdict {
		case Unknown:
			undecided = append(undecided, fmt.Sprintf("%s (%d znodes, %d operations, %d of unknown outcome): %s",
				p.name, p.paths, len(p.known), len(p.unknown), found.reason))
		case Violation:
			if r.Verdict == Violation { // the first partition is evidence enough
				continue
			}
			r.Verdict, r.Evidence = Violation, found.evidence
			if file, err := found.draw(j.options.ArtifactDir, p.name, j.faults); err != nil {
				r.Evidence = append(r.Evidence, fmt.Sprintf("Porcupine's picture could not be written: %v", err))
			} else if file != "" {
				r.Artifacts = append(r.Artifacts, file)
			}
		}
	}
	if len(undecided) > 0 && r.Verdict != Violation {
		r.Verdict = Unknown
		r.Reason = undecided[0]
		if len(undecided) > 1 {
			r.Reason += fmt.Sprintf("; and %d other partitions", len(undecided)-1)
		}
	}
	return r
}
