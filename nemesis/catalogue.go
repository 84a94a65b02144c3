package nemesis

import (
	"fmt"
	"slices"
	"strings"

	"ordeal/results/history"
)

// catalogue are all nemeses, in the order in which they are listed to people.
var catalogue = []Nemesis{
	&scheduled{
		name:     "kill-leader",
		describe: "kills the leader by kill -9, and starts it again later",
		needs:    []history.FaultKind{history.Kill},
		cards:    []card{{history.Kill, onLeader(history.Kill)}},
	},
	&scheduled{
		name:     "power-loss",
		describe: "takes the power from everybody at once, from the leader, or from a follower: un-synced bytes are lost",
		needs:    []history.FaultKind{history.PowerLoss},
		cards: []card{
			// Only what a majority loses together can be lost for clients: so it comes more often.
			{history.PowerLoss, blackout}, {history.PowerLoss, blackout},
			{history.PowerLoss, onLeader(history.PowerLoss)}, {history.PowerLoss, onFollower(history.PowerLoss)},
		},
	},
	&scheduled{
		name:     "pause-leader",
		describe: "lets the leader's process stand still, and go on later as if nothing had been",
		needs:    []history.FaultKind{history.Pause},
		cards:    []card{{history.Pause, onLeader(history.Pause)}},
	},
	&scheduled{
		name:     "partition-leader",
		describe: "cuts the leader off from all other members",
		needs:    []history.FaultKind{history.Cut},
		// A leader that is reset knows at once; one that hears nothing goes on for a while, and that is
		// where writes are lost: so it comes more often.
		cards: []card{
			{history.Cut, isolateLeader(history.Drop)}, {history.Cut, isolateLeader(history.Drop)},
			{history.Cut, isolateLeader(history.Reset)},
		},
	},
	&scheduled{
		name:     "partition-followers",
		describe: "cuts followers off from all other members, a minority at a time, or lets their links flap",
		needs:    []history.FaultKind{history.Cut},
		cards:    []card{{history.Cut, isolateFollowers}, {history.Cut, isolateFollowers}, {history.Cut, flapping}},
	},
	&scheduled{
		name:     "partition-halves",
		describe: "splits the members: a majority from a minority, two halves with a bridge, or a ring of majorities",
		needs:    []history.FaultKind{history.Cut},
		cards: []card{
			{history.Cut, shaped(shapeHalves, halves)},
			{history.Cut, shaped(shapeBridge, bridge)},
			{history.Cut, shaped(shapeMajorityRing, majorityRing)},
		},
	},
	&scheduled{
		name:     "one-way",
		describe: "drops what members say to one another in one direction only",
		needs:    []history.FaultKind{history.Cut},
		cards:    []card{{history.Cut, oneWayCut}},
	},
	&scheduled{
		name:     "rolling",
		describe: "stops and starts every member in turn, each after the one before serves again",
		needs:    []history.FaultKind{history.Stop},
		cards:    []card{{history.Stop, rollingRestart}},
	},
	&scheduled{
		name:     "mixed",
		describe: "draws from all faults that the driver can give, up to two at the same time",
		cards: []card{
			// What hits the leader brings elections, so it comes more often.
			{history.Kill, onLeader(history.Kill)}, {history.Kill, onLeader(history.Kill)},
			{history.Kill, onFollower(history.Kill)},
			{history.PowerLoss, blackout},
			{history.PowerLoss, onLeader(history.PowerLoss)},
			{history.Stop, onLeader(history.Stop)},
			{history.Stop, onFollower(history.Stop)},
			{history.Pause, onLeader(history.Pause)},
			{history.Pause, onFollower(history.Pause)},
			{history.Cut, isolateLeader(history.Drop)}, {history.Cut, isolateLeader(history.Reset)},
			{history.Cut, isolateFollowers},
			{history.Cut, shaped(shapeHalves, halves)},
			{history.Cut, shaped(shapeBridge, bridge)},
			{history.Cut, shaped(shapeMajorityRing, majorityRing)},
			{history.Cut, oneWayCut},
			{history.Cut, flapping},
			{history.ClientCut, clientCut},
		},
		lanes: 2,
	},
	&scheduled{name: "none", describe: "does nothing: what a run shows without faults"},
}

// A card is a chooser and the kind of its faults.
type card struct {
	kind   history.FaultKind
	choose chooser
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

// Start leaves out what the driver cannot give. Where nothing remains the schedule only waits.
func (n *scheduled) Start(seed uint64, possible []history.FaultKind) Schedule {
	var cards []chooser
	for _, card := range n.cards {
		if slices.Contains(possible, card.kind) {
			cards = append(cards, card.choose)
		}
	}
	if len(cards) == 0 {
		return idle{}
	}
	var lanes []chooser
	for range max(1, n.lanes) {
		lanes = append(lanes, dealer(cards))
	}
	return newSchedule(n.name, seed, lanes...)
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
