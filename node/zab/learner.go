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
	received  []disk.Entry
	committed int
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

// startSync takes the packet that tells how this server is brought up to date.
func (l *Learner) startSync(message Message) error {
	packet := message.Packet
	l.config.Log.Info("synchronising", "zxid", hex(l.config.LastZxid), "by", packet.String())
	l.mode, l.syncTo = packet.Type, packet.Zxid
	switch packet.Type {
	case jute.PacketDiff:
	case jute.PacketTrunc:
		if packet.Zxid > l.config.LastZxid {
			return fmt.Errorf("%v, but the log ends at %#x", packet, l.config.LastZxid)
		}
		l.lastQueued = packet.Zxid
		if l.config.Defects.On(defect.SkipTrunc) {
			break
		}
		l.truncating = true
		l.host.Truncate(packet.Zxid, l.truncated)
	case jute.PacketSnap:
		if message.Incoming == nil {
			return fmt.Errorf("%v without a tree", packet)
		}
		message.Incoming.SetLastZxid(packet.Zxid)
		l.snapshot = message
		l.lastQueued = packet.Zxid
	default:
		return fmt.Errorf("%v instead of DIFF, TRUNC or SNAP", packet)
	}
	l.phase = receiving
	return nil
}

// truncated goes on after a truncation, if it was possible.
func (l *Learner) truncated(possible bool) {
	l.truncating = false
	switch {
	case l.phase == learnerOver:
	case !possible:
		l.end("the log cannot be truncated to where the leader wants it", true)
	case l.phase == persisting:
		l.persist()
	}
}

// receive collects the leader's history. Nothing of it is used before NEWLEADER, except that what
// must go is truncated.
func (l *Learner) receive(packet *jute.QuorumPacket) error {
	switch packet.Type {
	case jute.PacketProposal:
		return l.receiveProposal(packet)
	case jute.PacketCommit:
		return l.receiveCommit(packet.Zxid)
	case jute.PacketInform:
		return l.receiveInform(packet)
	case jute.PacketCommitAndActivate:
		if l.inSnapshot(packet.Zxid) {
			return nil
		}
		return l.commitAndActivate(packet, l.receiveCommit)
	case jute.PacketInformAndActivate:
		return l.informAndActivate(packet, l.receiveInform)
	case jute.PacketNewLeader:
		if packet.Zxid != EpochStart(l.epoch) {
			return fmt.Errorf("%v in epoch %d", packet, l.epoch)
		}
		l.seeNewLeader(packet)
		l.persist()
		return nil
	case jute.PacketPing:
		return nil // the first packet that the leader may see now is the ACK of NEWLEADER
	default:
		return fmt.Errorf("%v during synchronisation", packet)
	}
}

// inSnapshot tells whether a transaction is part of the tree of a SNAP: the leader may have queued it
// before it took the picture.
func (l *Learner) inSnapshot(zxid int64) bool {
	return l.mode == jute.PacketSnap && zxid <= l.syncTo
}

func (l *Learner) receiveProposal(packet *jute.QuorumPacket) error {
	if l.inSnapshot(packet.Zxid) {
		return nil
	}
	if !Follows(packet.Zxid, l.lastQueued) && !l.config.Defects.On(defect.HoleInHistory) {
		return fmt.Errorf("%v leaves a hole after %#x", packet, l.lastQueued)
	}
	entry, membership, err := entryOf(packet)
	if err != nil {
		return err
	}
	l.see(entry, membership)
	l.received = append(l.received, entry)
	l.lastQueued = packet.Zxid
	return nil
}

func (l *Learner) receiveInform(packet *jute.QuorumPacket) error {
	if err := l.receiveProposal(packet); err != nil {
		return err
	}
	return l.receiveCommit(packet.Zxid)
}

func (l *Learner) receiveCommit(zxid int64) error {
	if l.inSnapshot(zxid) {
		return nil
	}
	if l.committed == len(l.received) || l.received[l.committed].Zxid != zxid {
		return fmt.Errorf("COMMIT of %#x, which is not the next one to commit", zxid)
	}
	l.committed++
	l.forgetReconfigurations(zxid)
	return nil
}

