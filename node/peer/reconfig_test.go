package peer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/peer/internal/world"
	"ordeal/node/tree"
)

// reconfigStage is a running ensemble of three, with members beside it that may join.
func reconfigStage(t *testing.T, joining int) *stage {
	s := &stage{World: world.New(world.Options{Seed: 1, Voters: 3, Joining: joining, Reconfig: true}), t: t}
	s.Start()
	s.serve(s.Members...)
	return s
}

// reconfig changes the membership and waits for the answer.
func (s *stage) reconfig(at *world.Member, joining, leaving string) {
	s.t.Helper()
	call := s.client(at).Reconfig(joining, leaving)
	s.answered(call)
	require.Equal(s.t, jute.Ok, call.Err)
}

// TestGrowAndShrink: three members become five and two again, the leader among those who leave.
func TestGrowAndShrink(t *testing.T) {
	s := reconfigStage(t, 2)
	for _, m := range s.Members[3:] {
		require.Equal(t, "following", m.State().Role, "a server that wants to join follows without a vote")
	}
	first := s.Leader()
	s.reconfig(first, world.ServerLine(4, "participant"), "")
	s.reconfig(s.Members[3], world.ServerLine(5, "observer"), "")
	s.until(func() bool { return s.Members[4].State().Role == "observing" })
	s.serve(s.Members...)
	s.reconfig(s.Members[1], world.ServerLine(5, "participant"), "")
	s.until(func() bool { return s.Members[4].State().Role == "following" })
	s.serve(s.Members...)
	require.Equal(t, first, s.Leader(), "nobody but the member concerned has noticed anything")
	require.Equal(t, []int64{1, 2, 3, 4, 5}, s.Membership().Voters())

	epoch := first.State().Epoch
	s.reconfig(s.Members[3], world.ServerLine(first.ID, "observer"), "")
	s.until(func() bool { return s.Leader() != nil && s.Leader() != first })
	s.until(func() bool { return first.State().Role == "observing" && first.State().Serving })
	require.Equal(t, epoch+1, s.Leader().State().Epoch, "the next leader was named, not searched for")
	s.create(first, "/written-through-an-observer")
	second := s.Leader()
	s.reconfig(second, "", second.String()[len("member "):][:1])
	s.until(func() bool { return s.Leader() != nil && s.Leader() != second })
	require.Len(t, s.Membership().Voters(), 3)
	s.converge()
}

// TestTheMembershipCanBeWatched on a leader, a follower and an observer: a watch on its znode fires with each change,
// and once.
func TestTheMembershipCanBeWatched(t *testing.T) {
	s := reconfigStage(t, 2)
	leader, follower, _ := s.roles3()
	s.reconfig(leader, world.ServerLine(4, "observer"), "")
	observer := s.Members[3]
	s.until(func() bool { return observer.State().Role == "observing" && observer.State().Serving })
	changed := jute.WatcherEvent{Type: jute.EventNodeDataChanged, State: jute.StateSyncConnected, Path: tree.ConfigPath}
	for _, m := range []*world.Member{leader, follower, observer} {
		watcher := s.client(m)
		s.answered(watcher.Watch(tree.ConfigPath))
		s.reconfig(leader, world.ServerLine(5, "observer"), "")
		s.until(func() bool { return len(watcher.Events) > 0 })
		s.reconfig(leader, "", "5")
		s.RunFor(time.Second)
		require.Equal(t, []jute.WatcherEvent{changed}, watcher.Events, "%v", m)
	}
}

// TestReconfigNeedsBothQuorums: with the members that join out of reach of a quorum, a reconfiguration is refused;
// once it is proposed it commits with a quorum of both memberships only.
func TestReconfigNeedsBothQuorums(t *testing.T) {
	s := reconfigStage(t, 2)
	leader, second, third := s.roles3()
	c := s.client(leader)
	s.RunFor(100 * time.Millisecond)
	s.Filter = func(from, to *world.Member, message peer.LearnerMessage) bool {
		acks := message.Packet.Type == jute.PacketAck
		return !acks || from == second || from == third
	}
	call := c.Reconfig(world.ServerLine(4, "participant")+","+world.ServerLine(5, "participant"), "")
	s.RunFor(200 * time.Millisecond)
	require.True(t, call.Answered, "three of five are a quorum")
	s.Filter = nil
	s.Nudge()
	s.until(s.AllServe)

	// Only second acknowledges: with the leader it is no quorum of the new membership, 1 2 3 4 5 less one.
	s.Filter = func(from, to *world.Member, message peer.LearnerMessage) bool {
		return message.Packet.Type != jute.PacketAck || from == second
	}
	call = c.Reconfig("", "5")
	s.RunFor(200 * time.Millisecond)
	require.False(t, call.Answered)
	s.Filter = nil
	s.Nudge()
	s.answered(call)
	require.Equal(t, jute.Ok, call.Err)
	s.converge()
}

