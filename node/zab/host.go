package zab

import (
	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/quorum"
	"ordeal/node/tree"
)

// Message is a packet between leader and learner. A SNAP carries the tree beside it.
type Message struct {
	Packet *jute.QuorumPacket
	// Outgoing is what must be streamed behind an outgoing SNAP.
	Outgoing *tree.Snapshotter
	// Incoming is the tree that came behind an incoming SNAP.
	Incoming *tree.Tree
}

// Forwarded is a client's request on its way from a learner to the leader.
type Forwarded struct {
	Session  int64
	Cxid     int32
	Type     jute.OpCode
	Body     []byte // the request record, without a header
	Authinfo []jute.Id
}

// EpochDisk keeps the two epoch files. Operations are carried out in the order of the calls, behind
// those that were asked for before, and done is called when the operation is on disk; it is not
// called any more once the server has left the role in which it asked.
type EpochDisk interface {
	SaveAcceptedEpoch(epoch int64, done func())
	SaveCurrentEpoch(epoch int64, done func())
}

// NoLeader stands for no server where a leader would be named. Id 0 is a server's like any other.
const NoLeader int64 = -1

// LeaderHost is the server around a leader.
type LeaderHost interface {
	EpochDisk
	// SendToLearner queues a message. Messages of one link leave in the order of the calls.
	SendToLearner(link int64, message Message)
	// ReadLog reads the log from zxid on, at most sizeMax bytes (0: no bound), as disk.ReadLog does. done gets
	// nothing if that failed; it may be called after this leader's end.
	ReadLog(zxid, sizeMax int64, done func([]disk.Entry))
	// CloseLearner ends a learner's connection. LearnerClosed need not be called for it.
	CloseLearner(link int64)
	// Snapshot is a picture of the tree as it is now.
	Snapshot() *tree.Snapshotter
	// SeeMembership says that a membership is about to replace the present one. It must be on disk before
	// anything that this leader sends or appends afterwards.
	SeeMembership(next *quorum.Config)
	// Activate says that a membership has replaced the present one, and who leads it. If that is another
	// server this leader commits nothing any more, and gives up once its followers have gone there.
	Activate(membership *quorum.Config, leader int64)
	// Established says that a quorum has this leader's history: it may serve, and its first
	// transaction is EpochStart(epoch)+1.
	Established(epoch int64)
	// Commit says that a proposal is committed. Commits come in the order of the proposals.
	Commit(zxid int64)
	// SyncDone says that the moment which a Sync waited for has come.
	SyncDone(ticket uint64)
	// Submit takes a request that a learner forwarded.
	Submit(link int64, request Forwarded)
	// Revalidate answers whether a session is alive; if it is, it belongs to this learner now.
	Revalidate(link int64, session int64, timeoutMs int32) bool
	// Touch takes what learners heard of sessions.
	Touch(touches []jute.SessionTimeout)
	// GiveUp says that this server can lead no longer. It is called once, and nothing after it.
	GiveUp(reason string)
}

// LearnerHost is the server around a follower or observer.
type LearnerHost interface {
	EpochDisk
	// SendToLeader queues a packet.
	SendToLeader(packet *jute.QuorumPacket)
	// Append puts an entry behind the log, and Sync forces what was appended to the disk; like the
	// epoch files they are done in order.
	Append(entry disk.Entry)
	Sync(done func())
	// Truncate removes everything after zxid from disk and memory. possible is false if the disk has
	// nothing to go back to; then nothing was changed.
	Truncate(zxid int64, done func(possible bool))
	// Install replaces disk and memory by a tree that came from the leader.
	Install(incoming *tree.Tree, done func())
	// Claim makes zxid the end of what this server has in memory, whatever it has: defect.ClaimDiff.
	Claim(zxid int64)
	// Apply makes a committed entry part of the tree. It is called during synchronisation only.
	Apply(entry disk.Entry)
	// SeeMembership says that a membership is about to replace the present one. It must be on disk before
	// anything that this server sends or appends afterwards.
	SeeMembership(next *quorum.Config)
	// Activate says that a membership has replaced the present one, and who leads it; NoLeader if that is
	// not said. It answers whether this server has another role or another leader now: it then leaves this
	// leader.
	Activate(membership *quorum.Config, leader int64) (changed bool)
	// Synchronised says that this server may serve. Pending are the entries that are logged and
	// acknowledged but not committed yet.
	Synchronised(epoch int64, pending []disk.Entry)

	// The following are called after Synchronised only.

	// Propose takes the next transaction to log and acknowledge. An error means that it cannot be read, or has
	// another zxid than its packet; so with Inform.
	Propose(entry disk.Entry) error
	// Commit takes the zxid of the next transaction to apply. An error means that leader and
	// learner disagree about the history: the server must stop.
	Commit(zxid int64) error
	// Inform takes a committed transaction (observers).
	Inform(entry disk.Entry) error
	SyncReceived()
	Revalidated(session int64, valid bool)
	// Touches is what rides on the next answer to a PING. It may be called before Synchronised.
	Touches() []jute.SessionTimeout

	// GiveUp says that this server does not follow its leader any longer. snapshotNeeded asks for
	// Config.ForceSnapshot the next time. It is called once, and nothing after it.
	GiveUp(reason string, snapshotNeeded bool)
	// Fail says that an invariant of the protocol is broken and the process must end.
	Fail(err error)
}
