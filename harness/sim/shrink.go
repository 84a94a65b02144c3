package sim

import (
	"slices"
	"time"
)

// Shrink makes a failing script shorter as long as it breaks the same guarantee: delta debugging over
// its decisions, and a calmer, smaller world where that will do. It stops early when enough says so.
// The script that comes back always fails; its hash and violation are filled in. If the script given
// does not fail when it is replayed, nil comes back.
func Shrink(script *Script, enough func() bool) *Script {
	s := &shrinker{best: *script, enough: enough}
	s.best.Decisions = slices.Clone(script.Decisions)
	if s.best.Violation == "" || !s.accept(s.best) {
		return nil
	}
	for !enough() {
		before := len(s.best.Decisions)
		s.cutTail()
		s.dropKinds()
		s.dateBranches()
		s.minimise()
		s.calm()
		s.soften()
		if len(s.best.Decisions) == before {
			break
		}
	}
	final := s.best
	outcome := Replay(&final, Observation{})
	final.Hash = outcome.Hash
	return &final
}

type shrinker struct {
	best Script
	at   time.Duration // when the best script's guarantee breaks
	// branched is when the best script's rare branches are taken.
	branched map[Branch]time.Duration
	enough   func() bool
	tried    int
}

// patience is how much later than before a guarantee may break in a shorter script.
const patience = 20 * time.Second

// accept makes a script the best one if it breaks the same guarantee.
func (s *shrinker) accept(candidate Script) bool {
	s.tried++
	watch := Observation{}
	if Promise(s.best.Violation) != "" && s.at > 0 {
		// What is seen from the inside is seen when it happens: there is no need to wait for the end.
		watch.Until = s.at + patience
	}
	outcome := Replay(&candidate, watch)
	if !outcome.Breaks(s.best.Violation) {
		return false
	}
	s.at, s.branched = outcome.Violation.At, outcome.branched
	s.best = candidate
	return true
}

// Breaks tells whether a guarantee is among those that a run broke.
func (o *Outcome) Breaks(guarantee string) bool {
	return slices.Contains(o.Broken(), guarantee)
}

// with is the best script with other decisions.
func (s *shrinker) with(decisions []Decision) Script {
	candidate := s.best
	candidate.Decisions = decisions
	return candidate
}

// tryConfig accepts a change of the configuration if the script still fails.
func (s *shrinker) tryConfig(change func(*Config)) bool {
	candidate := s.best
	change(&candidate.Config)
	if candidate.Config.format() == s.best.Config.format() || candidate.Config.check() != nil || candidate.checkDecisions() != nil {
		return false
	}
	return s.accept(candidate)
}

// time is when a decision takes effect; false for those that are about a packet or an operation.
func (d Decision) time() (time.Duration, bool) {
	switch {
	case d.Fault != nil:
		return d.Fault.At, true
	case d.Op != nil:
		return d.Op.At, true
	case d.Branch != nil && d.Branch.From > 0:
		return d.Branch.From, true
	}
	return 0, false
}

// cutTail removes what comes after the violation, and shortens the load to what is left.
func (s *shrinker) cutTail() {
	var kept []Decision
	last := time.Duration(0)
	for _, d := range s.best.Decisions {
		at, timed := d.time()
		if timed && at > s.at {
			continue
		}
		kept = append(kept, d)
		last = max(last, at)
	}
	if len(kept) < len(s.best.Decisions) {
		s.accept(s.with(kept))
	}
	for _, length := range []time.Duration{last, last + time.Second, last + 4*time.Second, s.at} {
		length = max(length, time.Second).Round(100 * time.Millisecond)
		if length < s.best.Config.Load && s.tryConfig(func(c *Config) { c.Load = length }) {
			return
		}
	}
}

