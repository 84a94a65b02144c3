// Package rare names the branches that a server takes rarely by itself and that a simulator makes it take
// on purpose, at the place in the code where they are rare. Each is correct behaviour: what a slower disk, a
// fuller queue or another moment would have led to. Nothing here knows why a branch is chosen.
package rare

// Place names a branch.
type Place string

// The places, by package.
const (
	// SnapInsteadOfDiff sends a learner the whole tree although less would do (zab).
	SnapInsteadOfDiff Place = "snap-instead-of-diff"
	// DropLearner ends a learner's connection as if its queue were full (zab).
	DropLearner Place = "drop-learner"
	// SkipPing leaves a learner without this round's PING (zab).
	SkipPing Place = "skip-ping"
	// Resign gives up leadership as if no quorum were connected (zab).
	Resign Place = "resign"
	// LeaveLeader gives up following as if the leader were silent (zab).
	LeaveLeader Place = "leave-leader"
	// FinalizeLater waits once more for a better vote before a round ends (election).
	FinalizeLater Place = "finalize-later"
	// ResendNow repeats a server's vote before its time (election).
	ResendNow Place = "resend-now"
	// SmallBatch asks for a sync although more is about to be appended (pipeline).
	SmallBatch Place = "small-batch"
	// HoldAcks acknowledges what a sync has made durable only with the next one (pipeline).
	HoldAcks Place = "hold-acks"
	// ExpireLater leaves sessions whose time is over until time is told again (pipeline).
	ExpireLater Place = "expire-later"
	// SnapshotNow writes the tree down although no snapshot is due (peer).
	SnapshotNow Place = "snapshot-now"
	// TrimHistory keeps no more transactions in memory than a server must (peer).
	TrimHistory Place = "trim-history"
)

// Places are all of them.
var Places = []Place{
	SnapInsteadOfDiff, DropLearner, SkipPing, Resign, LeaveLeader, FinalizeLater, ResendNow, SmallBatch, HoldAcks,
	ExpireLater, SnapshotNow, TrimHistory,
}

// Choice says, each time that a server comes to a place, whether it takes the branch. It must be
// deterministic where the server is. Nil never takes one.
type Choice func(Place) bool

// Take asks.
func (c Choice) Take(place Place) bool { return c != nil && c(place) }
