package sim

import (
	"math/rand/v2"
	"slices"
	"time"
)

// priorities are those of Burckhardt's probabilistic concurrency testing, for messages: each way between
// two machines, and each disk, has a priority. What arrives waits while something of higher priority is
// under way. At a few change points, drawn over the steps that a run is expected to have, whoever is
// about to move becomes the last of all. Servers watch the time, so that a wait is bounded, by DelayMax.
type priorities struct {
	machines int
	of       []int           // by chain; the higher goes first
	busy     []time.Duration // by chain: until when something is under way
	changes  []int           // step numbers, ascending
	changed  int             // so many of them have been reached
	steps    int
}

const (
	// depthMax is how many change points a seed draws at most: most bugs need few orders to be just so.
	depthMax = 4
	// stepsEach is how many packets a write takes for each member, forth and back, as measured.
	stepsEach = 4
	// stepsTick is the same of pings in a tickTime.
	stepsTick = 4
	// apart is what keeps those that wait for the same moment apart, in nanoseconds for each rank. Within
	// it they are two apart: a client that is woken by one of them moves in between (see noticed).
	apart = 1024
)

func newPriorities(c *Config) *priorities {
	r := rand.New(rand.NewPCG(c.Seed, 0x706374)) // "pct"
	p := &priorities{machines: c.Members() + 1}
	p.of = r.Perm(p.machines * p.machines)
	p.busy = make([]time.Duration, len(p.of))
	depth := 1 + r.IntN(depthMax)
	expected := float64(c.Members()) * c.Load.Seconds() * (stepsEach*c.Rate + stepsTick/c.TickTime.Seconds())
	for i := range p.of {
		p.of[i] += depth // the lower ones are for those that become the last
	}
	for range depth {
		p.changes = append(p.changes, r.IntN(int(expected)+1))
	}
	slices.Sort(p.changes)
	return p
}

// chain numbers a way, or with from and to the same a member's disk.
func (p *priorities) chain(from, to int) int { return from*p.machines + to }

// sent sees that something is under way.
func (p *priorities) sent(chain int, arrives time.Duration) {
	p.busy[chain] = max(p.busy[chain], arrives)
}

// turn is when what is on a chain may arrive at the earliest: now, or after all of higher priority.
func (p *priorities) turn(chain int, index uint64, now time.Duration) time.Duration {
	turn := now
	for other, until := range p.busy {
		if p.of[other] > p.of[chain] {
			turn = max(turn, until)
		}
	}
	if turn == now {
		return now
	}
	rank := len(p.of) - p.of[chain]
	return turn + time.Duration(rank*apart+2*int(index%(apart/2))) + 1
}

// step counts what arrives, and changes its chain's priority at a change point.
func (p *priorities) step(chain int) {
	p.steps++
	for p.changed < len(p.changes) && p.steps >= p.changes[p.changed] {
		p.of[chain] = p.changed
		p.changed++
	}
}

// hold makes the head of a pipe wait for its turn, and records that as a decision. It is false if the
// head may arrive now.
func (w *World) hold(p *pipe) bool {
	order := w.source.priorities
	if order == nil || !w.faultsOn || p.broken || p.head == len(p.queue) || p.way.cut() || p.queue[p.head].streaming() {
		return false
	}
	item := &p.queue[p.head]
	chain := order.chain(p.way.from, p.way.to)
	arrives := min(order.turn(chain, item.index, w.now), item.natural+w.config.DelayMax)
	if arrives <= w.now {
		order.step(chain)
		return false
	}
	if item.delay == nil {
		item.delay = &Delay{From: p.way.from, To: p.way.to, Index: item.index}
		w.source.made = append(w.source.made, Decision{Delay: item.delay})
		w.coverage.hit("delay")
	}
	item.arrives, item.delay.By = arrives, arrives-item.natural
	order.sent(chain, arrives)
	return true
}

// holdDisk is how long an operation of a disk waits for its turn.
func (w *World) holdDisk(member int, index uint64) time.Duration {
	order := w.source.priorities
	chain := order.chain(member, member)
	natural := w.now + w.config.Fsync
	by := min(max(order.turn(chain, index, w.now)-natural, 0), w.config.DelayMax)
	order.sent(chain, natural+by)
	order.step(chain)
	return by
}
