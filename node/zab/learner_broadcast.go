package zab

import (
	"fmt"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/jute"
)

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
	// Propose and Inform read the transaction: only one that this side has to look into is read here too.
	entry := disk.Entry{Zxid: packet.Zxid, Payload: packet.Data}
	var header jute.TxnHeader
	header.Decode(jute.NewDecoder(packet.Data))
	if header.Type == jute.OpReconfig {
		_, membership, err := entryOf(packet)
		if err != nil {
			return err
		}
		if packet.Type == jute.PacketProposal {
			l.see(entry, membership)
		}
	}
	l.lastQueued = packet.Zxid
	if packet.Type == jute.PacketInform {
		return l.host.Inform(entry)
	}
	return l.host.Propose(entry)
}

// answerPing sends PING back with the sessions that were heard of. Its data is never null: Apache's
// leader reads it without looking.
func (l *Learner) answerPing(packet *jute.QuorumPacket) {
	touches := jute.PingTouches(l.host.Touches())
	e := jute.NewEncoder(make([]byte, 0, len(touches)*jute.SessionTimeoutSize))
	touches.Encode(e)
	l.send(jute.PacketPing, packet.Zxid, e.Bytes())
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
	forwarded := jute.ForwardedRequest{SessionID: request.Session, Cxid: request.Cxid, Type: request.Type, Body: request.Body}
	e := jute.NewEncoder(make([]byte, 0, forwarded.Size()))
	forwarded.Encode(e)
	l.host.SendToLeader(&jute.QuorumPacket{Type: jute.PacketRequest, Zxid: -1, Authinfo: request.Authinfo, Data: e.Bytes()})
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
