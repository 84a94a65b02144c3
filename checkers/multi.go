package checkers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ordeal/results/history"
)

// multi judges that a multi is all or nothing. It knows one invariant of a workload: the children that
// one multi creates with numbers as their values are accounts, and multis keep their sum.
var multi = &guarantee{
	name:      "multi",
	describe:  "a multi is all or nothing: what failed leaves no trace, and a bank's total never changes",
	promise:   "A multi takes effect as a whole or not at all.",
	workloads: []string{"bank"},
	nothing:   "no multi succeeded",
	start: func(options Options) judge {
		return &multiJudge{memory: newMemory(options, "multis"), touched: map[string]bool{}, seen: map[pathZxid]author{},
			failed: map[int64]operation{}, banks: map[string]*bank{}, balances: map[pathVersion]int64{}, final: map[int]map[string]history.Node{}}
	},
}

// runtimeInconsistency is the code of a multi's parts behind the one that failed.
const runtimeInconsistency = "RuntimeInconsistency"

type pathZxid struct {
	path string
	zxid int64
}

type pathVersion struct {
	path    string
	version int32
}

// bank is znodes whose values begin with numbers of a constant sum.
type bank struct {
	accounts []string
	total    int64
}

type multiJudge struct {
	*memory
	evidence
	touched  map[string]bool                 // paths that a multi asks to change
	seen     map[pathZxid]author             // changes of them that somebody saw, and who
	failed   map[int64]operation             // multis that failed, by the zxid of the answer
	unknown  []operation                     // multis of unknown outcome
	banks    map[string]*bank                // by parent
	balances map[pathVersion]int64           // what an account held in a version
	audits   []operation                     // multis of checks that succeeded
	final    map[int]map[string]history.Node // of touched paths, by member
	judged   int
	took     bool // one of the load took effect
}

func (j *multiJudge) event(e history.Event) {
	switch e.Kind {
	case history.Call:
		if e.Request != nil && e.Request.Kind == history.Multi {
			j.touch(e.Request.Parts)
		}
	case history.Znode:
		if e.Node == nil || !j.touched[e.Node.Path] {
			return
		}
		const each = 300 // bytes that a znode of a final tree costs beside its value
		if !j.memory.take(each + len(e.Node.Value)) {
			return
		}
		if j.final[e.Member] == nil {
			j.final[e.Member] = map[string]history.Node{}
		}
		j.final[e.Member][e.Node.Path] = *e.Node
		j.see(e.Node.Path, &e.Node.Stat, e.Node.Value, author{finalTree: e.Member})
	}
}

// touch notes what a multi may change, and which bank it opens.
func (j *multiJudge) touch(parts []history.Request) {
	opened := map[string]*bank{}
	for _, part := range parts {
		const each = 200 // bytes that a path costs
		if part.Kind == history.Check || !j.touched[part.Path] && !j.memory.take(each+len(part.Path)) {
			continue
		}
		j.touched[part.Path] = true
		if amount, ok := balance(part.Value); ok && part.Kind == history.Create {
			b := opened[parent(part.Path)]
			if b == nil {
				b = &bank{}
				opened[parent(part.Path)] = b
			}
			b.accounts, b.total = append(b.accounts, part.Path), b.total+amount
		}
	}
	for path, b := range opened {
		if len(b.accounts) > 1 {
			j.banks[path] = b
		}
	}
}

// balance is the number that a value begins with.
func balance(value string) (int64, bool) {
	word, _, _ := strings.Cut(value, " ")
	n, err := strconv.ParseInt(word, 10, 64)
	return n, err == nil
}

// see notes that somebody saw a touched znode as this stat has it.
func (j *multiJudge) see(path string, stat *history.Stat, value string, by author) {
	const each = 300 // bytes that a version costs
	if stat == nil || !j.touched[path] {
		return
	}
	for _, zxid := range []int64{stat.Czxid, stat.Mzxid} {
		key := pathZxid{path, zxid}
		if _, known := j.seen[key]; !known && j.memory.take(each) {
			j.seen[key] = by
		}
	}
	if amount, ok := balance(value); ok && value != "" {
		const each = 60 // bytes that a balance costs
		key := pathVersion{path, stat.Version}
		if _, known := j.balances[key]; known || j.memory.take(each) {
			j.balances[key] = amount
		}
	}
}

func (j *multiJudge) operation(op operation) {
	switch {
	case reads(op.request.Kind):
		if op.ok() {
			j.see(op.request.Path, op.result.Stat, op.result.Value, op.author())
		}
	case op.request.Kind != history.Multi:
	case op.result.Outcome == history.Unknown:
		if j.memory.take(op.size()) {
			j.unknown = append(j.unknown, op)
		}
	case op.ok():
		j.count(op)
		j.took = j.took || op.load
		j.succeeded(op)
	case op.result.Answered:
		j.count(op)
		// Without parts the whole request was refused, and nothing was proposed at that zxid.
		if op.result.Zxid > 0 && len(op.result.Parts) > 0 && j.memory.take(op.size()) {
			j.failed[op.result.Zxid] = op
		}
		j.failedParts(op)
	}
}

func (j *multiJudge) count(op operation) {
	if op.load {
		j.judged++
	}
}

