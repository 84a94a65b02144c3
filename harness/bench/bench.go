package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ordeal/harness/ensemble"
)

// Options say what to measure, and for how long.
type Options struct {
	Implementations []ensemble.Implementation // Apache last, since ratios are to it
	Rounds          int
	Duration        time.Duration // of one load in one round
	WarmUp          time.Duration // of every load before the first round, for Java's compiler above all
	TickTime        time.Duration
	Loads           []string // short names of loads; empty for all
	Large           bool     // measures a large state as well: Znodes, and Sessions with largeWatches watches each
	Znodes          int      // of a large state
	Sessions        int      // of a large state; their watches need a znode each
	SkipLoads       bool
	SkipRestarts    bool   // leaves out how long starts take, and the leader's kill
	Binary          string // the ordeal program that runs as a member
	Dir             string // where members keep their data; it must be on a real disk
	ProfileDir      string // where profiles of our node under each load go; empty for none
	// Progress is told what goes on; it may be nil.
	Progress func(string)
}

// Defaults.
const (
	RoundsDefault   = 3
	DurationDefault = 3 * time.Second
	WarmUpDefault   = 3 * time.Second
	TickTimeDefault = 2 * time.Second // that of zoo_sample.cfg
	ZnodesDefault   = 1_000_000
	SessionsDefault = 10_000
)

// Check tells what is wrong with the options.
func (o *Options) Check() error {
	for _, name := range o.Implementations {
		if name != ensemble.Node && name != ensemble.Apache {
			return fmt.Errorf("cannot measure %q: known are %s and %s", name, ensemble.Node, ensemble.Apache)
		}
	}
	for _, short := range o.Loads {
		if !slices.ContainsFunc(loads, func(l load) bool { return l.short == short }) {
			return fmt.Errorf("no load is called %q", short)
		}
	}
	if len(o.Implementations) == 0 || o.Rounds < 1 || o.Duration <= 0 || o.WarmUp <= 0 || o.TickTime < time.Millisecond {
		return fmt.Errorf("implementations, rounds, durations and tickTime must be more than nothing")
	}
	if o.ProfileDir != "" && (o.SkipLoads || !slices.Contains(o.Implementations, ensemble.Node)) {
		return fmt.Errorf("profiles are of our node under loads, and that is not measured")
	}
	if o.Large && (o.Sessions < 1 || o.Znodes < o.Sessions*largeWatches) {
		return fmt.Errorf("a large state needs sessions, and for each of them %d znodes to watch: %d sessions and %d znodes are not enough",
			largeWatches, o.Sessions, o.Znodes)
	}
	return nil
}

// loads are those that were asked for.
func (o *Options) loads() []load {
	if o.SkipLoads {
		return nil
	}
	var chosen []load
	for _, l := range loads {
		if len(o.Loads) == 0 || slices.Contains(o.Loads, l.short) {
			chosen = append(chosen, l)
		}
	}
	return chosen
}

func (o *Options) say(format string, arguments ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, arguments...))
	}
}

// Implementation is what was measured of one implementation.
type Implementation struct {
	Name     ensemble.Implementation
	Version  string
	Loads    map[string]*Measured
	Resident float64         // bytes, the mean of the members after the loads
	Start    []time.Duration // from the first process to sessions at all members, one a round
	Large    *Large          // nil unless asked for
	Gap      []time.Duration // the longest without a write after the leader's kill -9, one a round
}

// Result is what was measured.
type Result struct {
	Implementations []*Implementation
	// Fdatasync is the median time to make a write of one value durable, where the members' data is.
	Fdatasync time.Duration
	// RoundTrip is the median time of a message and its answer over the loopback interface.
	RoundTrip time.Duration
	Recorded  *Recorded // nil if our node was not measured, or restarts were skipped
	Options   Options
}