// roles3 is roles of the first three members.
func (s *stage) roles3() (leader, second, third *world.Member) {
	leader = s.Leader()
	for _, m := range s.Members[:3] {
		if m != leader {
			second, third = third, m
		}
	}
	return leader, second, third
}

// TestProposedMembershipIsCompleted: a leader ends between the proposal of a membership and its commit. Whoever leads
// next, and has seen it, makes it the present one before anything else.
func TestProposedMembershipIsCompleted(t *testing.T) {
	for name, powerLoss := range map[string]bool{"kill": false, "power loss": true} {
		t.Run(name, func(t *testing.T) {
			s := reconfigStage(t, 1)
			leader, second, third := s.roles3()
			c := s.client(leader)
			s.RunFor(100 * time.Millisecond)
			end := second.Disk().End()
			s.Filter = func(from, to *world.Member, message peer.LearnerMessage) bool {
				return message.Packet.Type != jute.PacketAck
			}
			call := c.Reconfig(world.ServerLine(4, "participant"), "")
			s.until(func() bool { return second.Disk().End() > end && second.Disk().Holds(second.Disk().End()) })
			s.RunFor(50 * time.Millisecond)
			require.False(t, call.Answered)
			leader.Crash(powerLoss)
			s.Filter = nil
			s.Nudge()
			s.until(func() bool { return s.Leader() != nil && s.Leader() != leader })
			s.serve(second, third, s.Members[3])
			require.Equal(t, []int64{1, 2, 3, 4}, s.Membership().Voters())
			s.converge()
		})
	}
}

// Test2172: a reconfiguration is proposed and committed while the server that it adds is being synchronised.
func Test2172(t *testing.T) {
	s := reconfigStage(t, 1)
	leader, _, _ := s.roles3()
	joiner := s.Members[3]
	joiner.Crash(false)
	s.create(leader, "/a")
	c := s.client(leader)
	s.RunFor(100 * time.Millisecond)
	newLeader := false
	s.Filter = func(from, to *world.Member, message peer.LearnerMessage) bool {
		newLeader = newLeader || (to == joiner && message.Packet.Type == jute.PacketNewLeader)
		return from != joiner || message.Packet.Type != jute.PacketAck
	}
	s.Boot(joiner)
	s.until(func() bool { return newLeader })
	call := c.Reconfig(world.ServerLine(2, "participant"), "")
	s.answered(call)
	require.Equal(t, jute.Ok, call.Err)
	require.False(t, joiner.State().Serving)
	s.Filter = nil
	s.Nudge()
	s.serve(joiner)
	s.reconfig(leader, world.ServerLine(4, "participant"), "")
	require.Equal(t, []int64{1, 2, 3, 4}, s.Membership().Voters())
	s.converge()
}

// TestReconfigUnderFaults: memberships change at random while members crash and links fail.
func TestReconfigUnderFaults(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 10
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		w := world.New(world.Options{Seed: seed, Voters: 3, Joining: 2, Clients: 3, Reconfig: true})
		w.Start()
		w.Torment(10 * time.Second)
		w.Settle()
		require.NoError(t, w.Violation())
	}
}

// TestGroups: three groups of three; the members of one group and one more can go, and with a second of that group
// nothing is committed any more.
func TestGroups(t *testing.T) {
	s := &stage{World: world.New(world.Options{
		Seed: 1, Voters: 9, Groups: "group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9\nweight.9=0\n",
	}), t: t}
	s.Start()
	s.serve(s.Members...)
	require.Equal(t, int64(8), s.Leader().ID, "a server without weight does not lead")
	s.create(s.Members[0], "/a")
	for _, id := range []int64{1, 2, 3, 4} {
		s.Member(id).Crash(true)
	}
	s.create(s.Members[7], "/b")
	c := s.client(s.Members[7])
	s.Member(5).Crash(true)
	call := c.Create("/c")
	s.RunFor(3 * time.Second)
	require.False(t, call.Answered)
	s.converge()
}
