package election

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
	"ordeal/node/quorum"
	"ordeal/node/rare"
)

// membership makes servers 1…voters participants and the next ones observers.
func membership(t testing.TB, voters, observers int, more ...string) *quorum.Config {
	t.Helper()
	text := ""
	for id := 1; id <= voters+observers; id++ {
		role := "participant"
		if id > voters {
			role = "observer"
		}
		text += fmt.Sprintf("server.%d=h%d:1:2:%s\n", id, id, role)
	}
	for _, line := range more {
		text += line + "\n"
	}
	config, err := quorum.Parse(text)
	require.NoError(t, err)
	return config
}

// started is an election of server id among voters that has begun its first round, round 1, with
// epoch 5 and zxid 0x500000010; its first messages are taken.
func started(t testing.TB, id int64, config *quorum.Config) *FastLeaderElection {
	t.Helper()
	e := New(Options{MyID: id, Membership: config})
	e.Start(myZxid, myEpoch)
	e.Take()
	return e
}

const (
	myEpoch = 5
	myZxid  = 0x500000010
)

// looking is a vote for leader in round 1 with the epoch and zxid that started uses.
func looking(leader int64) Notification {
	return Notification{State: Looking, Leader: leader, Zxid: myZxid, ElectionEpoch: 1, PeerEpoch: myEpoch, Version: NotificationVersion}
}

// recipients are the servers that messages go to, all of which must say the same.
func recipients(t *testing.T, messages []Outgoing) []int64 {
	t.Helper()
	var ids []int64
	for _, message := range messages {
		require.Equal(t, messages[0].Message, message.Message)
		ids = append(ids, message.To)
	}
	return ids
}

func TestStartAdvancesTheRoundProposesOneselfAndTellsAllVoters(t *testing.T) {
	config := membership(t, 3, 1)
	e := New(Options{MyID: 2, Membership: config})
	for round := int64(1); round <= 3; round++ {
		e.Start(myZxid, myEpoch)
		output := e.Take()
		require.Equal(t, []int64{1, 3}, recipients(t, output.Messages))
		require.Equal(t, Notification{
			State: Looking, Leader: 2, Zxid: myZxid, ElectionEpoch: round, PeerEpoch: myEpoch,
			Version: NotificationVersion, Config: config.String(),
		}, output.Messages[0].Message)
		require.Nil(t, output.Decision)
	}
}

func TestNothingIsSaidBeforeTheStart(t *testing.T) {
	e := New(Options{MyID: 2, Membership: membership(t, 3, 1)})
	e.Tick(time.Hour)
	e.Receive(1, looking(1))
	e.Receive(4, looking(1))
	require.Equal(t, Output{}, e.Take())
	_, armed := e.NextDeadline()
	require.False(t, armed)
}

func TestObserverProposesNobody(t *testing.T) {
	e := New(Options{MyID: 4, Membership: membership(t, 3, 1)})
	e.Start(myZxid, myEpoch)
	messages := e.Take().Messages
	require.Equal(t, []int64{1, 2, 3}, recipients(t, messages))
	require.EqualValues(t, math.MinInt64, messages[0].Message.Leader)
	require.EqualValues(t, math.MinInt64, messages[0].Message.Zxid)
	require.EqualValues(t, math.MinInt64, messages[0].Message.PeerEpoch)
}

func TestOrderOfVotes(t *testing.T) {
	vote := func(epoch, zxid, id int64) Vote { return Vote{PeerEpoch: epoch, Zxid: zxid, Leader: id} }
	ascending := []Vote{vote(1, 9, 9), vote(2, 1, 1), vote(2, 1, 2), vote(2, 3, 1), vote(3, 0, 1)}
	for i, a := range ascending {
		for j, b := range ascending {
			require.Equal(t, i > j, a.better(b), "%+v better than %+v", a, b)
		}
	}
}