// entryOf takes the transaction out of a PROPOSAL or INFORM, once it is sure that it can be read
// back and is the one that the packet names. Membership is what it makes the membership; nil for most.
func entryOf(packet *jute.QuorumPacket) (entry disk.Entry, membership *quorum.Config, err error) {
	header, txn, _, err := jute.DecodePayload(packet.Data)
	if err != nil {
		return disk.Entry{}, nil, fmt.Errorf("%v: %w", packet, err)
	}
	if header.Zxid != packet.Zxid {
		return disk.Entry{}, nil, fmt.Errorf("%v carries transaction %#x", packet, header.Zxid)
	}
	if header.Type == jute.OpReconfig {
		if membership, err = membershipOf(txn); err != nil {
			return disk.Entry{}, nil, fmt.Errorf("%v: %w", packet, err)
		}
	}
	return disk.Entry{Zxid: packet.Zxid, Payload: packet.Data}, membership, nil
}

// persist makes everything up to NEWLEADER durable, in this order: the snapshot, the transactions
// after it, currentEpoch. Only then NEWLEADER is acknowledged (ZOOKEEPER-4643, 4646, 4785).
func (l *Learner) persist() {
	l.phase = persisting
	if l.truncating {
		return
	}
	if l.mode == jute.PacketSnap {
		l.host.Install(l.snapshot.Incoming, func() {})
	}
	if l.persistWrongly() {
		return
	}
	l.logReceived()
	l.host.Sync(func() {})
	l.joinEpoch(l.acknowledgeNewLeader)
}

// logReceived hands the transactions of the synchronisation to the log.
func (l *Learner) logReceived() {
	for _, entry := range l.received {
		l.host.Append(entry)
	}
}

// joinEpoch makes the leader's epoch the current one on disk.
func (l *Learner) joinEpoch(done func()) {
	l.host.SaveCurrentEpoch(l.epoch, l.whilePersisting(done))
}

// whilePersisting guards what a finished disk operation leads to: this server may have left its leader.
func (l *Learner) whilePersisting(done func()) func() {
	return func() {
		if l.phase == persisting {
			done()
		}
	}
}

// acknowledgeNewLeader sends the ACK of NEWLEADER, and only behind it those of transactions that are
// not committed yet (ZOOKEEPER-4685).
func (l *Learner) acknowledgeNewLeader() {
	l.phase = awaitingUpToDate
	if l.acknowledgeEmptyHanded() {
		return
	}
	for _, entry := range l.received[:l.committed] {
		l.host.Apply(entry)
	}
	l.received = l.received[l.committed:]
	l.send(jute.PacketAck, EpochStart(l.epoch), nil)
	if !l.config.Defects.On(defect.AckNewLeaderBeforeLog) { // then it is the log that says when it has them
		l.acknowledge(l.received)
	}
}

// acknowledge sends the ACKs of transactions that came with the synchronisation.
func (l *Learner) acknowledge(entries []disk.Entry) {
	if l.config.Observer {
		return
	}
	for _, entry := range entries {
		l.send(jute.PacketAck, entry.Zxid, nil)
	}
}

// beforeUpToDate keeps what comes between NEWLEADER and UPTODATE.
func (l *Learner) beforeUpToDate(packet *jute.QuorumPacket) error {
	switch {
	case packet.Type == jute.PacketPing:
		return nil // Apache's leader pings early; it wants an answer only after UPTODATE
	case packet.Type != jute.PacketUpToDate && (len(l.early) == earlyMax || l.earlyBytes+len(packet.Data) > earlyBytesMax):
		return fmt.Errorf("more than %d packets or %d bytes between NEWLEADER and UPTODATE", earlyMax, earlyBytesMax)
	case packet.Type == jute.PacketCommit && len(l.early) == 0 && l.config.Defects.On(defect.LoseEarlyProposals):
		l.phase = learnerOver
		l.host.Fail(fmt.Errorf("zab: epoch %d: no proposal is known for %v", l.epoch, packet))
		return nil
	case packet.Type != jute.PacketUpToDate:
		l.early = append(l.early, packet)
		l.earlyBytes += len(packet.Data)
		return nil
	case l.phase == persisting:
		return fmt.Errorf("%v before NEWLEADER was acknowledged", packet)
	}
	if l.activateNewLeader() {
		l.leaveFor(packet)
		return nil
	}
	l.phase = learning
	l.deadline = l.now + l.syncTime()
	l.send(jute.PacketAck, EpochStart(l.epoch), nil)
	if l.synchronisedWrongly() {
		return nil
	}
	l.host.Synchronised(l.epoch, l.received)
	l.received = nil
	return l.takeEarly()
}

// takeEarly takes the packets that came before this server served.
func (l *Learner) takeEarly() error {
	early := l.early
	l.early, l.earlyBytes = nil, 0
	for _, packet := range early {
		if l.phase != learning {
			return nil
		}
		if err := l.learn(packet); err != nil {
			return err
		}
	}
	return nil
}

