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

// usual is a step with the usual times.
func usual(random *rand.Rand) step {
	return step{hold: between(random, holdMin, holdMax), pause: between(random, recoveryMin, recoveryMax)}
}

// once makes a plan of one step.
func once(s step, fault history.Fault) []step {
	s.fault = fault
	return []step{s}
}

// leading tells whether a leader is known that runs.
func leading(view View) bool {
	return slices.Contains(view.Voters, view.Leader) && !slices.Contains(stopped(view.Active), view.Leader)
}

// running are the members whose process is neither down nor stands still.
func running(view View) []int { return without(view.Members, stopped(view.Active)...) }

// followers are the members that run and do not lead; nobody while no leader is known.
func followers(view View) []int {
	if !leading(view) {
		return nil
	}
	return without(running(view), view.Leader)
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
		return once(usual(random), history.Fault{Kind: kind, Members: []int{view.Leader}})
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
	s, candidates := usual(random), without(candidates, view.Spared[kind]...)
	if len(candidates) == 0 {
		return nil
	}
	return once(s, history.Fault{Kind: kind, Members: []int{pick(random, candidates)}})
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
		if !leading(view) {
			return nil
		}
		return once(usual(random), cut(shapeIsolateLeader, mode, isolate(view, view.Leader)))
	}
}

// isolateFollowers cuts off a minority of members that do not lead, each by itself.
func isolateFollowers(view View, random *rand.Rand) []step {
	s, mode, candidates := usual(random), randomMode(random), followers(view)
	if len(candidates) == 0 {
		return nil
	}
	count := 1 + random.IntN(min(minority(view), len(candidates)))
	chosen := shuffled(random, candidates)[:count]
	slices.Sort(chosen)
	return once(s, cut(shapeIsolateFollower, mode, isolate(view, chosen...)))
}

// shaped cuts links in a shape.
func shaped(shape string, links func(View, *rand.Rand) []history.Link) chooser {
	return func(view View, random *rand.Rand) []step {
		s, mode, chosen := usual(random), randomMode(random), links(view, random)
		if len(chosen) == 0 {
			return nil
		}
		return once(s, cut(shape, mode, chosen))
	}
}

// oneWayCut drops what goes one way. A reset would end both directions.
func oneWayCut(view View, random *rand.Rand) []step {
	if !leading(view) {
		return nil
	}
	return once(usual(random), cut(shapeOneWay, history.Drop, oneWay(view, random)))
}

// flapping isolates one member again and again for a moment: one of those among, as they are each time.
func flapping(among func(View) []int) chooser {
	return func(view View, random *rand.Rand) []step {
		mode := randomMode(random)
		plan := make([]step, flapsMin+random.IntN(flapsMax-flapsMin+1))
		for i := range plan {
			plan[i] = step{hold: between(random, flapMin, flapMax), pause: between(random, flapMin, flapMax)}
		}
		plan[len(plan)-1].pause = between(random, recoveryMin, recoveryMax)
		candidates := among(view)
		if len(candidates) == 0 {
			return nil
		}
		links := isolate(view, pick(random, candidates))
		for i := range plan {
			plan[i].fault = cut(shapeFlapping, mode, links)
		}
		return plan
	}
}

// clientCut keeps all clients from one member.
func clientCut(view View, random *rand.Rand) []step {
	s, mode, candidates := usual(random), randomMode(random), running(view)
	if len(candidates) == 0 {
		return nil
	}
	return once(s, history.Fault{Kind: history.ClientCut, Members: []int{pick(random, candidates)}, Mode: mode})
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
	plan[len(plan)-1].pause = between(random, recoveryMin, recoveryMax)
	return plan
}
