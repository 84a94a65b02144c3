package election

import (
	"fmt"
	"math"
	"slices"
	"time"

	"ordeal/node/defect"
	"ordeal/node/quorum"
	"ordeal/node/rare"
)

// Apache's times (FastLeaderElection).
const (
	// FinalizeWait is how long a server that sees a quorum for its proposal still waits for a better
	// one.
	FinalizeWait = 200 * time.Millisecond
	// NotificationIntervalMin and NotificationIntervalMax bound the time after which a server that
	// still looks repeats itself; it doubles each time.
	NotificationIntervalMin = 200 * time.Millisecond
	NotificationIntervalMax = 60 * time.Second
)

// notACandidate stands for all values of the proposal of a server that does not vote.
const notACandidate = math.MinInt64

// Options is what an election must know before its first input.
type Options struct {
	Defects    defect.Set
	MyID       int64
	Membership *quorum.Config
	// FinalizeWait, NotificationIntervalMin and NotificationIntervalMax default to the constants of
	// the same names.
	FinalizeWait            time.Duration
	NotificationIntervalMin time.Duration
	NotificationIntervalMax time.Duration
	// Rare takes rare branches on purpose.
	Rare rare.Choice
}

// Outgoing is a notification for one server.
type Outgoing struct {
	To      int64
	Message Notification
}

// Decision ends a round: whom to follow, and as what. Role is Leading, Following or Observing.
type Decision struct {
	Leader int64
	Role   State
	Vote   Vote
}

// Output is what the election wants done.
type Output struct {
	Messages []Outgoing
	// Decision is not nil once in a round: the server is then no longer looking.
	Decision *Decision
}

// FastLeaderElection is one server's part in elections, from its start to its end: it also answers
// for the server while it follows or leads. Time is monotonic and told by Tick; the first moment is
// 0 if Tick was not called before.
type FastLeaderElection struct {
	options    Options
	voters     []int64 // of the present and the next membership, ascending
	verifier   quorum.Verifier
	agreeing   quorum.Set // scratch of supports
	configText string     // of the membership
	now        time.Duration

	started bool
	state   State
	// current is the vote that the last round ended with.
	current Vote

	// round is the logical clock. It never goes back, also not from one Start to the next.
	round    int64
	initial  Vote // what this server proposes if it hears of nothing better
	proposal Vote
	// received holds the votes of this round, of servers that look and of those that settled in it.
	received map[int64]heard
	// outOfElection holds what settled servers say, whatever round they settled in.
	outOfElection map[int64]heard

	resendInterval time.Duration
	resendAt       time.Duration
	// finalizing is true from a quorum for the proposal until finalizeAt or a better one.
	finalizing bool
	finalizeAt time.Duration

	output Output
}

// New returns an election that has not started: until Start it does nothing but watch the time.
func New(options Options) *FastLeaderElection {
	if options.FinalizeWait == 0 {
		options.FinalizeWait = FinalizeWait
	}
	if options.NotificationIntervalMin == 0 {
		options.NotificationIntervalMin = NotificationIntervalMin
	}
	if options.NotificationIntervalMax == 0 {
		options.NotificationIntervalMax = NotificationIntervalMax
	}
	e := &FastLeaderElection{options: options}
	e.SetMembership(options.Membership, nil)
	return e
}

// SetMembership replaces who votes. Next is a later membership that is about to take the place of the
// present one, or nil: as long as nobody knows whether it does, a leader needs a quorum of each. It
// counts from the next input on.
func (e *FastLeaderElection) SetMembership(membership, next *quorum.Config) {
	e.options.Membership = membership
	e.voters = membership.Voters()
	if membership.Precedes(next) {
		e.voters = append(e.voters, next.Voters()...)
		slices.Sort(e.voters)
		e.voters = slices.Compact(e.voters)
	}
	e.verifier = quorum.JointVerifier(membership, next)
	e.configText = membership.String()
}

// State is what the server is doing as far as the election knows: Looking from Start until a
// decision.
func (e *FastLeaderElection) State() State { return e.state }

// CurrentVote is what the server tells others that ask: its proposal while it looks, afterwards the
// vote that the round ended with.
func (e *FastLeaderElection) CurrentVote() Vote {
	if e.state == Looking {
		return e.proposal
	}
	return e.current
}

// Round is the logical clock.
func (e *FastLeaderElection) Round() int64 { return e.round }

// Start begins a new round with this server's last logged zxid and current epoch, -1 if its disk is
// empty and may not be trusted. A server that does not vote only listens.
func (e *FastLeaderElection) Start(lastZxid, currentEpoch int64) {
	e.started = true
	e.state = Looking
	e.round++
	e.initial = Vote{Leader: e.options.MyID, Zxid: lastZxid, PeerEpoch: currentEpoch}
	if !e.participates() {
		e.initial = Vote{Leader: notACandidate, Zxid: notACandidate, PeerEpoch: notACandidate}
	}
	e.received = map[int64]heard{}
	e.outOfElection = map[int64]heard{}
	e.finalizing = false
	e.output.Decision = nil
	e.resendInterval = e.options.NotificationIntervalMin
	e.propose(e.initial)
	e.broadcast()
	e.considerProposal()
}

