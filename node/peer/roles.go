package peer

import (
	"fmt"
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/election"
	"ordeal/node/internal/queue"
	"ordeal/node/jute"
	"ordeal/node/pipeline"
	"ordeal/node/zab"
)

// look starts a new round of election with what the disk holds.
func (p *Peer) look() {
	p.role = looking
	p.readOnlyAt = p.now.Elapsed + max(readOnlyDelay, p.config.TickTime)
	p.election.Start(p.history.Last(), p.currentEpoch)
	if p.defective(defect.ServeUnsynchronised) {
		p.startServer(pipeline.Follower, p.currentEpoch)
		p.serverHost.unsynchronised = true
	}
	p.hearEarly()
}

// lookOrGo follows the leader that a reconfiguration has named, or looks for one.
func (p *Peer) lookOrGo() {
	if p.successor == zab.NoLeader {
		p.look()
		return
	}
	leader := p.successor
	p.successor = zab.NoLeader
	p.follow(p.election.Settle(leader, p.history.Last()))
}

// readOnlyDelay is how long a server looks at least before it serves clients without a leader.
const readOnlyDelay = 2 * time.Second

// serveReadOnly serves those that only want to read, if the search for a leader takes long.
func (p *Peer) serveReadOnly() {
	if p.config.ReadOnlyMode && p.role == looking && p.server == nil && p.now.Elapsed >= p.readOnlyAt {
		p.log.Info("serving read-only")
		p.startServer(pipeline.ReadOnly, p.currentEpoch)
	}
}

// follow takes the role that the election gave this server.
func (p *Peer) follow(decision election.Decision) {
	p.log.Info("the election is over", "role", decision.Role, "leader", decision.Leader)
	p.leaderID = decision.Leader
	p.stopServer()
	switch decision.Role {
	case election.Leading:
		p.role = leading
		p.openLearnerPort(true)
		p.leader = zab.NewLeader(zab.LeaderConfig{
			MyID: p.config.MyID, Membership: p.membership, LastSeen: p.lastSeen, Reconfig: p.config.Reconfig,
			TickTime: p.config.TickTime, InitLimit: p.config.InitLimit, SyncLimit: p.config.SyncLimit,
			AcceptedEpoch: p.acceptedEpoch, CurrentEpoch: p.currentEpoch, EpochSeen: p.epochSeen, FirstCounter: p.config.FirstCounter,
			History: p.history, Reader: p.config.Reader, SnapshotSizeFactor: p.config.SnapshotSizeFactor, DiffMax: p.config.DiffMax,
			SyncByQuorum: p.config.SyncByQuorum, Rare: p.config.Rare, Defects: p.config.Defects, Log: p.log,
		}, p.now.Elapsed, leaderHost{p})
		p.leader.Start()
		if p.defective(defect.SnapshotUncommitted) {
			p.takeSnapshot()
		}
	case election.Following, election.Observing:
		p.role = following
		if decision.Role == election.Observing {
			p.role = observing
		}
		p.attempt++
		p.learner = zab.NewLearner(zab.LearnerConfig{
			MyID: p.config.MyID, Observer: p.role == observing, ConfigVersion: p.membership.Version,
			TickTime: p.config.TickTime, InitLimit: p.config.InitLimit, SyncLimit: p.config.SyncLimit, ConnectLimit: p.config.ConnectLimit,
			AcceptedEpoch: p.acceptedEpoch, CurrentEpoch: p.currentEpoch, LastZxid: p.history.Last(),
			ForceSnapshot: p.snapshotNeeded, Rare: p.config.Rare, Defects: p.config.Defects, Log: p.log,
		}, p.now.Elapsed, learnerHost{p})
		p.ready.Leader = append(p.ready.Leader, LeaderCommand{
			Attempt: p.attempt, Connect: true, ConnectTo: decision.Leader, Deadline: p.learner.ConnectDeadline(),
		})
	default:
		panic(fmt.Sprintf("peer: an election ended with role %v", decision.Role))
	}
}

func (p *Peer) openLearnerPort(open bool) { p.ready.LearnerPort = &open }

