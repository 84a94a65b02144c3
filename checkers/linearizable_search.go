package checkers

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"ordeal/results/history"
)

const (
	// segmentMoves is how many operations of known zxid are searched at once. A partition is cut
	// between zxids: what stands before the cut and what stands behind is decided by them, and the
	// search hands the tree over.
	segmentMoves = 1000
	// wholeMoves is how large a partition may be to be searched without cuts, if those proved wrong.
	wholeMoves = 5000
	// pictureMoves bounds how much of a partition Porcupine's picture shows.
	pictureMoves = 300
	// expiryLane keeps what is no client apart from clients in the picture.
	expiryLane = 10_000
)

// partition is operations that must be ordered together.
type partition struct {
	name    string // the first of its paths
	paths   int
	known   []*move // with known zxid, by rank
	unknown []*move // of unknown outcome, and ends of sessions that nobody saw
	rules   rules
}

// answer is what a search found.
type answer struct {
	verdict  Verdict
	reason   string
	evidence []string
	info     *porcupine.LinearizationInfo
	model    porcupine.Model
}

// rank orders what is known and numbers it.
func (p *partition) rank() {
	slices.SortStableFunc(p.known, func(a, b *move) int {
		return cmp.Or(cmp.Compare(a.zxid, b.zxid), cmp.Compare(a.kindRank(), b.kindRank()),
			cmp.Compare(a.ret, b.ret), cmp.Compare(a.id, b.id))
	})
	for i, m := range p.known {
		m.rank = i + 1
	}
	p.rules.known = p.known
}

// kindRank puts the write of a zxid before what was answered at that zxid.
func (m *move) kindRank() int {
	if m.ok() && m.writes() {
		return 0
	}
	return 1
}

// search looks for an order of a whole partition, segment by segment.
func (p *partition) search(limits searchLimits) answer {
	var state modelState
	pending := p.unknown
	chosen := false // an earlier segment had a choice among writes of unknown outcome
	for from := 0; ; {
		to := p.cut(from)
		if words := p.acrossCut(to); words != nil {
			return p.picture(answer{verdict: Violation, evidence: words}, state, max(0, to-pictureMoves/2), min(len(p.known), to+pictureMoves/2), pending)
		}
		found, next, left := p.segment(state, from, to, pending, limits)
		if found.verdict != Valid {
			if found.verdict == Violation && (chosen || p.hasUnknownMulti()) {
				return p.whole(limits)
			}
			return found
		}
		chosen = chosen || len(left) < len(pending)
		state, pending = next, left
		if to == len(p.known) {
			return found
		}
		from = to
	}
}

// hasUnknownMulti tells whether a multi of unknown outcome is among the operations.
func (p *partition) hasUnknownMulti() bool {
	return slices.ContainsFunc(p.unknown, func(m *move) bool { return m.request.Kind == history.Multi })
}

// whole searches without cuts, so that no choice is final before everything is ordered. Nor does a multi wait
// until it is needed: it may be too late for one of its znodes when another shows that it took effect.
func (p *partition) whole(limits searchLimits) answer {
	if len(p.known) > wholeMoves {
		return answer{verdict: Unknown, reason: fmt.Sprintf("%d operations are too many to be searched at once, and which of %d writes of unknown outcome took effect is not clear",
			len(p.known), len(p.unknown))}
	}
	p.rules.early = true
	found, _, _ := p.segment(modelState{}, 0, len(p.known), p.unknown, limits)
	return found
}

// cut returns the end of the segment that begins at from: the next change of zxid after segmentMoves.
func (p *partition) cut(from int) int {
	to := from + segmentMoves
	for ; to < len(p.known); to++ {
		if p.known[to].zxid != p.known[to-1].zxid {
			return to
		}
	}
	return len(p.known)
}

// acrossCut finds an operation behind the cut that was answered before one in front of it was called.
func (p *partition) acrossCut(cut int) []string {
	if cut == len(p.known) {
		return nil
	}
	last := slices.MaxFunc(p.known[:cut], func(a, b *move) int { return cmp.Compare(a.call, b.call) })
	first := slices.MinFunc(p.known[cut:], func(a, b *move) int { return cmp.Compare(a.ret, b.ret) })
	if first.ret >= last.call {
		return nil
	}
	return tooEarly(last, first)
}

// tooEarly says that time and zxids contradict each other.
func tooEarly(late, early *move) []string {
	return []string{
		fmt.Sprintf("%s was answered before %s was called, and yet has the greater zxid (%s, not before %s)",
			early.author(), late.author(), zxidWord(early.zxid), zxidWord(late.zxid)),
		early.String(),
		late.String(),
	}
}

// segment searches the known operations from..to together with those pending. It returns the tree
// after them, and which of the pending have not taken effect.
func (p *partition) segment(start modelState, from, to int, pending []*move, limits searchLimits) (answer, modelState, []*move) {
	moves := slices.Concat(p.known[from:to], pending)
	if len(moves) == 0 {
		return answer{verdict: Valid}, start, pending
	}
	timeout := time.Until(limits.deadline)
	if timeout <= 0 {
		return answer{verdict: Unknown, reason: "the time was spent on other partitions"}, start, pending
	}
	r := p.rules
	r.end = to
	steps := limits.steps(len(moves))
	model := r.model(start, &steps)
	result, info := porcupine.CheckOperationsVerbose(model, operations(moves), timeout)
	switch {
	case result == porcupine.Unknown:
		return answer{verdict: Unknown, reason: "no answer within the time budget"}, start, pending
	case steps < 0:
		return answer{verdict: Unknown, reason: "no answer within the memory budget"}, start, pending
	}
	order := longest(info.PartialLinearizations()[0])
	state, taken := start, map[*move]bool{}
	for _, i := range order {
		next, _ := r.step(state, moves[i])
		taken[moves[i]] = moves[i].rank > 0 || !next.equal(state)
		state = next
	}
	if result == porcupine.Illegal {
		found := answer{verdict: Violation, evidence: r.explain(state, moves, taken)}
		return p.picture(found, start, from, to, pending), start, pending
	}
	var left []*move
	for _, m := range pending {
		if !taken[m] {
			left = append(left, m)
		}
	}
	return answer{verdict: Valid}, state, left
}

