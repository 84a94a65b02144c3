package peer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/peer/internal/world"
)

// The interleavings of this file are about who leads, in which epoch, and how soon.

// epochsOfNoLeader: leaders fail one after the other before anybody has acknowledged their epochs, so that the members
// have accepted different ones. They agree on a later one.
func epochsOfNoLeader(s *stage) {
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

func Test335And1081And1082(t *testing.T) {
	requireKept(t, epochsOfNoLeader, planted{defect.ForgetEpochs, "accepts epoch 2 after 2"})
}

// leaderThatNeverServed: a leader fails before a quorum has acknowledged its NEWLEADER. It looks again with the zxid of
// its log: the beginning of its epoch is no transaction, and would make it seem more recent than it is.
func leaderThatNeverServed(s *stage) {
	leader, second, third := s.roles()
	s.create(leader, "/a")
	s.until(s.AllServe)
	s.CrashAll(true)
	s.Filter = hold(jute.PacketAck, second, leader)
	s.Boot(leader)
	s.Boot(second)
	s.until(func() bool { _, current := second.Disk().Epochs(); return current == 2 })
	end := leader.Disk().End()
	require.Equal(s.t, end, leader.State().LastZxid)
	second.Crash(true)
	s.until(func() bool { return leader.State().Role == "looking" })
	require.Equal(s.t, end, leader.Disk().End())
	require.Equal(s.t, end, leader.State().LastZxid)
	s.Filter = nil
	leader.Pause()
	s.Boot(second, third)
	s.serve(second, third)
	s.create(second, "/b")
	leader.Resume()
	s.serve(leader)
	require.NotEqual(s.t, leader, s.Leader())
	s.requireNode(leader, "/b", jute.Ok)
	s.converge()
}

func Test790(t *testing.T) { requireKept(t, leaderThatNeverServed) }

// epochAtNewLeader: two learners are synchronised at the same time, while there are writes. Neither joins the epoch
// before it has the whole history, and both get all of it.
func epochAtNewLeader(s *stage) {
	leader, second, third := s.roles()
	s.create(leader, "/a")
	s.until(s.AllServe)
	s.CrashAll(true)
	s.Boot(leader, second)
	s.serve(leader, second)
	s.create(leader, "/b")
	epoch := s.Leader().State().Epoch
	other := map[bool]*world.Member{true: second, false: leader}[s.Leader() == leader]
	leading := s.Leader()
	other.Crash(true)
	s.until(func() bool { return s.Leader() == nil })
	s.Filter = hold(jute.PacketNewLeader, leading, nil)
	s.Boot(other, third)
	s.until(func() bool {
		accepted, _ := other.Disk().Epochs()
		theirs, _ := third.Disk().Epochs()
		return accepted == epoch+1 && theirs == epoch+1
	})
	s.RunFor(100 * time.Millisecond)
	for _, m := range []*world.Member{other, third} {
		_, current := m.Disk().Epochs()
		require.LessOrEqual(s.t, current, epoch, "%v has joined an epoch whose history it does not have", m)
	}
	s.Filter = nil
	s.Nudge()
	s.serve(leading, other, third)
	require.Equal(s.t, epoch+1, leading.State().Epoch)
	s.requireNode(third, "/b", jute.Ok)
	s.converge()
}

func Test1264And1282(t *testing.T) { requireKept(t, epochAtNewLeader) }

// votesOfDifferentRounds: members that joined their leader in different rounds report votes by which a later one can
// join too. Here a reconfiguration has named the leader, so that each votes in the round that it was in.
func votesOfDifferentRounds(s *stage) {
	s.reconfig(s.Leader(), world.ServerLine(4, "participant"), "")
	s.until(s.AllServe)
	old := s.Leader()
	var rest []*world.Member
	for _, m := range s.Members {
		if m != old {
			rest = append(rest, m)
		}
	}
	absent, often := rest[0], rest[1]
	for range 3 { // each time it looks it begins another round
		s.Reset(old.ID, often.ID)
		s.until(func() bool { return !often.State().Serving })
		s.serve(often)
	}
	absent.Crash(false)
	s.reconfig(old, world.ServerLine(old.ID, "observer"), "")
	s.until(func() bool { return s.Leader() != nil && s.Leader() != old })
	s.serve(rest[1:]...)
	s.Boot(absent)
	s.serve(absent)
	s.converge()
}

func Test1732And1818(t *testing.T) {
	require.NoError(t, perform(votesOfDifferentRounds, world.Options{Joining: 1, Reconfig: true}))
}

// activationInterrupted: the only follower that an elected leader has found goes away again during discovery. The leader
// waits no longer than initLimit for another, and the ensemble serves soon after that.
func activationInterrupted(s *stage) {
	leader, second, third := s.roles()
	s.create(leader, "/a")
	s.CrashAll(true)
	s.AmbushOf(second, "FOLLOWERINFO", func() { second.Crash(true) })
	s.Boot(leader, second)
	s.until(func() bool { return !second.Up() })
	s.Boot(third)
	const initTime, electionTime = 10 * world.TickTime, time.Second
	served := s.RunUntil(initTime+electionTime, func() bool { return s.Leader() != nil })
	require.True(s.t, served, "%v", s.Members)
	s.converge()
}

func Test3109(t *testing.T) { requireKept(t, activationInterrupted) }

// rollingMembership: an ensemble of three becomes one of four by files that are replaced one server after the other,
// without a reconfiguration, the leader's last. There is a leader after each step, and the last one commits with a
// quorum of the four, whatever the tree remembers of the three.
func rollingMembership(s *stage) {
	lines := ""
	for id := int64(1); id <= 4; id++ {
		lines += world.ServerLine(id, "participant") + "\n"
	}
	s.create(s.Members[0], "/a")
	for _, m := range s.Members {
		m.Crash(false)
		m.Configure(lines)
		s.Boot(m)
		s.RunFor(time.Second)
		s.until(func() bool { return s.Leader() != nil })
	}
	s.until(s.AllServe)
	s.create(s.Members[3], "/b")
	s.Leader().Crash(true)
	s.until(func() bool { return s.Leader() != nil })
	s.create(s.Leader(), "/c")
	s.converge()
}

func Test3829And3814(t *testing.T) {
	require.NoError(t, perform(rollingMembership, world.Options{Joining: 1}))
}

// Test1277And2789And4883: epochs run out of numbers again and again: each time another one begins, nothing acknowledged
// is lost and no zxid is given twice.
func Test1277And2789And4883(t *testing.T) {
	w := world.New(world.Options{Seed: 1, Voters: 3, Clients: 3, FirstCounter: 0xffffffff - 40})
	w.Start()
	w.RunFor(30 * time.Second)
	require.NoError(t, w.Violation())
	require.Greater(t, w.Members[0].State().Epoch, int64(5))
	w.Settle()
	require.NoError(t, w.Violation())
}
