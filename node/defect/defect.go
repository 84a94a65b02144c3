// Package defect names real mistakes that can be switched on inside the server, each at the place
// where such a mistake is made, so that the toolkit's own power to find bugs is measured.
//
// A defect is a question that the code asks at its one place: "if defects.On(defect.SkipTrunc)".
// The package must not know that place, nor who searches for the bug.
package defect

import (
	"fmt"
	"sort"
	"strings"
)

// Name is a defect's word on the command line.
type Name string

// The defects. What each one breaks stands in its Description.
const (
	// CommitBeforeQuorum makes the leader commit a proposal on its own acknowledgement alone.
	CommitBeforeQuorum Name = "commit-before-quorum"
	// AckBeforeFsync makes the sync processor pass proposals on before they are on disk.
	AckBeforeFsync Name = "ack-before-fsync"
	// SkipTrunc makes a learner keep what TRUNC told it to give up.
	SkipTrunc Name = "skip-trunc"
	// ServeUnsynchronised makes a server answer reads, from the tree that it has, while it looks for
	// a leader or is not yet synchronised with it.
	ServeUnsynchronised Name = "serve-unsynchronised"
	// KeepEphemerals makes the end of a session forget the session's ephemeral znodes.
	KeepEphemerals Name = "keep-ephemerals"
	// NeverExpire makes the leader never look whose session's time is over.
	NeverExpire Name = "never-expire"
	// DuplicateSequence takes the suffix of a sequential znode from the number of children that
	// there are, not from the number that there ever were.
	DuplicateSequence Name = "duplicate-sequence"
	// PartialMulti applies the operations of a failed multi that stand before the failing one.
	PartialMulti Name = "partial-multi"
	// LostWatch re-registers a returning client's watches without looking at what it missed.
	LostWatch Name = "lost-watch"
	// LateWatch sends watch events after the replies that show the newer state.
	LateWatch Name = "late-watch"
	// ForgetSeen lets a session resume on a server that is behind what the session has seen, without
	// asking the leader.
	ForgetSeen Name = "forget-seen"

	// The following are Apache's own mistakes in election, synchronisation and recovery.

	// ForgetEpochs makes a server that starts take its epochs from the last transaction of its log.
	ForgetEpochs Name = "forget-epochs"
	// LeadAlone ends an election once something was heard of every server, whatever it was.
	LeadAlone Name = "lead-alone"
	// DiffOverDivergence makes a leader send a DIFF to a learner whose log holds what no other does.
	DiffOverDivergence Name = "diff-over-divergence"
	// ClaimDiff makes a learner count the end of a DIFF as its own before the transactions have come.
	ClaimDiff Name = "claim-diff"
	// ServeBeforeCommits makes a follower serve before what it was synchronised with is in its tree.
	ServeBeforeCommits Name = "serve-before-commits"
	// CircularVotes compares votes by zxid and id without having compared their epochs first.
	CircularVotes Name = "circular-votes"
	// KeepDirtyMemory makes a server that looks stand by its memory alone, and forget what it has
	// logged and not applied.
	KeepDirtyMemory Name = "keep-dirty-memory"
	// KeepPartialSnapshot makes a learner take over a leader's tree at SNAP, in memory, before the
	// synchronisation is complete.
	KeepPartialSnapshot Name = "keep-partial-snapshot"
	// LogAfterUpToDate makes a learner log the leader's history only at UPTODATE.
	LogAfterUpToDate Name = "log-after-uptodate"
	// LoseEarlyProposals makes a learner forget, at NEWLEADER, the proposals that were not committed
	// yet.
	LoseEarlyProposals Name = "lose-early-proposals"
	// EpochBeforeLog makes a learner write currentEpoch before the leader's history is on disk.
	EpochBeforeLog Name = "epoch-before-log"
	// AckNewLeaderBeforeLog makes a learner acknowledge NEWLEADER before the history is on disk.
	AckNewLeaderBeforeLog Name = "ack-newleader-before-log"
	// FirstAckCounts makes a learner acknowledge what it logs before NEWLEADER, and the leader take
	// the first ACK for that of NEWLEADER.
	FirstAckCounts Name = "first-ack-counts"
	// LeaveLoggerBehind makes a server that leaves its leader look for another one while its log is
	// still being written.
	LeaveLoggerBehind Name = "leave-logger-behind"
	// SnapshotUncommitted makes a server that begins to lead write a snapshot of all that it has
	// logged, and TRUNC leave snapshots that are too new.
	SnapshotUncommitted Name = "snapshot-uncommitted"
	// GoOnAfterDiskError makes a server go on with what it has in memory after its log failed.
	GoOnAfterDiskError Name = "go-on-after-disk-error"
	// HoleInHistory leaves transactions of the synchronisation out of the history in memory, from
	// which a later leader brings others up to date.
	HoleInHistory Name = "hole-in-history"
)

// Description tells people about a defect, and the harness how to look for it.
type Description struct {
	Name Name
	// Issue is the real bug that it is, if it is one: the issues that were filed for it, by commas.
	Issue string
	// Summary says in a line what the server does wrong.
	Summary string
	// Story tells how it does harm, and what was made larger for it to be found; empty where Summary says it all.
	Story string
	// Guarantees are the checkers that may name it; the first is the most telling.
	Guarantees []string
	// Inside are the invariants of the simulator that may name it before any client sees something.
	Inside []string
	// Workloads and Nemeses are what brings it out.
	Workloads []string
	Nemeses   []string
	// NeedsPowerLoss is true if it shows only where un-synced bytes are lost.
	NeedsPowerLoss bool
	// NeedsSilence is true if the next write after a recovery hides it.
	NeedsSilence bool
	// SimulatorOnly is true if it needs an order of events that real time hardly ever gives.
	SimulatorOnly bool
}

// Set is the defects that are switched on. The nil set has none.
type Set map[Name]bool

// On tells whether a defect is switched on.
func (s Set) On(name Name) bool { return s[name] }

// Parse reads a comma-separated list of names.
func Parse(list string) (Set, error) {
	set := Set{}
	for _, word := range strings.Split(list, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		if _, known := Find(Name(word)); !known {
			return nil, fmt.Errorf("unknown defect %q; known are: %s", word, strings.Join(names(), ", "))
		}
		set[Name(word)] = true
	}
	return set, nil
}

// Find returns the description of a defect.
func Find(name Name) (Description, bool) {
	for _, d := range Catalogue {
		if d.Name == name {
			return d, true
		}
	}
	return Description{}, false
}

func names() []string {
	var words []string
	for _, d := range Catalogue {
		words = append(words, string(d.Name))
	}
	sort.Strings(words)
	return words
}