// learn takes the packets of broadcast.
func (l *Learner) learn(packet *jute.QuorumPacket) error {
	switch packet.Type {
	case jute.PacketPing:
		l.answerPing(packet)
	case jute.PacketProposal, jute.PacketInform:
		return l.learnTransaction(packet)
	case jute.PacketCommit:
		if l.config.Observer {
			return nil // of a proposal that was outstanding when this server was synchronised
		}
		return l.commit(packet.Zxid)
	case jute.PacketCommitAndActivate:
		return l.commitAndActivate(packet, l.commit)
	case jute.PacketInformAndActivate:
		return l.informAndActivate(packet, l.learnTransaction)
	case jute.PacketSync:
		l.host.SyncReceived()
	case jute.PacketRevalidate:
		var answer jute.RevalidateResponse
		if err := jute.Unmarshal(packet.Data, &answer); err != nil {
			return fmt.Errorf("%v: %w", packet, err)
		}
		l.host.Revalidated(answer.SessionID, answer.Valid)
	default:
		return fmt.Errorf("%v is not for a learner that serves", packet)
	}
	return nil
}

// commit passes a commit on. If it cannot be, leader and follower disagree about the past: nothing that this
// process holds in memory can be trusted.
func (l *Learner) commit(zxid int64) error {
	l.forgetReconfigurations(zxid)
	if err := l.host.Commit(zxid); err != nil {
		l.phase = learnerOver
		l.host.Fail(fmt.Errorf("zab: epoch %d: %w", l.epoch, err))
	}
	return nil
}

func (l *Learner) learnTransaction(packet *jute.QuorumPacket) error {
	if l.config.Observer && packet.Type == jute.PacketProposal {
		return nil // an observer takes what is committed, and only that
	}
	if !Follows(packet.Zxid, l.lastQueued) && !l.config.Defects.On(defect.HoleInHistory) {
		return fmt.Errorf("%v leaves a hole after %#x", packet, l.lastQueued)
	}
	entry, membership, err := entryOf(packet)
	if err != nil {
		return err
	}
	l.lastQueued = packet.Zxid
	if packet.Type == jute.PacketProposal {
		l.see(entry, membership)
	}
	if packet.Type == jute.PacketInform {
		return l.host.Inform(entry)
	}
	return l.host.Propose(entry)
}

// answerPing sends PING back with the sessions that were heard of. Its data is never null: Apache's
// leader reads it without looking.
func (l *Learner) answerPing(packet *jute.QuorumPacket) {
	touches := jute.PingTouches{}
	for _, touch := range l.host.Touches() {
		touches = append(touches, jute.SessionTimeout{SessionID: touch.Session, TimeOut: touch.TimeoutMs})
	}
	data := jute.Marshal(touches)
	if data == nil {
		data = []byte{}
	}
	l.send(jute.PacketPing, packet.Zxid, data)
}

// Queued is the last transaction that the leader has sent. At UPTODATE it is a bound for what a tree
// behind SNAP may hold effects of: the leader had written the tree by then, and everything that it
// had applied before it had sent before.
func (l *Learner) Queued() int64 {
	for i := len(l.early) - 1; i >= 0; i-- {
		if packet := l.early[i]; packet.Type == jute.PacketProposal || packet.Type == jute.PacketInform {
			return packet.Zxid
		}
	}
	return l.lastQueued
}

// Forward sends a client's request to the leader.
func (l *Learner) Forward(request Forwarded) {
	if l.phase != learning {
		return
	}
	l.host.SendToLeader(&jute.QuorumPacket{
		Type: jute.PacketRequest, Zxid: -1, Authinfo: request.Authinfo,
		Data: jute.Marshal(jute.ForwardedRequest{
			SessionID: request.Session, Cxid: request.Cxid, Type: request.Type, Body: request.Body,
		}),
	})
}

// Acknowledge sends ACK of a transaction that is on this server's disk.
func (l *Learner) Acknowledge(zxid int64) {
	if l.phase == learning {
		l.send(jute.PacketAck, zxid, nil)
	}
}

// Revalidate asks the leader whether a session is alive.
func (l *Learner) Revalidate(session int64, timeoutMs int32) {
	if l.phase == learning {
		l.send(jute.PacketRevalidate, -1, jute.Marshal(jute.RevalidateRequest{SessionID: session, TimeOut: timeoutMs}))
	}
}
