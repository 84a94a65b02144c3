// Package judgement has the words in which guarantees are judged: a verdict, and what a checker says of
// a run. Checkers answer in them, stored runs keep them.
//
// It is a leaf: it knows neither how a verdict comes about nor where it is kept.
package judgement

import "slices"

// Verdict is a checker's answer, or a run's.
type Verdict string

// The verdicts, from best to worst.
const (
	Skipped   Verdict = "skipped"   // nothing to judge, or not asked for: Reason says why
	Valid     Verdict = "valid"     // judged, and the guarantee held
	Unknown   Verdict = "unknown"   // gave up: Reason says why and where
	Violation Verdict = "violation" // the guarantee was broken: Evidence shows how
)

// Result is what a checker says of a run.
type Result struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	// Guarantee quotes what was promised, in one sentence.
	Guarantee string `json:"guarantee"`
	// Judged counts what was looked at: operations, events, znodes. Valid with 0 does not exist.
	Judged int `json:"judged"`
	// Empty is true if the run should have given this checker something to judge and did not. A run
	// with an empty checker did too little.
	Empty bool `json:"empty,omitempty"`
	// Reason says why the answer is skipped or unknown.
	Reason string `json:"reason,omitempty"`
	// Evidence is lines of words, the smallest that show a violation, or a known weakness.
	Evidence []string `json:"evidence,omitempty"`
	// Artifacts are files that the checker wrote into ArtifactDir.
	Artifacts []string `json:"artifacts,omitempty"`
}

// Worst combines answers: the worst of them, or Skipped if there are none. It does not know whether a
// run did enough; the harness judges that, with Result.Empty.
func Worst(results []Result) Verdict {
	worst := Skipped
	for _, r := range results {
		if severity(r.Verdict) > severity(worst) {
			worst = r.Verdict
		}
	}
	return worst
}

func severity(v Verdict) int {
	return slices.Index([]Verdict{Skipped, Valid, Unknown, Violation}, v)
}
