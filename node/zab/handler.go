package zab

import (
	"fmt"
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/rare"
)

// handlerState is how far a learner has come.
type handlerState uint8

const (
	awaitingInfo     handlerState = iota // FOLLOWERINFO or OBSERVERINFO
	awaitingEpoch                        // the leader's epoch is not fixed yet
	awaitingAckEpoch                     // ACKEPOCH
	awaitingQuorum                       // the leader waits for a quorum of ACKEPOCH
	awaitingLog                          // what the learner lacks is being read from this server's log
	awaitingAck                          // ACK of NEWLEADER
	awaitingStart                        // the leader waits for a quorum of those
	following                            // UPTODATE was sent
)

// never is a deadline that does not come: the other side owes nothing.
const never = time.Duration(1<<63 - 1)

// learnerHandler is the leader's side of one learner's connection.
type learnerHandler struct {
	link     int64
	sid      int64 // from FOLLOWERINFO or OBSERVERINFO on
	observer bool
	state    handlerState
	deadline time.Duration // for the next packet
	// countsUntil is how long the learner counts as connected without being synchronised (Apache: tickOfNextAckDeadline).
	countsUntil time.Duration
	zxid        int64 // the end of the learner's log

	// earlyAck is the highest proposal that was acknowledged before NEWLEADER was. It counts only
	// after that: without the epoch on disk the promise is worth nothing (ZOOKEEPER-4685, 4643).
	earlyAck int64

	// The oldest proposal that the learner has not acknowledged, when it was sent, and the newest one
	// sent when that oldest one was noted: enough to tell whether it lags (Apache: SyncLimitCheck).
	unacked   int64
	unackedAt time.Duration
	next      int64
	nextAt    time.Duration

	pingsSent, pingsAnswered uint64
}

// LearnerConnected takes a new connection to the learner port.
func (l *Leader) LearnerConnected(link int64) {
	if l.phase == leaderOver {
		return
	}
	h := &learnerHandler{link: link, deadline: l.now + l.initTime(), countsUntil: l.now + l.initTime() + l.syncTime()}
	l.handlers = append(l.handlers, h)
	l.byLink[link] = h
}

// LearnerClosed takes the end of a learner's connection.
func (l *Leader) LearnerClosed(link int64) {
	if h := l.byLink[link]; h != nil {
		l.forget(h)
		if l.deposed && l.phase == broadcasting {
			l.checkHealth() // the followers go to the new leader
		}
	}
}

// forget drops a handler. The list is made anew: a loop over it in which a handler is dropped goes on with
// those that there were.
func (l *Leader) forget(h *learnerHandler) {
	delete(l.byLink, h.link)
	for i, other := range l.handlers {
		if other == h {
			l.handlers = append(l.handlers[:i:i], l.handlers[i+1:]...)
			return
		}
	}
}

// Close ends all learners' connections; the server leads no longer.
func (l *Leader) Close() {
	l.phase = leaderOver
	for _, h := range l.handlers {
		l.forget(h)
		l.host.CloseLearner(h.link)
	}
}

// drop closes a learner's connection.
func (l *Leader) drop(h *learnerHandler, format string, args ...any) {
	if l.byLink[h.link] != h {
		return
	}
	l.config.Log.Warn("closing the connection of a learner", "learner", h.sid, "reason", fmt.Sprintf(format, args...))
	l.forget(h)
	l.host.CloseLearner(h.link)
}

func (l *Leader) send(h *learnerHandler, packet *jute.QuorumPacket) {
	l.host.SendToLearner(h.link, Message{Packet: packet})
}

// LearnerPacket takes a packet from a learner. What makes no sense closes the connection.
func (l *Leader) LearnerPacket(link int64, packet *jute.QuorumPacket) {
	h := l.byLink[link]
	if h == nil || l.phase == leaderOver {
		return
	}
	if err := l.learnerPacket(h, packet); err != nil {
		l.drop(h, "%v", err)
	}
}