// SetPeerEpoch tells that the server is now settled under its leader in epoch. All servers that
// joined this leader then report the same vote, in whatever round they found it, so that a later one
// can find a quorum among them (ZOOKEEPER-1732, 1818).
func (e *FastLeaderElection) SetPeerEpoch(epoch int64) { e.current.PeerEpoch = epoch }

// Tick tells the time.
func (e *FastLeaderElection) Tick(now time.Duration) {
	if now < e.now {
		panic(fmt.Sprintf("election: time went back from %v to %v", e.now, now))
	}
	e.now = now
	if !e.started || e.state != Looking {
		return
	}
	if e.finalizing && now >= e.finalizeAt {
		if e.options.Rare.Take(rare.FinalizeLater) {
			e.finalizeAt = now + e.options.FinalizeWait
			return
		}
		e.decide(e.proposal)
		return
	}
	if now >= e.resendAt || e.options.Rare.Take(rare.ResendNow) {
		e.resendInterval = min(2*e.resendInterval, e.options.NotificationIntervalMax)
		e.broadcast()
	}
}

// NextDeadline is the time at which Tick will next do something; false if it waits for messages
// only.
func (e *FastLeaderElection) NextDeadline() (time.Duration, bool) {
	if !e.started || e.state != Looking {
		return 0, false
	}
	if e.finalizing {
		return min(e.finalizeAt, e.resendAt), true
	}
	return e.resendAt, true
}

// Take returns what there is to do and forgets it.
func (e *FastLeaderElection) Take() Output {
	output := e.output
	e.output = Output{}
	return output
}

// Receive takes a notification from a server, which need not belong to the ensemble.
func (e *FastLeaderElection) Receive(from int64, n Notification) {
	if !e.started || from == e.options.MyID {
		return
	}
	if !e.votes(from) {
		// Observers learn this way whom to observe. Only who looks is answered, and by a server that does not vote
		// either only when it does not look itself, or the two would answer one another without end: that is
		// how one learns of a membership in which nobody votes whom it knows.
		if n.State == Looking && (e.votes(e.options.MyID) || e.state != Looking) {
			e.send(from)
		}
		return
	}
	if e.state != Looking {
		if n.State == Looking {
			e.send(from)
		}
		return
	}
	if n.State == Looking && n.ElectionEpoch < e.round && e.votes(e.options.MyID) {
		e.send(from)
	}
	if !e.votes(n.Leader) {
		// A voter of the next membership that has nobody to propose yet still tells the time: it would not listen
		// to an earlier round.
		if n.State == Looking && n.ElectionEpoch > e.round && n.Leader == notACandidate {
			e.startRound(n.ElectionEpoch)
			e.propose(e.initial)
			e.broadcast()
			e.considerProposal()
		}
		return
	}
	switch n.State {
	case Looking:
		e.receiveLooking(from, n)
	case Following, Leading:
		e.receiveSettled(from, n)
	case Observing:
		// An observer has no say.
	}
}

// startRound enters a later round, in which nobody has voted yet.
func (e *FastLeaderElection) startRound(round int64) {
	e.round = round
	e.received = map[int64]heard{}
	e.finalizing = false
}

// receiveLooking takes the vote of a server that looks as this one does.
func (e *FastLeaderElection) receiveLooking(from int64, n Notification) {
	// A zxid of -1 stands for a disk that may have lost what it held: its vote must not count, and a
	// server that has such a disk must not decide by votes.
	if e.initial.Zxid == -1 || n.Zxid == -1 {
		return
	}
	offered := Vote{Leader: n.Leader, Zxid: n.Zxid, PeerEpoch: n.PeerEpoch}
	switch {
	case n.ElectionEpoch < e.round:
		return
	case n.ElectionEpoch > e.round:
		e.startRound(n.ElectionEpoch)
		if e.preferred(offered, e.initial) {
			e.propose(offered)
		} else {
			e.propose(e.initial)
		}
		e.broadcast()
	case e.preferred(offered, e.proposal):
		e.propose(offered)
		e.broadcast()
	}
	e.received[from] = heardFrom(n)
	e.considerProposal()
}

// receiveSettled takes the word of a server that follows or leads.
func (e *FastLeaderElection) receiveSettled(from int64, n Notification) {
	vote := heardFrom(n)
	if n.ElectionEpoch == e.round {
		e.received[from] = vote
		if e.supports(e.received, vote) && e.leaderAgrees(e.received, n) {
			e.decide(vote.Vote)
			return
		}
	}
	e.outOfElection[from] = vote
	if e.supports(e.outOfElection, vote) && e.leaderAgrees(e.outOfElection, n) {
		// Apache takes over an earlier round too; then votes of two elections could carry the same round.
		e.round = max(e.round, n.ElectionEpoch)
		e.decide(vote.Vote)
		return
	}
	e.considerProposal()
}

