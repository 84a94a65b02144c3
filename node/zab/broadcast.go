package zab

import (
	"fmt"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/internal/queue"
	"ordeal/node/jute"
	"ordeal/node/quorum"
)

// proposal is a transaction that is not committed yet.
type proposal struct {
	entry disk.Entry
	acks  quorum.Set // servers that have it on disk
	// verifier decides whether those are enough: it is of the memberships at the time of the proposal.
	verifier quorum.Verifier
	// membership is what the transaction makes the membership; nil for most.
	membership *quorum.Config
}

// broadcastState is a leader's transactions on their way.
type broadcastState struct {
	lastProposed, lastCommitted int64
	outstanding                 []*proposal  // in the order of zxids
	toBeApplied                 []disk.Entry // committed but not part of the tree and the history yet
	spare                       []*proposal  // empty
}

// spareMax bounds the proposals that are kept to be used again.
const spareMax = 1024

// newProposal returns an empty proposal.
func (b *broadcastState) newProposal() *proposal {
	last := len(b.spare) - 1
	if last < 0 {
		return &proposal{}
	}
	p := b.spare[last]
	b.spare = b.spare[:last]
	return p
}

// discard takes back a proposal that is committed.
func (b *broadcastState) discard(p *proposal) {
	if len(b.spare) < spareMax {
		*p = proposal{acks: p.acks[:0]}
		b.spare = append(b.spare, p)
	}
}

// Propose sends the next transaction to all followers. Zxids must follow one another, and none may come before this
// leader serves or after it has given up: what it does not send it must not log either.
func (l *Leader) Propose(entry disk.Entry) { l.propose(entry, nil) }

func (l *Leader) propose(entry disk.Entry, membership *quorum.Config) {
	if l.phase != broadcasting {
		panic(fmt.Sprintf("zab: proposal %#x: expected phase %d, in which a leader serves, found %d", entry.Zxid, broadcasting, l.phase))
	}
	if entry.Zxid != l.broadcast.lastProposed+1 {
		panic(fmt.Sprintf("zab: proposal %#x does not follow %#x", entry.Zxid, l.broadcast.lastProposed))
	}
	if membership != nil {
		l.host.SeeMembership(membership)
		l.setMemberships(l.config.Membership, membership)
	}
	l.broadcast.lastProposed = entry.Zxid
	p := l.broadcast.newProposal()
	p.entry, p.verifier, p.membership = entry, l.verifier, membership
	l.broadcast.outstanding = append(l.broadcast.outstanding, p)
	packet := l.packet(jute.PacketProposal, entry.Zxid, entry.Payload)
	for _, h := range l.handlers {
		if h.state >= awaitingAck && !h.observer {
			l.send(h, packet)
			h.noteProposal(entry.Zxid, l.now)
		}
	}
}

// Acknowledge is this server's own ACK: its log holds everything up to zxid on disk.
func (l *Leader) Acknowledge(zxid int64) {
	if l.phase == broadcasting {
		l.addAck(l.config.MyID, zxid)
	}
}

// proposalAcked takes a follower's ACK. Since a log has no holes it stands for all proposals before.
func (l *Leader) proposalAcked(h *learnerHandler, zxid int64) {
	h.noteAck(zxid)
	if !h.observer && l.phase == broadcasting {
		l.addAck(h.sid, zxid)
	}
}

func (l *Leader) addAck(sid, zxid int64) {
	outstanding := l.broadcast.outstanding
	if len(outstanding) == 0 || zxid < outstanding[0].entry.Zxid {
		return // of what is committed already
	}
	// Zxids have no gaps, so the place of a proposal is known. All before the first one that is
	// acknowledged already are so too.
	newest := min(zxid-outstanding[0].entry.Zxid, int64(len(outstanding)-1))
	for i := newest; i >= 0 && !outstanding[i].acks.Has(sid); i-- {
		outstanding[i].acks.Add(sid)
	}
	l.tryToCommit()
}

// withdrawAcks forgets what a learner acknowledged over an earlier connection: it may be told to
// truncate that now, and acknowledges it again once it has it again.
func (l *Leader) withdrawAcks(sid int64) {
	for _, p := range l.broadcast.outstanding {
		p.acks.Remove(sid)
	}
}

// tryToCommit commits proposals, strictly in order, as long as the oldest one has a quorum.
func (l *Leader) tryToCommit() {
	for l.phase == broadcasting && !l.deposed && len(l.broadcast.outstanding) > 0 {
		oldest := l.broadcast.outstanding[0]
		committed := oldest.verifier.ContainsQuorum(oldest.acks)
		if l.config.Defects.On(defect.CommitBeforeQuorum) && oldest.acks.Has(l.config.MyID) {
			committed = true
		}
		if !committed {
			return
		}
		l.broadcast.outstanding = queue.Popped(l.broadcast.outstanding)
		l.commit(oldest)
		l.broadcast.discard(oldest)
	}
}

func (l *Leader) commit(p *proposal) {
	entry := p.entry
	if entry.Zxid != l.broadcast.lastCommitted+1 {
		panic(fmt.Sprintf("zab: commit of %#x after %#x", entry.Zxid, l.broadcast.lastCommitted))
	}
	l.broadcast.lastCommitted = entry.Zxid
	l.broadcast.toBeApplied = append(l.broadcast.toBeApplied, entry)
	var commit, inform *jute.QuorumPacket // made for those who get them
	if p.membership != nil {
		leader := l.activate(p.membership, p.acks)
		commit = l.packet(jute.PacketCommitAndActivate, entry.Zxid, jute.Marshal(jute.CommitAndActivate{DesignatedLeader: leader}))
		inform = l.packet(jute.PacketInformAndActivate, entry.Zxid, jute.Marshal(jute.InformAndActivate{
			DesignatedLeader: leader, Payload: entry.Payload,
		}))
	}
	for _, h := range l.handlers {
		switch {
		case h.state < awaitingAck:
		case h.observer:
			if inform == nil {
				inform = l.packet(jute.PacketInform, entry.Zxid, entry.Payload)
			}
			l.send(h, inform)
		default:
			if commit == nil {
				commit = l.packet(jute.PacketCommit, entry.Zxid, nil)
			}
			l.send(h, commit)
		}
	}
	l.host.Commit(entry.Zxid)
	l.releaseSyncs()
}

// Applied tells that a committed transaction is part of the tree and of the history now.
func (l *Leader) Applied(zxid int64) {
	waiting := l.broadcast.toBeApplied
	for len(waiting) > 0 && waiting[0].Zxid <= zxid {
		waiting = queue.Popped(waiting)
	}
	l.broadcast.toBeApplied = waiting
}

// forwardFrom sends a learner what was committed or proposed after zxid; everything later reaches it
// because of its state (Apache: startForwarding).
func (l *Leader) forwardFrom(h *learnerHandler, zxid int64) {
	for _, entry := range l.broadcast.toBeApplied {
		if entry.Zxid > zxid {
			l.sendCommitted(h, entry)
		}
	}
	if h.observer {
		return
	}
	for _, p := range l.broadcast.outstanding {
		l.send(h, l.packet(jute.PacketProposal, p.entry.Zxid, p.entry.Payload))
		h.noteProposal(p.entry.Zxid, l.now)
	}
}

// Outstanding is the number of proposals that are not committed yet.
func (l *Leader) Outstanding() int { return len(l.broadcast.outstanding) }

// Learners is the number of learners that were sent UPTODATE.
func (l *Leader) Learners() int {
	count := 0
	for _, h := range l.handlers {
		if h.state == following {
			count++
		}
	}
	return count
}
