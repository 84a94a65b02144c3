package peer

import (
	"fmt"
	"log/slog"
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/election"
	"ordeal/node/jute"
	"ordeal/node/pipeline"
	"ordeal/node/quorum"
	"ordeal/node/tree"
	"ordeal/node/zab"
)

// role is what a peer is doing. Between any two of the others lies leaving, except that looking
// leads to leading, following and observing at once.
type role uint8

const (
	// leaving waits until the disk has done all that was asked of it.
	leaving role = iota
	looking
	leading
	following
	observing
	standalone
	stopped
)

var roleNames = [...]string{"looking", "looking", "leading", "following", "observing", "standalone", "stopped"}

// Peer is one server. It is driven by one goroutine at a time.
type Peer struct {
	config Config
	log    *slog.Logger
	now    Now
	ready  Ready
	// spare are the slices of an earlier one, if hasSpare: all are empty.
	spare    Ready
	hasSpare bool
	// clientBytes is the length of all frames in ready.
	clientBytes int

	role role
	// leaveReason, once set, makes the peer leave its role at the end of the input.
	leaveReason string
	stopping    bool

	// What the disk holds, and the tree with it: the newest transactions of the tree are history.
	// Logged are those handed to the log that are not part of the tree yet. LogEnd and appliedEnd are
	// the last transactions of log and tree, as they will be once the disk has done what it was asked.
	tree                        *tree.Tree
	history                     *zab.History
	acceptedEpoch, currentEpoch int64
	logged                      []disk.Entry
	logEnd, appliedEnd          int64
	disk                        diskState

	// membership is the present one, lastSeen the last one that was proposed, often the same. Successor is the
	// leader that a reconfiguration has named and that this server goes to; zab.NoLeader if there is none.
	membership, lastSeen *quorum.Config
	successor            int64

	election *election.FastLeaderElection
	leader   *zab.Leader  // while leading
	learner  *zab.Learner // while following or observing
	early    []earlyVote  // heard before this server looks; oldest first
	leaderID int64        // whom this server follows; zab.NoLeader if nobody
	attempt  uint64       // numbers connections to leaders
	// epochSeen is the highest epoch that this server knows another one to have accepted.
	epochSeen int64
	// readOnlyAt is when a server that still looks begins to serve readers.
	readOnlyAt time.Duration
	// snapshotNeeded makes the next leader send its whole tree: the log could not be truncated.
	snapshotNeeded bool

	// server is everything above ZAB; nil while this server does not serve.
	server     *pipeline.Server
	serverHost *serverHost
	proposals  proposalSizes
	// What was counted in other roles, and as leader.
	pastCounts          pipeline.Counts
	proposed, committed int64
	// proposedAt is Now.Elapsed at the proposals that are not committed yet, oldest first.
	proposedAt []time.Duration
	// leadingSince is Now.Elapsed when a quorum accepted this server as its leader.
	leadingSince time.Duration
}

// New returns a peer that starts with what its disk holds.
func New(config Config, state *disk.State, now Now) *Peer {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	p := &Peer{config: config, log: config.Log, now: now, successor: zab.NoLeader, leaderID: zab.NoLeader, membership: config.Membership, lastSeen: config.Membership}
	p.adopt(state)
	p.acceptedEpoch, p.currentEpoch = state.AcceptedEpoch, state.CurrentEpoch
	if p.defective(defect.ForgetEpochs) {
		p.acceptedEpoch, p.currentEpoch = zab.Epoch(p.logEnd), zab.Epoch(p.logEnd)
	}
	p.disk.callbacks = map[disk.Ticket]callback{}
	p.disk.chooseSnapshotAt(config)
	if config.Standalone {
		p.role = standalone
		p.startServer(pipeline.Standalone, 0)
		return p
	}
	p.election = election.New(election.Options{
		MyID: config.MyID, Membership: config.Membership, Defects: config.Defects, Rare: config.Rare,
		NotificationIntervalMin: config.NotificationIntervalMin, NotificationIntervalMax: config.NotificationIntervalMax,
	})
	p.election.Tick(now.Elapsed)
	p.recoverMemberships()
	p.look()
	p.settle()
	return p
}

// adopt makes a disk's state this server's.
func (p *Peer) adopt(state *disk.State) {
	p.tree = state.Tree
	p.history = zab.NewHistory(p.config.CommitLogCount, state.Committed, p.tree.LastZxid())
	p.logEnd, p.appliedEnd = p.history.Last(), p.history.Last()
}

