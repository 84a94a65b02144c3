package pipeline

import "ordeal/node/jute"

// Measure is something that is measured or counted for metrics.
type Measure uint8

// The measures. Those without a unit are told once for each thing that happens, with the value 1.
const (
	AuthFailed            Measure = iota + 1 // a client could not prove who it is
	ConnectionRevalidated                    // a client came back to a session
	ConnectionNotServed                      // a client came while nobody is served
	PrepQueued                               // a request reached the PrepRequestProcessor
	CommitQueued                             // a commit reached the CommitProcessor
	RequestWaits                             // a request has to wait in the RequestThrottler
	StaleRequestDropped                      // a request's client had gone before its turn came
	OpThrottled                              // a request was refused because it had waited too long
	ThrottleTime                             // how long a request was in the RequestThrottler, in milliseconds
	PropagationTime                          // from a transaction's making to its being in this tree, by their servers' wall clocks, in milliseconds
	QuorumAckTime                            // from a proposal to its commit, in milliseconds (leader)
	WatchesOfCreation                        // how many watches the creation of a znode set off
	WatchesOfDeletion                        // the same for its deletion
	WatchesOfData                            // for its data
	WatchesOfChildren                        // for its list of children
)

// measured tells whoever wants to know.
func (s *Server) measured(what Measure, value int64) {
	if s.config.Measured != nil {
		s.config.Measured(what, value)
	}
}

// measuresOfWatches are what the watches that fire are told as.
var measuresOfWatches = map[jute.EventType]Measure{
	jute.EventNodeCreated: WatchesOfCreation, jute.EventNodeDeleted: WatchesOfDeletion,
	jute.EventNodeDataChanged: WatchesOfData, jute.EventNodeChildrenChanged: WatchesOfChildren,
}
