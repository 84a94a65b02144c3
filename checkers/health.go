package checkers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ordeal/results/history"
)

// health judges the servers themselves: what ends a process other than a fault is a bug, whatever
// clients saw of it. It also notices a run that did not come to its end.
var health = &guarantee{
	name:     "health",
	describe: "no member panics, ends by itself or reports a data race, and every fault is healed",
	promise:  "A member runs until it is asked to end: no panic, no unexpected exit, no data race.",
	nothing:  "no member event was recorded",
	start:    func(Options) judge { return &healthJudge{faults: map[int]history.Fault{}} },
}

// troubles are words in a member's event that mean a bug whatever its state is.
var troubles = []string{"panic:", "DATA RACE"}

type healthJudge struct {
	evidence evidence
	events   int
	faults   map[int]history.Fault // on, by ID
	phase    string
	ended    bool
}

func (j *healthJudge) event(e history.Event) {
	switch e.Kind {
	case history.Member:
		j.events++
		trouble := slices.ContainsFunc(troubles, func(word string) bool { return strings.Contains(e.Text, word) })
		if e.State == history.Crashed || trouble {
			j.evidence.add("member %d %s at %s: %s", e.Member, e.State, timeWord(e.Time), orElse(e.Text, "no word about why"))
		}
	case history.FaultOn:
		if e.Fault != nil {
			j.faults[e.Fault.ID] = *e.Fault
		}
	case history.FaultOff:
		if e.Fault != nil {
			delete(j.faults, e.Fault.ID)
		}
	case history.Phase:
		j.phase = e.Text
		j.ended = j.ended || e.Text == "end"
	}
}

func (j *healthJudge) operation(operation) {}

func (j *healthJudge) finish(context.Context) Result {
	r := j.evidence.conclude(j.events)
	if r.Verdict == Violation {
		return r
	}
	switch {
	case len(j.faults) > 0:
		var words []string
		for _, f := range j.faults {
			words = append(words, f.String())
		}
		slices.Sort(words)
		r.Verdict, r.Reason = Unknown, "faults were not healed: "+strings.Join(words, "; ")
	case !j.ended:
		r.Verdict = Unknown
		r.Reason = fmt.Sprintf("the history stops before the end of the run, in phase %q", orElse(j.phase, "none"))
	}
	return r
}

func orElse(word, other string) string {
	if word == "" {
		return other
	}
	return word
}
