package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Summary is what one search has done, or several that were joined.
type Summary struct {
	Options  Options        `json:"options"`
	Parts    []Part         `json:"parts"`
	Seeds    int            `json:"seeds"`
	Events   int64          `json:"events"`
	Virtual  time.Duration  `json:"virtual"`
	Real     time.Duration  `json:"real"`
	Failures []Failure      `json:"failures"`
	Unknown  []Doubt        `json:"unknown"`
	Coverage map[string]int `json:"coverage"`
}

// Failure is a seed that broke a guarantee.
type Failure struct {
	Seed      uint64     `json:"seed"`
	Violation *Violation `json:"violation"`
	// Found is how many decisions the seed made; Shrunk how many are left, 0 if it was not shrunk.
	Found  int `json:"decisions"`
	Shrunk int `json:"shrunk,omitempty"`
	// Script is the shrunk form, or the whole run as it was decided.
	Script *Script `json:"-"`
	File   string  `json:"file,omitempty"` // of the script, once it is stored
}

// Doubt is a seed on which a checker gave up.
type Doubt struct {
	Seed   uint64 `json:"seed"`
	Reason string `json:"reason"`
}

// Part is the seeds that one search was to try, and how far it came: the first so many of its shard.
type Part struct {
	From   uint64        `json:"from"`
	To     uint64        `json:"to,omitempty"` // 0 is without end
	Shard  int           `json:"shard"`
	Shards int           `json:"shards"`
	For    time.Duration `json:"for,omitempty"` // 0 is without bound
	Seeds  int           `json:"seeds"`         // that were tried
	Ended  Ended         `json:"ended"`
}

// Ended is why a search ended.
type Ended string

// Why searches end.
const (
	EndedDone         Ended = "done"          // all seeds were tried
	EndedTime         Ended = "time"          // its time was over
	EndedFirstFailure Ended = "first-failure" // as it was asked to
	EndedFailures     Ended = "failures"      // there were too many
	EndedInterrupted  Ended = "interrupted"
)

// Wanted is how many seeds the part has; 0 for one without end.
func (p Part) Wanted() int {
	first := p.From + uint64(p.Shard)
	if p.To < first {
		return 0
	}
	return int((p.To-first)/uint64(p.Shards)) + 1
}

// Complete tells whether the part was searched as far as it was meant to be.
func (p Part) Complete() bool {
	return p.Ended == EndedTime || p.To > 0 && p.Seeds >= p.Wanted()
}

// String is the part in words.
func (p Part) String() string {
	text := fmt.Sprintf("shard %d of %d of the seeds from %d on", p.Shard, p.Shards, p.From)
	if p.To > 0 {
		text = fmt.Sprintf("shard %d of %d of the seeds %d to %d", p.Shard, p.Shards, p.From, p.To)
	}
	return text
}

// Short says how far a part came that is not complete.
func (p Part) Short() string {
	tried := fmt.Sprintf("%d seeds tried", p.Seeds)
	if p.To > 0 {
		tried = fmt.Sprintf("%d of %d seeds tried", p.Seeds, p.Wanted())
	}
	switch p.Ended {
	case EndedFirstFailure:
		tried += ", ended by the first failure"
	case EndedFailures:
		tried += fmt.Sprintf(", ended by %d failures", failuresMax)
	case EndedInterrupted:
		tried += ", interrupted"
	}
	return tried
}

// seed is the part's seed at an index.
func (p Part) seed(index int) uint64 {
	return p.From + uint64(p.Shard) + uint64(index)*uint64(p.Shards)
}

// tried tells whether a seed is among those that were tried.
func (p Part) tried(seed uint64) bool {
	first := p.seed(0)
	return seed >= first && (seed-first)%uint64(p.Shards) == 0 && (seed-first)/uint64(p.Shards) < uint64(p.Seeds)
}

// overlap returns a seed that both parts tried.
func (p Part) overlap(other Part) (seed uint64, any bool) {
	if p.Seeds > other.Seeds {
		p, other = other, p
	}
	for i := range p.Seeds {
		if other.tried(p.seed(i)) {
			return p.seed(i), true
		}
	}
	return 0, false
}

// Add joins what another search has done. It refuses what was drawn differently, and seeds that would
// count twice.
func (s *Summary) Add(other Summary) error {
	if len(other.Parts) == 0 || slices.ContainsFunc(other.Parts, func(p Part) bool { return p.Shards < 1 || p.Seeds < 0 }) {
		return errors.New("it does not say which seeds were tried")
	}
	if s.Parts == nil {
		s.Options = other.Options
	} else if s.Options != other.Options {
		return fmt.Errorf("it is of another search (%s) than those before it (%s)", other.Options, s.Options)
	}
	for _, part := range s.Parts {
		for _, added := range other.Parts {
			if seed, any := part.overlap(added); any {
				return fmt.Errorf("seed %d would count twice: it is in %s, which is there already", seed, part)
			}
		}
	}
	s.Parts = append(s.Parts, other.Parts...)
	s.Seeds += other.Seeds
	s.Events += other.Events
	s.Virtual += other.Virtual
	s.Real = max(s.Real, other.Real)
	s.Failures = append(s.Failures, other.Failures...)
	s.Unknown = append(s.Unknown, other.Unknown...)
	if s.Coverage == nil {
		s.Coverage = map[string]int{}
	}
	for name, count := range other.Coverage { // any order: it adds up
		s.Coverage[name] += count
	}
	return nil
}

// take adds a run.
func (s *Summary) take(seed uint64, outcome *Outcome) {
	s.Seeds++
	s.Events += int64(outcome.Events)
	s.Virtual += outcome.Virtual
	for name, count := range outcome.Coverage.Seen { // any order: it adds up
		s.Coverage[name] += count
	}
	if outcome.Unknown != "" && outcome.Violation == nil {
		s.Unknown = append(s.Unknown, Doubt{Seed: seed, Reason: outcome.Unknown})
	}
}

// Unfinished are the parts that were not searched to their end.
func (s *Summary) Unfinished() []Part {
	var parts []Part
	for _, part := range s.Parts {
		if !part.Complete() {
			parts = append(parts, part)
		}
	}
	return parts
}

// Missing are the parts that are not there at all although others of the same search are, as parts
// of which no seed was tried.
func (s *Summary) Missing() []Part {
	type whole struct {
		from, to uint64
		shards   int
	}
	there := map[whole]map[int]bool{}
	var missing []Part
	for _, part := range s.Parts {
		of := whole{part.From, part.To, part.Shards}
		if there[of] == nil {
			there[of] = map[int]bool{}
		}
		there[of][part.Shard] = true
	}
	for _, part := range s.Parts {
		of := whole{part.From, part.To, part.Shards}
		for shard := range part.Shards {
			if !there[of][shard] {
				there[of][shard] = true
				part.Shard, part.Seeds, part.Ended = shard, 0, ""
				missing = append(missing, part)
			}
		}
	}
	return missing
}
