package pipeline

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/quorum"
	"ordeal/node/rare"
)

// Conn names one client connection; the runner never gives a number twice.
type Conn int64

// Origin names where a request came from: the connection of the learner that forwarded it, or
// Local. A session belongs to the origin that it was last seen at (protocol.md 2.14).
type Origin int64

// Local is the origin of this server's own clients. No learner's connection may have this number.
const Local Origin = 0

// Now is the time as the runner tells it.
type Now struct {
	// Elapsed is monotonic, since any fixed moment.
	Elapsed time.Duration
	// Wall is milliseconds since 1970, for transaction times.
	Wall int64
}

// Role is the place of a server in its ensemble, for as long as a Server lives.
type Role uint8

// The roles.
const (
	Standalone Role = iota + 1
	Leader
	Follower
	Observer
	// ReadOnly serves reads to clients that agreed to it, while the server looks for a leader.
	ReadOnly
)

// String gives the role as four-letter words show it.
func (r Role) String() string {
	return [...]string{"", "standalone", "leader", "follower", "observer", "read-only"}[r]
}

// Config is what a server must know before its first input.
type Config struct {
	Role     Role
	ServerID int64 // the top byte of session ids; 1 for standalone
	// Epoch is the epoch that a leader leads; its transactions are numbered Epoch<<32 + 1 and on.
	Epoch int64
	// FirstCounter is behind which number they begin; 0 but in tests of the end of an epoch.
	FirstCounter int64

	TickTime          time.Duration
	SessionTimeoutMin time.Duration
	SessionTimeoutMax time.Duration

	// SyncByQuorum is whether Leading.Sync takes a quorum's confirmation. Requests that a learner
	// forwards behind a sync then wait until the sync is done: Apache's followers count on commits
	// and SYNCs in the order of their requests.
	SyncByQuorum bool

	// LocalSessions is localSessionsEnabled, LocalSessionsUpgrading is localSessionsUpgradingEnabled. A
	// standalone server has no local sessions.
	LocalSessions, LocalSessionsUpgrading bool

	OutstandingMax int // zookeeper.globalOutstandingLimit, already divided for this role; 0: the default
	// ThrottleMax is zookeeper.request_throttle_max_requests; 0: no bound. ThrottleKeepStale is the opposite of
	// zookeeper.request_throttle_drop_stale.
	ThrottleMax       int
	ThrottleKeepStale bool
	// ThrottledOpWait is zookeeper.throttled_op_wait_time; 0: a request may wait for ever.
	ThrottledOpWait time.Duration

	ConnectionThrottle ConnectionThrottle
	// Random is what ConnectionThrottle draws from; it may be nil if that has no FreezeTime.
	Random *rand.Rand
	// SessionsMax is how many sessions there may be; 0: SessionsMaxDefault. No client gets a new one beyond it. What
	// clients of other servers get is for those servers to say.
	SessionsMax int

	MaxBuffer int // jute.maxbuffer in bytes; 0: the default
	// TransactionMax bounds an encoded transaction, in bytes: jute.maxbuffer and its extrasize, which is
	// what servers read as one field of a packet or of a log (BinaryInputArchive). 0: the default.
	TransactionMax int

	// SuperDigest is zookeeper.DigestAuthenticationProvider.superDigest ("super:<base64>"), or "".
	SuperDigest    string
	Authentication Authentication
	Containers     Containers
	// SkipACL is zookeeper.skipACL=yes.
	SkipACL bool
	// ExtendedTypes is zookeeper.extendedTypesEnabled: TTL nodes. It must be what the tree was made with.
	ExtendedTypes bool
	// DigestEnabled is zookeeper.digest.enabled: transactions carry the tree's expected digest. It
	// must be what the tree was made with.
	DigestEnabled bool
	// EnforceQuota is zookeeper.enforceQuota.
	EnforceQuota bool

	// Reconfig is reconfigEnabled: clients may change the membership.
	Reconfig bool
	// StandaloneEnabled is standaloneEnabled: then no membership has fewer than two voters.
	StandaloneEnabled bool

	// Rare takes rare branches on purpose.
	Rare    rare.Choice
	Defects defect.Set
	Log     *slog.Logger
	// Measured is told what happens, for metrics; it may be nil.
	Measured func(what Measure, value int64)
	// Schedule chooses the stage that works next when several have work, and answers ok=false to
	// leave the rest for a later call of Work. Nil works in the order of the stages until nothing is
	// left. It is for simulators.
	Schedule func(ready []Stage) (next Stage, ok bool)
}

// OutstandingMaxDefault is Apache's zookeeper.globalOutstandingLimit.
const OutstandingMaxDefault = 1000