// succeeded compares the parts' answers with one another.
func (j *multiJudge) succeeded(op operation) {
	if len(op.result.Parts) != len(op.request.Parts) {
		j.evidence.add("a multi of %d parts was answered with %d: %s", len(op.request.Parts), len(op.result.Parts), op)
		return
	}
	checks, together := 0, int64(0)
	for i, result := range op.result.Parts {
		request := &op.request.Parts[i]
		if result.Error != "" && result.Error != "Ok" {
			j.evidence.add("a multi succeeded, and its part %d (%s) failed with %s: %s", i+1, requestWords(request), result.Error, op)
			return
		}
		if result.Stat != nil && request.Kind != history.Check {
			zxid := writeZxid(op, request, &result)
			if together != 0 && zxid != together {
				j.evidence.add("a multi took effect in parts, at zxids %s and %s: %s", zxidWord(together), zxidWord(zxid), op)
				return
			}
			together = zxid
		}
		switch request.Kind {
		case history.Check:
			checks++
		case history.Set, history.Create:
			j.see(request.Path, result.Stat, request.Value, op.author())
		}
	}
	if checks == len(op.request.Parts) && checks > 1 && j.memory.take(op.size()) {
		j.audits = append(j.audits, op)
	}
}

// failedParts checks that the answer to a failed multi names one part that failed.
func (j *multiJudge) failedParts(op operation) {
	causes := 0
	for _, part := range op.result.Parts {
		if part.Error != "" && part.Error != "Ok" && part.Error != runtimeInconsistency {
			causes++
		}
	}
	if len(op.result.Parts) > 0 && causes != 1 {
		j.evidence.add("a failed multi names %d parts that failed, want 1: %s", causes, op)
	}
}

func (j *multiJudge) finish(context.Context) Result {
	j.traces()
	j.halves()
	j.totals()
	if !j.took {
		j.judged = 0 // what was refused in vain leaves no trace either
	}
	return j.evidence.conclude(j.judged)
}

// traces finds changes made at the zxid of a multi that failed.
func (j *multiJudge) traces() {
	for _, zxid := range slices.Sorted(maps.Keys(j.failed)) {
		op := j.failed[zxid]
		for _, part := range op.request.Parts {
			if by, seen := j.seen[pathZxid{part.Path, zxid}]; seen && part.Kind != history.Check {
				j.evidence.add("a failed multi changed %s, as %s shows: %s", part.Path, by, op)
				break
			}
		}
	}
}

// halves finds multis of unknown outcome of which a final tree has one part and is older than another.
func (j *multiJudge) halves() {
	for _, op := range j.unknown {
		for _, member := range slices.Sorted(maps.Keys(j.final)) {
			if words := half(op, j.final[member]); words != "" {
				j.evidence.add("member %d has only a part of a multi: %s: %s", member, words, op)
				break
			}
		}
	}
}

func half(op operation, tree map[string]history.Node) string {
	for _, part := range op.request.Parts {
		n, ok := tree[part.Path]
		if !ok || n.Value != part.Value || part.Kind != history.Set && part.Kind != history.Create {
			continue
		}
		for _, other := range op.request.Parts {
			if m, ok := tree[other.Path]; ok && other.Kind == history.Set && m.Stat.Mzxid < n.Stat.Mzxid {
				return fmt.Sprintf("%s is as of zxid %s, %s as of %s", part.Path, zxidWord(n.Stat.Mzxid), other.Path, zxidWord(m.Stat.Mzxid))
			}
		}
	}
	return ""
}

// totals adds up what banks hold: in final trees, and in audits.
func (j *multiJudge) totals() {
	for _, path := range slices.Sorted(maps.Keys(j.banks)) {
		b := j.banks[path]
		for _, member := range slices.Sorted(maps.Keys(j.final)) {
			j.finalTotal(path, b, member)
		}
	}
	for _, op := range j.audits {
		b := j.banks[parent(op.request.Parts[0].Path)]
		if b == nil || len(b.accounts) != len(op.request.Parts) {
			continue
		}
		var sum int64
		known := true
		for _, part := range op.request.Parts {
			amount, ok := j.balances[pathVersion{part.Path, part.Version}]
			sum, known = sum+amount, known && ok
		}
		if known && sum != b.total {
			j.evidence.add("an audit of %s adds up to %d, not to %d: %s", parent(op.request.Parts[0].Path), sum, b.total, op)
		}
	}
}

func (j *multiJudge) finalTotal(path string, b *bank, member int) {
	var sum int64
	var words []string
	for _, account := range b.accounts {
		n, ok := j.final[member][account]
		if !ok {
			continue
		}
		amount, _ := balance(n.Value)
		sum += amount
		words = append(words, fmt.Sprintf("%s %s (version %d)", account, quote(n.Value), n.Stat.Version))
	}
	switch {
	case len(words) == 0: // never opened
	case len(words) < len(b.accounts):
		j.evidence.add("member %d has %d of the %d accounts of %s, which one multi creates", member, len(words), len(b.accounts), path)
	case sum != b.total:
		j.evidence.add("on member %d the accounts of %s add up to %d, not to %d: %s", member, path, sum, b.total, strings.Join(words, ", "))
	}
}
