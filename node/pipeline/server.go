package pipeline

import (
	"fmt"
	"log/slog"
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/tree"
)

// Server is one server in one role, from the moment at which it may serve clients until it leaves
// the role. It changes the tree that it was given; tree and sessions outlive it.
//
// For the runner of a follower the order is: synchronise the tree with the leader, log and sync
// what the leader sent, then New, then Adopt for what is logged but not committed yet, then inputs.
type Server struct {
	config  Config
	tree    *tree.Tree
	outputs Outputs
	now     Now

	// The chain. What a role does not have is nil.
	throttle    connectionThrottle
	throttler   requestThrottler
	first       requestProcessor
	prep        *prepRequestProcessor
	proposal    *proposalRequestProcessor
	commit      *commitProcessor
	toBeApplied *toBeAppliedRequestProcessor
	sync        *syncRequestProcessor
	forwarding  *followerRequestProcessor
	// pendingTxns are what a follower was given to log and has not seen committed, oldest first.
	pendingTxns fifo[*request]
	// unapplied are the transactions that are given to the log and not in the tree, oldest first.
	unapplied fifo[*request]

	containers *containerManager
	// tracker is a leader's or standalone server's, learnerTracker another one's.
	tracker        *sessionTracker
	learnerTracker *learnerSessionTracker
	local          *upgradeableSessionTracker
	sessionID      int64 // the next to be given out

	connections map[Conn]*connection
	bySession   map[int64]*connection
	inspectAt   time.Duration
	// requestBytes is what the requests that are not finished take, and frames that wait for their session.
	requestBytes int

	counts  Counts
	refused refusals
	running bool
	stages  [3]Stage // scratch of run: those that are ready
	// decoder and encoder are for one body each, of everything but ReadNow: on the stack they cannot be, since
	// methods of interfaces see them.
	decoder jute.Decoder
	encoder jute.Encoder
	closed  bool
}

// inspectionInterval is how often connections are looked at for silence.
const inspectionInterval = 500 * time.Millisecond

// New starts a server in config.Role on a tree that is synchronised for it. A leader starts when a
// quorum has acknowledged NEWLEADER; it moves the tree's last zxid to Epoch<<32 and gives every
// session in the tree a full timeout.
func New(config Config, t *tree.Tree, now Now, outputs Outputs) *Server {
	if config.OutstandingMax == 0 {
		config.OutstandingMax = OutstandingMaxDefault
	}
	if config.SessionsMax == 0 {
		config.SessionsMax = SessionsMaxDefault
	}
	if config.MaxBuffer == 0 {
		config.MaxBuffer = jute.MaxBufferDefault
	}
	if config.TransactionMax == 0 {
		config.TransactionMax = jute.MaxFieldDefault
	}
	config.Containers = config.Containers.withDefaults()
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		config: config, tree: t, outputs: outputs, now: now,
		sessionID:   firstSessionID(config.ServerID, now.Wall),
		connections: map[Conn]*connection{}, bySession: map[int64]*connection{},
	}
	s.throttle = newConnectionThrottle(config.ConnectionThrottle, config.Random, now.Elapsed)
	s.throttler.server = s
	local := config.LocalSessions && config.Role != Standalone
	s.local = newUpgradeableSessionTracker(config.TickTime.Milliseconds(), now.Elapsed.Milliseconds(), local)
	s.setUpChain()
	return s
}

// setUpChain links the processors of the role.
func (s *Server) setUpChain() {
	final := &finalRequestProcessor{server: s}
	s.sync = &syncRequestProcessor{
		log: s.outputs.Log, unapplied: &s.unapplied, defects: s.config.Defects, rare: s.config.Rare, now: s.now.Elapsed, syncedAt: s.now.Elapsed,
	}
	switch s.config.Role {
	case Standalone:
		s.setUpSessions(jute.UnknownSession)
		s.sync.next = final
		s.prep = s.newPrep(s.sync, s.tree.LastZxid())
		s.first = s.prep
	case Leader:
		s.setUpSessions(jute.SessionExpired)
		start := s.config.Epoch << 32
		if start <= s.tree.LastZxid() {
			invariant("an epoch begins after everything that is in the tree", hex(s.tree.LastZxid()), hex(start))
		}
		s.tree.SetLastZxid(start)
		s.toBeApplied = &toBeAppliedRequestProcessor{next: final}
		s.commit = newCommitProcessor(s, s.toBeApplied, s.config.SyncByQuorum)
		s.sync.next = &ackRequestProcessor{server: s, leading: s.outputs.Leading}
		s.proposal = &proposalRequestProcessor{
			next: s.commit, sync: s.sync, leading: s.outputs.Leading, syncByQuorum: s.config.SyncByQuorum,
		}
		s.prep = s.newPrep(s.proposal, start+s.config.FirstCounter)
		s.proposal.prep = s.prep
		s.first = &leaderRequestProcessor{server: s, next: s.prep}
	case Follower, Observer:
		s.learnerTracker = newLearnerSessionTracker()
		s.commit = newCommitProcessor(s, final, true)
		s.forwarding = &followerRequestProcessor{server: s, next: s.commit, learner: s.outputs.Learner}
		s.first = s.forwarding
		if s.config.Role == Observer {
			s.first = &observerRequestProcessor{s.forwarding}
			return
		}
		s.sync.next = &sendAckRequestProcessor{server: s, learner: s.outputs.Learner}
	case ReadOnly:
		s.learnerTracker = newLearnerSessionTracker()
		s.prep = s.newPrep(final, s.tree.LastZxid())
		s.first = &readOnlyRequestProcessor{server: s, next: s.prep}
	default:
		invariant("a role", "Standalone, Leader, Follower, Observer or ReadOnly", s.config.Role)
	}
}

