package zab

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/quorum"
	"ordeal/node/rare"
)

// LearnerConfig is what a follower or observer must know before it is connected to its leader.
type LearnerConfig struct {
	MyID     int64
	Observer bool
	// ConfigVersion is the version of the membership.
	ConfigVersion int64

	TickTime  time.Duration
	InitLimit int // in ticks: to connect and be synchronised
	SyncLimit int // in ticks: how long the leader may be silent
	// ConnectLimit is how long the leader may be out of reach at first, in ticks; 0: InitLimit.
	ConnectLimit int

	// AcceptedEpoch, CurrentEpoch and LastZxid, the end of the log, are what the disk holds.
	AcceptedEpoch, CurrentEpoch, LastZxid int64
	// ForceSnapshot asks the leader for its whole tree, whatever this server has.
	ForceSnapshot bool

	// Rare takes rare branches on purpose.
	Rare    rare.Choice
	Defects defect.Set
	Log     *slog.Logger
}

// learnerPhase is how far a learner has come. Phases only go up.
type learnerPhase uint8

const (
	awaitingConnection learnerPhase = iota
	awaitingLeaderInfo
	savingAccepted // acceptedEpoch is on its way to the disk
	awaitingSync   // DIFF, TRUNC or SNAP
	receiving      // collects the leader's history up to NEWLEADER
	persisting     // that history and currentEpoch are on their way to the disk
	awaitingUpToDate
	learning // serves
	learnerOver
)

// earlyMax and earlyBytesMax bound the packets that wait for UPTODATE, and the data that they carry.
const (
	earlyMax      = 100_000
	earlyBytesMax = 256 << 20
)

// receivedBytesMax bounds the transactions of a synchronisation that are in memory until NEWLEADER, each with
// receivedOverhead for what it takes beside its bytes. A leader's DIFF is bounded by what it keeps in memory, or by a third
// of its snapshot (zookeeper.snapshotSizeFactor): one that sends more is asked for its snapshot the next time.
const (
	receivedBytesMax = 1 << 30
	receivedOverhead = 128
)

// Learner is the side of a follower or observer, from the end of an election until it loses its
// leader.
type Learner struct {
	config LearnerConfig
	host   LearnerHost
	now    time.Duration

	phase    learnerPhase
	deadline time.Duration
	epoch    int64

	// mode is how the leader synchronises this server: DIFF, TRUNC or SNAP; syncTo is the zxid that it
	// said with it.
	mode   int32
	syncTo int64
	// snapshot is the SNAP packet with its tree. It is not used for anything before NEWLEADER has come: a
	// snapshot alone is not a state to continue from (ZOOKEEPER-3642).
	snapshot Message

	// truncating is true until it is known whether the log could be truncated: nothing may be logged before.
	truncating bool

	// lastQueued is the last transaction of the log, counting what is queued.
	lastQueued int64
	// received are the transactions of the synchronisation in order, the first committed of them
	// committed.
	received      []disk.Entry
	receivedBytes int
	committed     int
	// early are packets that came between NEWLEADER and UPTODATE. Their turn comes when this server
	// serves: a COMMIT among them may be for a transaction of received (ZOOKEEPER-4394).
	early      []*jute.QuorumPacket
	earlyBytes int

	// reconfigurations are memberships that were proposed and are not committed, oldest first.
	reconfigurations []reconfiguration
	// newLeader is the membership that NEWLEADER carried, nil if it was none.
	newLeader *quorum.Config
}

// NewLearner returns a learner that waits to be connected.
func NewLearner(config LearnerConfig, now time.Duration, host LearnerHost) *Learner {
	l := &Learner{config: config, host: host, now: now, lastQueued: config.LastZxid}
	l.deadline = now + time.Duration(cmp.Or(config.ConnectLimit, config.InitLimit))*config.TickTime
	return l
}

// ConnectDeadline is when an attempt to reach the leader must have succeeded.
func (l *Learner) ConnectDeadline() time.Duration { return l.deadline }

// Epoch is the leader's epoch, 0 as long as it is not known.
func (l *Learner) Epoch() int64 { return l.epoch }

// Serving tells whether this server is synchronised with its leader.
func (l *Learner) Serving() bool { return l.phase == learning }

// PhaseName is the phase as metrics show it.
func (l *Learner) PhaseName() string {
	switch {
	case l.phase < awaitingSync:
		return "discovery"
	case l.phase < learning:
		return "synchronization"
	default:
		return "broadcast"
	}
}

func (l *Learner) initTime() time.Duration {
	return time.Duration(l.config.InitLimit) * l.config.TickTime
}

func (l *Learner) syncTime() time.Duration {
	return time.Duration(l.config.SyncLimit) * l.config.TickTime
}

// giveUp ends this server's bond with its leader; nothing is done after it.
func (l *Learner) giveUp(format string, args ...any) {
	l.end(fmt.Sprintf(format, args...), false)
}

