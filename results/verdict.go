package results

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ordeal/results/judgement"
)

// Failed is the verdict of a run that failed itself, or that did too little to judge. It is a run's
// verdict only; the others are the checkers'.
const Failed = "failed"

// Exit codes of a run.
const (
	ExitValid     = 0
	ExitViolation = 1
	ExitUnknown   = 2
	ExitFailed    = 3
)

// Verdict is what a run found, in the form that --json prints.
type Verdict struct {
	Verdict         string             `json:"verdict"` // valid, violation, unknown or failed
	Reason          string             `json:"reason"`
	Driver          string             `json:"driver"`
	Implementation  string             `json:"implementation"`
	Seed            uint64             `json:"seed"`
	DurationSeconds float64            `json:"duration_s"`
	Operations      Operations         `json:"operations"` // of the load
	Faults          int                `json:"faults"`
	FaultsSkipped   []Skipped          `json:"faults_skipped"`
	LeaderChanges   int                `json:"leader_changes"`
	Checkers        []judgement.Result `json:"checkers"`
	Results         string             `json:"results"` // the folder
	Rerun           string             `json:"rerun"`   // a command
	// Workloads are the operations of the load by workload. Every workload that should have run is there.
	Workloads map[string]Operations `json:"operations_by_workload,omitempty"`
}

// Operations counts what clients asked during the load by what is known of it. What a set-up or the
// final reads ask is none of it: they succeed in a run that did nothing.
type Operations struct {
	OK      int64 `json:"ok"`
	Failed  int64 `json:"failed"`
	Unknown int64 `json:"unknown"`
}

// Exit is the exit code that the verdict gives.
func (v Verdict) Exit() int {
	switch v.Verdict {
	case string(judgement.Valid):
		return ExitValid
	case string(judgement.Violation):
		return ExitViolation
	case string(judgement.Unknown):
		return ExitUnknown
	}
	return ExitFailed
}

// Conclude fills in Verdict and Reason from what the checkers said and from how much was done. A
// violation outweighs everything; after it a run that did too little is failed, never valid.
// faultsWanted says whether the run should have applied any.
func (v *Verdict) Conclude(faultsWanted bool) {
	worst := judgement.Worst(v.Checkers)
	little := v.tooLittle(faultsWanted)
	switch {
	case worst == judgement.Violation:
		v.Verdict, v.Reason = string(worst), v.because(worst)
	case len(little) > 0:
		v.Verdict, v.Reason = Failed, "the run did too little: "+strings.Join(little, "; ")
	case worst == judgement.Unknown:
		v.Verdict, v.Reason = string(worst), v.because(worst)
	default:
		v.Verdict, v.Reason = string(worst), fmt.Sprintf("%d guarantees were judged over %d operations and %d faults",
			v.count(judgement.Valid), v.Operations.OK+v.Operations.Failed+v.Operations.Unknown, v.Faults)
	}
}

// tooLittle says in words what a run lacks to be worth a verdict.
func (v *Verdict) tooLittle(faultsWanted bool) []string {
	var little []string
	if v.Operations.OK == 0 {
		little = append(little, "no operation succeeded during the load")
	} else {
		for _, name := range slices.Sorted(maps.Keys(v.Workloads)) {
			if v.Workloads[name].OK == 0 {
				little = append(little, "no operation of the workload "+name+" succeeded during the load")
			}
		}
	}
	if faultsWanted && v.Faults == 0 {
		little = append(little, "no fault was applied")
	}
	for _, c := range v.Checkers {
		if c.Empty {
			little = append(little, fmt.Sprintf("%s saw nothing (%s)", c.Name, c.Reason))
		}
	}
	if v.count(judgement.Skipped) == len(v.Checkers) {
		little = append(little, "no guarantee was judged")
	}
	return slices.Compact(little)
}

func (v *Verdict) count(verdict judgement.Verdict) int {
	n := 0
	for _, c := range v.Checkers {
		if c.Verdict == verdict {
			n++
		}
	}
	return n
}

// because names the checkers of one verdict, each with the first words of why.
func (v *Verdict) because(verdict judgement.Verdict) string {
	var words []string
	for _, c := range v.Checkers {
		if c.Verdict != verdict {
			continue
		}
		why := c.Reason
		if why == "" && len(c.Evidence) > 0 {
			why = c.Evidence[0]
		}
		words = append(words, c.Name+": "+why)
	}
	return strings.Join(words, "; ")
}
