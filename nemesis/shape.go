package nemesis

import (
	"math/rand/v2"
	"slices"

	"ordeal/results/history"
)

// The shapes of cuts, as the history names them.
const (
	shapeIsolateLeader   = "isolate-leader"
	shapeIsolateFollower = "isolate-follower"
	shapeHalves          = "halves"
	shapeMajorityRing    = "majority-ring"
	shapeBridge          = "bridge"
	shapeOneWay          = "one-way"
	shapeFlapping        = "flapping"
)

func cut(shape string, mode history.CutMode, links []history.Link) history.Fault {
	return history.Fault{Kind: history.Cut, Shape: shape, Mode: mode, Links: links}
}

func randomMode(random *rand.Rand) history.CutMode {
	return pick(random, []history.CutMode{history.Drop, history.Reset})
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

// shuffled is a copy in random order.
func shuffled(random *rand.Rand, members []int) []int {
	order := slices.Clone(members)
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

func without(members []int, except ...int) []int {
	return slices.DeleteFunc(slices.Clone(members), func(m int) bool { return slices.Contains(except, m) })
}

// linksFrom are the links from each of some members to each of others.
func linksFrom(from, to []int) []history.Link {
	var links []history.Link
	for _, f := range from {
		for _, t := range to {
			if f != t {
				links = append(links, history.Link{From: f, To: t})
			}
		}
	}
	return links
}

// bothWays are the links between members of two groups, in both directions.
func bothWays(a, b []int) []history.Link { return append(linksFrom(a, b), linksFrom(b, a)...) }

// isolate cuts each of the members off from everybody.
func isolate(view View, members ...int) []history.Link {
	rest := without(view.Members, members...)
	return append(bothWays(members, rest), linksFrom(members, members)...)
}

// halves splits the members into a majority of voters and the largest minority; observers fall on
// either side.
func halves(view View, random *rand.Rand) []history.Link {
	voters := shuffled(random, view.Voters)
	smaller := (len(voters) - 1) / 2
	if len(voters) == 2 {
		smaller = 1
	}
	few, many := voters[:smaller:smaller], voters[smaller:]
	for _, observer := range without(view.Members, view.Voters...) {
		if random.IntN(2) == 0 {
			few = append(few, observer)
		} else {
			many = append(many, observer)
		}
	}
	return bothWays(few, many)
}

// majorityRing lets each voter see a majority, but no two the same one. Up to three voters see
// everybody in such a ring, so nothing is cut.
func majorityRing(view View, random *rand.Rand) []history.Link {
	ring := shuffled(random, view.Voters)
	// Each voter sees this many neighbours on either side: with itself, at least a majority.
	reach := (len(ring)/2 + 1) / 2
	var links []history.Link
	for i, from := range ring {
		for j, to := range ring {
			distance := (j - i + len(ring)) % len(ring)
			if distance > reach && len(ring)-distance > reach {
				links = append(links, history.Link{From: from, To: to})
			}
		}
	}
	return links
}

// bridge splits the voters, of whom there must be three, into two halves that see each other only through
// one voter between them.
func bridge(view View, random *rand.Rand) []history.Link {
	rest := shuffled(random, view.Voters)[1:]
	return bothWays(rest[:len(rest)/2], rest[len(rest)/2:])
}

// oneWay cuts one direction: what the leader says, what it hears, or one link. There must be others.
func oneWay(view View, random *rand.Rand) []history.Link {
	way, others := random.IntN(5), without(view.Members, view.Leader)
	leader, one := []int{view.Leader}, []int{pick(random, others)}
	switch way {
	case 0:
		return linksFrom(leader, others)
	case 1:
		return linksFrom(others, leader)
	case 2:
		return linksFrom(leader, one)
	case 3:
		return linksFrom(one, leader)
	}
	rest := without(others, one...)
	if len(rest) == 0 {
		return linksFrom(leader, one)
	}
	return linksFrom(one, []int{pick(random, rest)})
}
