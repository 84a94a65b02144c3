package sim

import (
	"context"
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
	// ShrinkFor bounds the shrinking of one failure; 0 leaves it as it is.
	ShrinkFor time.Duration
	// Found is told of every failure, Progress now and then how the search goes; both from one
	// goroutine at a time.
	Found    func(Failure)
	Progress func(Summary)
}

// Failure is a seed that broke a guarantee.
type Failure struct {
	Seed      uint64     `json:"seed"`
	Violation *Violation `json:"violation"`
	// Found is how many decisions the seed made, Shrunk how many are left.
	Found  int `json:"decisions"`
	Shrunk int `json:"shrunk,omitempty"`
	// Script is the shrunk form; nil if it was not shrunk.
	Script *Script `json:"-"`
	File   string  `json:"file,omitempty"` // of the shrunk form, once it is stored
}

// Summary is what a search has done.
type Summary struct {
	Defect   string         `json:"defect,omitempty"`
	Strategy Strategy       `json:"strategy"`
	Seeds    int            `json:"seeds"`
	Events   int64          `json:"events"`
	Virtual  time.Duration  `json:"virtual"`
	Real     time.Duration  `json:"real"`
	Failures []Failure      `json:"failures"`
	Unknown  []Doubt        `json:"unknown"`
	Coverage map[string]int `json:"coverage"`
}

// Doubt is a seed on which a checker gave up.
type Doubt struct {
	Seed   uint64 `json:"seed"`
	Reason string `json:"reason"`
}

const (
	// failuresMax ends a search that finds nothing but failures.
	failuresMax = 20
	// progressEvery is how often the progress of a search is told.
	progressEvery = 500 * time.Millisecond
)

// Run searches until its end, the context's, or the first failure. It returns what it has found.
func (s Search) Run(ctx context.Context) Summary {
	began := time.Now()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if s.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.For)
		defer cancel()
	}
	s.Shards = max(s.Shards, 1)
	summary := Summary{Defect: s.Options.Defect, Strategy: s.Options.Strategy, Coverage: map[string]int{}}
	if summary.Strategy == "" {
		summary.Strategy = Swarm
	}
	var lock sync.Mutex
	var next atomic.Uint64
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
			for ctx.Err() == nil {
				seed := s.From + uint64(s.Shard) + (next.Add(1)-1)*uint64(s.Shards)
				if s.To > 0 && seed > s.To {
					return nil
				}
				outcome := Run(Draw(seed, s.Options), Observation{})
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
					if s.StopAtFirst || len(summary.Failures) >= failuresMax {
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
	tell()
	return summary
}

// take adds a run.
func (s *Summary) take(seed uint64, outcome *Outcome) {
	s.Seeds++
	s.Events += int64(outcome.Events)
	s.Virtual += outcome.Virtual
	for name, count := range outcome.Coverage.Seen {
		s.Coverage[name] += count
	}
	if outcome.Unknown != "" && outcome.Violation == nil {
		s.Unknown = append(s.Unknown, Doubt{Seed: seed, Reason: outcome.Unknown})
	}
}

// failure shrinks what a seed has found.
func (s Search) failure(ctx context.Context, seed uint64, outcome *Outcome) *Failure {
	f := &Failure{Seed: seed, Violation: outcome.Violation, Found: len(outcome.Decisions)}
	if s.ShrinkFor <= 0 {
		return f
	}
	until := time.Now().Add(s.ShrinkFor)
	f.Script = Shrink(outcome.Script(Draw(seed, s.Options)), func() bool { return time.Now().After(until) || ctx.Err() != nil && !s.StopAtFirst })
	if f.Script != nil {
		f.Shrunk = len(f.Script.Decisions)
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

// Add joins what another search has done.
func (s *Summary) Add(other Summary) {
	s.Seeds += other.Seeds
	s.Events += other.Events
	s.Virtual += other.Virtual
	s.Real = max(s.Real, other.Real)
	s.Failures = append(s.Failures, other.Failures...)
	s.Unknown = append(s.Unknown, other.Unknown...)
	if s.Coverage == nil {
		s.Coverage = map[string]int{}
	}
	for name, count := range other.Coverage {
		s.Coverage[name] += count
	}
}
