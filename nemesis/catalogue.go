package nemesis

import (
	"fmt"
	"slices"
	"strings"

	"ordeal/results/history"
)

// The cards of which nemeses make their decks.
var (
	killLeader        = card{name: "kill-leader", kind: history.Kill, choose: onLeader(history.Kill)}
	killFollower      = card{name: "kill-follower", kind: history.Kill, choose: onFollower(history.Kill), members: 2}
	blackoutOfAll     = card{name: "blackout", kind: history.PowerLoss, choose: blackout}
	powerLossLeader   = card{name: "power-loss-leader", kind: history.PowerLoss, choose: onLeader(history.PowerLoss)}
	powerLossFollower = card{name: "power-loss-follower", kind: history.PowerLoss, choose: onFollower(history.PowerLoss), members: 2}
	stopLeader        = card{name: "stop-leader", kind: history.Stop, choose: onLeader(history.Stop)}
	stopFollower      = card{name: "stop-follower", kind: history.Stop, choose: onFollower(history.Stop), members: 2}
	rollingStop       = card{name: "rolling", kind: history.Stop, choose: rollingRestart}
	pauseLeader       = card{name: "pause-leader", kind: history.Pause, choose: onLeader(history.Pause)}
	pauseFollower     = card{name: "pause-follower", kind: history.Pause, choose: onFollower(history.Pause), members: 2}
	dropLeader        = card{name: shapeIsolateLeader, kind: history.Cut, choose: isolateLeader(history.Drop), members: 2}
	resetLeader       = card{name: shapeIsolateLeader, kind: history.Cut, choose: isolateLeader(history.Reset), members: 2}
	cutFollowers      = card{name: shapeIsolateFollower, kind: history.Cut, choose: isolateFollowers, members: 2}
	cutHalves         = card{name: shapeHalves, kind: history.Cut, choose: shaped(shapeHalves, halves), members: 2}
	cutBridge         = card{name: shapeBridge, kind: history.Cut, choose: shaped(shapeBridge, bridge), voters: 3}
	cutRing           = card{name: shapeMajorityRing, kind: history.Cut, choose: shaped(shapeMajorityRing, majorityRing), voters: 4}
	cutOneWay         = card{name: shapeOneWay, kind: history.Cut, choose: oneWayCut, members: 2}
	flapAnybody       = card{name: shapeFlapping, kind: history.Cut, choose: flapping(running), members: 2}
	flapFollower      = card{name: shapeFlapping, kind: history.Cut, choose: flapping(followers), members: 2}
	cutClients        = card{name: "client-cut", kind: history.ClientCut, choose: clientCut}
)

