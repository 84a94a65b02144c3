package sim

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"ordeal/node/defect"
)

// Reproduction is a planted defect that was found, made small, and tried on the sound node.
type Reproduction struct {
	Defect  defect.Description
	Seed    uint64
	Seeds   int // that were tried
	Events  int // up to and with the one that failed
	CPU     time.Duration
	Found   *Violation
	Script  *Script  // shrunk; nil if it was not asked for
	Outcome *Outcome // of the shrunk script, with the defect
	Control *Outcome // of the shrunk script, on the sound node
}

// ErrNotFound says that the budget was used up.
var ErrNotFound = errors.New("sim: nothing was found within the budget")

// Find looks for a defect from a seed on, one seed after the other on one core, for at most so much
// time of the processor.
func Find(description defect.Description, options Options, from uint64, budget time.Duration) (*Reproduction, error) {
	options.Defect = string(description.Name)
	r := &Reproduction{Defect: description}
	began := processorTime()
	for seed := from; ; seed++ {
		outcome := Run(Draw(seed, options), Observation{})
		r.Seed, r.Seeds, r.Events, r.CPU = seed, r.Seeds+1, r.Events+outcome.Events, processorTime()-began
		if outcome.Violation != nil {
			r.Found = outcome.Violation
			return r, nil
		}
		if r.CPU > budget {
			return r, fmt.Errorf("%w: %s in %d seeds from %d on, %v of the processor", ErrNotFound, description.Name, r.Seeds, from, budget)
		}
	}
}

// Shrink makes the failing seed small and runs what is left on the sound node too.
func (r *Reproduction) Shrink(options Options, budget time.Duration) error {
	options.Defect = string(r.Defect.Name)
	config := Draw(r.Seed, options)
	until := time.Now().Add(budget)
	r.Script = Shrink(Run(config, Observation{}).Script(config), func() bool { return time.Now().After(until) })
	if r.Script == nil {
		return fmt.Errorf("sim: seed %d breaks %s, but not when its decisions are replayed", r.Seed, r.Found.Guarantee)
	}
	r.Outcome = Replay(r.Script, Observation{})
	r.Control = Replay(r.Script.Sound(), Observation{})
	return nil
}

// Holds tells whether the reproduction proves what it should: the guarantee is broken with the defect,
// and none is without it.
func (r *Reproduction) Holds() bool {
	return r.Outcome.Breaks(r.Script.Violation) && r.Control.Violation == nil
}

// Sound is the script for a node without defects.
func (s *Script) Sound() *Script {
	sound := *s
	sound.Config.Defect, sound.Hash, sound.Violation = "", 0, ""
	return &sound
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(fmt.Sprintf("sim: the processor's time cannot be read: %v", err))
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// rangeSeeds is how far apart ranges of seeds are.
const rangeSeeds = 1_000_000

// Median is how fast a defect is found, over several ranges of seeds.
type Median struct {
	FoundIn int // ranges
	Events  int
	CPU     time.Duration
}

// findInRanges looks for a defect in several ranges of seeds and passes on what is found. A range in
// which nothing is found counts with what it took to give up.
func findInRanges(description defect.Description, options Options, ranges int, budget time.Duration, found func(*Reproduction)) Median {
	var m Median
	var events []int
	var times []time.Duration
	for i := range ranges {
		r, err := Find(description, options, uint64(i)*rangeSeeds+1, budget)
		events, times = append(events, r.Events), append(times, r.CPU)
		if err == nil {
			m.FoundIn++
			found(r)
		}
	}
	slices.Sort(events)
	slices.Sort(times)
	m.Events, m.CPU = events[ranges/2], times[ranges/2]
	return m
}

// Measure looks for a defect in several ranges of seeds, and shrinks the first find.
func Measure(description defect.Description, options Options, ranges int, budget, shrinkBudget time.Duration) defect.Measured {
	m := defect.Measured{Defect: description.Name, Ranges: ranges}
	broken := map[string]int{}
	median := findInRanges(description, options, ranges, budget, func(r *Reproduction) {
		if broken[r.Found.Guarantee]++; broken[r.Found.Guarantee] == 1 {
			m.Guarantees = append(m.Guarantees, r.Found.Guarantee)
		}
		if m.Decisions == 0 && !m.Control && r.Shrink(options, shrinkBudget) == nil {
			m.Decisions, m.Control = len(r.Script.Decisions), r.Holds()
		}
	})
	m.FoundIn, m.Events, m.CPUSeconds = median.FoundIn, median.Events, median.CPU.Seconds()
	slices.SortStableFunc(m.Guarantees, func(a, b string) int { return broken[b] - broken[a] })
	return m
}

// MeasureStrategy looks for a defect in several ranges of seeds, with decisions drawn in another way.
func MeasureStrategy(description defect.Description, strategy Strategy, ranges int, budget time.Duration) Median {
	return findInRanges(description, Options{Strategy: strategy}, ranges, budget, func(*Reproduction) {})
}