func TestLookingVotes(t *testing.T) {
	for _, test := range []struct {
		name      string
		from      int64
		change    func(*Notification)
		proposal  int64 // afterwards
		round     int64
		told      []int64
		finalizes bool
	}{
		{"better in the same round: adopted, told to all; with mine it is a quorum", 3, func(n *Notification) { n.Leader = 3 }, 3, 1, []int64{1, 3}, true},
		{"worse in the same round: only recorded", 1, func(n *Notification) { n.Leader = 1 }, 2, 1, nil, false},
		{"equal to mine: a quorum of three", 1, func(n *Notification) {}, 2, 1, nil, true},
		{"a larger round with a worse vote: round adopted, own initial vote again", 1, func(n *Notification) { n.Leader = 1; n.ElectionEpoch = 9 }, 2, 9, []int64{1, 3}, false},
		{"a larger round with a better vote: both adopted", 1, func(n *Notification) { n.Leader = 3; n.ElectionEpoch = 9 }, 3, 9, []int64{1, 3}, true},
		{"a smaller round: ignored, the sender is told", 1, func(n *Notification) { n.Leader = 3; n.ElectionEpoch = 0 }, 2, 1, []int64{1}, false},
		{"the epoch counts before the zxid", 1, func(n *Notification) { n.Leader = 1; n.PeerEpoch = myEpoch + 1; n.Zxid = 1 }, 1, 1, []int64{1, 3}, true},
		{"a higher zxid of a lower epoch does not win", 1, func(n *Notification) { n.Leader = 1; n.PeerEpoch = myEpoch - 1; n.Zxid = math.MaxInt64 }, 2, 1, nil, false},
		{"a zxid of -1: ignored", 1, func(n *Notification) { n.Zxid = -1; n.PeerEpoch = 99 }, 2, 1, nil, false},
		{"a vote for somebody unknown: ignored", 1, func(n *Notification) { n.Leader = 77; n.PeerEpoch = 99 }, 2, 1, nil, false},
		{"a vote for an observer: ignored", 1, func(n *Notification) { n.Leader = 4; n.PeerEpoch = 99 }, 2, 1, nil, false},
		{"an observer's word: only answered", 4, func(n *Notification) { n.Leader = 3; n.ElectionEpoch = 9 }, 2, 1, []int64{4}, false},
		{"a stranger's word: only answered", 9, func(n *Notification) { n.Leader = 3 }, 2, 1, []int64{9}, false},
		{"my own word come back: ignored", 2, func(n *Notification) { n.Leader = 3 }, 2, 1, nil, false},
		{"OBSERVING: ignored", 1, func(n *Notification) { n.State = Observing; n.Leader = 3 }, 2, 1, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := started(t, 2, membership(t, 3, 1))
			message := looking(2)
			test.change(&message)
			e.Receive(test.from, message)
			output := e.Take()
			require.Equal(t, test.proposal, e.CurrentVote().Leader)
			require.Equal(t, test.round, e.Round())
			require.Equal(t, test.told, recipients(t, output.Messages))
			if len(output.Messages) > 0 {
				require.Equal(t, test.proposal, output.Messages[0].Message.Leader)
				require.Equal(t, test.round, output.Messages[0].Message.ElectionEpoch)
				require.Equal(t, Looking, output.Messages[0].Message.State)
			}
			require.Nil(t, output.Decision)
			e.Tick(FinalizeWait)
			require.Equal(t, test.finalizes, e.Take().Decision != nil)
		})
	}
}

func TestEmptyDiskDecidesNothingByVotes(t *testing.T) {
	e := New(Options{MyID: 2, Membership: membership(t, 3, 0)})
	e.Start(-1, 0)
	e.Take()
	e.Receive(1, looking(3))
	e.Receive(3, looking(3))
	e.Tick(10 * FinalizeWait)
	require.Nil(t, e.Take().Decision)
	// It may join those that have settled, though.
	for _, id := range []int64{1, 3} {
		e.Receive(id, settled(id, 3))
	}
	require.Equal(t, Following, e.Take().Decision.Role)
}

