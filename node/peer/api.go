package peer

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/election"
	"ordeal/node/jute"
	"ordeal/node/pipeline"
	"ordeal/node/quorum"
	"ordeal/node/rare"
	"ordeal/node/tree"
)

// Link names one learner's connection to this server's learner port. The runner chooses it, never
// the same twice.
type Link int64

// Conn names one client connection. The runner chooses it, never the same twice.
type Conn int64

// Now is the time as the runner tells it.
type Now struct {
	// Elapsed is monotonic, since any fixed moment.
	Elapsed time.Duration
	// Wall is milliseconds since 1970, for transaction times.
	Wall int64
}

// Stage names a queue of the pipeline that is a thread in Apache's server.
type Stage = pipeline.Stage

// The stages.
const (
	StagePrep   = pipeline.StagePrep
	StageSync   = pipeline.StageSync
	StageCommit = pipeline.StageCommit
)

// Config is everything a peer must know before its first input. Durations are already in time
// units, not in ticks.
type Config struct {
	MyID       int64
	Membership *quorum.Config // who votes, who observes, where they listen
	// LastSeen is Membership.Next as it was last told; it may be nil.
	LastSeen *quorum.Config
	// Reconfig is reconfigEnabled: the membership may change.
	Reconfig bool
	// StandaloneEnabled is standaloneEnabled: then no reconfiguration leaves fewer than two voters.
	StandaloneEnabled bool
	Standalone        bool // one server, no election

	TickTime          time.Duration
	InitLimit         int // in ticks
	SyncLimit         int // in ticks
	ConnectLimit      int // connectToLearnerMasterLimit, in ticks; 0: InitLimit
	SessionTimeoutMin time.Duration
	SessionTimeoutMax time.Duration

	SnapCount          int     // transactions between snapshots
	SnapSizeBytes      int64   // or bytes
	SnapshotSizeFactor float64 // protocol.md 5.2 rule 5
	DiffMax            int64   // bytes sent by a DIFF, beyond which a learner gets a snapshot; 0: no bound
	// NotificationIntervalMin and NotificationIntervalMax are zookeeper.fastleader.*NotificationInterval;
	// 0: Apache's defaults.
	NotificationIntervalMin time.Duration
	NotificationIntervalMax time.Duration

	CommitLogCount         int           // entries kept in memory for DIFF
	OutstandingMax         int           // zookeeper.globalOutstandingLimit
	ThrottleMax            int           // zookeeper.request_throttle_max_requests; 0: no bound
	ThrottleKeepStale      bool          // the opposite of zookeeper.request_throttle_drop_stale
	ThrottledOpWait        time.Duration // zookeeper.throttled_op_wait_time; 0: for ever
	ConnectionThrottle     pipeline.ConnectionThrottle
	SessionsMax            int   // 0: pipeline.SessionsMaxDefault
	MaxBuffer              int   // jute.maxbuffer in bytes
	TransactionMax         int   // of an encoded transaction in bytes; 0: the default
	FirstCounter           int64 // zookeeper.testingonly.initialZxid: behind which number transactions begin in an epoch
	LeaderServes           bool
	ReadOnlyMode           bool // readonlymode.enabled: serve reads while there is no leader
	LocalSessions          bool // localSessionsEnabled
	LocalSessionsUpgrading bool // localSessionsUpgradingEnabled
	SyncByQuorum           bool // confirm leadership before a sync is answered (ZOOKEEPER-1675)

	SuperDigest    string // zookeeper.DigestAuthenticationProvider.superDigest, or ""
	Authentication pipeline.Authentication
	Containers     pipeline.Containers
	SkipACL        bool // zookeeper.skipACL
	EnforceQuota   bool // zookeeper.enforceQuota

	// Measured is told what happens, for metrics; it may be nil.
	Measured func(what pipeline.Measure, value int64)

	// Rare takes rare branches on purpose, and Schedule chooses the stage of the pipeline that works next
	// among those that have work; ok=false leaves the rest for a later Work. Both are for simulators; nil
	// takes no branch, and works in the order of the stages until nothing is left.
	Rare     rare.Choice
	Schedule func(ready []Stage) (next Stage, ok bool)

	Tree    tree.Options
	Random  *rand.Rand // the only source of chance
	Defects defect.Set
	Log     *slog.Logger
	Reader  disk.Reader
}

