package pipeline

import (
	"time"

	"ordeal/node/jute"
)

// Measure is something that is measured or counted for metrics.
type Measure uint8

// The measures. Those without a unit are told once for each thing that happens, with the value 1. Times are as exact as
// Now is: what takes its time within one batch of inputs takes none here.
const (
	AuthFailed            Measure = iota + 1 // a client could not prove who it is
	ConnectionRevalidated                    // a client came back to a session
	ConnectionNotServed                      // a client came while nobody is served
	PrepQueued                               // a request reached the PrepRequestProcessor
	CommitQueued                             // a commit reached the CommitProcessor
	RequestWaits                             // a request has to wait in the RequestThrottler
	StaleRequest                             // a request's client had gone before its turn came
	StaleRequestDropped                      // and so it was dropped
	StaleReply                               // a request's client had gone before the answer
	OpThrottled                              // a request was refused because it had waited too long
	ChangesQueued                            // how many changes of znodes a transaction under way makes
	ChangesRemoved                           // how many of those are in the tree now
	ThrottleTime                             // how long a request was in the RequestThrottler, in milliseconds
	TokenDeficit                             // how many tokens the connection throttle lacks when a client comes
	PropagationTime                          // from a transaction's making to its being in this tree, by their servers' wall clocks, in milliseconds
	ProposalTime                             // the same to the coming of its PROPOSAL (follower)
	AckTime                                  // the same to this server's acknowledgement
	CommitTime                               // the same to the coming of its COMMIT or INFORM (follower, observer)
	QuorumAckTime                            // from a proposal to its commit, in milliseconds (leader)
	WatchesOfCreation                        // how many watches the creation of a znode set off
	WatchesOfDeletion                        // the same for its deletion
	WatchesOfData                            // for its data
	WatchesOfChildren                        // for its list of children

	// Of the CommitProcessor, which a standalone server does not have.
	SessionQueueSize   // how many requests of a session wait for one of its writes
	SessionQueues      // how many sessions wait when a write of theirs is committed
	ReadsAfterWrite    // how many reads a write of their session has let go
	ReadCommitTime     // how long a read was there, in milliseconds
	WriteCommitTime    // how long a write was there, in milliseconds
	OwnCommittedTime   // how long a commit was there, in milliseconds, if the write was asked for here
	OtherCommittedTime // or of another server

	// Moments. Who has a clock can take the time between them.
	ForwardBegun     // the FollowerRequestProcessor takes a request
	PrepBegun        // the PrepRequestProcessor takes a request, which was with it for so many milliseconds
	CloseSessionDone // it has found out what belongs to a session that ends
	PrepDone         // it knows what becomes of the request
	ProposalDone     // the processors behind it have got that
	FinalBegun       // the CommitProcessor passes a request to the FinalRequestProcessor; 1 for a transaction
	FinalDone        // which is through with it; 1 for a transaction
	measuresEnd      // behind the last one
	Measures         = int(measuresEnd)
)

// measured tells whoever wants to know.
func (s *Server) measured(what Measure, value int64) {
	if s.config.Measured != nil {
		s.config.Measured(what, value)
	}
}

// measuredSince is measured with the milliseconds since a time.
func (s *Server) measuredSince(what Measure, since time.Duration) {
	s.measured(what, (s.now.Elapsed - since).Milliseconds())
}

// measuredAge is measured with the milliseconds since a transaction was made. The clocks of the two servers may
// differ.
func (s *Server) measuredAge(what Measure, r *request) {
	s.measured(what, max(s.now.Wall-r.header.Time, 0))
}

// measuresOfWatches are what the watches that fire are told as.
var measuresOfWatches = map[jute.EventType]Measure{
	jute.EventNodeCreated: WatchesOfCreation, jute.EventNodeDeleted: WatchesOfDeletion,
	jute.EventNodeDataChanged: WatchesOfData, jute.EventNodeChildrenChanged: WatchesOfChildren,
}
