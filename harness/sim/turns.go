package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"ordeal/node/peer"
	"ordeal/node/rare"
)

// This file is about choices within a member: rare branches that it takes on purpose, and the moments at
// which the stages of its pipeline work, which are threads in Apache's server.

// Branch is a rare branch that a member takes: at a place, the so-manieth time that it comes there, or, if From is
// not 0, the first time that it comes there from then on. A moment still means something when other
// decisions are left out, a number of times hardly ever.
type Branch struct {
	Member int
	Place  rare.Place
	Index  uint64
	From   time.Duration
}

// SlowStage makes a stage of a member's pipeline wait before it works on what it has, the so-manieth time
// that it has something.
type SlowStage struct {
	Member int
	Stage  string
	Index  uint64
	By     time.Duration
}

var stageNames = map[peer.Stage]string{peer.StagePrep: "prep", peer.StageSync: "sync", peer.StageCommit: "commit"}

var stages = []peer.Stage{peer.StagePrep, peer.StageSync, peer.StageCommit}

func (b *Branch) String() string {
	if b.From > 0 {
		return fmt.Sprintf("rare member %d place %s from %v", b.Member, b.Place, b.From)
	}
	return fmt.Sprintf("rare member %d place %s time %d", b.Member, b.Place, b.Index)
}

func (s *SlowStage) String() string {
	return fmt.Sprintf("slow-stage member %d stage %s time %d by %v", s.Member, s.Stage, s.Index, s.By)
}

func parseBranch(line string) (*Branch, error) {
	b := &Branch{}
	var from string
	if _, err := fmt.Sscanf(line, "rare member %d place %s from %s", &b.Member, &b.Place, &from); err == nil {
		if b.From, err = time.ParseDuration(from); err != nil || b.From <= 0 {
			return nil, fmt.Errorf("rare: %q is no moment", from)
		}
	} else if _, err := fmt.Sscanf(line, "rare member %d place %s time %d", &b.Member, &b.Place, &b.Index); err != nil {
		return nil, fmt.Errorf("rare: %w", err)
	}
	if !slices.Contains(rare.Places, b.Place) {
		return nil, fmt.Errorf("rare: unknown place %q", b.Place)
	}
	return b, nil
}

func parseSlowStage(line string) (*SlowStage, error) {
	s := &SlowStage{}
	var by string
	if _, err := fmt.Sscanf(line, "slow-stage member %d stage %s time %d by %s", &s.Member, &s.Stage, &s.Index, &by); err != nil {
		return nil, fmt.Errorf("slow-stage: %w", err)
	}
	if !slices.ContainsFunc(stages, func(stage peer.Stage) bool { return stageNames[stage] == s.Stage }) {
		return nil, fmt.Errorf("slow-stage: unknown stage %q", s.Stage)
	}
	var err error
	s.By, err = time.ParseDuration(by)
	return s, err
}

// frequent are the places that a member comes to with every transaction, vote or ping; the others are
// seldom ones, where a branch is likelier by seldomWeight.
var frequent = []rare.Place{
	rare.DropLearner, rare.SkipPing, rare.Resign, rare.LeaveLeader, rare.ResendNow, rare.SmallBatch, rare.SnapshotNow,
	rare.TrimHistory,
}

const seldomWeight = 20

// drawTurns draws which rare branches are taken how often, and how often stages wait.
func (c *Config) drawTurns(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0x7475726e73)) // "turns"
	if r.IntN(2) == 0 {
		c.RareRate = pickOne(r, 500, 3000, 15_000)
		for _, place := range rare.Places {
			if c.Strategy == Walk || r.IntN(2) == 0 {
				c.Rare = append(c.Rare, place)
			}
		}
	}
	if r.IntN(2) == 0 {
		c.StageRate = pickOne(r, 1000, 10_000, 100_000)
		c.StageMax = pickOne(r, c.Latency, 10*c.Latency, c.TickTime, 3*c.TickTime)
	}
}

// turnsTaken counts how often a member has come to its places and stages.
type turnsTaken struct {
	places map[rare.Place]*placeTurn
	stages [peer.StageCommit + 1]stageTurn
}

// placeTurn is how often a member has come to a place, and how many times in a million the branch is drawn.
type placeTurn struct {
	number int // among all places
	index  uint64
	rate   int
}

