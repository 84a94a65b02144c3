package checkers

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"ordeal/results/history"
)

// sequentialNames judges the numbers of sequential znodes: recipes (queues, locks, elections) stand
// on their being unique and in the order of creation.
var sequentialNames = &guarantee{
	name:      "sequential-names",
	describe:  "the numbers of sequential znodes are unique for a parent and in the order of zxids",
	promise:   "The number of a sequential znode is unique to its parent and increases monotonically.",
	workloads: []string{"queue", "lock"},
	nothing:   "no two sequential znodes of one parent were created",
	start: func(options Options) judge {
		return &sequenceJudge{memory: newMemory(options, "sequential names"), parents: map[string]*sequence{}, doubtful: map[string]bool{}}
	},
}

// suffixDigits is the width of the number at the end of a sequential znode's name (%010d).
const suffixDigits = 10

type sequence struct {
	numbers []number
	resets  []int64 // zxids of deletes of the parent: counting starts anew
}

type number struct {
	zxid      int64
	part      int // of a multi: parts count up within one zxid
	suffix    int64
	operation int64
	client    int
	answered  time.Duration
	path      string
	load      bool
}

type sequenceJudge struct {
	*memory
	evidence
	parents map[string]*sequence
	// doubtful are paths that somebody asked to delete and was not answered: if a parent is among them,
	// nobody knows whether counting started anew.
	doubtful map[string]bool
	judged   int
}

func (j *sequenceJudge) event(history.Event) {}

func (j *sequenceJudge) operation(op operation) {
	if op.result.Outcome == history.Unknown {
		noteDeletes(j.memory, j.doubtful, op.request)
	}
	if !op.ok() {
		return
	}
	if op.request.Kind != history.Multi {
		j.note(op, op.request, op.result, 0)
		return
	}
	for i := range op.request.Parts {
		if i < len(op.result.Parts) {
			j.note(op, &op.request.Parts[i], &op.result.Parts[i], i)
		}
	}
}

func (j *sequenceJudge) note(op operation, request *history.Request, result *history.Result, part int) {
	zxid := writeZxid(op, request, result)
	if request.Kind == history.Delete {
		const each = 16 // bytes that a reset costs
		if s := j.parents[request.Path]; s != nil && j.memory.take(each) {
			s.resets = append(s.resets, zxid)
		}
		return
	}
	if request.Kind != history.Create || !request.Sequential {
		return
	}
	suffix, ok := strings.CutPrefix(result.Path, request.Path)
	value, err := strconv.ParseInt(suffix, 10, 64)
	if !ok || err != nil || len(suffix) < suffixDigits {
		j.evidence.add("%q is no sequential name: want %s and a number of %d digits (%s)", result.Path, request.Path, suffixDigits, op)
		return
	}
	const each = 120 // bytes that a number costs beside its path
	if !j.memory.take(each + len(result.Path)) {
		return
	}
	s := j.parents[parent(result.Path)]
	if s == nil {
		s = &sequence{}
		j.parents[parent(result.Path)] = s
	}
	s.numbers = append(s.numbers, number{zxid: zxid, part: part, suffix: value, operation: op.id,
		client: op.client, answered: op.ret, path: result.Path, load: op.load})
}

func (j *sequenceJudge) finish(context.Context) Result {
	for _, path := range slices.Sorted(maps.Keys(j.parents)) {
		j.judge(path, j.parents[path])
	}
	return j.evidence.conclude(j.judged)
}

func (j *sequenceJudge) judge(path string, s *sequence) {
	slices.SortFunc(s.numbers, func(a, b number) int {
		return cmp.Or(cmp.Compare(a.zxid, b.zxid), cmp.Compare(a.part, b.part))
	})
	for i := 1; i < len(s.numbers); i++ {
		a, b := s.numbers[i-1], s.numbers[i]
		reset := slices.ContainsFunc(s.resets, func(z int64) bool { return a.zxid < z && z < b.zxid })
		if reset || j.doubtful[path] {
			continue
		}
		if b.load {
			j.judged++
		}
		switch {
		case a.suffix < b.suffix:
		case a.suffix == b.suffix:
			j.evidence.add("number %d was given out twice under %s: %s and %s", a.suffix, path, a, b)
		default:
			j.evidence.add("numbers under %s go back: %s and later %s", path, a, b)
		}
	}
}

func (n number) String() string {
	return n.path + " to client " + itoa(n.client) + " (operation " + itoa64(n.operation) + ", answered at " +
		timeWord(n.answered) + ", zxid " + zxidWord(n.zxid) + ")"
}