// searchLimits bound one search.
type searchLimits struct {
	deadline time.Time
	memory   int64
}

// steps is how many steps forward a search over n operations may take: Porcupine remembers for each
// which operations stand behind it.
func (l searchLimits) steps(n int) int64 {
	const state = 300 // bytes that a state costs beside that set
	return l.memory / int64(n/8+state)
}

// model makes Porcupine's model. When steps are used up, nothing fits any more, and the search ends.
func (r *rules) model(start modelState, steps *int64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return start },
		Step: func(state, input, _ any) (bool, any) {
			if *steps < 0 {
				return false, state
			}
			next, reason := r.step(state.(modelState), input.(*move))
			if reason == "" {
				*steps--
			}
			return reason == "", next
		},
		Equal: func(a, b any) bool { return a.(modelState).equal(b.(modelState)) },
		Hash:  func(a any) uint64 { return a.(modelState).znodes.print() + uint64(a.(modelState).rank) },
		DescribeOperation: func(input, _ any) string {
			m := input.(*move)
			if m.ends != "" {
				return "session " + m.ends + " ends"
			}
			return requestWords(m.request) + ": " + resultWords(m.request, m.result)
		},
		DescribeState: func(state any) string { return state.(modelState).describe() },
	}
}

func operations(moves []*move) []porcupine.Operation {
	all := make([]porcupine.Operation, len(moves))
	for i, m := range moves {
		lane := m.client - 1
		if m.ends != "" {
			lane = expiryLane
		}
		all[i] = porcupine.Operation{ClientId: lane, Input: m, Call: int64(m.call), Return: int64(m.ret)}
	}
	return all
}

func longest(orders [][]int) []int {
	var most []int
	for _, order := range orders {
		if len(order) > len(most) {
			most = order
		}
	}
	return most
}

// explain finds the operation that fits nowhere after the longest order, and says why.
func (r *rules) explain(state modelState, moves []*move, taken map[*move]bool) []string {
	var stuck *move
	for _, m := range moves {
		if m.rank > 0 && !taken[m] && (stuck == nil || m.rank < stuck.rank) {
			stuck = m
		}
	}
	if stuck == nil {
		return []string{"no order of the writes of unknown outcome explains the history"}
	}
	for _, m := range moves {
		if m.rank > stuck.rank && m.ret < stuck.call {
			return tooEarly(stuck, m)
		}
	}
	_, reason := r.step(state, stuck)
	if reason == "" {
		reason = "it leaves no place for what follows"
	}
	lines := []string{"no order explains " + stuck.String(), "after all that stands before it, " + reason}
	if writer := lastWriter(moves, taken, stuck); writer != nil {
		lines = append(lines, "the last write before it there is "+writer.String())
	}
	return lines
}

// lastWriter finds the last write in order that concerns a path of m.
func lastWriter(moves []*move, taken map[*move]bool, m *move) *move {
	paths := map[string]bool{}
	m.paths(func(path string) { paths[path] = true })
	var last *move
	for _, w := range moves {
		if w.rank == 0 || !taken[w] || !w.ok() || !w.writes() || last != nil && w.rank < last.rank {
			continue
		}
		w.paths(func(path string) {
			if paths[path] {
				last = w
			}
		})
	}
	return last
}

// paths calls visit for every path that the operation is about.
func (m *move) paths(visit func(string)) {
	switch {
	case m.request == nil:
	case m.request.Kind == history.Multi:
		for _, part := range m.request.Parts {
			visit(part.Path)
		}
	case m.ok() && m.result.Path != "":
		visit(m.result.Path)
	case m.request.Path != "":
		visit(m.request.Path)
	}
}

// picture searches once more, over what is near the violation, and keeps what Porcupine draws from.
func (p *partition) picture(found answer, start modelState, from, to int, pending []*move) answer {
	if to-from > pictureMoves {
		from = to - pictureMoves
		start = modelState{rank: from}
	}
	r := p.rules
	r.end = to
	steps := int64(math.MaxInt64)
	found.model = r.model(start, &steps)
	const patience = 2 * time.Second
	_, info := porcupine.CheckOperationsVerbose(found.model, operations(slices.Concat(p.known[from:to], pending)), patience)
	found.info = &info
	return found
}

// draw writes Porcupine's picture of a violation, with the faults on it.
func (a answer) draw(dir, name string, faults []porcupine.Annotation) (string, error) {
	if dir == "" || a.info == nil {
		return "", nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	a.info.AddAnnotations(faults)
	file := filepath.Join(dir, "linearizable"+strings.ReplaceAll(name, "/", "-")+".html")
	return file, porcupine.VisualizePath(a.model, *a.info, file)
}