func newTurnsTaken(s *source) turnsTaken {
	taken := turnsTaken{places: make(map[rare.Place]*placeTurn, len(rare.Places))}
	for number, place := range rare.Places {
		taken.places[place] = &placeTurn{number: number, rate: s.rate(place)}
	}
	return taken
}

// stageTurn is a stage's present turn.
type stageTurn struct {
	index uint64
	until time.Duration // it waits
}

// mayBranch tells whether any branch can be taken.
func (s *source) mayBranch() bool {
	return s.branches != nil || s.branchesFrom != nil || !s.scripted && s.config.RareRate > 0
}

// mayWait tells whether any stage can be made to wait.
func (s *source) mayWait() bool { return s.stages != nil || !s.scripted && s.config.StageRate > 0 }

// branch implements rare.Choice for a member.
func (m *member) branch(place rare.Place) bool {
	w := m.world
	turn := m.turns.places[place]
	index := turn.index
	turn.index++
	if !w.source.takes(w, Branch{Member: m.id, Place: place, Index: index}, turn) {
		return false
	}
	w.coverage.hit("rare-" + string(place))
	w.note(hashRare, m.id, int64(turn.number), int64(index))
	w.tell("member %d  takes the rare branch %s", m.id, place)
	w.quiet = w.now // as if a fault had been on
	return true
}

// rate is how many times in a million the branch at a place is drawn.
func (s *source) rate(place rare.Place) int {
	switch {
	case !slices.Contains(s.config.Rare, place):
		return 0
	case slices.Contains(frequent, place):
		return s.config.RareRate
	default:
		return s.config.RareRate * seldomWeight
	}
}

// takes tells whether a rare branch is taken.
func (s *source) takes(w *World, b Branch, turn *placeTurn) bool {
	if s.scripted {
		return s.scriptTakes(w, b)
	}
	if !w.faultsOn || turn.rate == 0 {
		return false
	}
	random := mix(s.chance ^ 0x4a4e<<40 ^ uint64(b.Member)<<56 ^ uint64(turn.number)<<48 ^ b.Index)
	if int(random%million) >= turn.rate {
		return false
	}
	taken := b // only what is taken costs memory
	s.made = append(s.made, Decision{Branch: &taken})
	return true
}

// scriptTakes tells whether a script says that a rare branch is taken, and notes when.
func (s *source) scriptTakes(w *World, b Branch) bool {
	if s.branches[b] {
		s.branched[b] = w.now
		return true
	}
	for i, later := range s.branchesFrom {
		if later.Member == b.Member && later.Place == b.Place && later.From <= w.now {
			s.branchesFrom = slices.Delete(s.branchesFrom, i, i+1)
			return true
		}
	}
	return false
}

// schedule implements peer.Config.Schedule for a member: stages work in their order, but for those that a
// decision makes wait.
func (m *member) schedule(ready []peer.Stage) (next peer.Stage, ok bool) {
	w := m.world
	for _, stage := range ready {
		turn := &m.turns.stages[stage]
		if turn.until > w.now {
			continue
		}
		index := turn.index
		turn.index++
		by := w.source.slowStage(w, SlowStage{Member: m.id, Stage: stageNames[stage], Index: index})
		if by == 0 {
			return stage, true
		}
		turn.until = w.now + by
		w.coverage.hit("slow-stage-" + stageNames[stage])
		w.tell("member %d  its %s stage waits %v", m.id, stageNames[stage], by)
		incarnation := m.incarnation
		w.after(by, func() {
			if m.incarnation == incarnation {
				w.note(hashStage, m.id, int64(stage), int64(index))
				m.input(func(p *peer.Peer) { p.Work() })
			}
		})
	}
	return 0, false
}

// slowStage is how long a stage waits.
func (s *source) slowStage(w *World, slow SlowStage) time.Duration {
	if s.scripted {
		return s.stages[slow]
	}
	if !w.faultsOn || s.config.StageRate == 0 {
		return 0
	}
	random := mix(s.chance ^ 0x57a6e<<40 ^ uint64(slow.Member)<<56 ^ uint64(slow.Stage[0])<<48 ^ slow.Index)
	if int(random%million) >= s.config.StageRate {
		return 0
	}
	taken := slow // only what is taken costs memory
	taken.By = 1 + upTo(mix(random), s.config.StageMax)
	s.made = append(s.made, Decision{Stage: &taken})
	return taken.By
}
