package checkers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ordeal/results/history"
)

// Bounds that hold where Options leave them open.
const (
	DefaultTime        = 30 * time.Second
	DefaultMemoryBytes = 1 << 30
)

// every is the checkers, in the order in which they are listed to people: what the ensemble promises
// its clients first, then what it promises itself.
var every = []*guarantee{
	linearizable,
	syncReads,
	sessionOrder,
	watches,
	ephemerals,
	sequentialNames,
	multi,
	durability,
	convergence,
	health,
}

// Names returns the names of all checkers, in the order in which they are listed to people.
func Names() []string {
	names := make([]string, len(every))
	for i, g := range every {
		names[i] = g.name
	}
	return names
}

// Get returns the checker of this name, or an error that lists the names that there are.
func Get(name string) (Checker, error) {
	if g := find(name); g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("unknown checker %q; known are: %s", name, strings.Join(Names(), ", "))
}

func find(name string) *guarantee {
	for _, g := range every {
		if g.name == name {
			return g
		}
	}
	return nil
}

// Run judges a history by the checkers named, or by all of them if names is empty, and reads it once
// for all of them together. Every name gets a result, in the order of Names: a history that cannot be
// read makes the answer unknown, with the reason, and so does a name that no checker has.
func Run(ctx context.Context, log history.Log, options Options, names []string) []Result {
	if len(names) == 0 {
		names = Names()
	}
	options = options.withDefaults()
	var results []Result
	var judges []judge
	var judged []*guarantee
	for _, g := range every {
		if slices.Contains(names, g.name) {
			judges = append(judges, &frugal{judge: g.start(options)})
			judged = append(judged, g)
		}
	}
	err := read(ctx, log, judges)
	for i, g := range judged {
		if err != nil {
			results = append(results, g.unreadable(err))
			continue
		}
		results = append(results, g.answer(ctx, judges[i], options))
	}
	for _, name := range names {
		if _, err := Get(name); err != nil {
			results = append(results, Result{Name: name, Verdict: Unknown, Reason: err.Error()})
		}
	}
	return results
}

// judge is one guarantee being judged on one history. Its methods are called by one goroutine.
type judge interface {
	// event is called for every event, in the order of time.
	event(history.Event)
	// operation is called for every operation when its return has been given to event; and, after
	// the last event, for those that never returned.
	operation(operation)
	// finish is called once after the last event. It fills in everything of a Result but its name and
	// guarantee. A verdict left empty means valid, or skipped if nothing was judged.
	finish(ctx context.Context) Result
}

// guarantee is a Checker: a promise in words, and how to start judging it.
type guarantee struct {
	name     string
	describe string
	promise  string
	// workloads name those that give it something to judge; empty if every run does.
	workloads []string
	// nothing says what the history lacked if there was nothing to judge.
	nothing string
	start   func(Options) judge
}

func (g *guarantee) Name() string     { return g.name }
func (g *guarantee) Describe() string { return g.describe }

// Check judges the history by this guarantee alone.
func (g *guarantee) Check(ctx context.Context, log history.Log, options Options) (Result, error) {
	options = options.withDefaults()
	j := &frugal{judge: g.start(options)}
	if err := read(ctx, log, []judge{j}); err != nil {
		return g.unreadable(err), fmt.Errorf("check %s: %w", g.name, err)
	}
	return g.answer(ctx, j, options), nil
}

func (g *guarantee) unreadable(err error) Result {
	return Result{Name: g.name, Guarantee: g.promise, Verdict: Unknown,
		Reason: fmt.Sprintf("the history could not be read to its end: %v", err)}
}

// answer finishes a judge, and sees to it that nothing judged is never valid.
func (g *guarantee) answer(ctx context.Context, j judge, options Options) Result {
	r := j.finish(ctx)
	r.Name, r.Guarantee = g.name, g.promise
	if r.Verdict == "" {
		r.Verdict = Valid
	}
	if r.Judged > 0 || r.Verdict != Valid {
		return r
	}
	r.Verdict, r.Reason = Skipped, g.nothing
	if g.ran(options.Workloads) {
		r.Empty = true
	} else {
		r.Reason = fmt.Sprintf("%s; it needs the workload %s", g.nothing, strings.Join(g.workloads, " or "))
	}
	return r
}

// ran tells whether a workload ran that should have given this guarantee something to judge.
func (g *guarantee) ran(names []string) bool {
	if len(g.workloads) == 0 {
		return true
	}
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(g.workloads, name) })
}

func (o Options) withDefaults() Options {
	if o.Time <= 0 {
		o.Time = DefaultTime
	}
	if o.MemoryBytes <= 0 {
		o.MemoryBytes = DefaultMemoryBytes
	}
	o.budget = &budget{limit: o.MemoryBytes}
	return o
}