func (l *Leader) learnerPacket(h *learnerHandler, packet *jute.QuorumPacket) error {
	switch h.state {
	case awaitingInfo:
		return l.learnerInfo(h, packet)
	case awaitingAckEpoch:
		return l.ackEpoch(h, packet)
	case awaitingAck, awaitingStart, following:
		if h.state == following {
			h.deadline = l.now + l.syncTime()
		}
		return l.followerPacket(h, packet)
	default:
		return fmt.Errorf("%v is not expected while the epoch is not settled", packet)
	}
}

// learnerInfo takes FOLLOWERINFO or OBSERVERINFO.
func (l *Leader) learnerInfo(h *learnerHandler, packet *jute.QuorumPacket) error {
	if packet.Type != jute.PacketFollowerInfo && packet.Type != jute.PacketObserverInfo {
		return fmt.Errorf("the first packet is %v, not FOLLOWERINFO or OBSERVERINFO", packet)
	}
	var info jute.LearnerInfo
	if err := jute.Unmarshal(packet.Data, &info); err != nil {
		return fmt.Errorf("%v: %w", packet, err)
	}
	if info.ProtocolVersion < jute.LearnerProtocolVersion {
		return fmt.Errorf("learner protocol version %#x is older than ZooKeeper 3.4", info.ProtocolVersion)
	}
	if info.ConfigVersion > l.config.Membership.Version {
		return fmt.Errorf("the learner has a later membership, version %#x, than %#x", info.ConfigVersion, l.config.Membership.Version)
	}
	if info.ServerID == l.config.MyID {
		return fmt.Errorf("the learner has this server's own id %d", info.ServerID)
	}
	// -1 is that of a server without data that may not take that for a beginning.
	if epoch := Epoch(packet.Zxid); epoch < -1 || epoch >= epochMax {
		return fmt.Errorf("the learner has accepted epoch %d: want less than %d", epoch, int64(epochMax))
	}
	if _, known := l.config.Membership.Server(info.ServerID); !known && !l.config.Reconfig {
		return fmt.Errorf("server %d is not in the membership", info.ServerID)
	}
	h.sid = info.ServerID
	h.observer = packet.Type == jute.PacketObserverInfo
	for _, other := range l.handlers {
		if other != h && other.state > awaitingInfo && other.sid == h.sid {
			l.drop(other, "the learner has connected anew")
		}
	}
	accepted := Epoch(packet.Zxid)
	votes := !h.observer && l.config.Membership.IsVoter(h.sid)
	if votes {
		l.config.EpochSeen = max(l.config.EpochSeen, accepted)
	}
	if l.phase > collectingEpochs && votes && accepted > l.epoch {
		// This voter would refuse our epoch for ever: only a new one can bring it back.
		l.giveUp("server %d has accepted epoch %d, later than this leader's %d", h.sid, accepted, l.epoch)
		return nil
	}
	h.state = awaitingEpoch
	h.deadline = never // the leader's own limit holds
	if l.phase >= collectingAcks {
		l.announceEpoch(h)
		return nil
	}
	if votes {
		l.collectEpoch(h.sid, accepted)
	}
	return nil
}

// announceEpoch sends LEADERINFO. The epoch is on this server's disk.
func (l *Leader) announceEpoch(h *learnerHandler) {
	h.state = awaitingAckEpoch
	h.deadline = l.now + l.initTime()
	data := jute.Marshal(jute.LeaderInfo{ProtocolVersion: jute.LearnerProtocolVersion})
	l.send(h, l.packet(jute.PacketLeaderInfo, EpochStart(l.epoch), data))
}

