// Package power measures the toolkit itself: does it find the bugs that are planted on purpose, and
// does it keep quiet about servers that are sound?
//
// It runs plans and counts verdicts. It must not know how either comes about.
package power

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/checkers"
	"ordeal/harness"
	"ordeal/harness/ensemble"
	"ordeal/nemesis"
	"ordeal/node/defect"
	"ordeal/results"
)

// Targets of the measurement.
const (
	DefaultSeeds    = 10
	foundOfTen      = 9 // at least, with the right guarantee, and within foundWithin
	foundWithin     = 90 * time.Second
	soundRuns       = 20
	apacheRuns      = 6
	DefaultDuration = 30 * time.Second
)

// Options say how much is measured.
type Options struct {
	Defects  []string // empty for all
	Seeds    int      // of each defect
	First    uint64   // the first seed
	Duration time.Duration
	Parallel int      // runs at once
	Drivers  []string // for the sound runs; defects use the first
	Sound    int      // runs of the sound node; 0 for none
	Apache   int      // runs of Apache ZooKeeper; 0 for none
	// Ensembles, if any are named, are measured instead of all else: each with every nemesis by every
	// driver, Seeds runs of each. Every run must be valid.
	Ensembles [][]ensemble.Implementation
	Nemeses   []string // of the Ensembles; empty for all
	Out       string
	Binary    string // as in harness.Plan
	// Done is told of each run as it ends.
	Done func(row, verdict string, took time.Duration)
}

// Fill sets what was not said.
func (o Options) Fill() Options {
	if len(o.Defects) == 0 {
		for _, d := range defect.Catalogue {
			if !d.SimulatorOnly {
				o.Defects = append(o.Defects, string(d.Name))
			}
		}
	}
	if len(o.Nemeses) == 0 {
		o.Nemeses = nemesis.Names()
	}
	if o.Seeds == 0 {
		o.Seeds = DefaultSeeds
	}
	if o.First == 0 {
		o.First = 1
	}
	if o.Duration == 0 {
		o.Duration = DefaultDuration
	}
	if o.Parallel == 0 {
		o.Parallel = 1
	}
	if len(o.Drivers) == 0 {
		o.Drivers = []string{harness.DriverProcess}
	}
	if o.Done == nil {
		o.Done = func(string, string, time.Duration) {}
	}
	return o
}

// AllSound and AllApache are the numbers of runs of a full measurement.
const (
	AllSound  = soundRuns
	AllApache = apacheRuns
)

// Row is the outcome of all runs of one kind.
type Row struct {
	Name       string // a defect, or "sound node", or "apache", or "node,node,apache process kill-leader"
	Runs       int
	Right      int            // found by a right guarantee and in time; or valid, for sound servers
	Guarantees map[string]int // how often each checker objected
	Verdicts   map[checkers.Verdict]int
	Seconds    []float64
	Wrong      []Wrong
	// Refused says why there is no run: the plan makes no sense, as the loss of power does not to members that
	// keep un-synced bytes. Nothing was measured then, and nothing is wrong.
	Refused string
}

// Wrong is a run that did not end as it should.
type Wrong struct {
	Why     string
	Results string // its folder
	Rerun   string // a command that repeats it, as far as real time lets it
}

// Enough tells whether the row meets its target. A row without a run has shown nothing; one that is Refused has
// no target.
func (r Row) Enough() bool {
	if r.Runs == 0 {
		return false
	}
	if _, planted := defect.Find(defect.Name(r.Name)); planted {
		return r.Right*10 >= foundOfTen*r.Runs
	}
	return r.Right == r.Runs
}

// MedianSeconds is the median duration of the row's runs.
func (r Row) MedianSeconds() float64 {
	if len(r.Seconds) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(r.Seconds))
	return sorted[len(sorted)/2]
}

// job is one run and where it counts.
type job struct {
	row     int
	plan    harness.Plan
	planted *defect.Description // nil for sound servers
}

