// Package checkers judges histories: each checker one guarantee. A checker reads what was recorded
// and nothing else, so that a stored run can be judged again, and answers with words that quote the
// guarantee and show the smallest evidence that it can.
//
// The package knows the history and its own interfaces; no driver, no client, no workload.
package checkers

import (
	"context"
	"time"

	"ordeal/results/history"
	"ordeal/results/judgement"
)

// What checkers answer is results' own word, so that a stored run knows it without knowing checkers.
type (
	Verdict = judgement.Verdict
	Result  = judgement.Result
)

// The verdicts, from best to worst.
const (
	Skipped   = judgement.Skipped
	Valid     = judgement.Valid
	Unknown   = judgement.Unknown
	Violation = judgement.Violation
)

// Options bound what checkers may use and how strictly they judge.
type Options struct {
	// Time is the budget of the linearizability search, all partitions together; 0 for DefaultTime.
	Time time.Duration
	// MemoryBytes is what all checkers of one run together may keep of a history, the search included; 0 for
	// DefaultMemoryBytes.
	MemoryBytes int64
	budget      *budget // of MemoryBytes
	// StrictSync makes a stale read after sync a violation for every implementation.
	StrictSync bool
	// StrictDisk makes a member's faulty log a violation for every implementation.
	StrictDisk bool
	// KnownWeakDisk says that the implementation may leave a member's log with transactions that are
	// missing or out of order (Apache ZooKeeper before 3.9.3: ZOOKEEPER-4712 and its kin).
	KnownWeakDisk bool
	// KnownWeakSync says that the implementation does not keep sync's promise across a deposed leader
	// (Apache ZooKeeper, ZOOKEEPER-1675).
	KnownWeakSync bool
	// TickTime and SessionTimeout of the ensemble, for the bounds of ephemerals.
	TickTime, SessionTimeout time.Duration
	// ArtifactDir is where a checker may leave pictures; empty for none.
	ArtifactDir string
	// Workloads are the names of those that ran.
	Workloads []string
}

// Checker judges one guarantee.
type Checker interface {
	Name() string
	// Describe says in one line what is judged.
	Describe() string
	// Check reads the log as often as it needs and judges. An error means that the checker could not
	// do its work (an unreadable history); it is not a verdict.
	Check(ctx context.Context, log history.Log, options Options) (Result, error)
}
