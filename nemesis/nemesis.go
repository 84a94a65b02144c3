// Package nemesis chooses faults over time. A nemesis is pure: given the seed and a view of the
// ensemble it says what to do next; the harness applies faults through a driver and reports back by
// the next view.
//
// The package knows the history's words for faults and nothing of drivers, clients or clocks.
package nemesis

import (
	"time"

	"ordeal/results/history"
)

// View is what is known of the ensemble at a moment, found by asking its members.
type View struct {
	Now     time.Duration // since the start of the load
	Voters  []int         // members that vote, ascending
	Members []int         // all members, observers too, ascending
	Leader  int           // the member that says it leads the greatest epoch; 0 if none does
	Epoch   int64         // of that leader
	Serving []int         // members that answer clients, ascending
	Active  []history.Fault
	// Spared are, for kinds of faults, the members that the driver cannot give them to.
	Spared map[history.FaultKind][]int
}

// Action is what a nemesis wants next: exactly one of its fields is set.
type Action struct {
	Wait   time.Duration  // look again after this time
	Inject *history.Fault // apply this; the harness gives it its ID, Nemesis, Leader and Epoch
	Heal   int            // end the active fault with this ID
}

// Nemesis chooses faults.
type Nemesis interface {
	// Name is the word on the command line.
	Name() string
	// Describe says in one line what it does to the ensemble.
	Describe() string
	// Needs are the kinds of faults without which it is pointless. A nemesis that needs none (mixed) works with any
	// subset.
	Needs() []history.FaultKind
	// Omits says what it would do with the kinds of faults that the driver can give, and cannot do to an
	// ensemble of this size.
	Omits(voters, members int, possible []history.FaultKind) []Omission
	// Start returns the schedule that this seed gives, using only the kinds of faults that the driver
	// can give. Which faults it brings, how long each lasts and in which order comes from the seed; when
	// each begins and which members it hits follows from who leads and runs.
	Start(seed uint64, possible []history.FaultKind) Schedule
}

// Omission is something that a nemesis leaves out, and why.
type Omission struct{ Name, Reason string }

// Schedule is one nemesis at work.
type Schedule interface {
	// Next is called when the wait of the previous action is over, or its injection or healing is
	// done.
	Next(view View) Action
}
