package zab

import (
	"fmt"
	"log/slog"
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/quorum"
	"ordeal/node/rare"
)

// LeaderConfig is what a leader must know before its first input.
type LeaderConfig struct {
	MyID       int64
	Membership *quorum.Config
	// LastSeen is the membership that may be about to replace it; it has an equal or later version.
	LastSeen *quorum.Config
	// Reconfig is whether memberships change at all (reconfigEnabled).
	Reconfig bool

	TickTime  time.Duration
	InitLimit int // in ticks: for each phase up to serving, and for a learner's synchronisation
	SyncLimit int // in ticks: how long a learner may be silent or behind

	// AcceptedEpoch and CurrentEpoch are what the disk holds.
	AcceptedEpoch, CurrentEpoch int64
	// FirstCounter is behind which number transactions begin in this epoch; 0 but in tests.
	FirstCounter int64
	// EpochSeen is the highest epoch that this server has ever heard another one accepted.
	EpochSeen int64
	// History ends with the last transaction of the log, all of it applied to the tree.
	History *History
	Reader  disk.Reader
	// SnapshotSizeFactor is zookeeper.snapshotSizeFactor (protocol.md 5.2 rule 5).
	SnapshotSizeFactor float64
	// DiffMax bounds what a learner is sent by a DIFF, in bytes; beyond it gets a snapshot. 0: no bound.
	DiffMax int64
	// SyncByQuorum makes Sync wait for a quorum's confirmation (ZOOKEEPER-1675).
	SyncByQuorum bool

	// Rare takes rare branches on purpose.
	Rare    rare.Choice
	Defects defect.Set
	Log     *slog.Logger
}

// leaderPhase is how far a leader has come. Phases only go up.
type leaderPhase uint8

const (
	collectingEpochs leaderPhase = iota // waits for a quorum's FOLLOWERINFO
	savingEpoch                         // acceptedEpoch is on its way to the disk
	collectingAcks                      // waits for a quorum's ACKEPOCH
	savingCurrent                       // currentEpoch is on its way to the disk
	synchronising                       // waits for a quorum's ACK of NEWLEADER
	broadcasting                        // serves
	leaderOver
)

// Leader is the leader's side, from the end of an election until the server gives up leading.
type Leader struct {
	config   LeaderConfig
	verifier quorum.Verifier // of both memberships
	host     LeaderHost
	now      time.Duration

	phase    leaderPhase
	deadline time.Duration // of the phases before broadcasting
	// epoch is the one proposed: above all that were seen. It is fixed once it is saved.
	epoch int64
	// infos, epochAcks and newLeaderAcks are who has reached each step; only voters count.
	infos, epochAcks, newLeaderAcks quorum.Set
	counted                         quorum.Set // scratch, for one count

	handlers []*learnerHandler // in the order in which they connected
	byLink   map[int64]*learnerHandler

	broadcast broadcastState
	syncs     syncState

	// deposed is set when a reconfiguration has given the lead to another server.
	deposed bool

	nextPing   time.Duration
	nextHealth time.Duration
}

// NewLeader returns a leader that has done nothing yet.
func NewLeader(config LeaderConfig, now time.Duration, host LeaderHost) *Leader {
	l := &Leader{
		config: config, host: host, now: now,
		byLink: map[int64]*learnerHandler{}, syncs: syncState{wanted: map[int64]uint64{}},
	}
	l.setMemberships(config.Membership, config.LastSeen)
	return l
}

// Start begins with discovery.
func (l *Leader) Start() {
	l.deadline = l.now + l.initTime()
	l.nextPing = l.now + l.config.TickTime/2
	l.collectEpoch(l.config.MyID, max(l.config.AcceptedEpoch, l.config.EpochSeen))
}

// Epoch is the epoch that this server leads; not final before it serves.
func (l *Leader) Epoch() int64 { return l.epoch }

// Serving tells whether a quorum has accepted this leader.
func (l *Leader) Serving() bool { return l.phase == broadcasting }

// EpochSeen is the highest epoch that a learner said it had accepted, and at least what the
// configuration said.
func (l *Leader) EpochSeen() int64 { return l.config.EpochSeen }

// PhaseName is the phase as metrics show it.
func (l *Leader) PhaseName() string {
	switch {
	case l.phase < savingCurrent:
		return "discovery"
	case l.phase < broadcasting:
		return "synchronization"
	default:
		return "broadcast"
	}
}

func (l *Leader) initTime() time.Duration {
	return time.Duration(l.config.InitLimit) * l.config.TickTime
}

func (l *Leader) syncTime() time.Duration {
	return time.Duration(l.config.SyncLimit) * l.config.TickTime
}

