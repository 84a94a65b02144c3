package nemesis

import (
	"math/rand/v2"
	"slices"
	"time"

	"ordeal/results/history"
)

const (
	// outage is how long everybody is without power, or a member is stopped by a rolling restart.
	outageMin, outageMax = 500 * time.Millisecond, 1500 * time.Millisecond
	// flap is how long a flapping link is down, and up, each time.
	flapMin, flapMax = 200 * time.Millisecond, 800 * time.Millisecond
	// flaps is how often.
	flapsMin, flapsMax = 3, 6
	// betweenRestarts is the pause of a rolling restart, once the member before serves.
	betweenRestarts = 500 * time.Millisecond
)

// once makes a plan of one fault, with the usual times.
func once(random *rand.Rand, fault history.Fault) []step {
	return []step{{
		fault: fault,
		hold:  between(random, holdMin, holdMax),
		pause: between(random, recoveryMin, recoveryMax),
	}}
}

// leading tells whether a leader is known that runs.
func leading(view View) bool {
	return slices.Contains(view.Voters, view.Leader) && !slices.Contains(stopped(view.Active), view.Leader)
}

// followers are the members that run and do not lead; nobody while no leader is known.
func followers(view View) []int {
	if !leading(view) {
		return nil
	}
	return without(without(view.Members, view.Leader), stopped(view.Active)...)
}

// onLeader does something to the leader, once one is known; where the driver spares the leader, to
// another member, since who leads may not change for a whole run.
func onLeader(kind history.FaultKind) chooser {
	return func(view View, random *rand.Rand) []step {
		if !leading(view) {
			return nil
		}
		if slices.Contains(view.Spared[kind], view.Leader) {
			return onOneOf(view, random, kind, followers(view))
		}
		return once(random, history.Fault{Kind: kind, Members: []int{view.Leader}})
	}
}

// onFollower does something to a member that does not lead; where the driver spares all of those, to the
// leader.
func onFollower(kind history.FaultKind) chooser {
	return func(view View, random *rand.Rand) []step {
		candidates := followers(view)
		if len(candidates) > 0 && len(without(candidates, view.Spared[kind]...)) == 0 {
			candidates = []int{view.Leader}
		}
		return onOneOf(view, random, kind, candidates)
	}
}

func onOneOf(view View, random *rand.Rand, kind history.FaultKind, candidates []int) []step {
	candidates = without(candidates, view.Spared[kind]...)
	if len(candidates) == 0 {
		return nil
	}
	return once(random, history.Fault{Kind: kind, Members: []int{pick(random, candidates)}})
}

// blackout takes the power from everybody who can lose it, at the same moment.
func blackout(view View, random *rand.Rand) []step {
	members := everybody(view)
	if len(members) == 0 {
		return nil
	}
	return []step{{
		fault: history.Fault{Kind: history.PowerLoss, Members: members},
		hold:  between(random, outageMin, outageMax),
		pause: between(random, recoveryMin, recoveryMax),
	}}
}

func isolateLeader(mode history.CutMode) chooser {
	return func(view View, random *rand.Rand) []step {
		if !leading(view) || len(view.Members) == 1 {
			return nil
		}
		return once(random, cut(shapeIsolateLeader, mode, isolate(view, view.Leader)))
	}
}

// isolateFollowers cuts off a minority of members that do not lead, each by itself.
func isolateFollowers(view View, random *rand.Rand) []step {
	candidates := followers(view)
	if len(candidates) == 0 {
		return nil
	}
	count := 1 + random.IntN(min(minority(view), len(candidates)))
	chosen := shuffled(random, candidates)[:count]
	slices.Sort(chosen)
	return once(random, cut(shapeIsolateFollower, randomMode(random), isolate(view, chosen...)))
}

// shaped cuts links in a shape; nothing if this ensemble is too small for it.
func shaped(shape string, links func(View, *rand.Rand) []history.Link) chooser {
	return func(view View, random *rand.Rand) []step {
		chosen := links(view, random)
		if len(chosen) == 0 {
			return nil
		}
		return once(random, cut(shape, randomMode(random), chosen))
	}
}

// oneWayCut drops what goes one way. A reset would end both directions.
func oneWayCut(view View, random *rand.Rand) []step {
	if !leading(view) {
		return nil
	}
	links := oneWay(view, random)
	if len(links) == 0 {
		return nil
	}
	return once(random, cut(shapeOneWay, history.Drop, links))
}

// flapping isolates one member again and again for a moment.
func flapping(view View, random *rand.Rand) []step {
	running := without(view.Members, stopped(view.Active)...)
	if len(running) < 2 {
		return nil
	}
	links, mode := isolate(view, pick(random, running)), randomMode(random)
	plan := make([]step, flapsMin+random.IntN(flapsMax-flapsMin+1))
	for i := range plan {
		plan[i] = step{
			fault: cut(shapeFlapping, mode, links),
			hold:  between(random, flapMin, flapMax),
			pause: between(random, flapMin, flapMax),
		}
	}
	plan[len(plan)-1].pause = between(random, recoveryMin, recoveryMax)
	return plan
}

// clientCut keeps all clients from one member.
func clientCut(view View, random *rand.Rand) []step {
	running := without(view.Members, stopped(view.Active)...)
	if len(running) == 0 {
		return nil
	}
	return once(random, history.Fault{
		Kind: history.ClientCut, Members: []int{pick(random, running)}, Mode: randomMode(random),
	})
}

// rollingRestart stops and starts every member, each after the one before serves again.
func rollingRestart(view View, random *rand.Rand) []step {
	var plan []step
	for _, member := range shuffled(random, view.Members) {
		plan = append(plan, step{
			fault:  history.Fault{Kind: history.Stop, Members: []int{member}},
			hold:   between(random, outageMin, outageMax),
			pause:  betweenRestarts,
			serves: member,
		})
	}
	if len(plan) > 0 {
		plan[len(plan)-1].pause = between(random, recoveryMin, recoveryMax)
	}
	return plan
}

// dealer draws from choosers like from a deck of cards that is shuffled anew when nothing in it fits
// the moment, so that each gets its turn soon.
func dealer(cards []chooser) chooser {
	var deck []chooser
	return func(view View, random *rand.Rand) []step {
		for range 2 {
			for i, card := range deck {
				plan := card(view, random)
				if len(plan) > 0 && fits(view, plan[0].fault) {
					deck = slices.Delete(deck, i, i+1)
					return plan
				}
			}
			deck = slices.Clone(cards)
			random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		return nil
	}
}