// leaderAgrees guards against following a server that does not lead (any more): the leader itself
// must have said so, or must be this server in its present round. One that has lost its disk must not lead,
// whoever still follows what it was before.
func (e *FastLeaderElection) leaderAgrees(votes map[int64]heard, n Notification) bool {
	if n.Leader == e.options.MyID {
		return n.ElectionEpoch == e.round && e.initial.Zxid != -1
	}
	leader, known := votes[n.Leader]
	return known && leader.state == Leading
}

// considerProposal starts or ends the last wait, as a quorum for the proposal comes and goes.
func (e *FastLeaderElection) considerProposal() {
	if e.options.Defects.On(defect.LeadAlone) && len(e.received) == len(e.options.Membership.Voters()) {
		e.decide(e.proposal)
		return
	}
	if !e.supports(e.received, heard{Vote: e.proposal, state: Looking}) || e.initial.Zxid == -1 {
		e.finalizing = false
		return
	}
	if !e.finalizing {
		e.finalizing = true
		e.finalizeAt = e.now + e.options.FinalizeWait
	}
}

// supports tells whether those that agree with vote are a quorum.
func (e *FastLeaderElection) supports(votes map[int64]heard, vote heard) bool {
	agreeing := e.agreeing[:0]
	for _, id := range e.voters {
		if opinion, known := votes[id]; known && opinion.agrees(vote) {
			agreeing.Add(id)
		}
	}
	e.agreeing = agreeing
	return e.verifier.ContainsQuorum(agreeing)
}

// preferred is better, except that a server without weight cannot be elected.
func (e *FastLeaderElection) preferred(offered, present Vote) bool {
	better := offered.better(present)
	if e.options.Defects.On(defect.CircularVotes) {
		better = offered.PeerEpoch > present.PeerEpoch || offered.PeerEpoch == present.PeerEpoch && offered.Zxid > present.Zxid ||
			offered.Zxid == present.Zxid && offered.Leader > present.Leader
	}
	return e.verifier.Weight(offered.Leader) != 0 && better
}

// propose changes this server's vote in the present round and counts it.
func (e *FastLeaderElection) propose(vote Vote) {
	vote.ElectionEpoch = e.round
	if vote != e.proposal {
		e.finalizing = false
	}
	e.proposal = vote
	if e.votes(e.options.MyID) {
		e.received[e.options.MyID] = heard{Vote: vote, state: Looking, version: NotificationVersion}
	}
}

func (e *FastLeaderElection) decide(vote Vote) {
	e.current = vote
	e.finalizing = false
	e.state = Following
	switch {
	case vote.Leader == e.options.MyID:
		e.state = Leading
	case e.observes():
		e.state = Observing
	}
	e.output.Decision = &Decision{Leader: vote.Leader, Role: e.state, Vote: vote}
}

// observes tells whether the membership says that this server observes. One that it does not name follows,
// so that it is ready to become a voter.
func (e *FastLeaderElection) observes() bool {
	server, found := e.options.Membership.Server(e.options.MyID)
	return found && server.Role == quorum.Observer
}

// Settle ends the search without a vote: a reconfiguration has named the leader.
func (e *FastLeaderElection) Settle(leader, zxid int64) Decision {
	e.started = true
	e.decide(Vote{Leader: leader, Zxid: zxid, ElectionEpoch: e.round, PeerEpoch: -1})
	decision := *e.output.Decision
	e.output.Decision = nil
	return decision
}

// broadcast tells all other voters this server's vote, and sets the time of the next repetition.
func (e *FastLeaderElection) broadcast() {
	for _, id := range e.voters {
		if id != e.options.MyID {
			e.send(id)
		}
	}
	e.resendAt = e.now + e.resendInterval
}

// send tells one server this server's vote.
func (e *FastLeaderElection) send(to int64) {
	vote := e.CurrentVote()
	e.output.Messages = append(e.output.Messages, Outgoing{To: to, Message: Notification{
		State:         e.state,
		Leader:        vote.Leader,
		Zxid:          vote.Zxid,
		ElectionEpoch: vote.ElectionEpoch,
		PeerEpoch:     vote.PeerEpoch,
		Version:       NotificationVersion,
		Config:        e.configText,
	}})
}

// participates tells whether this server may be elected.
func (e *FastLeaderElection) participates() bool { return e.options.Membership.IsVoter(e.options.MyID) }

func (e *FastLeaderElection) votes(id int64) bool {
	_, found := slices.BinarySearch(e.voters, id)
	return found
}

func heardFrom(n Notification) heard {
	return heard{
		Vote:    Vote{Leader: n.Leader, Zxid: n.Zxid, ElectionEpoch: n.ElectionEpoch, PeerEpoch: n.PeerEpoch},
		state:   n.State,
		version: n.Version,
	}
}