// ackEpoch takes ACKEPOCH: the end of the learner's log and its current epoch, or -1 if it had
// accepted our epoch before. The latter may have been from another server, so it does not count.
func (l *Leader) ackEpoch(h *learnerHandler, packet *jute.QuorumPacket) error {
	var ack jute.AckEpoch
	if packet.Type != jute.PacketAckEpoch {
		return fmt.Errorf("%v instead of ACKEPOCH", packet)
	}
	if err := jute.Unmarshal(packet.Data, &ack); err != nil {
		return fmt.Errorf("%v: %w", packet, err)
	}
	h.zxid = packet.Zxid
	h.state = awaitingQuorum
	h.deadline = never
	if l.phase >= synchronising {
		l.synchronise(h)
		return nil
	}
	if l.phase != collectingAcks || ack.Epoch == -1 || h.observer {
		return nil
	}
	epoch, last := l.config.CurrentEpoch, l.config.History.Last()
	if int64(ack.Epoch) > epoch || (int64(ack.Epoch) == epoch && h.zxid > last) {
		l.giveUp("server %d is ahead: epoch %d zxid %#x, this server's are %d and %#x", h.sid, ack.Epoch, h.zxid, epoch, last)
		return nil
	}
	if h.zxid != -1 && l.config.Membership.IsVoter(h.sid) {
		l.collectEpochAck(h.sid)
	}
	return nil
}

// synchronise brings a learner to the end of the history, after what that takes was read from the log.
func (l *Leader) synchronise(h *learnerHandler) {
	bounds := syncBounds{factor: l.config.SnapshotSizeFactor, diffMax: l.config.DiffMax}
	sizeMax, readable := bounds.logMax(l.config.Reader)
	if !readable || !lacksMore(h.zxid, l.committed()) {
		l.sendHistory(h, planSync(h.zxid, l.committed(), nil, bounds))
		return
	}
	h.state = awaitingLog
	h.deadline = never
	l.host.ReadLog(h.zxid, sizeMax, func(logged []disk.Entry) {
		if l.byLink[h.link] == h && l.phase != leaderOver {
			l.sendHistory(h, planSync(h.zxid, l.committed(), logged, bounds))
		}
	})
}

// committed is the history with what is committed and not applied yet. A learner that has that must not be told
// to truncate it, for until it has it again nobody else may.
func (l *Leader) committed() *History { return l.config.History.With(l.broadcast.toBeApplied) }

// sendHistory sends a learner all that it lacks, from here on everything new, and then NEWLEADER.
func (l *Leader) sendHistory(h *learnerHandler, plan syncPlan) {
	h.state = awaitingAck
	h.deadline = l.now + l.initTime()
	l.withdrawAcks(h.sid)
	committed := l.committed()
	// A tree without what a learner has, and others may count on, would be no better than a TRUNC.
	if h.zxid <= l.config.History.Last() && l.config.Rare.Take(rare.SnapInsteadOfDiff) {
		plan = snapPlan
	}
	if l.config.Defects.On(defect.DiffOverDivergence) {
		plan = l.diffOverDivergence(h.zxid, plan)
	}
	l.config.Log.Info("synchronising a learner", "learner", h.sid, "zxid", hex(h.zxid), "by", jute.PacketName(plan.op), "to", hex(committed.Last()))
	if plan.op == jute.PacketSnap {
		snapshot := l.host.Snapshot()
		l.host.SendToLearner(h.link, Message{
			Packet: l.packet(jute.PacketSnap, snapshot.Zxid(), nil), Outgoing: snapshot,
		})
		l.forwardFrom(h, max(snapshot.Zxid(), l.config.History.Last()))
	} else {
		l.send(h, l.packet(plan.op, plan.zxid, nil))
		for _, entry := range plan.entries {
			l.sendCommitted(h, entry)
		}
		l.forwardFrom(h, committed.Last())
	}
	l.send(h, l.packet(jute.PacketNewLeader, EpochStart(l.epoch), []byte(l.establishing().String())))
}