// giveUp ends leadership; nothing is done after it.
func (l *Leader) giveUp(format string, args ...any) {
	if l.phase == leaderOver {
		return
	}
	l.phase = leaderOver
	l.host.GiveUp(fmt.Sprintf(format, args...))
}

// Tick tells the time.
func (l *Leader) Tick(now time.Duration) {
	l.now = now
	if l.phase == leaderOver {
		return
	}
	if l.phase < broadcasting && now >= l.deadline {
		l.giveUp("no quorum within initLimit, in phase %s", l.PhaseName())
		return
	}
	for _, h := range l.handlers {
		if now >= h.deadline {
			l.drop(h, "silent for too long")
		}
	}
	if now >= l.nextPing {
		l.nextPing = now + l.config.TickTime/2
		l.pingAll()
	}
	if l.phase == broadcasting && now >= l.nextHealth {
		l.nextHealth = now + l.config.TickTime
		l.checkHealth()
		if l.phase == broadcasting && l.config.Rare.Take(rare.Resign) {
			l.giveUp("no quorum of followers seems to be connected")
		}
	}
}

// checkHealth gives up unless a quorum is connected. Who is brought up to date counts for a while: a leader that gave up for
// that would have to begin anew.
func (l *Leader) checkHealth() {
	l.counted = append(l.counted[:0], l.config.MyID)
	for _, h := range l.handlers {
		// It is not known whose connection it is before it has said so.
		if h.state == following || (h.state > awaitingInfo && l.now < h.countsUntil) {
			l.counted.Add(h.sid)
		}
	}
	if !l.verifier.ContainsQuorum(l.counted) {
		l.giveUp("no quorum of followers is connected")
	}
}

// collectEpoch counts a server that told which epoch it had accepted, and fixes the epoch once a
// quorum has.
func (l *Leader) collectEpoch(sid, accepted int64) {
	if l.phase != collectingEpochs {
		return
	}
	l.epoch = max(l.epoch, accepted+1)
	l.infos.Add(sid)
	if !l.infos.Has(l.config.MyID) || !l.config.Membership.Verifier().ContainsQuorum(l.infos) {
		return
	}
	l.phase = savingEpoch
	l.host.SaveAcceptedEpoch(l.epoch, l.epochSaved)
}

// epochSaved announces the epoch to all that wait for it.
func (l *Leader) epochSaved() {
	if l.phase != savingEpoch {
		return
	}
	l.phase = collectingAcks
	l.deadline = l.now + l.initTime()
	l.nameMembership()
	for _, h := range l.handlers {
		if h.state == awaitingEpoch {
			l.announceEpoch(h)
		}
	}
	l.collectEpochAck(l.config.MyID)
}

// collectEpochAck counts a server that accepted this epoch and no other leader's.
func (l *Leader) collectEpochAck(sid int64) {
	if l.phase != collectingAcks {
		return
	}
	l.epochAcks.Add(sid)
	if !l.epochAcks.Has(l.config.MyID) || !l.config.Membership.Verifier().ContainsQuorum(l.epochAcks) {
		return
	}
	l.phase = savingCurrent
	l.host.SaveCurrentEpoch(l.epoch, l.currentSaved)
}

// currentSaved starts the synchronisation of those that wait for it. This server's own history is on
// disk, and now its epoch too: that is its ACK of NEWLEADER.
func (l *Leader) currentSaved() {
	if l.phase != savingCurrent {
		return
	}
	l.phase = synchronising
	l.deadline = l.now + l.initTime()
	l.broadcast.lastProposed = EpochStart(l.epoch) + l.config.FirstCounter
	l.broadcast.lastCommitted = l.broadcast.lastProposed
	for _, h := range l.handlers {
		if h.state == awaitingQuorum {
			l.synchronise(h)
		}
	}
	l.collectNewLeaderAck(l.config.MyID)
}

// collectNewLeaderAck counts a server that has the whole history on disk, and starts to serve once a
// quorum has.
func (l *Leader) collectNewLeaderAck(sid int64) {
	if l.phase != synchronising {
		return
	}
	l.newLeaderAcks.Add(sid)
	if !l.newLeaderAcks.Has(l.config.MyID) || !l.verifier.ContainsQuorum(l.newLeaderAcks) {
		return
	}
	l.phase = broadcasting
	l.nextHealth = l.now + l.config.TickTime
	l.config.Log.Info("leading with a quorum", "epoch", l.epoch)
	if l.config.Reconfig {
		l.activate(l.config.LastSeen, l.newLeaderAcks)
	}
	l.host.Established(l.epoch)
	for _, h := range l.handlers {
		if h.state == awaitingStart {
			l.sendUpToDate(h)
		}
	}
}

func (l *Leader) packet(packetType int32, zxid int64, data []byte) *jute.QuorumPacket {
	return &jute.QuorumPacket{Type: packetType, Zxid: zxid, Data: data}
}
