package peer_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/peer/internal/world"
)

// The interleavings of this file are about what a server promises and what its disk holds.

// epochBeforeHistory: a follower ends between currentEpoch and the transactions that came before it: it must not look
// more recent than a server that has them.
func epochBeforeHistory(s *stage) {
	leader, second, third := s.roles()
	s.create(leader, "/z")
	s.until(s.AllServe)
	second.Crash(true) // A of the catalogue
	s.create(leader, "/a")
	s.until(func() bool { return third.Disk().End() == leader.Disk().End() })
	third.Crash(true) // B
	s.RunFor(time.Second)
	s.AmbushOf(second, "WriteCurrentEpoch", func() {
		second.Crash(true)
		leader.Crash(true)
	})
	s.Boot(second)
	s.until(func() bool { return !second.Up() && !leader.Up() })
	s.Boot(second, third)
	s.serve(second, third)
	s.requireNode(second, "/a", jute.Ok)
	s.converge()
}

func Test4643(t *testing.T) {
	requireKept(t, epochBeforeHistory, planted{defect.EpochBeforeLog, "is committed, but only the disks of 1 members hold it"})
}

// readThenLost: what only the leader had is read as soon as NEWLEADER is acknowledged; then those who acknowledged it,
// whose disks have done nothing since they wrote currentEpoch, lose their power, and the leader after them.
func readThenLost(s *stage, leader *world.Member, followers, survivors []*world.Member) {
	s.create(leader, "/a")
	reader := s.ghost(leader)
	acknowledged := 0
	for _, m := range followers {
		s.AmbushOf(m, "WriteCurrentEpoch", func() {
			m.Disk().Held = true
			s.AmbushOf(m, "ACK", func() { acknowledged++ })
		})
	}
	for _, m := range followers {
		for _, other := range followers {
			s.Cut(m.ID, other.ID) // so that nobody but leader is elected
		}
	}
	s.Boot(leader)
	s.Boot(followers...)
	s.serve(leader)
	s.until(func() bool { return acknowledged == len(followers) && reader.Connected() })
	require.Equal(s.t, leader, s.Leader())
	call := reader.Get("/ghost")
	s.answered(call)
	require.Equal(s.t, jute.Ok, call.Err)
	for _, m := range followers {
		m.Crash(true)
	}
	leader.Crash(true)
	s.HealAll()
	s.Boot(survivors...)
	s.serve(survivors...)
	for _, m := range survivors {
		s.requireNode(m, "/ghost", jute.Ok)
	}
	s.converge()
}

func Test4646(t *testing.T) {
	requireKept(t, func(s *stage) {
		leader, second, third := s.roles()
		readThenLost(s, leader, []*world.Member{second}, []*world.Member{second, third})
	}, planted{defect.AckNewLeaderBeforeLog, "is committed, but only the disks of 1 members hold it"})
}

// Test4785 is 4646 with a full ensemble: both followers have acknowledged, and both lose their power.
func Test4785(t *testing.T) {
	requireKept(t, func(s *stage) {
		leader, second, third := s.roles()
		readThenLost(s, leader, []*world.Member{second, third}, []*world.Member{second, third})
	}, planted{defect.AckNewLeaderBeforeLog, "is committed, but only the disks of 1 members hold it"})
}

