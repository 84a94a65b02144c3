package sim

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Search spreads seeds over cores, one world a core.
type Search struct {
	Options Options
	// From and To are the first and the last seed; To 0 is without end.
	From, To uint64
	// Shard is which of Shards equal parts of the seeds is searched, from 0.
	Shard, Shards int
	// For ends the search; 0 is without end.
	For         time.Duration
	StopAtFirst bool
	Workers     int
	// ShrinkFor bounds the shrinking of one failure; 0 keeps it as it was decided.
	ShrinkFor time.Duration
	// Found is told of every failure, Progress now and then how the search goes; both from one
	// goroutine at a time.
	Found    func(Failure)
	Progress func(Summary)
}

const (
	// failuresMax ends a search that finds nothing but failures.
	failuresMax = 20
	// progressEvery is how often the progress of a search is told.
	progressEvery = 500 * time.Millisecond
)

// Worlds are small, short-lived and many: memory may grow further than usual before it is collected, as long as all
// of it stays small. A process with one world stays below 64 MiB in that way.
const (
	garbagePercent = 800
	memoryBeside   = 24 << 20 // bytes, beside worlds
	memoryWorld    = 24 << 20 // bytes, for a world and its garbage
)

// LimitMemory makes the garbage collector do what is best where so many worlds live at a time, one seed after the
// other. Restore undoes that.
func LimitMemory(worlds int) (restore func()) {
	percent := debug.SetGCPercent(garbagePercent)
	limit := debug.SetMemoryLimit(memoryBeside + memoryWorld*int64(worlds))
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// Run searches until its end, the context's, or the first failure. It returns what it has found. A
// seed under way is always finished, so that what was tried is a part without holes; a failure found
// when the time is over is still shrunk, but not once the context has ended.
func (s Search) Run(ctx context.Context) Summary {
	began := time.Now()
	searching, stop := context.WithCancel(ctx)
	defer stop()
	if s.For > 0 {
		var cancel context.CancelFunc
		searching, cancel = context.WithTimeout(searching, s.For)
		defer cancel()
	}
	if s.Options.Strategy == "" {
		s.Options.Strategy = Swarm
	}
	part := Part{From: s.From, To: s.To, Shard: s.Shard, Shards: max(s.Shards, 1), For: s.For}
	summary := Summary{Options: s.Options, Parts: []Part{part}, Coverage: map[string]int{}}
	var lock sync.Mutex
	var next atomic.Int64
	var ended Ended
	told := time.Now()
	tell := func() { // the lock is held
		summary.Real = time.Since(began)
		if s.Progress != nil {
			s.Progress(summary)
		}
	}
	var group errgroup.Group
	for range max(s.Workers, 1) {
		group.Go(func() error {
			for searching.Err() == nil {
				seed := part.seed(int(next.Add(1) - 1))
				if s.To > 0 && seed > s.To {
					return nil
				}
				outcome := s.run(seed)
				var failure *Failure
				if outcome.Violation != nil {
					failure = s.failure(ctx, seed, outcome)
				}
				lock.Lock()
				summary.take(seed, outcome)
				if failure != nil {
					summary.Failures = append(summary.Failures, *failure)
					if s.Found != nil {
						s.Found(*failure)
					}
					switch {
					case s.StopAtFirst:
						ended = EndedFirstFailure
						stop()
					case len(summary.Failures) >= failuresMax:
						ended = EndedFailures
						stop()
					}
				}
				if time.Since(told) >= progressEvery {
					told = time.Now()
					tell()
				}
				lock.Unlock()
			}
			return nil
		})
	}
	_ = group.Wait()
	part.Seeds, part.Ended = summary.Seeds, ended
	switch {
	case part.To > 0 && part.Seeds >= part.Wanted():
		part.Ended = EndedDone
	case ended != "":
	case ctx.Err() != nil:
		part.Ended = EndedInterrupted
	default:
		part.Ended = EndedTime
	}
	summary.Parts = []Part{part}
	tell()
	return summary
}

// run lets one seed's world live. A mistake of the simulator itself is named by its seed, so that it can be repeated.
func (s Search) run(seed uint64) *Outcome {
	defer func() {
		if problem := recover(); problem != nil {
			panic(fmt.Sprintf("sim: seed %d: %v\n%s", seed, problem, debug.Stack()))
		}
	}()
	return Run(Draw(seed, s.Options), Observation{})
}

// failure shrinks what a seed has found. If nothing comes of that, it keeps the run as it was decided.
func (s Search) failure(ctx context.Context, seed uint64, outcome *Outcome) *Failure {
	f := &Failure{Seed: seed, Violation: outcome.Violation, Found: len(outcome.Decisions), Script: outcome.Script(Draw(seed, s.Options))}
	if s.ShrinkFor <= 0 {
		return f
	}
	until := time.Now().Add(s.ShrinkFor)
	if shrunk := Shrink(f.Script, func() bool { return time.Now().After(until) || ctx.Err() != nil }); shrunk != nil {
		f.Script, f.Shrunk = shrunk, len(shrunk.Decisions)
	}
	return f
}

// Script is the run as it was decided.
func (o *Outcome) Script(config Config) *Script {
	s := &Script{Config: config, Decisions: o.Decisions, Hash: o.Hash}
	if o.Violation != nil {
		s.Violation = o.Violation.Guarantee
	}
	return s
}