// startServer begins to serve clients.
func (p *Peer) startServer(role pipeline.Role, epoch int64) {
	p.stopServer()
	if role != pipeline.Standalone && role != pipeline.ReadOnly {
		p.tree.SetConfig([]byte(p.membership.String()), p.membership.Version, p.now.Wall)
	}
	p.serverHost = &serverHost{peer: p}
	outputs := pipeline.Outputs{Clients: p.serverHost, Log: p.serverHost}
	serverID := p.config.MyID
	outstandingMax := p.config.OutstandingMax
	switch role {
	case pipeline.Standalone:
		serverID = 1
	case pipeline.Leader:
		outputs.Leading = leadingHost{p.serverHost}
	case pipeline.Follower, pipeline.Observer:
		outputs.Learner = learningHost{p.serverHost}
	}
	if role == pipeline.Leader || role == pipeline.Follower {
		outstandingMax /= max(len(p.membership.Voters())-1, 1) // as Apache shares the limit
	}
	p.server = pipeline.New(pipeline.Config{
		Role: role, ServerID: serverID, Epoch: epoch, FirstCounter: p.config.FirstCounter,
		TickTime: p.config.TickTime, SessionTimeoutMin: p.config.SessionTimeoutMin, SessionTimeoutMax: p.config.SessionTimeoutMax,
		LocalSessions: p.config.LocalSessions, LocalSessionsUpgrading: p.config.LocalSessionsUpgrading,
		ThrottleMax: p.config.ThrottleMax, ThrottleKeepStale: p.config.ThrottleKeepStale, ThrottledOpWait: p.config.ThrottledOpWait,
		ConnectionThrottle: p.config.ConnectionThrottle, Random: p.config.Random, SessionsMax: p.config.SessionsMax,
		Reconfig: p.config.Reconfig, StandaloneEnabled: p.config.StandaloneEnabled,
		SyncByQuorum: p.config.SyncByQuorum, OutstandingMax: outstandingMax, MaxBuffer: p.config.MaxBuffer,
		TransactionMax: p.config.TransactionMax,
		SuperDigest:    p.config.SuperDigest, Authentication: p.config.Authentication, Containers: p.config.Containers, SkipACL: p.config.SkipACL, EnforceQuota: p.config.EnforceQuota,
		ExtendedTypes: p.config.Tree.ExtendedTypes, DigestEnabled: p.config.Tree.DigestEnabled,
		Defects: p.config.Defects, Rare: p.config.Rare, Schedule: p.config.Schedule, Log: p.log, Measured: p.config.Measured,
	}, p.tree, pipeline.Now(p.now), outputs)
}

// stopServer closes all client connections. What was handed to the log stays in p.logged.
func (p *Peer) stopServer() {
	if p.server == nil {
		return
	}
	p.server.Shutdown()
	p.pastCounts = p.pastCounts.Add(p.server.Counts())
	p.server = nil
	p.serverHost.over = true
}

// leave ends the role. The disk first finishes what was asked of it, so that memory and disk end
// with the same transaction and nothing is appended behind the peer's back (ZOOKEEPER-4712).
func (p *Peer) leave() {
	p.log.Info("leaving the role", "role", roleNames[p.role], "reason", p.leaveReason)
	p.leaveReason = ""
	served := p.server != nil
	p.stopServer()
	if p.leader != nil {
		p.epochSeen = max(p.epochSeen, p.leader.EpochSeen())
		p.leader.Close()
		p.leader = nil
		p.openLearnerPort(false)
	}
	if p.learner != nil {
		p.learner.Close()
		p.learner = nil
		p.ready.Leader = append(p.ready.Leader, LeaderCommand{Attempt: p.attempt, Close: true})
	}
	p.leaderID = zab.NoLeader
	p.abortSnapshot()
	if p.stopping {
		p.role = stopped
		return
	}
	p.role = leaving
	if served && p.defective(defect.LeaveLoggerBehind) {
		p.readBack()
		p.look()
		return
	}
	p.orderOrFail(disk.Operation{Kind: disk.Sync}, "syncing the log", func(result disk.Result) {
		if p.defective(defect.KeepDirtyMemory) || result.Err != nil {
			p.logged, p.logEnd = nil, p.history.Last()
		}
		p.fastForward()
		p.lookOrGo()
	})
}

// fastForward makes everything that is on disk part of the tree: a server that looks for a leader
// stands by all that it has logged, committed or not (ZOOKEEPER-2845).
func (p *Peer) fastForward() {
	for _, entry := range p.logged {
		if err := p.apply(entry); err != nil {
			p.fail(err)
			return
		}
	}
	p.logged = nil
	if p.strays() {
		p.logEnd = p.history.Last()
	}
	if p.history.Last() != p.logEnd {
		panic(fmt.Sprintf("peer: memory ends at %#x after the fast-forward, the log at %#x", p.history.Last(), p.logEnd))
	}
}

// apply makes a logged transaction part of the tree outside the pipeline: while this server does not
// serve.
func (p *Peer) apply(entry disk.Entry) error {
	header, txn, _, err := jute.DecodePayload(entry.Payload)
	if err != nil {
		return fmt.Errorf("peer: a transaction that was logged cannot be read back: %w", err)
	}
	p.tree.Apply(header, txn)
	p.history.Add(entry)
	p.appliedEnd = entry.Zxid
	return nil
}

// applied takes an entry off the list of those that only the log has. Commits may overtake the appends:
// then the entries never get onto that list.
func (p *Peer) applied(entry disk.Entry) {
	switch {
	case len(p.logged) > 0 && p.logged[0].Zxid == entry.Zxid:
		p.logged = queue.Popped(p.logged)
	case p.strays():
	case len(p.logged) > 0 || !zab.Follows(entry.Zxid, max(p.logEnd, p.appliedEnd)):
		panic(fmt.Sprintf("peer: %#x was applied, but it is not the next entry of the log", entry.Zxid))
	}
	p.appliedEnd = entry.Zxid
}

// readBack makes what the disk holds at this moment part of the tree, whatever it is still writing:
// defect.LeaveLoggerBehind.
func (p *Peer) readBack() {
	entries, err := p.config.Reader.ReadFrom(p.history.Last(), 0)
	if err != nil {
		p.fail(err)
		return
	}
	p.logged = nil
	for _, entry := range entries {
		if zab.Follows(entry.Zxid, p.history.Last()) {
			p.logged = append(p.logged, entry)
			p.logEnd = entry.Zxid
			if err := p.apply(entry); err != nil {
				p.fail(err)
				return
			}
		}
	}
	p.logged, p.logEnd = nil, p.history.Last()
}
