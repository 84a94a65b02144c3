package peer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/peer/internal/world"
)

// More interleavings that broke real ensembles, as in interleavings_test.go.

// A transaction that only a member of an earlier epoch has logged is not brought back by a later epoch in which that
// member takes part again, though nothing was written in between.
func Test2832(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	s.create(leader, "/a")
	s.ghost(leader)
	s.Boot(second, third)
	s.serve(second, third)
	s.CrashAll(true)
	s.Boot(leader, third)
	s.serve(leader, third)
	s.requireNode(leader, "/ghost", jute.NoNode)
	s.requireNode(third, "/ghost", jute.NoNode)
	s.converge()
}

// A leader serves once its NEWLEADER is acknowledged, though no follower has heard UPTODATE: what it served is on
// their disks.
func Test3911(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	s.create(leader, "/a")
	s.ghost(leader)
	s.Filter = hold(jute.PacketUpToDate, leader, nil)
	s.Boot(leader, second)
	s.serve(leader)
	require.False(t, second.State().Serving)
	leader.Crash(true)
	second.Crash(true)
	s.Filter = nil
	s.Boot(second, third)
	s.serve(second, third)
	s.requireNode(third, "/ghost", jute.Ok)
	s.converge()
}

// A learner is told to truncate and loses its leader before NEWLEADER: memory and log end at the same place.
func Test5094(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	s.create(leader, "/a")
	s.ghost(leader)
	s.Boot(second, third)
	s.serve(second, third)
	s.create(second, "/b")
	truncated := false
	s.Filter = func(from, to *world.Member, message peer.LearnerMessage) bool {
		truncated = truncated || (to == leader && message.Packet.Type != jute.PacketLeaderInfo)
		return to != leader || message.Packet.Type != jute.PacketNewLeader
	}
	s.Boot(leader)
	s.until(func() bool { return truncated })
	s.RunFor(200 * time.Millisecond)
	s.Leader().Crash(true)
	s.Filter = nil
	s.Nudge()
	s.until(func() bool { return s.Leader() != nil && s.Leader().Up() })
	s.converge()
	s.requireNode(leader, "/b", jute.Ok)
	s.requireNode(leader, "/ghost", jute.NoNode)
}

// Members that joined their leader in different rounds report the same vote, so that a later one can join too (1818 is
// the same).
func Test1732(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	third.Crash(false)
	for range 3 {
		second.Crash(false)
		s.until(func() bool { return !leader.State().Serving })
		s.Boot(second)
		s.until(func() bool { return s.Leader() != nil })
		s.serve(leader, second)
	}
	s.Boot(third)
	s.serve(third)
	s.converge()
}

// Leaders fail one after the other before anybody has acknowledged their epochs, so that the members have accepted
// different ones. They agree on a later one (1081 and 1082 are the same).
func Test335(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	s.create(leader, "/a")
	s.CrashAll(true)
	for _, pair := range [][2]*world.Member{{leader, second}, {second, third}, {leader, third}} {
		held := false
		s.Filter = func(from, to *world.Member, message peer.LearnerMessage) bool {
			held = held || message.Packet.Type == jute.PacketAckEpoch
			return message.Packet.Type != jute.PacketAckEpoch
		}
		s.Boot(pair[0], pair[1])
		s.until(func() bool { return held })
		s.CrashAll(true)
	}
	s.Filter = nil
	s.Boot(leader, second, third)
	s.serve(leader, second, third)
	s.requireNode(third, "/a", jute.Ok)
	s.converge()
}

// The end of a session stands in a member's log but is not applied when its leader goes: its ephemerals are on no
// member afterwards, whoever restarts.
func Test4541(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	c := s.client(second)
	call := c.CreateEphemeral("/e")
	s.answered(call)
	require.Equal(t, jute.Ok, call.Err)
	third.Disk().Held = true
	s.Filter = hold(jute.PacketCommit, leader, third)
	s.answered(c.CloseSession())
	leader.Crash(true)
	s.RunFor(500 * time.Millisecond)
	third.Disk().Release()
	s.Filter = nil
	s.Nudge()
	s.serve(second, third)
	s.requireNode(second, "/e", jute.NoNode)
	s.requireNode(third, "/e", jute.NoNode)
	s.converge()
	s.requireNode(leader, "/e", jute.NoNode)
}

// The leader's log breaks: it leads no longer, and what it had not on disk was promised to nobody.
func Test2247(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	s.create(leader, "/a")
	leader.Disk().Held = true
	call := s.client(second).Create("/b")
	s.answered(call)
	require.Equal(t, jute.Ok, call.Err, "a quorum does not need the leader's disk")
	leader.Crash(true)
	s.serve(second, third)
	s.requireNode(second, "/b", jute.Ok)
	s.requireNode(third, "/b", jute.Ok)
	s.converge()
}

// Epochs run out of numbers again and again (2789, 4883): each time another one begins, nothing acknowledged is lost and
// no zxid is given twice.
func Test1277(t *testing.T) {
	w := world.New(world.Options{Seed: 1, Voters: 3, Clients: 3, FirstCounter: 0xffffffff - 40})
	w.Start()
	w.RunFor(30 * time.Second)
	require.NoError(t, w.Violation())
	require.Greater(t, w.Members[0].State().Epoch, int64(5))
	w.Settle()
	require.NoError(t, w.Violation())
}
