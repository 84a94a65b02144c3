package metrics

import (
	"fmt"
	"sync/atomic"
)

// Registry holds all counters and summaries of one server. They may be used by any number of
// goroutines at once.
type Registry struct {
	counters  map[string]*Counter
	summaries map[string]*Summary
}

// Counter only goes up.
type Counter struct{ atomic.Int64 }

// NewRegistry returns a registry in which nothing is counted yet.
func NewRegistry() *Registry {
	r := &Registry{counters: map[string]*Counter{}, summaries: map[string]*Summary{}}
	for _, name := range counterNames {
		r.counters[name] = &Counter{}
	}
	for _, name := range plainNames {
		r.summaries[name] = newSummary(false)
	}
	for _, name := range detailedNames {
		r.summaries[name] = newSummary(true)
	}
	return r
}

// Counter returns a counter by its name, one of this package's constants.
func (r *Registry) Counter(name string) *Counter {
	counter, found := r.counters[name]
	if !found {
		panic(fmt.Sprintf("metrics: expected one of Apache's counters, found %q", name))
	}
	return counter
}

// Summary returns a summary by its name, one of this package's constants.
func (r *Registry) Summary(name string) *Summary {
	summary, found := r.summaries[name]
	if !found {
		panic(fmt.Sprintf("metrics: expected one of Apache's summaries, found %q", name))
	}
	return summary
}

// Counters calls yield with every counter, in the order of mntr.
func (r *Registry) Counters(yield func(name string, value int64)) {
	for _, name := range counterNames {
		yield(name, r.counters[name].Load())
	}
}

// Summaries calls yield with every summary, in the order of mntr.
func (r *Registry) Summaries(yield func(name string, values Values)) {
	for _, names := range [][]string{plainNames, detailedNames} {
		for _, name := range names {
			yield(name, r.summaries[name].Values())
		}
	}
}