// commitThatNeverCame: a follower that has logged a transaction but never heard of its commit stands by it in the next
// election, without a restart.
func commitThatNeverCame(s *stage) {
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

func Test2845(t *testing.T) {
	requireKept(t, commitThatNeverCame, planted{defect.KeepDirtyMemory, "/a at member"})
}

// loggerLeftBehind: a server that has left its leader does nothing before its disk has done all it was asked: nothing is
// appended behind its back.
func loggerLeftBehind(s *stage) {
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
	require.False(s.t, second.State().Serving, "a server whose disk stands still took part in an election")
	require.GreaterOrEqual(s.t, second.Disk().End(), end)
	third.Disk().Release()
	s.serve(second, third)
	require.Equal(s.t, second.Disk().End(), third.Disk().End(), "the logs differ after the election")
	s.converge()
}

func Test4712And4502(t *testing.T) {
	requireKept(t, loggerLeftBehind, planted{defect.LeaveLoggerBehind, "the logs differ after the election"})
}

// sessionEndBehindItsBack: the end of a session waits for the disk of a member, and is committed without it, which the
// member never hears. Its leader is replaced, then its disk goes on: the session's ephemeral is on no member
// afterwards, whoever restarts.
func sessionEndBehindItsBack(s *stage) {
	leader, second, third := s.roles()
	c := s.client(second)
	call := c.CreateEphemeral("/e")
	s.answered(call)
	require.Equal(s.t, jute.Ok, call.Err)
	s.requireNode(third, "/e", jute.Ok)
	third.Disk().Held = true
	s.Filter = hold(jute.PacketCommit, leader, third)
	s.answered(c.CloseSession())
	s.RunFor(50 * time.Millisecond)
	s.Reset(leader.ID, third.ID)
	s.Filter = nil
	leader.Crash(true)
	s.RunFor(500 * time.Millisecond)
	third.Disk().Release()
	s.serve(second, third)
	s.requireNode(second, "/e", jute.NoNode)
	s.requireNode(third, "/e", jute.NoNode)
	s.converge()
	s.requireNode(leader, "/e", jute.NoNode)
}

func Test4541(t *testing.T) {
	requireKept(t, sessionEndBehindItsBack, planted{defect.LeaveLoggerBehind, "member 2 logs 0x100000004 after 0x100000004"})
}

// leaderGoneBeforeTheAck: a follower's leader is gone at the moment at which its disk has written a proposal. There is
// nobody to acknowledge it to, and the follower lives on.
func leaderGoneBeforeTheAck(s *stage) {
	leader, second, third := s.roles()
	s.create(leader, "/a")
	c := s.client(leader)
	s.RunFor(100 * time.Millisecond)
	gone := false
	s.AmbushOf(third, "Sync", func() {
		s.Reset(leader.ID, third.ID)
		leader.Crash(true)
		gone = true
	})
	third.Disk().SyncTime = 100 * time.Millisecond
	c.Create("/b")
	s.until(func() bool { return gone })
	require.True(s.t, third.Up())
	s.serve(second, third)
	s.requireNode(third, "/b", jute.Ok)
	s.converge()
}

func Test4409(t *testing.T) { requireKept(t, leaderGoneBeforeTheAck) }

// fullDisk: the log of a follower cannot be written while the others commit. It ends rather than to go on with what it
// has in memory only, and after its return nothing is missing.
func fullDisk(s *stage) {
	leader, _, third := s.roles()
	s.create(third, "/a")
	third.Disk().Broken = syscall.ENOSPC
	s.create(leader, "/b")
	s.RunFor(100 * time.Millisecond)
	third.Disk().Broken = nil
	s.Boot(third)
	s.serve(third)
	s.create(third, "/c")
	s.until(s.AllServe)
	third.Crash(false)
	s.Boot(third)
	s.serve(third)
	s.requireNode(third, "/b", jute.Ok)
	s.converge()
}

func Test4882(t *testing.T) {
	requireKept(t, fullDisk, planted{defect.GoOnAfterDiskError, "stands behind 0x100000002 at member 2 and behind 0x100000003 elsewhere"})
}

// leaderWithABrokenDisk: the log of the leader cannot be written: it leads no longer, though its followers would do
// without its disk, and what was acknowledged is kept.
func leaderWithABrokenDisk(s *stage) {
	leader, second, third := s.roles()
	s.create(leader, "/a")
	c := s.client(second)
	leader.Disk().Broken = syscall.EIO
	call := c.Create("/b")
	s.until(func() bool { return !leader.Up() })
	s.serve(second, third)
	s.create(third, "/c")
	if call.Answered {
		require.Equal(s.t, jute.Ok, call.Err)
		s.requireNode(third, "/b", jute.Ok)
	}
	leader.Disk().Broken = nil
	s.converge()
}

func Test2247(t *testing.T) {
	requireKept(t, leaderWithABrokenDisk, planted{defect.GoOnAfterDiskError, "member 3 (up true, following, discovery"})
}

// brokenWhileSynchronised: the log of a follower cannot be written while it is being synchronised: it acknowledges
// nothing and serves nobody, and is whole when it comes back. The catalogue calls this S-1.
func brokenWhileSynchronised(s *stage) {
	leader, _, third := s.roles()
	s.create(third, "/a")
	third.Crash(true)
	s.create(leader, "/b")
	acknowledged := false
	s.Filter = func(from, to *world.Member, message peer.LearnerMessage) bool {
		acknowledged = acknowledged || from == third && message.Packet.Type == jute.PacketAck
		return to != third || message.Packet.Type != jute.PacketNewLeader
	}
	diff := false
	s.AmbushOf(third, "DIFF", func() { diff = true })
	s.Boot(third)
	s.until(func() bool { return diff })
	s.RunFor(100 * time.Millisecond)
	third.Disk().Broken = syscall.ENOSPC
	s.Filter = nil
	s.Nudge()
	s.until(func() bool { return !third.Up() })
	require.False(s.t, acknowledged)
	third.Disk().Broken = nil
	s.Boot(third)
	s.serve(third)
	s.requireNode(third, "/b", jute.Ok)
	s.converge()
}

func TestS1(t *testing.T) {
	requireKept(t, brokenWhileSynchronised, planted{defect.GoOnAfterDiskError, "member 2 (up true, following, discovery"})
}

// truncOnAFullDisk: a learner cannot truncate its log. It must not serve what it was told to give up.
func truncOnAFullDisk(s *stage) {
	old, second, third := s.roles()
	s.create(old, "/a")
	s.ghost(old)
	s.Boot(second, third)
	s.serve(second, third)
	s.AmbushOf(old, "LEADERINFO", func() {
		s.AmbushOf(old, "WriteAcceptedEpoch", func() { old.Disk().Broken = syscall.ENOSPC })
	})
	s.Boot(old)
	s.until(func() bool { return !old.Up() || old.State().Serving })
	require.False(s.t, old.Up(), "it serves with what it could not truncate")
	old.Disk().Broken = nil
	s.Boot(old)
	s.serve(old)
	s.requireNode(old, "/ghost", jute.NoNode)
	s.converge()
}

func Test3701(t *testing.T) {
	requireKept(t, truncOnAFullDisk, planted{defect.SkipTrunc, "is committed, but only the disks of 1 members hold it"})
}

// betweenSnapshotAndEpoch: a learner ends when its leader's snapshot is on its disk and the leader's epoch is not, and
// again when the epoch is but nobody has heard of it. Each time it starts, and comes by the rest.
func betweenSnapshotAndEpoch(s *stage) {
	leader, second, third := s.roles()
	third.Crash(true)
	s.CrashAll(true)
	s.Boot(leader, second)
	s.serve(leader, second)
	c := s.client(leader)
	for range 60 {
		s.answered(c.Set("/"))
	}
	s.until(func() bool { return second.Disk().End() == leader.Disk().End() })
	for _, point := range []string{"InstallSnapshot", "WriteCurrentEpoch"} {
		s.AmbushOf(third, point, func() { third.Crash(true) })
		s.Boot(third)
		s.until(func() bool { return !third.Up() })
		accepted, current := third.Disk().Epochs()
		require.EqualValues(s.t, 2, accepted)
		require.Equal(s.t, map[string]int64{"InstallSnapshot": 1, "WriteCurrentEpoch": 2}[point], current)
		require.Greater(s.t, third.Disk().End(), int64(2)<<32)
	}
	s.Boot(third)
	s.serve(third)
	s.converge()
}

// Test2354And1653: the store's half of it is in node/store.
func Test2354And1653(t *testing.T) { requireKept(t, betweenSnapshotAndEpoch) }
