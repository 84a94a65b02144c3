package peer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/peer/internal/world"
)

// The tests of this file replay, in a world without clients of its own, interleavings that broke
// real ensembles. The name of a test is the issue in Apache's tracker.

// stage is a world with a running ensemble of three.
type stage struct {
	*world.World
	t *testing.T
}

func newStage(t *testing.T) *stage {
	s := &stage{World: world.New(world.Options{Seed: 1, Voters: 3}), t: t}
	s.Start()
	s.serve(s.Members...)
	return s
}

func (s *stage) ok() { require.NoError(s.t, s.Violation()) }

// until lets time pass until a condition holds.
func (s *stage) until(condition func() bool) {
	s.t.Helper()
	reached := s.RunUntil(20*time.Second, condition)
	s.ok()
	require.True(s.t, reached, "%v", s.Members)
}

// serve waits until these members serve.
func (s *stage) serve(members ...*world.Member) {
	s.t.Helper()
	s.until(func() bool {
		for _, m := range members {
			if !m.State().Serving {
				return false
			}
		}
		return true
	})
}

// roles returns the leader and the two others.
func (s *stage) roles() (leader, second, third *world.Member) {
	leader = s.Leader()
	require.NotNil(s.t, leader)
	for _, m := range s.Members {
		if m != leader {
			second, third = third, m
		}
	}
	return leader, second, third
}

func (s *stage) client(m *world.Member) *world.Client {
	c := s.NewClient(m)
	s.until(c.Connected)
	return c
}

func (s *stage) answered(call *world.Call) {
	s.t.Helper()
	s.until(func() bool { return call.Answered })
}

// create makes a znode and waits until it is there.
func (s *stage) create(m *world.Member, path string) {
	s.t.Helper()
	call := s.client(m).Create(path)
	s.answered(call)
	require.Equal(s.t, jute.Ok, call.Err)
}

// requireNode asks one member for a znode.
func (s *stage) requireNode(m *world.Member, path string, want jute.Code) {
	s.t.Helper()
	call := s.client(m).Get(path)
	s.answered(call)
	require.Equal(s.t, want, call.Err, "%s at %v", path, m)
}

// converge wants all members to serve the same, now and after each has come back from its disk.
func (s *stage) converge() {
	s.t.Helper()
	s.HealAll()
	s.Filter = nil
	s.Nudge()
	s.Boot(s.Members...)
	for range 2 {
		s.until(s.AllServe)
		s.create(s.Members[0], "/after-"+s.Now().String())
		s.RunFor(time.Second)
		s.CheckConverged()
		s.ok()
		s.CrashAll(true)
		s.Boot(s.Members...)
	}
	s.until(s.AllServe)
	s.CheckConverged()
	s.ok()
}

// hold keeps packets of a type from one member to another back.
func hold(packetType int32, from, to *world.Member) func(a, b *world.Member, message peer.LearnerMessage) bool {
	return func(a, b *world.Member, message peer.LearnerMessage) bool {
		return a != from || (to != nil && b != to) || message.Packet.Type != packetType
	}
}

// ghost leaves a transaction in the leader's log that nobody else has, with all members down.
func (s *stage) ghost(leader *world.Member) {
	s.t.Helper()
	c := s.client(leader)
	s.RunFor(100 * time.Millisecond)
	end := leader.Disk().End()
	s.Filter = hold(jute.PacketProposal, leader, nil)
	call := c.Create("/ghost")
	s.until(func() bool { return leader.Disk().End() > end && leader.Disk().Holds(leader.Disk().End()) })
	require.False(s.t, call.Answered)
	s.CrashAll(true)
	s.Filter = nil
}

// A learner with the highest zxid, absent at the election, is cut back when it returns.
func Test1154(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	s.create(leader, "/a")
	s.ghost(leader)
	s.Boot(second, third)
	s.serve(second, third)
	s.create(second, "/b")
	s.Boot(leader)
	s.serve(leader)
	s.requireNode(leader, "/ghost", jute.NoNode)
	s.requireNode(leader, "/b", jute.Ok)
	s.converge()
}

// A leader that ends before it has a quorum leaves nothing on its disk that a TRUNC could not take
// back (1549 is its root).
func Test4837(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	s.create(leader, "/a")
	s.ghost(leader)
	s.Filter = func(from, to *world.Member, message peer.LearnerMessage) bool { return to != leader }
	s.Boot(leader, second)
	s.until(func() bool { return leader.State().Role == "leading" })
	s.RunFor(200 * time.Millisecond)
	leader.Crash(false)
	s.Filter = nil
	s.Nudge()
	s.Boot(third)
	s.serve(second, third)
	s.Boot(leader)
	s.serve(leader)
	s.requireNode(leader, "/ghost", jute.NoNode)
	s.converge()
}

// A follower that has logged a transaction but never heard of its commit stands by it in the next
// election, without a restart.
func Test2845(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	c := s.client(leader)
	s.RunFor(100 * time.Millisecond)
	s.Filter = hold(jute.PacketCommit, leader, nil)
	s.answered(c.Create("/a"))
	leader.Crash(true)
	s.serve(second, third)
	s.requireNode(second, "/a", jute.Ok)
	s.requireNode(third, "/a", jute.Ok)
	s.converge()
}