// catalogue are all nemeses, in the order in which they are listed to people.
var catalogue = []Nemesis{
	&scheduled{
		name:     "kill-leader",
		describe: "kills the leader by kill -9, and starts it again later",
		needs:    []history.FaultKind{history.Kill},
		cards:    []card{killLeader},
	},
	&scheduled{
		name:     "power-loss",
		describe: "takes the power from everybody at once, from the leader, or from a follower: un-synced bytes are lost",
		needs:    []history.FaultKind{history.PowerLoss},
		// Only what a majority loses together can be lost for clients: so it comes more often.
		cards: []card{blackoutOfAll, blackoutOfAll, powerLossLeader, powerLossFollower},
	},
	&scheduled{
		name:     "pause-leader",
		describe: "lets the leader's process stand still, and go on later as if nothing had been",
		needs:    []history.FaultKind{history.Pause},
		cards:    []card{pauseLeader},
	},
	&scheduled{
		name:     "partition-leader",
		describe: "cuts the leader off from all other members",
		needs:    []history.FaultKind{history.Cut},
		// A leader that is reset knows at once; one that hears nothing goes on for a while, and that is
		// where writes are lost: so it comes more often.
		cards: []card{dropLeader, dropLeader, resetLeader},
	},
	&scheduled{
		name:     "partition-followers",
		describe: "cuts followers off from all other members, a minority at a time, or lets their links flap",
		needs:    []history.FaultKind{history.Cut},
		cards:    []card{cutFollowers, cutFollowers, flapFollower},
	},
	&scheduled{
		name:     "partition-halves",
		describe: "splits the members: a majority from a minority, two halves with a bridge, or a ring of majorities",
		needs:    []history.FaultKind{history.Cut},
		cards:    []card{cutHalves, cutBridge, cutRing},
	},
	&scheduled{
		name:     "one-way",
		describe: "drops what members say to one another in one direction only",
		needs:    []history.FaultKind{history.Cut},
		cards:    []card{cutOneWay},
	},
	&scheduled{
		name:     "rolling",
		describe: "stops and starts every member in turn, each after the one before serves again",
		needs:    []history.FaultKind{history.Stop},
		cards:    []card{rollingStop},
	},
	&scheduled{
		name:     "mixed",
		describe: "draws from all faults that the driver can give, up to two at the same time",
		cards: []card{
			killLeader, killLeader, // what hits the leader brings elections, so it comes more often
			killFollower, blackoutOfAll, powerLossLeader, stopLeader, stopFollower, pauseLeader, pauseFollower,
			dropLeader, resetLeader, cutFollowers, cutHalves, cutBridge, cutRing, cutOneWay, flapAnybody, cutClients,
		},
		lanes: 2,
	},
	&scheduled{name: "none", describe: "does nothing: what a run shows without faults"},
}

// A card is a chooser, the kind of its faults, and how large an ensemble must be for it.
type card struct {
	name            string
	kind            history.FaultKind
	choose          chooser
	voters, members int // at least; 0 for any number
}

// omitted says why the card cannot be played in an ensemble; empty if it can.
func (c card) omitted(voters, members int) string {
	switch {
	case voters < c.voters:
		return fmt.Sprintf("it needs at least %d voters, and this ensemble has %d", c.voters, voters)
	case members < c.members:
		return fmt.Sprintf("it needs at least %d members, and this ensemble has %d", c.members, members)
	}
	return ""
}

// scheduled is a nemesis that draws cards.
type scheduled struct {
	name     string
	describe string
	needs    []history.FaultKind
	cards    []card
	lanes    int // how many faults at the same time; 1 if not said
}

func (n *scheduled) Name() string               { return n.name }
func (n *scheduled) Describe() string           { return n.describe }
func (n *scheduled) Needs() []history.FaultKind { return slices.Clone(n.needs) }

// possible are the cards whose faults the driver can give.
func (n *scheduled) possible(kinds []history.FaultKind) []card {
	return slices.DeleteFunc(slices.Clone(n.cards), func(c card) bool { return !slices.Contains(kinds, c.kind) })
}

// Omits goes by the size that each card needs.
func (n *scheduled) Omits(voters, members int, possible []history.FaultKind) []Omission {
	var omissions []Omission
	for _, c := range n.possible(possible) {
		o := Omission{Name: c.name, Reason: c.omitted(voters, members)}
		if o.Reason != "" && !slices.Contains(omissions, o) {
			omissions = append(omissions, o)
		}
	}
	return omissions
}

// Start leaves out what the driver cannot give. Where nothing remains the schedule only waits.
func (n *scheduled) Start(seed uint64, possible []history.FaultKind) Schedule {
	cards := n.possible(possible)
	if len(cards) == 0 {
		return idle{}
	}
	return newSchedule(n.name, seed, max(1, n.lanes), cards)
}

// All are all nemeses.
func All() []Nemesis { return slices.Clone(catalogue) }

// Names are the words for them on the command line.
func Names() []string {
	var names []string
	for _, n := range catalogue {
		names = append(names, n.Name())
	}
	return names
}

// Get finds a nemesis by its name.
func Get(name string) (Nemesis, error) {
	for _, n := range catalogue {
		if n.Name() == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("unknown nemesis %q; known are: %s", name, strings.Join(Names(), ", "))
}
