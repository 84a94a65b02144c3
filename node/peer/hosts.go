package peer

import (
	"fmt"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/internal/queue"
	"ordeal/node/jute"
	"ordeal/node/pipeline"
	"ordeal/node/quorum"
	"ordeal/node/rare"
	"ordeal/node/tree"
	"ordeal/node/zab"
)

// leaderHost gives a zab.Leader what it asks for.
type leaderHost struct{ *Peer }

func (h leaderHost) SaveAcceptedEpoch(epoch int64, done func()) { h.saveAcceptedEpoch(epoch, done) }
func (h leaderHost) SaveCurrentEpoch(epoch int64, done func())  { h.saveCurrentEpoch(epoch, done) }

func (h leaderHost) SendToLearner(link int64, message zab.Message) {
	h.ready.Learners = append(h.ready.Learners, LearnerOutput{Link: Link(link), Message: LearnerMessage(message)})
}

func (h leaderHost) ReadLog(zxid, sizeMax int64, done func([]disk.Entry)) {
	h.order(disk.Operation{Kind: disk.ReadLog, Zxid: zxid, SizeMax: sizeMax}, func(result disk.Result) {
		if result.Err != nil {
			h.log.Warn("the log cannot be read for a learner; it gets a snapshot", "from", fmt.Sprintf("%#x", zxid), "error", result.Err)
		}
		done(result.Entries)
	})
}

func (h leaderHost) CloseLearner(link int64) {
	h.ready.Learners = append(h.ready.Learners, LearnerOutput{Link: Link(link), Close: true})
}

func (h leaderHost) Snapshot() *tree.Snapshotter { return h.tree.Snapshot() }

func (h leaderHost) SeeMembership(next *quorum.Config) { h.seeMembership(next) }

func (h leaderHost) Activate(membership *quorum.Config, leader int64) { h.activate(membership, leader) }

func (h leaderHost) Established(epoch int64) {
	h.election.SetPeerEpoch(epoch)
	h.tree.TrustDigestsAfter(h.tree.LastZxid())
	h.leadingSince, h.proposedAt = h.now.Elapsed, nil
	h.startServer(pipeline.Leader, epoch)
}

func (h leaderHost) Commit(zxid int64) {
	h.committed++
	h.measured(pipeline.QuorumAckTime, (h.now.Elapsed - h.proposedAt[0]).Milliseconds())
	h.proposedAt = queue.Popped(h.proposedAt)
	if err := h.server.Commit(zxid); err != nil {
		panic(fmt.Sprintf("peer: the leader's own pipeline refuses a commit: %v", err))
	}
}

func (h leaderHost) SyncDone(ticket uint64) { h.server.SyncDone(pipeline.SyncTicket(ticket)) }

func (h leaderHost) Submit(link int64, request zab.Forwarded) {
	h.server.LearnerRequest(pipeline.Origin(link), pipeline.Forwarded(request))
}

func (h leaderHost) Revalidate(link int64, session int64, timeoutMs int32) bool {
	return h.server.LearnerRevalidate(pipeline.Origin(link), session, timeoutMs)
}

func (h leaderHost) Touch(touches []jute.SessionTimeout) { h.server.LearnerTouch(touches) }

func (h leaderHost) GiveUp(reason string) { h.leaveReason = reason }

// learnerHost gives a zab.Learner what it asks for.
type learnerHost struct{ *Peer }

func (h learnerHost) SaveAcceptedEpoch(epoch int64, done func()) { h.saveAcceptedEpoch(epoch, done) }
func (h learnerHost) SaveCurrentEpoch(epoch int64, done func())  { h.saveCurrentEpoch(epoch, done) }

func (h learnerHost) SendToLeader(packet *jute.QuorumPacket) {
	h.ready.Leader = append(h.ready.Leader, LeaderCommand{Attempt: h.attempt, Message: LearnerMessage{Packet: packet}})
}

func (h learnerHost) Append(entry disk.Entry) { h.append(entry) }

func (h learnerHost) Sync(done func()) {
	h.orderOrFail(disk.Operation{Kind: disk.Sync}, "syncing the log", func(disk.Result) { done() })
}

func (h learnerHost) Truncate(zxid int64, done func(possible bool)) { h.truncate(zxid, done) }

func (h learnerHost) Install(incoming *tree.Tree, done func()) { h.install(incoming, done) }

func (h learnerHost) Claim(zxid int64) { h.claim(h.tree, zxid) }

func (h learnerHost) Apply(entry disk.Entry) {
	h.applied(entry)
	if err := h.apply(entry); err != nil {
		h.fail(err)
	}
	if h.defective(defect.HoleInHistory) {
		h.history.Forget()
	}
}

func (h learnerHost) SeeMembership(next *quorum.Config) { h.seeMembership(next) }

func (h learnerHost) Activate(membership *quorum.Config, leader int64) (changed bool) {
	return h.activate(membership, leader)
}

