package zab

import (
	"fmt"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/quorum"
)

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
	if l.receivedBytes += len(entry.Payload) + receivedOverhead; l.receivedBytes > receivedBytesMax {
		l.end(fmt.Sprintf("the leader sends more than %d bytes of transactions before NEWLEADER", receivedBytesMax), true)
		return nil
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