// dropKinds tries to do without whole kinds of decisions.
func (s *shrinker) dropKinds() {
	kinds := []func(Decision) bool{
		func(d Decision) bool { return d.Delay != nil || d.Sync != nil || d.Branch != nil || d.Stage != nil },
		func(d Decision) bool { return d.Branch != nil },
		func(d Decision) bool { return d.Stage != nil },
		func(d Decision) bool { return d.Delay != nil },
		func(d Decision) bool { return d.Sync != nil },
		func(d Decision) bool { return d.Op != nil },
		func(d Decision) bool { return d.Fault != nil },
		func(d Decision) bool { return d.Fault != nil && d.Fault.Point != "" },
	}
	for _, kind := range kinds {
		if s.enough() {
			return
		}
		kept := slices.DeleteFunc(slices.Clone(s.best.Decisions), kind)
		if len(kept) < len(s.best.Decisions) {
			s.accept(s.with(kept))
		}
	}
}

// dateBranches says of rare branches when they are taken, and no longer the how-manieth time that a member comes
// there, which is another one as soon as an operation is left out.
func (s *shrinker) dateBranches() {
	var dated []Decision
	for _, d := range s.best.Decisions {
		if d.Branch != nil && d.Branch.From == 0 {
			at, taken := s.branched[*d.Branch]
			if !taken || at == 0 {
				continue
			}
			d = Decision{Branch: &Branch{Member: d.Branch.Member, Place: d.Branch.Place, From: at}}
		}
		dated = append(dated, d)
	}
	s.accept(s.with(dated))
}

// minimise is delta debugging: it tries to do without ever smaller parts of the list.
func (s *shrinker) minimise() {
	for size := (len(s.best.Decisions) + 1) / 2; size > 0 && !s.enough(); size /= 2 {
		for again := true; again && !s.enough(); {
			again = false
			// From the end: what comes late matters least.
			for end := len(s.best.Decisions); end > 0 && !s.enough(); {
				from := max(0, end-size)
				kept := slices.Concat(s.best.Decisions[:from], s.best.Decisions[end:])
				if s.accept(s.with(kept)) {
					again = size == 1
				}
				end = min(from, len(s.best.Decisions))
			}
		}
	}
}

// calm tries a smaller and calmer world.
func (s *shrinker) calm() {
	changes := []func(*Config){
		func(c *Config) { c.Jitter = 0 },
		func(c *Config) { c.Drift = 0 },
		func(c *Config) { c.Observers = 0 },
		func(c *Config) { c.Voters = min(c.Voters, 3) },
		func(c *Config) { c.Voters = max(c.Voters-2, 3) },
		func(c *Config) { c.FastReads = false },
		func(c *Config) { c.LeaderServes = true },
		func(c *Config) { c.SnapCount = 100_000 },
		func(c *Config) { c.CommitLog = 500 },
		func(c *Config) { c.Latency, c.Fsync = time.Millisecond, time.Millisecond },
	}
	for _, change := range changes {
		if s.enough() {
			return
		}
		s.tryConfig(change)
	}
	highest := 1
	for _, d := range s.best.Decisions {
		if d.Op != nil {
			highest = max(highest, d.Op.Client)
		}
	}
	s.tryConfig(func(c *Config) { c.Clients = highest })
}

// soften makes what is left of the faults simpler.
func (s *shrinker) soften() {
	for i, d := range s.best.Decisions {
		if d.Fault == nil {
			continue
		}
		changes := []func(*Fault){
			func(f *Fault) { f.For = 0 },
			func(f *Fault) { f.For = f.For / 2 },
			func(f *Fault) { f.Keep = 0 },
			func(f *Fault) { f.Nth = min(f.Nth, 1) },
			func(f *Fault) { f.At = f.At.Round(100 * time.Millisecond) },
		}
		for _, change := range changes {
			if s.enough() {
				return
			}
			softer := *s.best.Decisions[i].Fault
			change(&softer)
			if softer == *s.best.Decisions[i].Fault {
				continue
			}
			decisions := slices.Clone(s.best.Decisions)
			decisions[i] = Decision{Fault: &softer}
			s.accept(s.with(decisions))
		}
	}
}