// A server that has left its leader does nothing before its disk has done all it was asked: nothing
// is appended behind its back.
func Test4712(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	s.create(leader, "/a")
	s.RunFor(time.Second)
	end := second.Disk().End()
	third.Disk().Held = true
	c := s.client(leader)
	s.RunFor(100 * time.Millisecond)
	s.Filter = hold(jute.PacketProposal, leader, second)
	c.Create("/b")
	s.RunFor(50 * time.Millisecond)
	leader.Crash(true)
	s.RunFor(5 * time.Second)
	s.ok()
	require.False(t, second.State().Serving, "a server whose disk stands still took part in an election")
	require.GreaterOrEqual(t, second.Disk().End(), end)
	third.Disk().Release()
	s.serve(second, third)
	require.Equal(t, second.Disk().End(), third.Disk().End())
	s.converge()
}

// A follower ends between currentEpoch and the transactions that came before it: it must not look
// more recent than a server that has them.
func Test4643(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	s.create(leader, "/z")
	s.until(s.AllServe)
	second.Crash(true) // A of the catalogue
	s.create(leader, "/a")
	s.until(func() bool { return third.Disk().End() == leader.Disk().End() })
	third.Crash(true) // B
	s.RunFor(time.Second)
	s.Ambush("WriteCurrentEpoch", func() { // of the leader itself
		s.Ambush("WriteCurrentEpoch", func() {
			second.Crash(true)
			leader.Crash(true)
		})
	})
	s.Boot(second)
	s.until(func() bool { return !second.Up() && !leader.Up() })
	s.Boot(second, third)
	s.serve(second, third)
	s.requireNode(second, "/a", jute.Ok)
	s.converge()
}

// Once a follower has acknowledged NEWLEADER the leader may serve what only it had: the follower must
// have it on disk by then.
func Test4646(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	s.create(leader, "/a")
	s.ghost(leader)
	s.Boot(leader, second)
	s.serve(leader)
	s.requireNode(leader, "/ghost", jute.Ok)
	second.Crash(true)
	leader.Crash(true)
	s.Boot(second, third)
	s.serve(second, third)
	s.requireNode(third, "/ghost", jute.Ok)
	s.converge()
}

// The COMMIT of a proposal that was outstanding when a follower joined comes before UPTODATE. The
// follower stays.
func Test4394(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	third.Crash(true)
	c := s.client(leader)
	s.RunFor(200 * time.Millisecond)
	acksHeld := true
	s.Filter = func(from, to *world.Member, message peer.LearnerMessage) bool {
		packet := message.Packet
		switch {
		case from == second && packet.Type == jute.PacketAck:
			return !acksHeld
		case from == third && packet.Type == jute.PacketAck:
			return !acksHeld || third.Disk().End() == 0
		}
		return true
	}
	call := c.Create("/a")
	s.RunFor(20 * time.Millisecond)
	s.Boot(third)
	s.until(func() bool { return third.Disk().End() == leader.Disk().End() })
	require.False(t, call.Answered)
	require.False(t, third.State().Serving)
	// Second's ACK commits; third's ACK of NEWLEADER is still on its way.
	s.Filter = hold(jute.PacketAck, third, leader)
	s.Nudge()
	s.answered(call)
	s.RunFor(50 * time.Millisecond)
	require.False(t, third.State().Serving)
	s.Filter = nil
	s.Nudge()
	s.until(func() bool { return third.State().Serving })
	s.requireNode(third, "/a", jute.Ok)
	s.converge()
}

// A snapshot without NEWLEADER is nothing: a follower that loses its leader between the two is as it
// was before.
func Test3642(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	third.Crash(true)
	c := s.client(leader)
	for range 60 {
		s.answered(c.Set("/"))
	}
	s.until(func() bool { return second.Disk().End() == leader.Disk().End() })
	end := third.Disk().End()
	snapped := false
	s.Filter = func(from, to *world.Member, message peer.LearnerMessage) bool {
		snapped = snapped || (to == third && message.Packet.Type == jute.PacketSnap)
		return to != third || message.Packet.Type != jute.PacketNewLeader
	}
	s.Boot(third)
	s.until(func() bool { return snapped })
	s.RunFor(100 * time.Millisecond)
	leader.Crash(true)
	s.RunFor(time.Second)
	require.Equal(t, end, third.Disk().End())
	s.converge()
}

// A leader that others have abandoned answers no sync: what is read after it is never stale.
func Test1675(t *testing.T) {
	s := newStage(t)
	leader, second, third := s.roles()
	s.create(leader, "/a")
	onOld, onNew := s.client(leader), s.client(second)
	s.RunFor(100 * time.Millisecond)
	s.Abandon(leader)
	s.until(func() bool {
		return second.State().Role == "leading" && second.State().Serving || third.State().Role == "leading" && third.State().Serving
	})
	require.Equal(t, "leading", leader.State().Role, "the old leader noticed too early for this test")
	call := onOld.Sync("/a")
	s.until(func() bool { return second.State().Serving && onNew.Connected() })
	s.RunFor(2 * time.Second)
	require.False(t, call.Answered)
	require.NotEqual(t, "leading", leader.State().Role)
	s.converge()
}