// Run measures.
func Run(ctx context.Context, options Options) (result *Result, err error) {
	result = &Result{Options: options}
	if result.Fdatasync, err = fdatasync(options.Dir); err != nil {
		return nil, err
	}
	if result.RoundTrip, err = roundTrip(ctx); err != nil {
		return nil, err
	}
	for _, name := range options.Implementations {
		result.Implementations = append(result.Implementations, &Implementation{Name: name, Loads: map[string]*Measured{}})
	}
	if err := result.loads(ctx); err != nil {
		return nil, err
	}
	for round := range options.Rounds {
		if options.SkipRestarts {
			break
		}
		for _, i := range inTurn(result.Implementations, round) {
			options.say("round %d of %d: %s starts, and loses its leader", round+1, options.Rounds, i.Name)
			if err := i.restart(ctx, &options); err != nil {
				return nil, err
			}
		}
	}
	if options.Large {
		for _, i := range result.Implementations {
			if err := i.large(ctx, &options); err != nil {
				return nil, err
			}
		}
	}
	if result.find(ensemble.Node) != nil && !options.SkipRestarts {
		recorded, err := options.recorded(ctx)
		if err != nil {
			return nil, err
		}
		result.Recorded = &recorded
	}
	return result, nil
}

// inTurn is the order of a round: the one that was last goes first, so that none gains by its place.
func inTurn(all []*Implementation, round int) []*Implementation {
	all = slices.Clone(all)
	if round%2 == 1 {
		slices.Reverse(all)
	}
	return all
}

// loads puts every load on every implementation, round after round. All ensembles run all the time;
// an idle one costs nothing that could be seen.
func (r *Result) loads(ctx context.Context) (err error) {
	o := &r.Options
	running := map[ensemble.Implementation]*servers{}
	defer func() {
		for _, s := range running {
			err = errors.Join(err, s.end())
		}
	}()
	for _, i := range r.Implementations {
		o.say("%s starts and warms up", i.Name)
		s, err := o.start(ctx, i.Name)
		if err != nil {
			return err
		}
		running[i.Name] = s
		i.Version = s.Versions()[string(i.Name)]
		if err := prepare(ctx, s.ClientAddress(1), value); err != nil {
			return err
		}
		for _, l := range o.loads() {
			i.Loads[l.name] = &Measured{}
			if _, err := l.run(ctx, s, o.WarmUp); err != nil {
				return err
			}
		}
	}
	for round := range o.Rounds {
		for _, l := range o.loads() {
			for _, i := range inTurn(r.Implementations, round) {
				o.say("round %d of %d: %s, %s", round+1, o.Rounds, l.name, i.Name)
				measure := o.plain
				if i.Name == ensemble.Node && o.ProfileDir != "" {
					measure = o.profiled
				}
				m, err := measure(ctx, running[i.Name], l, round)
				if err != nil {
					return err
				}
				i.Loads[l.name].keepBest(m)
			}
		}
	}
	for _, i := range r.Implementations {
		if i.Resident, err = running[i.Name].resident(); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) plain(ctx context.Context, s *servers, l load, _ int) (Measured, error) {
	return l.run(ctx, s, o.Duration)
}

// restart starts an ensemble, kills its leader under load and notes how long both take.
func (i *Implementation) restart(ctx context.Context, o *Options) (err error) {
	s, err := o.start(ctx, i.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	i.Start = append(i.Start, s.serving)
	if err := prepare(ctx, s.ClientAddress(1), value); err != nil {
		return err
	}
	gap, err := s.gap(ctx)
	i.Gap = append(i.Gap, gap)
	return err
}

// fdatasyncs is how many are measured.
const fdatasyncs = 300

// fdatasync measures the disk.
func fdatasync(dir string) (time.Duration, error) {
	file, err := os.CreateTemp(dir, "fdatasync-")
	if err != nil {
		return 0, fmt.Errorf("bench: measure fdatasync: %w", err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := file.Truncate(fdatasyncs * valueBytes); err != nil {
		return 0, fmt.Errorf("bench: measure fdatasync: %w", err)
	}
	var all []time.Duration
	for range fdatasyncs {
		start := time.Now()
		if _, err := file.Write(value); err != nil {
			return 0, fmt.Errorf("bench: measure fdatasync: %w", err)
		}
		if err := unix.Fdatasync(int(file.Fd())); err != nil {
			return 0, fmt.Errorf("bench: measure fdatasync: %w", err)
		}
		all = append(all, time.Since(start))
	}
	return median(all), nil
}

func median(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}
