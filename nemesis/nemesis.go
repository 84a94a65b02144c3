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
	// Start returns the schedule that this seed gives, using only the kinds of faults that the driver
	// can give.
	Start(seed uint64, possible []history.FaultKind) Schedule
}

// Schedule is one nemesis at work.
type Schedule interface {
	// Next is called when the wait of the previous action is over, or its injection or healing is
	// done.
	Next(view View) Action
}