func TestDecisionWaitsForABetterVote(t *testing.T) {
	e := started(t, 1, membership(t, 5, 0))
	e.Receive(2, looking(2))
	e.Receive(3, looking(2))
	e.Tick(FinalizeWait - time.Millisecond)
	e.Receive(4, looking(4)) // the quorum for 2 is gone: I vote for 4 now
	e.Take()
	e.Tick(3 * FinalizeWait)
	require.Nil(t, e.Take().Decision, "two of five are no quorum")
	e.Receive(3, looking(4))
	e.Tick(4*FinalizeWait - time.Millisecond)
	require.Nil(t, e.Take().Decision, "the wait begins with the quorum")
	e.Tick(4 * FinalizeWait)
	decision := e.Take().Decision
	require.Equal(t, &Decision{Leader: 4, Role: Following, Vote: Vote{Leader: 4, Zxid: myZxid, ElectionEpoch: 1, PeerEpoch: myEpoch}}, decision)
	e.Tick(time.Hour)
	require.Equal(t, Output{}, e.Take(), "a decision is made once, and nothing is sent unasked afterwards")
}

func TestWaitIsNotProlongedByVotesThatAreNotBetter(t *testing.T) {
	e := started(t, 3, membership(t, 3, 0))
	e.Receive(1, looking(3))
	e.Tick(FinalizeWait - time.Millisecond)
	e.Receive(2, looking(2))
	e.Receive(1, looking(3))
	e.Tick(FinalizeWait)
	require.Equal(t, Leading, e.Take().Decision.Role)
}

func TestQuorumLostDuringTheWait(t *testing.T) {
	e := started(t, 3, membership(t, 3, 0))
	e.Receive(1, looking(3))
	e.Tick(FinalizeWait / 2)
	e.Receive(1, looking(1)) // it started its round anew
	e.Tick(2 * FinalizeWait)
	require.Nil(t, e.Take().Decision)
}

// settled is what server from says after round 7 made leader the leader of epoch 6.
func settled(from, leader int64) Notification {
	state := Following
	if from == leader {
		state = Leading
	}
	return Notification{State: state, Leader: leader, Zxid: 0x500000020, ElectionEpoch: 7, PeerEpoch: 6, Version: NotificationVersion}
}

// Others may still follow what this server was before it lost its disk.
func TestEmptyDiskDoesNotLead(t *testing.T) {
	for zxid, decides := range map[int64]bool{-1: false, 0: true} {
		e := New(Options{MyID: 2, Membership: membership(t, 3, 0)})
		e.Start(zxid, 0)
		e.Take()
		for _, id := range []int64{1, 3} {
			follows := settled(id, 2)
			follows.ElectionEpoch = e.Round()
			e.Receive(id, follows)
		}
		require.Equal(t, decides, e.Take().Decision != nil)
	}
}

func TestJoiningSettledServers(t *testing.T) {
	type message struct {
		from int64
		n    Notification
	}
	change := func(n Notification, f func(*Notification)) Notification { f(&n); return n }
	for _, test := range []struct {
		name     string
		messages []message
		joins    bool
	}{
		{"a quorum with the leader", []message{{1, settled(1, 3)}, {3, settled(3, 3)}}, true},
		{"the order does not matter", []message{{3, settled(3, 3)}, {1, settled(1, 3)}}, true},
		{"a follower is no quorum", []message{{1, settled(1, 3)}}, false},
		{"the leader alone is no quorum", []message{{3, settled(3, 3)}}, false},
		{"the leader must say so itself", []message{{1, settled(1, 3)}, {4, settled(4, 3)}, {5, settled(5, 3)}}, false},
		{"a leader that looks again is none", []message{{1, settled(1, 3)}, {3, change(settled(3, 3), func(n *Notification) { n.State = Looking; n.ElectionEpoch = 0 })}}, false},
		{"other rounds and zxids do not matter (1732)", []message{
			{1, change(settled(1, 3), func(n *Notification) { n.ElectionEpoch = 2; n.Zxid = 1 })},
			{3, settled(3, 3)},
		}, true},
		{"another epoch does (1818: so it must be updated)", []message{
			{1, change(settled(1, 3), func(n *Notification) { n.PeerEpoch = 5 })},
			{3, settled(3, 3)},
		}, false},
		{"not against the old layout, which has none", []message{
			{1, change(settled(1, 3), func(n *Notification) { n.PeerEpoch = 5; n.Version = 0 })},
			{3, settled(3, 3)},
		}, true},
		{"followers of two leaders", []message{{1, settled(1, 4)}, {3, settled(3, 3)}}, false},
		{"observers have no say", []message{{6, settled(6, 3)}, {3, settled(3, 3)}}, false},
		{"OBSERVING voters have none either", []message{{1, change(settled(1, 3), func(n *Notification) { n.State = Observing })}, {3, settled(3, 3)}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := membership(t, 3, 0)
			if len(test.messages) > 2 || test.messages[0].from == 6 || test.messages[0].n.Leader == 4 {
				config = membership(t, 5, 1)
			}
			e := started(t, 2, config)
			for _, m := range test.messages {
				e.Receive(m.from, m.n)
			}
			decision := e.Take().Decision
			require.Equal(t, test.joins, decision != nil)
			if decision != nil {
				require.EqualValues(t, 3, decision.Leader)
				require.Equal(t, Following, decision.Role)
				require.EqualValues(t, 7, e.Round(), "the round of the ensemble is adopted")
			}
		})
	}
}