// sendCommitted sends a proposal and its commit; before UPTODATE observers get both too.
func (l *Leader) sendCommitted(h *learnerHandler, entry disk.Entry) {
	l.send(h, l.packet(jute.PacketProposal, entry.Zxid, entry.Payload))
	l.send(h, l.packet(jute.PacketCommit, entry.Zxid, nil))
}

// sendUpToDate lets a learner serve.
func (l *Leader) sendUpToDate(h *learnerHandler) {
	h.state = following
	h.deadline = l.now + l.syncTime()
	// What was sent during the synchronisation could not be acknowledged, however long that took.
	h.unackedAt, h.nextAt = l.now, l.now
	l.send(h, l.packet(jute.PacketUpToDate, -1, nil))
}

// followerPacket takes packets of a learner that was sent NEWLEADER.
func (l *Leader) followerPacket(h *learnerHandler, packet *jute.QuorumPacket) error {
	if h.state == awaitingAck && packet.Type != jute.PacketAck {
		return fmt.Errorf("%v instead of the ACK of NEWLEADER", packet)
	}
	switch packet.Type {
	case jute.PacketAck:
		l.ack(h, packet.Zxid)
		return nil
	case jute.PacketPing:
		return l.pingAnswer(h, packet)
	case jute.PacketRevalidate:
		return l.revalidate(h, packet)
	case jute.PacketRequest:
		return l.request(h, packet)
	default:
		return fmt.Errorf("%v is not for a leader", packet)
	}
}

// ack takes an ACK: of NEWLEADER, of UPTODATE (which looks the same and means nothing more), or of a
// proposal.
func (l *Leader) ack(h *learnerHandler, zxid int64) {
	switch {
	case zxid == EpochStart(l.epoch):
		if h.state != awaitingAck {
			return
		}
		h.state = awaitingStart
		h.deadline = never
		early := h.earlyAck
		if l.phase == broadcasting {
			l.sendUpToDate(h)
		} else {
			l.collectNewLeaderAck(h.sid) // of an observer too, which may be a voter of the next membership
		}
		if early != 0 {
			l.proposalAcked(h, early)
		}
	case Counter(zxid) == 0:
		// Of another epoch's NEWLEADER: no promise about this one.
	case h.state == awaitingAck && l.config.Defects.On(defect.FirstAckCounts):
		h.state, h.deadline = awaitingStart, never
		if l.phase == broadcasting {
			l.sendUpToDate(h)
		}
	case h.state == awaitingAck:
		h.earlyAck = max(h.earlyAck, zxid)
	default:
		l.proposalAcked(h, zxid)
	}
}

func (l *Leader) revalidate(h *learnerHandler, packet *jute.QuorumPacket) error {
	if l.phase != broadcasting {
		return fmt.Errorf("%v before this leader serves", packet)
	}
	var request jute.RevalidateRequest
	if err := jute.Unmarshal(packet.Data, &request); err != nil {
		return fmt.Errorf("%v: %w", packet, err)
	}
	valid := l.host.Revalidate(h.link, request.SessionID, request.TimeOut)
	data := jute.Marshal(jute.RevalidateResponse{SessionID: request.SessionID, Valid: valid})
	l.send(h, l.packet(jute.PacketRevalidate, -1, data))
	return nil
}

func (l *Leader) request(h *learnerHandler, packet *jute.QuorumPacket) error {
	if l.phase != broadcasting {
		return fmt.Errorf("%v before this leader serves", packet)
	}
	var request jute.ForwardedRequest
	d := jute.NewDecoder(packet.Data) // not by Unmarshal, for which it would have to be on the heap
	request.Decode(d)
	if err := d.Finish(); err != nil {
		return fmt.Errorf("%v: %w", packet, err)
	}
	l.host.Submit(h.link, Forwarded{
		Session: request.SessionID, Cxid: request.Cxid, Type: request.Type,
		Body: request.Body, Authinfo: packet.Authinfo,
	})
	return nil
}