// settle ends every input: it carries out what the input decided.
func (p *Peer) settle() {
	if p.role == stopped {
		return
	}
	if p.leaveReason != "" {
		p.leave()
	}
	if p.election == nil {
		return
	}
	output := p.election.Take()
	for _, message := range output.Messages {
		p.ready.Notifications = append(p.ready.Notifications, Notification{To: message.To, Message: message.Message})
	}
	if output.Decision != nil && p.role == looking {
		p.follow(*output.Decision)
		p.settle()
	}
}

// Tick says that time has passed.
func (p *Peer) Tick(now Now) {
	if now.Elapsed < p.now.Elapsed {
		panic(fmt.Sprintf("peer: time went back from %v to %v", p.now.Elapsed, now.Elapsed))
	}
	p.now = now
	if p.role == stopped {
		return
	}
	// Who leads or follows must notice first that it has slept for too long, and leave its role: what its clock says of
	// sessions is then nobody's business any more.
	if p.leader != nil {
		p.leader.Tick(now.Elapsed)
	}
	if p.learner != nil {
		p.learner.Tick(now.Elapsed)
	}
	p.settle()
	if p.server != nil {
		p.server.Tick(pipeline.Now(now))
	}
	if p.election != nil {
		p.election.Tick(now.Elapsed)
	}
	p.serveReadOnly()
	p.settle()
}

// SearchEnds is when a Tick will next find out something about who leads; false while this server does not look.
func (p *Peer) SearchEnds() (time.Duration, bool) {
	if p.role != looking {
		return 0, false
	}
	return p.election.NextDeadline()
}

// ReceiveNotification takes an election message from a server.
func (p *Peer) ReceiveNotification(from int64, message election.Notification) {
	if p.election == nil || p.role == stopped {
		return
	}
	if p.role != looking {
		p.keepEarly(from, message)
	}
	if p.role == leaving {
		return // the end of the log is not settled: no word about it is true before that
	}
	p.hear(from, message)
	p.settle()
}

// hear takes an election message.
func (p *Peer) hear(from int64, message election.Notification) {
	if !p.learnMembership(message) {
		p.election.Receive(from, message)
	}
}

// LearnerConnected says that a learner reached the learner port.
func (p *Peer) LearnerConnected(link Link, remote string) {
	if p.leader == nil {
		p.ready.Learners = append(p.ready.Learners, LearnerOutput{Link: link, Close: true})
		return
	}
	p.log.Info("a learner has connected", "remote", remote)
	p.leader.LearnerConnected(int64(link))
	p.settle()
}

// LearnerPacket takes a packet from a learner.
func (p *Peer) LearnerPacket(link Link, message LearnerMessage) {
	if p.leader != nil {
		p.leader.LearnerPacket(int64(link), message.Packet)
		p.settle()
	}
}

// LearnerClosed says that a learner's connection is gone.
func (p *Peer) LearnerClosed(link Link) {
	if p.leader != nil {
		p.leader.LearnerClosed(int64(link))
		p.settle()
	}
}

// LeaderConnected says that the connection that was asked for stands.
func (p *Peer) LeaderConnected(attempt uint64) {
	if p.learner != nil && attempt == p.attempt {
		p.learner.Connected()
		p.settle()
	}
}

// LeaderPacket takes a packet from the leader.
func (p *Peer) LeaderPacket(attempt uint64, message LearnerMessage) {
	if p.learner != nil && attempt == p.attempt {
		if message.Incoming != nil && p.defective(defect.KeepPartialSnapshot) {
			p.claim(message.Incoming, message.Packet.Zxid)
		}
		p.learner.Packet(zab.Message(message))
		p.settle()
	}
}

// LeaderClosed says that the connection is gone, or never came to be.
func (p *Peer) LeaderClosed(attempt uint64, reason error) {
	if p.learner != nil && attempt == p.attempt {
		p.learner.Closed(reason)
		p.settle()
	}
}

// serves tells whether clients are taken.
func (p *Peer) serves() bool {
	return p.server != nil && (p.role != leading || p.config.LeaderServes)
}

