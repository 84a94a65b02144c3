package nemesis

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"ordeal/results/history"
)

// The times of schedules. They are made for runs of 20 to 30 s with elections of about a second: most
// faults see an election begin and end, and each run sees several.
const (
	// firstFault is how long the ensemble is left alone at the beginning.
	firstFaultMin, firstFaultMax = 1 * time.Second, 2 * time.Second
	// hold is how long a fault stays.
	holdMin, holdMax = 2 * time.Second, 6 * time.Second
	// recovery is the time between the healing of a fault and the next one.
	recoveryMin, recoveryMax = 2 * time.Second, 4 * time.Second
	// lookAgain is the wait while nothing fits the moment, for instance while no leader is known.
	lookAgain = 100 * time.Millisecond
	// healAgain is the wait after an attempt to heal that left the fault on.
	healAgain = time.Second
)

// A step is one fault of a plan.
type step struct {
	fault history.Fault
	hold  time.Duration
	pause time.Duration // after its healing, before the next step
	// serves is a member that must serve before the next step; 0 for none. Not longer than
	// servesPatience.
	serves int
}

// servesPatience bounds how long a rolling restart waits for a member.
const servesPatience = 15 * time.Second

// A chooser says which faults to bring next, in their order; none if nothing fits the view now. Each
// is held and healed before the next comes.
type chooser func(view View, random *rand.Rand) []step

// A lane brings one fault at a time: it waits, injects, holds, heals, and chooses again when its plan
// is done. It knows its faults by what they are, since it is the harness that numbers them.
type lane struct {
	choose chooser
	plan   []step
	next   time.Duration // when the next step may begin

	asked  bool // the first step's injection was asked for
	on     int  // the ID of the first step's fault while it is on
	heal   time.Duration
	served time.Duration // until when to wait for step.serves, once it is healed; 0 before
}

// schedule is lanes that share one source of randomness.
type schedule struct {
	random *rand.Rand
	lanes  []*lane
}

func newSchedule(name string, seed uint64, choosers ...chooser) *schedule {
	hash := fnv.New64a()
	hash.Write([]byte(name))
	s := &schedule{random: rand.New(rand.NewPCG(seed, hash.Sum64()))}
	for i, choose := range choosers {
		// A second lane begins later, so that its faults come in the middle of others.
		start := between(s.random, firstFaultMin, firstFaultMax) + time.Duration(i)*holdMin
		s.lanes = append(s.lanes, &lane{choose: choose, next: start})
	}
	return s
}

func between(random *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(random.Int64N(int64(to-from)+1))
}

// Next lets each lane say what it wants; the first that wants to act does, otherwise the shortest
// wait counts.
func (s *schedule) Next(view View) Action {
	wait := time.Duration(0)
	for _, l := range s.lanes {
		action := l.act(view, s)
		if action.Wait == 0 {
			return action
		}
		if wait == 0 || action.Wait < wait {
			wait = action.Wait
		}
	}
	return Action{Wait: wait}
}

func (l *lane) act(view View, s *schedule) Action {
	if l.asked && l.on == 0 {
		l.on = s.find(view, l.plan[0].fault)
		l.asked = false
		if l.on == 0 {
			// The fault could not be applied, or is off already: a new choice will fit better.
			l.plan = nil
			l.next = view.Now + lookAgain
		} else {
			l.heal = view.Now + l.plan[0].hold
		}
	}
	if l.on != 0 {
		if active(view, l.on) {
			if view.Now < l.heal {
				return Action{Wait: l.heal - view.Now}
			}
			l.heal = view.Now + healAgain
			return Action{Heal: l.on}
		}
		l.on = 0
		l.served = view.Now + servesPatience
	}
	if l.served != 0 {
		if member := l.plan[0].serves; member != 0 && !slices.Contains(view.Serving, member) && view.Now < l.served {
			return Action{Wait: lookAgain}
		}
		l.served = 0
		l.next = view.Now + l.plan[0].pause
		l.plan = l.plan[1:]
	}
	if view.Now < l.next {
		return Action{Wait: l.next - view.Now}
	}
	if len(l.plan) > 0 && !fits(view, l.plan[0].fault) {
		l.plan = nil // other faults came since the plan was made
	}
	if len(l.plan) == 0 {
		l.plan = l.choose(view, s.random)
		if len(l.plan) == 0 {
			return Action{Wait: lookAgain}
		}
	}
	l.asked = true
	fault := l.plan[0].fault
	fault.Members = slices.Clone(fault.Members)
	fault.Links = slices.Clone(fault.Links)
	return Action{Inject: &fault}
}

// find looks for the fault that the harness made of one that a lane asked for: alike, and not on
// another lane.
func (s *schedule) find(view View, wanted history.Fault) int {
	for _, fault := range view.Active {
		taken := slices.ContainsFunc(s.lanes, func(l *lane) bool { return l.on == fault.ID })
		if !taken && alike(fault, wanted) {
			return fault.ID
		}
	}
	return 0
}

func alike(a, b history.Fault) bool {
	return a.Kind == b.Kind && a.Mode == b.Mode && a.Shape == b.Shape &&
		slices.Equal(a.Members, b.Members) && slices.Equal(a.Links, b.Links)
}

func active(view View, id int) bool {
	return slices.ContainsFunc(view.Active, func(f history.Fault) bool { return f.ID == id })
}

// idle is the schedule of a nemesis that does nothing.
type idle struct{}

// idleWait is as good as any: nothing will change.
const idleWait = time.Second

func (idle) Next(View) Action { return Action{Wait: idleWait} }