// Outputs is where a server's wishes go. A method may be answered at once by an input of the same
// server (Acknowledge by Commit, for instance): the input is then queued and worked off before the
// outermost input returns.
type Outputs struct {
	Clients Clients
	Log     Log
	Leading Leading // Leader only
	Learner Learner // Follower and Observer only
}

// Clients is the way to this server's own clients.
type Clients interface {
	// Send queues one frame (without its length) to a client: a reply. Frames leave in the order of the calls.
	Send(conn Conn, frame []byte)
	// SendEvent is Send for a watch event, which answers no request.
	SendEvent(conn Conn, frame []byte)
	// Close ends a connection after what was sent before. The server has forgotten it already; a
	// ClientClosed that comes later does no harm.
	Close(conn Conn)
	// PauseReading asks to stop (true) or go on (false) reading from a client, because too many
	// requests are outstanding. Frames that come nevertheless are taken.
	PauseReading(conn Conn, pause bool)
}

// Log is the way to the transaction log, and to whoever keeps the newest transactions in memory.
type Log interface {
	// Append puts an entry behind the log.
	Append(entry disk.Entry)
	// Sync forces what was appended before to the disk; the ticket comes back through Server.Synced.
	Sync() disk.Ticket
	// Applied tells that an entry has become part of the tree, in the order of zxids. It is the
	// moment to keep it for DIFF (committedLog) and to take it off toBeApplied.
	Applied(entry disk.Entry)
}

// Leading is the way of a leader to ZAB.
type Leading interface {
	// Propose hands over the next transaction, to be sent to the followers. Zxids have no gaps.
	Propose(entry disk.Entry)
	// ProposeReconfig is Propose for a transaction that replaces the membership.
	ProposeReconfig(entry disk.Entry, next *quorum.Config)
	// Memberships are the present membership and the last one that was proposed, the same if none is
	// under way.
	Memberships() (present, lastSeen *quorum.Config)
	// QuorumSynced tells whether a quorum of a membership is connected and synchronised.
	QuorumSynced(membership *quorum.Config) bool
	// Acknowledge is the leader's own acknowledgement: its log holds everything up to zxid on disk. It
	// is called for each transaction, in order.
	Acknowledge(zxid int64)
	// Sync asks for the moment at which everything that was proposed before is committed and (with
	// Config.SyncByQuorum, ZOOKEEPER-1675) a quorum has confirmed, after this call, that this server
	// still leads. Then Server.SyncDone(ticket) is called; if that moment is now, it may be called
	// at once. Syncs complete in the order of the calls, and none completes after the commit of a
	// transaction that was proposed later than the sync unless SyncByQuorum is on.
	Sync(ticket SyncTicket)
	// SendSync sends a SYNC packet to a learner, whose oldest outstanding sync it answers. It leaves
	// behind the COMMITs that were sent to that learner before.
	SendSync(learner Origin)
	// Resign gives up leadership, for instance because the epoch has no zxid left.
	Resign(reason string)
}

// SyncTicket names a sync that waits for the leader's confirmation.
type SyncTicket uint64

// Learner is the way of a follower or observer to its leader.
type Learner interface {
	// Forward sends a request of a client to the leader (REQUEST).
	Forward(request Forwarded)
	// Acknowledge sends ACK: this server's log holds everything up to zxid on disk. It is called for
	// each transaction, in order: Apache's leaders count an ACK for its own zxid only. Observers
	// never call it.
	Acknowledge(zxid int64)
	// Revalidate asks the leader whether a session that moved here is alive (REVALIDATE). The answer
	// comes back through Server.Revalidated.
	Revalidate(session int64, timeoutMs int32)
}

// Forwarded is a client's request on its way from a learner to the leader.
type Forwarded struct {
	Session  int64
	Cxid     int32
	Type     jute.OpCode
	Body     []byte // the request record, without a header
	Authinfo []jute.Id
}

// Stage names a queue that is a thread in Apache's server.
type Stage uint8

// The stages, in the order in which they work by default.
const (
	StagePrep   Stage = iota + 1 // PrepRequestProcessor
	StageSync                    // SyncRequestProcessor
	StageCommit                  // CommitProcessor
)

// ConnStats is what the four-letter word cons shows of one connection.
type ConnStats struct {
	Conn          Conn
	Session       int64
	TimeoutMs     int32
	EstablishedAt time.Duration // Now.Elapsed at ClientConnected
	Outstanding   int
	Received      int64
	Sent          int64
	LastOp        jute.OpCode
	LastCxid      int32
	LastZxid      int64
}