// ClientConnected says that a client reached the client port. Ids are who it is by its certificate.
func (p *Peer) ClientConnected(conn Conn, remoteIP string, ids ...jute.Id) {
	if !p.serves() {
		p.measured(pipeline.ConnectionNotServed, 1)
		p.ready.Clients = append(p.ready.Clients, ClientOutput{Conn: conn, Close: true})
		return
	}
	p.server.ClientConnected(pipeline.Conn(conn), remoteIP, ids...)
	p.settle()
}

// ClientFrame takes a client's frame; the first is the ConnectRequest.
func (p *Peer) ClientFrame(conn Conn, frame []byte) {
	if p.server != nil {
		p.server.ClientFrame(pipeline.Conn(conn), frame)
		p.settle()
	}
}

// ClientHeard says that a client goes on sending while its runner does not read from it.
func (p *Peer) ClientHeard(conn Conn) {
	if p.server != nil {
		p.server.ClientHeard(pipeline.Conn(conn))
	}
}

// ClientClosed says that a client's connection is gone.
func (p *Peer) ClientClosed(conn Conn) {
	if p.server != nil {
		p.server.ClientClosed(pipeline.Conn(conn))
		p.settle()
	}
}

// reuseMax is how long a slice may be that is kept to be filled again. Longer ones are rare: of a learner that is
// sent all it lacks, for instance.
const reuseMax = 4096

// Reuse gives back what Ready returned, once nothing of its slices is read any more: the peer fills them
// again.
func (p *Peer) Reuse(ready Ready) {
	p.spare = Ready{Disk: emptied(ready.Disk), Leader: emptied(ready.Leader), Learners: emptied(ready.Learners), Clients: emptied(ready.Clients)}
	p.hasSpare = true
}

func emptied[T any](all []T) []T {
	if cap(all) > reuseMax {
		return nil
	}
	clear(all)
	return all[:0]
}

// Ready returns what the peer wants done since the last call.
func (p *Peer) Ready() Ready {
	ready := p.ready
	p.clientBytes = 0
	if p.hasSpare {
		p.ready, p.spare, p.hasSpare = p.spare, Ready{}, false
		return ready
	}
	// As much again is likely to come.
	p.ready = Ready{
		Disk:     make([]disk.Operation, 0, len(ready.Disk)),
		Leader:   make([]LeaderCommand, 0, len(ready.Leader)),
		Learners: make([]LearnerOutput, 0, len(ready.Learners)),
		Clients:  make([]ClientOutput, 0, len(ready.Clients)),
	}
	return ready
}

// ClientBytes is how many bytes of frames for clients Ready would return. Whoever gives many inputs at a time
// should look at it between them: each may be a read of something large.
func (p *Peer) ClientBytes() int { return p.clientBytes }

// RequestBytes is how many bytes the requests of this server's clients take that are under way.
func (p *Peer) RequestBytes() int {
	if p.server == nil {
		return 0
	}
	return p.server.RequestBytes()
}

// Work goes on with what Config.Schedule left undone.
func (p *Peer) Work() {
	if p.server != nil {
		p.server.Work()
		p.settle()
	}
}

// ReadNow answers a plain read from the tree, or reports that it cannot.
func (p *Peer) ReadNow(conn Conn, frame []byte) (reply []byte, ok bool) {
	if p.server == nil {
		return nil, false
	}
	return p.server.ReadNow(pipeline.Conn(conn), frame)
}

// Stop ends serving and closes all connections. Nothing is done after it but what Ready still holds;
// disk operations among that may be carried out or not.
func (p *Peer) Stop() {
	if p.role == stopped {
		return
	}
	p.stopping = true
	p.leaveReason = "the server stops"
	p.leave()
}

// fail stops this server for good: Ready tells why.
func (p *Peer) fail(err error) {
	if p.ready.Fatal == nil {
		p.ready.Fatal = err
	}
	p.stopping = true
	if p.leaveReason == "" {
		p.leaveReason = err.Error()
	}
}

// defective tells whether a defect is switched on.
func (p *Peer) defective(name defect.Name) bool { return p.config.Defects.On(name) }

// strays tells whether a defect is switched on under which memory and log may part ways.
func (p *Peer) strays() bool {
	for _, name := range []defect.Name{
		defect.SkipTrunc, defect.ClaimDiff, defect.KeepDirtyMemory, defect.KeepPartialSnapshot,
		defect.LeaveLoggerBehind, defect.SnapshotUncommitted, defect.GoOnAfterDiskError, defect.HoleInHistory,
	} {
		if p.defective(name) {
			return true
		}
	}
	return false
}