func (h learnerHost) Synchronised(epoch int64, pending []disk.Entry) {
	h.election.SetPeerEpoch(epoch)
	h.tree.TrustDigestsAfter(h.learner.Queued())
	role := pipeline.Follower
	if h.role == observing {
		role = pipeline.Observer
	}
	h.startServer(role, epoch)
	for _, entry := range pending {
		if err := h.server.Adopt(entry); err != nil {
			h.fail(err)
			return
		}
	}
}

func (h learnerHost) Propose(entry disk.Entry) error { return h.server.Proposal(entry) }
func (h learnerHost) Commit(zxid int64) error        { return h.server.Commit(zxid) }
func (h learnerHost) Inform(entry disk.Entry) error  { return h.server.Inform(entry) }
func (h learnerHost) SyncReceived()                  { h.server.SyncReceived() }

func (h learnerHost) Revalidated(session int64, valid bool) { h.server.Revalidated(session, valid) }

func (h learnerHost) Touches() []jute.SessionTimeout {
	if h.server == nil {
		return nil
	}
	return h.server.Touches()
}

func (h learnerHost) GiveUp(reason string, snapshotNeeded bool) {
	h.leaveReason = reason
	h.snapshotNeeded = h.snapshotNeeded || snapshotNeeded
}

func (h learnerHost) Fail(err error) { h.fail(err) }

// serverHost gives a pipeline.Server what it asks for, as long as that server is the current one.
type serverHost struct {
	peer *Peer
	over bool
	// unsynchronised is true under defect.ServeUnsynchronised only: there is no leader.
	unsynchronised bool
	synced         func(disk.Result) // logSynced
}

func (h *serverHost) Send(conn pipeline.Conn, frame []byte) {
	h.send(ClientOutput{Conn: Conn(conn), Frame: frame})
}

func (h *serverHost) SendEvent(conn pipeline.Conn, frame []byte) {
	h.send(ClientOutput{Conn: Conn(conn), Frame: frame, Event: true})
}

func (h *serverHost) send(output ClientOutput) {
	h.peer.ready.Clients = append(h.peer.ready.Clients, output)
	h.peer.clientBytes += len(output.Frame)
}

func (h *serverHost) Close(conn pipeline.Conn) {
	h.peer.ready.Clients = append(h.peer.ready.Clients, ClientOutput{Conn: Conn(conn), Close: true})
}

func (h *serverHost) PauseReading(conn pipeline.Conn, pause bool) {
	h.peer.ready.Reading = append(h.peer.ready.Reading, ClientReading{Conn: Conn(conn), Paused: pause})
}

func (h *serverHost) Append(entry disk.Entry) {
	h.peer.append(entry)
	h.peer.snapshotIfDue()
}

func (h *serverHost) Sync() disk.Ticket {
	p := h.peer
	if h.synced == nil {
		h.synced = h.logSynced // once: a method value costs memory each time
	}
	p.orderOrFail(disk.Operation{Kind: disk.Sync}, "syncing the log", h.synced)
	return p.disk.lastTicket
}

func (h *serverHost) logSynced(result disk.Result) {
	if !h.over {
		h.peer.server.Synced(result.Ticket)
	}
}

func (h *serverHost) Applied(entry disk.Entry) {
	p := h.peer
	p.applied(entry)
	p.history.Add(entry)
	if p.config.Rare.Take(rare.TrimHistory) {
		p.history.Trim()
	}
	if p.leader != nil {
		p.leader.Applied(entry.Zxid)
	}
}

// leadingHost is serverHost for a leader.
type leadingHost struct{ *serverHost }

func (h leadingHost) Propose(entry disk.Entry) {
	h.peer.noteProposal(entry)
	h.peer.leader.Propose(entry)
}

func (h leadingHost) ProposeReconfig(entry disk.Entry, next *quorum.Config) {
	h.peer.noteProposal(entry)
	h.peer.leader.ProposeReconfig(entry, next)
}

func (h leadingHost) Memberships() (present, lastSeen *quorum.Config) {
	return h.peer.leader.Memberships()
}

func (h leadingHost) QuorumSynced(membership *quorum.Config) bool {
	return h.peer.leader.QuorumSynced(membership)
}

func (h leadingHost) Acknowledge(zxid int64) { h.peer.leader.Acknowledge(zxid) }

func (h leadingHost) Sync(ticket pipeline.SyncTicket) { h.peer.leader.Sync(uint64(ticket)) }

func (h leadingHost) SendSync(learner pipeline.Origin) { h.peer.leader.SendSync(int64(learner)) }

func (h leadingHost) Resign(reason string) { h.peer.leaveReason = reason }

// learningHost is serverHost for a follower or observer.
type learningHost struct{ *serverHost }

func (h learningHost) Forward(request pipeline.Forwarded) {
	if h.unsynchronised {
		if request.Type == jute.OpSync {
			h.peer.server.SyncReceived()
		}
		return
	}
	h.peer.learner.Forward(zab.Forwarded(request))
}

func (h learningHost) Acknowledge(zxid int64) { h.peer.learner.Acknowledge(zxid) }

func (h learningHost) Revalidate(session int64, timeoutMs int32) {
	if h.unsynchronised {
		h.peer.server.Revalidated(session, true)
		return
	}
	h.peer.learner.Revalidate(session, timeoutMs)
}