func TestSettledVotesOfMyRoundCountWithLookingOnes(t *testing.T) {
	// Server 1 has decided for me, in my round, and my own vote is for me: I lead.
	e := started(t, 2, membership(t, 3, 0))
	follower := looking(2)
	follower.State = Following
	e.Receive(1, follower)
	require.Equal(t, Leading, e.Take().Decision.Role)

	// The same from another round says nothing: that was an earlier leadership of mine.
	e = started(t, 2, membership(t, 3, 0))
	follower.ElectionEpoch = 7
	e.Receive(1, follower)
	e.Receive(3, follower)
	require.Nil(t, e.Take().Decision)
}

func TestObserverJoins(t *testing.T) {
	e := started(t, 4, membership(t, 3, 1))
	e.Receive(1, settled(1, 3))
	e.Receive(3, settled(3, 3))
	require.Equal(t, Observing, e.Take().Decision.Role)
}

func TestAnswersAfterTheDecision(t *testing.T) {
	e := started(t, 2, membership(t, 3, 1))
	e.Receive(1, settled(1, 3))
	e.Receive(3, settled(3, 3))
	e.Take()
	e.SetPeerEpoch(8)
	want := Notification{
		State: Following, Leader: 3, Zxid: 0x500000020, ElectionEpoch: 7, PeerEpoch: 8,
		Version: NotificationVersion, Config: membership(t, 3, 1).String(),
	}
	e.Receive(1, looking(1))
	require.Equal(t, []Outgoing{{To: 1, Message: want}}, e.Take().Messages, "a voter that looks is told whom I follow")
	e.Receive(1, settled(1, 3))
	require.Empty(t, e.Take().Messages, "one that does not is not")
	e.Receive(4, looking(4))
	require.Equal(t, []Outgoing{{To: 4, Message: want}}, e.Take().Messages, "an observer that looks too")
	e.Receive(4, settled(4, 3))
	require.Empty(t, e.Take().Messages, "one that does not is not")
}

// A voter that looks asks nobody who does not vote, and answers none that answers it: an observer that follows
// a leader would answer that in turn, without end. Found by seed 22824.
func TestVotersThatLookDoNotAnswerObserversThatDoNot(t *testing.T) {
	e := started(t, 2, membership(t, 3, 1))
	e.Take()
	observing := Notification{State: Observing, Leader: 3, Zxid: myZxid, ElectionEpoch: 7, PeerEpoch: 7}
	e.Receive(4, observing)
	require.Empty(t, e.Take().Messages)
	observing.State = Looking
	e.Receive(4, observing)
	require.Len(t, e.Take().Messages, 1)
}

func TestObserversDoNotAnswerOneAnother(t *testing.T) {
	e := started(t, 4, membership(t, 3, 2))
	e.Receive(5, looking(3))
	require.Empty(t, e.Take().Messages)
	// Nor a voter that lags behind: its vote would be answered in turn, without end.
	e.Receive(1, Notification{State: Looking, Leader: 1, Zxid: 1, ElectionEpoch: 0})
	require.Empty(t, e.Take().Messages)
}