// LearnerMessage is a packet between leader and learner. A SNAP packet carries the tree beside it,
// since its bytes follow the packet without a frame.
type LearnerMessage struct {
	Packet *jute.QuorumPacket
	// Outgoing is what the runner must stream behind an outgoing SNAP packet.
	Outgoing *tree.Snapshotter
	// Incoming is the tree that the runner read behind an incoming SNAP packet.
	Incoming *tree.Tree
}

// Ready is what a peer wants done since it was last asked, in this order: disk operations first
// (they are only queued), then messages. It must be taken after every input or small batch of
// inputs.
type Ready struct {
	// Membership, when not nil, is the new membership. It must be on disk before anything else is
	// done; connections are made by it from now on.
	Membership    *Membership
	Disk          []disk.Operation
	Notifications []Notification  // to the election ports
	Leader        []LeaderCommand // this server is a learner
	Learners      []LearnerOutput // this server is a leader
	Clients       []ClientOutput
	// LearnerPort, when not nil, asks the runner to open (true) or close (false) the learner port. It
	// is open exactly while this server leads: a learner that is refused tries again, one that is
	// accepted and dropped gives up (protocol.md 12, item 11).
	LearnerPort *bool
	// Reading asks the runner to stop or go on reading from clients, because too many requests are
	// outstanding. A frame that comes nevertheless is taken.
	Reading []ClientReading
	// Fatal is a state in which the server must not go on: a disk that failed, an invariant of
	// the peer protocol that a leader broke. The runner ends the process with it.
	Fatal error
}

// Notification is an election message to one server.
type Notification struct {
	To      int64
	Message election.Notification
}

// LeaderCommand is what a learner wants of its one connection to the leader.
type LeaderCommand struct {
	// Attempt numbers connections. Inputs name it, so that what an earlier connection still
	// delivers is told apart and ignored.
	Attempt uint64
	// Connect asks for a connection to the learner port of server ConnectTo, retried by the runner
	// until Deadline (for as long as 5 attempts 100 ms apart take, protocol.md 5.1); it answers with LeaderConnected
	// or LeaderClosed.
	Connect   bool
	ConnectTo int64
	Deadline  time.Duration
	Message   LearnerMessage // of no packet if there is none
	Close     bool
}

// LearnerOutput is a packet to one learner, or the end of its connection.
type LearnerOutput struct {
	Link    Link
	Message LearnerMessage // of no packet if there is none
	Close   bool
}

// ClientOutput is one frame (without its length) to a client, or the end of its connection after
// what was sent before.
type ClientOutput struct {
	Conn  Conn
	Frame []byte
	// Event tells that the frame is a watch event, which answers no request. The xid does not tell: clients may
	// give their requests any.
	Event bool
	Close bool
}

// ClientReading tells whether to read from a client for now.
type ClientReading struct {
	Conn   Conn
	Paused bool
}

// State is what four-letter words and metrics show.
type State struct {
	Role          string // looking, leading, following, observing, standalone
	Serving       bool
	ReadOnly      bool // serves, but only reads: there is no leader
	Membership    Membership
	LeaderID      int64 // -1 if there is none
	Epoch         int64
	LastZxid      int64 // last applied
	Digest        int64 // of the tree
	Outstanding   int
	Nodes         int
	Watches       int
	Ephemerals    int
	DataSize      int64
	Sessions      int
	LocalSessions int
	// DropProbability is the share of new connections that are closed at random (ConnectionThrottle.FreezeTime).
	DropProbability float64
	Learners        int
	ProposalLast    int // sizes in bytes, leader only
	ProposalMin     int
	ProposalMax     int
	Phase           string // discovery, synchronization, broadcast, election
}
