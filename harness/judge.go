package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ordeal/checkers"
	"ordeal/results"
	"ordeal/results/history"
)

// none is the nemesis that applies no faults.
const none = "none"

// CheckOptions are what may be chosen anew when a stored run is judged again. A zero field stands for
// what the run was made with.
type CheckOptions struct {
	Time        time.Duration
	MemoryBytes int64
	StrictSync  bool
	StrictDisk  bool
	// Program is how this program is called, for a command that repeats the judging. Default: ordeal.
	Program string
}

// Check judges a stored run again, by today's checkers. It reads only: nothing that was recorded is
// changed, and nothing is written. The history counts; the verdict stored beside it does not.
func Check(ctx context.Context, dir string, options CheckOptions) (*results.Verdict, error) {
	if err := checkBudget(options.Time, options.MemoryBytes); err != nil {
		return nil, err
	}
	folder, err := results.Open(dir)
	if err != nil {
		return nil, err
	}
	run, err := folder.Run()
	if err != nil {
		return nil, err
	}
	if options.Time > 0 {
		run.CheckSeconds = options.Time.Seconds()
	}
	if options.MemoryBytes > 0 {
		run.CheckMemoryBytes = options.MemoryBytes
	}
	run.StrictSync = run.StrictSync || options.StrictSync
	run.StrictDisk = run.StrictDisk || options.StrictDisk
	verdict, err := judge(ctx, folder, run, "", nil)
	if err != nil {
		return nil, err
	}
	verdict.Rerun = options.again(folder.Dir)
	return verdict, nil
}

// judge reads the history of a run and says what held. failure is how the run failed, if it is known: a
// history that could not be written does not tell.
func judge(ctx context.Context, folder *results.Folder, run results.Run, pictures string, failure error) (*results.Verdict, error) {
	log, err := folder.History()
	if err != nil {
		return nil, err
	}
	tally, err := count(log, run.Workloads)
	if err != nil {
		return nil, err
	}
	if failure != nil {
		tally.failures = []string{inALine(failure)}
	}
	verdict := &results.Verdict{
		Driver: run.Driver, Implementation: implementationOf(run), Seed: run.Seed,
		Operations: tally.operations, Workloads: tally.workloads, Faults: tally.faults, LeaderChanges: tally.leaderChanges(),
		DurationSeconds: tally.end.Seconds(), FaultsSkipped: run.Skipped, Results: folder.Dir, Rerun: run.Command,
	}
	if verdict.FaultsSkipped == nil {
		verdict.FaultsSkipped = []results.Skipped{} // an empty list, not null, for who reads the JSON
	}
	verdict.Checkers = checkers.Run(ctx, log, checkers.Options{
		Time:          time.Duration(run.CheckSeconds * float64(time.Second)),
		MemoryBytes:   run.CheckMemoryBytes,
		StrictSync:    run.StrictSync,
		KnownWeakSync: run.KnownWeakSync,
		StrictDisk:    run.StrictDisk,
		KnownWeakDisk: run.KnownWeakDisk,
		TickTime:      time.Duration(run.TickTimeMillis) * time.Millisecond,
		// The ensemble may have granted another time-out than was asked for; session events say so.
		SessionTimeout: time.Duration(run.SessionMillis) * time.Millisecond,
		ArtifactDir:    pictures,
		Workloads:      run.Workloads,
	}, nil)
	verdict.Conclude(!slices.Equal(run.Nemeses, []string{none}))
	// What clients saw outweighs how the run ended; but without clients it only failed.
	if len(tally.failures) > 0 && (verdict.Verdict != string(checkers.Violation) || tally.operations == (results.Operations{})) {
		verdict.Verdict, verdict.Reason = results.Failed, tally.failures[0]
	}
	return verdict, nil
}

// inALine is what an error says, though several were joined.
func inALine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// failurePrefix begins the note by which a run that failed itself says so in its history.
const failurePrefix = "the run failed: "

// tally is what a history adds up to.
type tally struct {
	operations results.Operations            // called during the load
	workloads  map[string]results.Operations // the same by workload; nil if nobody asks
	load       bool
	under      map[int64]bool // operations called during the load and not returned
	faults     int
	leaders    int // times that a member began to lead
	end        time.Duration
	failures   []string
	sessions   map[string]bool // begun, and not known to have ended
}

func (t tally) leaderChanges() int { return max(0, t.leaders-1) }

func (t *tally) add(event history.Event) {
	t.end = max(t.end, event.Time)
	switch event.Kind {
	case history.Phase:
		t.load = event.Text == PhaseLoad
	case history.Call:
		if t.load {
			if t.under == nil {
				t.under = map[int64]bool{}
			}
			t.under[event.Operation] = true
		}
	case history.Return:
		if event.Result != nil && t.under[event.Operation] {
			delete(t.under, event.Operation)
			t.returned(event)
		}
	case history.Session:
		t.session(event)
	case history.FaultOn:
		t.faults++
	case history.Member:
		if event.State == history.Leading {
			t.leaders++
		}
	case history.Note:
		if len(event.Text) > len(failurePrefix) && event.Text[:len(failurePrefix)] == failurePrefix {
			t.failures = append(t.failures, event.Text[len(failurePrefix):])
		}
	}
}

// returned counts an operation of the load. One that succeeds without an answer has asked nothing.
func (t *tally) returned(event history.Event) {
	workload := t.workloads[event.Workload]
	for _, operations := range []*results.Operations{&t.operations, &workload} {
		switch {
		case event.Result.Outcome == history.OK && event.Result.Answered:
			operations.OK++
		case event.Result.Outcome == history.Failed:
			operations.Failed++
		case event.Result.Outcome == history.Unknown:
			operations.Unknown++
		}
	}
	if t.workloads != nil {
		t.workloads[event.Workload] = workload
	}
}

func (t *tally) session(event history.Event) {
	if t.sessions == nil {
		t.sessions = map[string]bool{}
	}
	switch event.State {
	case history.Connected, history.Resumed:
		t.sessions[event.SessionID] = true
	case history.Expired, history.Closed: // one that is abandoned lives on
		delete(t.sessions, event.SessionID)
	}
}

// count adds up a history of these workloads.
func count(log history.Log, workloads []string) (tally, error) {
	t := tally{workloads: map[string]results.Operations{}}
	for _, name := range workloads {
		t.workloads[name] = results.Operations{}
	}
	err := log.Each(func(event history.Event) error {
		t.add(event)
		return nil
	})
	if err != nil {
		return t, fmt.Errorf("read the history: %w", err)
	}
	return t, nil
}

func implementationOf(run results.Run) string {
	var plan Plan
	for _, word := range run.Implementations {
		plan.Implementations = append(plan.Implementations, implementationWord(word))
	}
	return plan.implementation()
}

// judgeAndStore judges a run that has just ended and writes what follows from its history.
func judgeAndStore(ctx context.Context, folder *results.Folder, run results.Run, failure error) (*results.Verdict, error) {
	pictures, err := folder.Pictures()
	if err != nil {
		return nil, err
	}
	verdict, err := judge(ctx, folder, run, pictures, failure)
	if err := errors.Join(err, ctx.Err()); err != nil {
		return nil, err // nothing half judged is stored
	}
	if err := errors.Join(folder.SaveVerdict(*verdict), folder.SaveReports(run, *verdict)); err != nil {
		return verdict, fmt.Errorf("store the verdict: %w", err)
	}
	return verdict, nil
}
