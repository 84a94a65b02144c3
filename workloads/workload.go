// Package workloads holds what clients ask of an ensemble. A workload is pure: it says what a client
// does next, given the seed and what has come back so far; a runner, real or simulated, does it. So
// the same workload runs in real time against containers and in virtual time in a simulator.
//
// The package knows the history's words and nothing of sockets, clocks, drivers, checkers or faults.
package workloads

import (
	"time"

	"ordeal/results/history"
)

// Workload makes the clients of one kind of load and names what judges them.
type Workload interface {
	// Name is the word on the command line.
	Name() string
	// Describe says in one line what clients do and what it shows.
	Describe() string
	// ClientsMin is the number of clients below which the workload shows nothing.
	ClientsMin() int
	// Root is the znode under which everything of this workload happens: "/ordeal-<name>".
	Root() string
	// Checkers names the checkers of package checkers that judge this workload, beside those that
	// judge every run.
	Checkers() []string
	// Setup is done by one client, in order, before the load starts. It must be safe to repeat.
	Setup() []history.Request
	// Clients returns the pure state machines of n clients. The same seed gives the same choices
	// for the same returns.
	Clients(n int, seed uint64) []Client
	// Final is what one client does on every member after the faults are healed and the load is
	// over, for instance a full read after a sync.
	Final() []history.Request
}

// Client decides what one client does. Its methods are called by one goroutine.
type Client interface {
	// Next says what to do at time now (since the start of the load).
	Next(now time.Duration) Step
	// Return tells the outcome of the operation that Next asked for.
	Return(request history.Request, result history.Result)
	// Notify tells of a watch event or of a change of the client's session.
	Notify(event history.Event)
}

// Step is a client's decision: exactly one of its fields is set.
type Step struct {
	// Do is the operation to perform now. Return follows before the next call of Next.
	Do *history.Request
	// Wait asks to be called again after this time, or earlier when a Notify comes.
	Wait time.Duration
	// Move asks that the session goes on with another member, as a client does that balances its
	// load: a server that is behind what the session has seen must not take it.
	Move bool
}