func TestRepetitionBacksOff(t *testing.T) {
	e := started(t, 2, membership(t, 3, 0))
	wait := NotificationIntervalMin
	at := time.Duration(0)
	for range 12 {
		deadline, armed := e.NextDeadline()
		require.True(t, armed)
		require.Equal(t, at+wait, deadline)
		e.Tick(deadline - 1)
		require.Empty(t, e.Take().Messages)
		e.Tick(deadline)
		require.Equal(t, []int64{1, 3}, recipients(t, e.Take().Messages))
		at, wait = deadline, min(2*wait, NotificationIntervalMax)
	}
	require.Equal(t, NotificationIntervalMax, wait)

	e.Start(myZxid, myEpoch)
	deadline, _ := e.NextDeadline()
	require.Equal(t, at+NotificationIntervalMin, deadline, "a new election begins with the short interval")
}

func TestWeightlessServerIsNotElected(t *testing.T) {
	config := membership(t, 3, 0, "group.1=1:2:3", "weight.3=0")
	e := started(t, 1, config)
	e.Receive(3, looking(3))
	require.EqualValues(t, 1, e.CurrentVote().Leader)
	e.Receive(2, looking(2))
	require.EqualValues(t, 2, e.CurrentVote().Leader)
	e.Tick(FinalizeWait)
	require.EqualValues(t, 2, e.Take().Decision.Leader, "1 and 2 have all the weight")
}

func TestLoneVoterElectsItself(t *testing.T) {
	e := started(t, 1, membership(t, 1, 1))
	e.Tick(FinalizeWait)
	require.Equal(t, Leading, e.Take().Decision.Role)
}

// ZOOKEEPER-975: a server that joins late receives the whole history of the votes that its peers
// exchanged. Apache once counted only that it had heard from all, and led.
func TestLateJoinerWithStaleVotes975(t *testing.T) {
	late := func(defects defect.Set) *FastLeaderElection {
		e := New(Options{MyID: 3, Membership: membership(t, 3, 0), Defects: defects})
		e.Start(myZxid, myEpoch)
		e.Receive(1, looking(1))
		e.Receive(2, looking(2))
		e.Receive(1, looking(2))
		e.Tick(FinalizeWait)
		return e
	}
	require.Equal(t, Leading, late(defect.Set{defect.LeadAlone: true}).Take().Decision.Role, "the mistake itself")
	e := late(nil)
	require.Nil(t, e.Take().Decision, "all have been heard, but none votes for 3")
	for _, id := range []int64{1, 2} {
		n := looking(2)
		n.State = Following
		if id == 2 {
			n.State = Leading
		}
		e.Receive(id, n)
	}
	decision := e.Take().Decision
	require.EqualValues(t, 2, decision.Leader)
	require.Equal(t, Following, decision.Role)
}

// Test3537: whether a leader leads is asked of the same votes in which a quorum for it was found. Here server 3 led in an
// earlier epoch and looks again: those that already follow it have a quorum of my round, with me, but it must say so
// itself in this round.
func Test3537(t *testing.T) {
	e := started(t, 2, membership(t, 5, 0))
	before := settled(3, 3)
	before.PeerEpoch = myEpoch - 1
	e.Receive(3, before)
	e.Receive(3, looking(3))
	follower := looking(3)
	follower.State = Following
	e.Receive(1, follower)
	require.Nil(t, e.Take().Decision)
	e.Tick(FinalizeWait)
	require.Equal(t, Following, e.Take().Decision.Role, "by the votes of this round")
}

// A server may wait longer than it must before its round ends, and repeat itself sooner.
func TestRareBranches(t *testing.T) {
	taken := rare.Place("")
	e := New(Options{MyID: 1, Membership: membership(t, 3, 0), Rare: func(place rare.Place) bool { return place == taken }})
	e.Start(5, 1)
	e.Take()
	e.Tick(time.Millisecond)
	require.Empty(t, e.Take().Messages)
	taken = rare.ResendNow
	e.Tick(2 * time.Millisecond)
	require.NotEmpty(t, e.Take().Messages)

	taken = rare.FinalizeLater
	e.Receive(2, Notification{Leader: 1, Zxid: 5, PeerEpoch: 1, ElectionEpoch: e.Round(), State: Looking})
	e.Tick(2*time.Millisecond + FinalizeWait)
	require.Nil(t, e.Take().Decision)
	taken = ""
	e.Tick(2*time.Millisecond + 2*FinalizeWait)
	require.NotNil(t, e.Take().Decision)
}