// Measure does all runs and returns a row for each defect, one for the sound node and one for
// Apache ZooKeeper; or one for each ensemble, driver and nemesis. Runs are done even if others fail: a failed run counts as not right.
func Measure(ctx context.Context, options Options) ([]Row, error) {
	options = options.Fill()
	rows, jobs := options.jobs()
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(options.Parallel)
	for _, job := range jobs {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			started := time.Now()
			verdict, err := harness.Run(ctx, job.plan)
			took := time.Since(started)
			mu.Lock()
			defer mu.Unlock()
			var refusal harness.UsageError
			if len(options.Ensembles) > 0 && errors.As(err, &refusal) {
				rows[job.row].Refused = refusal.Error()
				return nil
			}
			if err != nil {
				return fmt.Errorf("%s: %w", rows[job.row].Name, err)
			}
			rows[job.row].add(job, verdict, took)
			options.Done(rows[job.row].Name, string(verdict.Verdict), took)
			return nil
		})
	}
	return rows, group.Wait()
}

// jobs lists the runs. Those of sound servers go through all nemeses and drivers in turn.
func (o Options) jobs() ([]Row, []job) {
	var rows []Row
	var jobs []job
	row := func(name string) int {
		rows = append(rows, Row{Name: name, Guarantees: map[string]int{}, Verdicts: map[checkers.Verdict]int{}})
		return len(rows) - 1
	}
	plan := func(i int) harness.Plan {
		return harness.Plan{Seed: o.First + uint64(i), Duration: o.Duration, Driver: o.Drivers[0], Out: o.Out, Binary: o.Binary}
	}
	for _, implementations := range o.Ensembles {
		for _, driver := range o.Drivers {
			for _, name := range o.Nemeses {
				at := row(strings.Join([]string{words(implementations), driver, name}, " "))
				for i := range o.Seeds {
					p := plan(i)
					p.Driver, p.Implementations, p.Nemeses = driver, implementations, []string{name}
					jobs = append(jobs, job{row: at, plan: p})
				}
			}
		}
	}
	if len(o.Ensembles) > 0 {
		return rows, jobs
	}
	for _, name := range o.Defects {
		description, _ := defect.Find(defect.Name(name))
		at := row(name)
		for i := range o.Seeds {
			p := plan(i)
			p.Defect = name
			if description.SimulatorOnly {
				p.Driver = harness.DriverSim
			}
			jobs = append(jobs, job{at, p, &description})
		}
	}
	if o.Sound > 0 {
		at := row("sound node")
		for i := range o.Sound {
			p := plan(i)
			p.Driver = o.Drivers[i%len(o.Drivers)]
			p.Nemeses = []string{nemesis.Names()[(i/len(o.Drivers))%len(nemesis.Names())]}
			jobs = append(jobs, job{row: at, plan: p})
		}
	}
	if o.Apache > 0 {
		at := row("apache")
		kinds := []string{"kill-leader", "partition-leader", "partition-followers"}
		for i := range o.Apache {
			p := plan(i)
			p.Driver = o.Drivers[i%len(o.Drivers)]
			p.Implementations = []ensemble.Implementation{ensemble.Apache}
			p.Nemeses = []string{kinds[i%len(kinds)]}
			jobs = append(jobs, job{row: at, plan: p})
		}
	}
	return rows, jobs
}

// words are implementations as the command line takes them.
func words(implementations []ensemble.Implementation) string {
	var words []string
	for _, implementation := range implementations {
		words = append(words, string(implementation))
	}
	return strings.Join(words, ",")
}

// add counts one run.
func (r *Row) add(job job, verdict *results.Verdict, took time.Duration) {
	r.Runs++
	r.Seconds = append(r.Seconds, took.Seconds())
	r.Verdicts[checkers.Verdict(verdict.Verdict)]++
	named := false // a right guarantee was
	for _, checker := range verdict.Checkers {
		if checker.Verdict != checkers.Violation {
			continue
		}
		r.Guarantees[checker.Name]++
		named = named || job.planted != nil && slices.Contains(job.planted.Guarantees, checker.Name)
	}
	why := ""
	switch {
	case job.planted == nil && verdict.Verdict != string(checkers.Valid):
		why = "the verdict is " + verdict.Verdict
	case job.planted == nil:
	case verdict.Verdict != string(checkers.Violation):
		why = "the defect was not found: the verdict is " + verdict.Verdict
	case !named:
		why = "no checker objected of " + strings.Join(job.planted.Guarantees, ", ")
	case took > foundWithin:
		why = fmt.Sprintf("it was found after %.0f s, want within %.0f s", took.Seconds(), foundWithin.Seconds())
	}
	if why == "" {
		r.Right++
		return
	}
	r.Wrong = append(r.Wrong, Wrong{Why: why, Results: verdict.Results, Rerun: verdict.Rerun})
}