func (l *Learner) end(reason string, snapshotNeeded bool) {
	if l.phase == learnerOver {
		return
	}
	if l.config.Defects.On(defect.ClaimDiff) && l.phase == receiving && l.mode == jute.PacketDiff {
		l.host.Claim(l.syncTo)
	}
	l.phase = learnerOver
	l.host.GiveUp(reason, snapshotNeeded)
}

// Close ends the bond without a word; the server leaves its role.
func (l *Learner) Close() { l.phase = learnerOver }

// Tick tells the time.
func (l *Learner) Tick(now time.Duration) {
	l.now = now
	if l.phase < learnerOver && now >= l.deadline {
		l.giveUp("the leader was silent for too long, in phase %s", l.PhaseName())
	}
	if l.phase == learning && l.config.Rare.Take(rare.LeaveLeader) {
		l.giveUp("the leader seems to be silent")
	}
	if l.config.Defects.On(defect.ServeBeforeCommits) && l.phase == learning {
		if err := l.takeEarly(); err != nil {
			l.giveUp("%v", err)
		}
	}
}

// Connected says that the connection to the leader stands.
func (l *Learner) Connected() {
	if l.phase != awaitingConnection {
		return
	}
	l.phase = awaitingLeaderInfo
	l.deadline = l.now + l.initTime()
	packetType := jute.PacketFollowerInfo
	if l.config.Observer {
		packetType = jute.PacketObserverInfo
	}
	info := jute.LearnerInfo{
		ServerID: l.config.MyID, ProtocolVersion: jute.LearnerProtocolVersion, ConfigVersion: l.config.ConfigVersion,
	}
	l.send(packetType, EpochStart(l.config.AcceptedEpoch), jute.Marshal(info))
}

// Closed says that the connection is gone or never came to be.
func (l *Learner) Closed(reason error) { l.giveUp("the connection to the leader is gone: %v", reason) }

func (l *Learner) send(packetType int32, zxid int64, data []byte) {
	l.host.SendToLeader(&jute.QuorumPacket{Type: packetType, Zxid: zxid, Data: data})
}

// Packet takes a packet from the leader. What makes no sense ends the bond.
func (l *Learner) Packet(message Message) {
	if l.phase == learnerOver {
		return
	}
	if l.phase >= learning {
		l.deadline = l.now + l.syncTime()
	} else {
		l.deadline = l.now + l.initTime()
	}
	if err := l.packet(message); err != nil {
		l.giveUp("%v", err)
	}
}

func (l *Learner) packet(message Message) error {
	packet := message.Packet
	switch l.phase {
	case awaitingLeaderInfo:
		return l.leaderInfo(packet)
	case awaitingSync:
		return l.startSync(message)
	case receiving:
		return l.receive(packet)
	case persisting, awaitingUpToDate:
		return l.beforeUpToDate(packet)
	case learning:
		return l.learn(packet)
	default:
		return fmt.Errorf("%v is not expected now", packet)
	}
}

// leaderInfo takes the leader's epoch and promises, on disk, to accept no older one.
func (l *Learner) leaderInfo(packet *jute.QuorumPacket) error {
	var info jute.LeaderInfo
	if packet.Type != jute.PacketLeaderInfo {
		return fmt.Errorf("%v instead of LEADERINFO", packet)
	}
	if err := jute.Unmarshal(packet.Data, &info); err != nil {
		return fmt.Errorf("%v: %w", packet, err)
	}
	if info.ProtocolVersion < jute.LearnerProtocolVersion {
		return fmt.Errorf("learner protocol version %#x is older than ZooKeeper 3.4", info.ProtocolVersion)
	}
	l.epoch = Epoch(packet.Zxid)
	switch {
	case l.epoch < 0 || l.epoch > epochMax:
		return fmt.Errorf("the leader's epoch is %d: want 0 to %d", l.epoch, int64(epochMax))
	case l.epoch < l.config.AcceptedEpoch:
		return fmt.Errorf("the leader's epoch %d is older than the accepted epoch %d", l.epoch, l.config.AcceptedEpoch)
	case l.epoch == l.config.AcceptedEpoch:
		l.acceptEpoch(-1)
	default:
		l.phase = savingAccepted
		l.host.SaveAcceptedEpoch(l.epoch, func() {
			if l.phase == savingAccepted {
				l.acceptEpoch(int32(l.config.CurrentEpoch))
			}
		})
	}
	return nil
}

// acceptEpoch sends ACKEPOCH. Current is -1 if this server had accepted the epoch before, maybe from
// another server, so that the leader does not count it.
func (l *Learner) acceptEpoch(current int32) {
	l.phase = awaitingSync
	zxid := l.config.LastZxid
	if l.config.ForceSnapshot {
		zxid = 0
	}
	l.send(jute.PacketAckEpoch, zxid, jute.Marshal(jute.AckEpoch{Epoch: current}))
}
