package nemesis

import (
	"fmt"
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
	// lookAgain is the wait while the next fault does not fit the moment, for instance while no leader is known.
	lookAgain = 100 * time.Millisecond
	// healAgain is the wait after an attempt to heal that left the fault on.
	healAgain = time.Second
)

// triesMost is how often the injection of a card's fault is asked for before the next card is dealt. One that
// fails may only have come too late, for instance because another member leads by now.
const triesMost = 2

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

// A chooser says which faults to bring, in their order; none if nothing fits the view now. Each is held
// and healed before the next comes. It is asked anew for each of them, and as long as nothing fits,
// with the same random source at its beginning: so that what is done does not depend on when, it draws what and how
// long first, and last the members, which follow from who leads and runs.
type chooser func(view View, random *rand.Rand) []step

// A lane brings one fault at a time: it waits, deals itself a card, injects its faults one by one, holds
// and heals them. It knows its faults by what they are, since it is the harness that numbers them.
//
// The order of cards comes from the seed alone. A card that does not fit the moment is waited for and
// not passed by, or the order would come from how long elections take.
type lane struct {
	name   string // of the nemesis
	number int
	seed   uint64
	cards  []card

	deck  []card // still to be dealt, the first is next; shuffled anew when it is empty
	dealt int    // cards so far
	done  int    // steps of the first card
	tries int    // of its present step
	next  time.Duration

	step   step // the latest that was asked for
	last   bool // of its card
	asked  bool // for its injection
	on     int  // the ID of its fault while it is on
	heal   time.Duration
	served time.Duration // until when to wait for step.serves, once it is healed; 0 before
}

// schedule is lanes, each with random sources of its own.
type schedule struct{ lanes []*lane }

func newSchedule(name string, seed uint64, lanes int, cards []card) *schedule {
	s := &schedule{}
	for i := range lanes {
		l := &lane{name: name, number: i, seed: seed, cards: cards}
		// A second lane begins later, so that its faults come in the middle of others.
		l.next = between(l.random("start"), firstFaultMin, firstFaultMax) + time.Duration(i)*holdMin
		s.lanes = append(s.lanes, l)
	}
	return s
}

// random is the source for one purpose at the lane's present card: what is drawn from it does not depend
// on how much was drawn for others.
func (l *lane) random(purpose string) *rand.Rand {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%s lane %d card %d %s", l.name, l.number, l.dealt, purpose)
	return rand.New(rand.NewPCG(l.seed, hash.Sum64()))
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
	if l.asked {
		l.asked = false
		l.on = s.find(view, l.step.fault)
		if l.on == 0 {
			// The fault could not be applied, or is off already.
			if l.tries++; l.tries == triesMost {
				l.pass()
			}
			l.next = view.Now + lookAgain
		} else {
			l.heal = view.Now + l.step.hold
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
		if member := l.step.serves; member != 0 && !slices.Contains(view.Serving, member) && view.Now < l.served {
			return Action{Wait: lookAgain}
		}
		l.served = 0
		l.next = view.Now + l.step.pause
		l.tries = 0
		if l.done++; l.last {
			l.pass()
		}
	}
	if view.Now < l.next {
		return Action{Wait: l.next - view.Now}
	}
	if !l.choose(view) {
		return Action{Wait: lookAgain}
	}
	l.asked = true
	fault := l.step.fault
	fault.Members = slices.Clone(fault.Members)
	fault.Links = slices.Clone(fault.Links)
	return Action{Inject: &fault}
}

// choose finds the next step if it fits the view. Cards that can never be played in this ensemble are passed
// by: those for which it is too small, and those that do not fit even while it is whole.
func (l *lane) choose(view View) bool {
	for range l.cards {
		if len(l.deck) == 0 {
			l.deck = slices.Clone(l.cards)
			l.random("deck").Shuffle(len(l.deck), func(i, j int) { l.deck[i], l.deck[j] = l.deck[j], l.deck[i] })
		}
		if l.deck[0].omitted(len(view.Voters), len(view.Members)) == "" {
			plan := l.deck[0].choose(view, l.random("plan"))
			if len(plan) > l.done && fits(view, plan[l.done].fault) {
				l.step, l.last = plan[l.done], len(plan) == l.done+1
				return true
			}
			if !leading(view) || len(view.Active) > 0 {
				return false
			}
		}
		l.pass()
	}
	return false
}

// pass leaves the first card: it is played, or it cannot be.
func (l *lane) pass() {
	l.deck = l.deck[1:]
	l.dealt++
	l.done, l.tries = 0, 0
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