// setUpSessions makes this server the one that decides which sessions, and which containers, live.
func (s *Server) setUpSessions(unknown jute.Code) {
	s.containers = &containerManager{server: s, checkAt: s.now.Elapsed + s.config.Containers.CheckInterval}
	s.tracker = newSessionTracker(s.config.TickTime.Milliseconds(), s.now.Elapsed.Milliseconds(), unknown)
	s.tracker.rare = s.config.Rare
	for _, session := range s.tree.Sessions() {
		s.tracker.track(session.SessionID, session.TimeOut)
	}
}

func (s *Server) newPrep(next requestProcessor, lastZxid int64) *prepRequestProcessor {
	closing := jute.EncodePayload(jute.TxnHeader{Type: jute.OpCloseSession}, &jute.CloseSessionTxn{}, &jute.TxnDigest{})
	return &prepRequestProcessor{
		ephemeralsMax: s.config.TransactionMax - len(closing),
		server:        s, next: next, lastZxid: lastZxid, held: map[holder]*heldRequests{},
		changes: newOutstandingChanges(s.tree, s.config.DigestEnabled),
	}
}

// Tick tells the time. A leader expires sessions by it. Call it before each batch of inputs.
func (s *Server) Tick(now Now) {
	if s.closed {
		return
	}
	s.now = now
	s.sync.tick(now.Elapsed)
	if s.tracker != nil {
		if !s.config.Defects.On(defect.NeverExpire) {
			s.expireSessions()
		}
		s.containers.tick(now)
	}
	for _, session := range s.local.expire(now.Elapsed.Milliseconds()) {
		s.config.Log.Info("local session expired", "session", hex(session))
		s.submit(&request{session: session, op: jute.OpCloseSession})
	}
	if now.Elapsed >= s.inspectAt {
		s.inspectAt = now.Elapsed + inspectionInterval
		if s.config.Defects.On(defect.LateWatch) {
			s.inspectAt = now.Elapsed + lateEventDelay
		}
		s.inspectConnections()
	}
	s.run()
}

// expireSessions closes the sessions whose time is over, wherever their clients are connected.
func (s *Server) expireSessions() {
	for _, session := range s.tracker.expire(s.now.Elapsed.Milliseconds()) {
		s.counts.SessionsExpired++
		s.config.Log.Info("session expired", "session", hex(session))
		s.submit(&request{session: session, op: jute.OpCloseSession})
	}
}

// Work goes on with what Config.Schedule left undone.
func (s *Server) Work() { s.run() }

// run works until nothing is left to do, or until the schedule says that it is enough. Inputs that
// come out of outputs are worked off by the outermost run.
func (s *Server) run() {
	if s.running || s.closed {
		return
	}
	s.running = true
	defer func() { s.running = false }()
	for {
		stages := s.readyStages(s.stages[:0])
		if len(stages) == 0 {
			return
		}
		stage, ok := stages[0], true
		if s.config.Schedule != nil {
			stage, ok = s.config.Schedule(stages)
		}
		if !ok {
			return
		}
		s.step(stage)
	}
}

func (s *Server) readyStages(ready []Stage) []Stage {
	if s.prep != nil && s.prep.hasWork() {
		ready = append(ready, StagePrep)
	}
	if s.sync.hasWork() {
		ready = append(ready, StageSync)
	}
	if s.commit != nil && s.commit.hasWork() {
		ready = append(ready, StageCommit)
	}
	return ready
}

func (s *Server) step(stage Stage) {
	switch stage {
	case StagePrep:
		s.prep.step()
	case StageSync:
		s.sync.step()
	case StageCommit:
		s.commit.step()
	}
}

// Synced tells that the Sync with this ticket is done.
func (s *Server) Synced(ticket disk.Ticket) {
	if s.closed {
		return
	}
	s.sync.synced(ticket)
	s.run()
}

// Shutdown leaves the role: every client connection is closed, and nothing that was pending is
// answered. It returns the entries that were handed to the log but are not applied to the tree,
// oldest first: the tree may be fast-forwarded by them once the disk has done everything that was
// asked of it before (ZOOKEEPER-4712, ZOOKEEPER-2845). The server must not be used afterwards.
func (s *Server) Shutdown() []disk.Entry {
	for _, c := range s.connectionsInOrder() {
		s.closeConnection(c)
	}
	s.closed = true
	s.sync.drain()
	var entries []disk.Entry
	for _, r := range s.unapplied.all() {
		entries = append(entries, r.entry)
	}
	return entries
}

// invariant stops a server that has broken one of its own rules: going on would spread the damage.
func invariant(rule string, expected, found any) {
	panic(fmt.Sprintf("pipeline: %s: expected %v, found %v", rule, expected, found))
}
