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

// The tests of this package whose names are numbers replay interleavings that broke real ensembles; the numbers are the
// issues in Apache's tracker. Those of this file are about how a learner comes by its leader's history.

// returnsWithAGhost: a learner with the highest zxid, absent at the election, is cut back when it returns.
func returnsWithAGhost(s *stage) {
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

func Test1154And1156(t *testing.T) {
	requireKept(t, returnsWithAGhost, planted{defect.DiffOverDivergence, "stands behind 0x100000004 at member 3 and behind 0x100000003 elsewhere"})
}

// ghostOfAnEmptyEpoch: a transaction that only a member of an earlier epoch has logged is not brought back by a later
// epoch in which that member takes part again, though nothing was written in between.
func ghostOfAnEmptyEpoch(s *stage) {
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

func Test2832(t *testing.T) {
	requireKept(t, ghostOfAnEmptyEpoch, planted{defect.SkipTrunc, "is committed, but only the disks of 1 members hold it"}, planted{defect.ForgetEpochs, "accepts epoch 2 after 2"})
}

// snapshotOfAGhost: a leader that ends before it has a quorum leaves nothing on its disk that a TRUNC could not take
// back.
func snapshotOfAGhost(s *stage) {
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
	truncated := false
	s.AmbushOf(leader, "TRUNC", func() { truncated = true })
	s.Boot(leader)
	s.serve(leader)
	require.True(s.t, truncated)
	s.requireNode(leader, "/ghost", jute.NoNode)
	s.converge()
}

// Test4837: 1549 is the root of it.
func Test4837And1549(t *testing.T) {
	requireKept(t, snapshotOfAGhost, planted{defect.SnapshotUncommitted, "stands behind 0x100000004 at member 3 and behind 0x100000003 elsewhere"})
}

// truncatedAndAbandoned: a learner is told to truncate, gets a proposal behind that, and loses its leader before
// NEWLEADER. Memory and log end at the same place.
func truncatedAndAbandoned(s *stage) {
	old, second, third := s.roles()
	s.create(old, "/a")
	s.ghost(old)
	s.Boot(second, third)
	s.serve(second, third)
	leader := s.Leader()
	s.Filter = func(from, to *world.Member, message peer.LearnerMessage) bool {
		held := to == leader && message.Packet.Type == jute.PacketAck || to == old && message.Packet.Type == jute.PacketNewLeader
		return !held
	}
	end := leader.Disk().End()
	c := s.NewClient(leader) // its session is the proposal: nothing else of this epoch is committed
	s.until(func() bool { return second.Disk().End() > end && third.Disk().End() > end })
	truncated, proposed := false, false
	s.AmbushOf(old, "TRUNC", func() {
		truncated = true
		s.AmbushOf(old, "PROPOSAL", func() { proposed = true })
	})
	s.Boot(old)
	s.until(func() bool { return proposed })
	require.True(s.t, truncated)
	s.RunFor(50 * time.Millisecond)
	require.False(s.t, c.Connected())
	require.Equal(s.t, end, old.Disk().End())
	s.Reset(leader.ID, old.ID)
	leader.Crash(true)
	s.Filter = nil
	s.Nudge()
	s.until(func() bool { return s.Leader() != nil })
	s.serve(old)
	s.requireNode(old, "/ghost", jute.NoNode)
	s.converge()
}

func Test5094(t *testing.T) { requireKept(t, truncatedAndAbandoned) }

// snapshotWithoutNewLeader: a snapshot without NEWLEADER is nothing. A follower that loses its leader between the two is
// as it was before.
func snapshotWithoutNewLeader(s *stage) {
	leader, second, third := s.roles()
	third.Crash(true)
	c := s.client(leader)
	for range 60 {
		s.answered(c.Set("/"))
	}
	s.until(func() bool { return second.Disk().End() == leader.Disk().End() })
	end := third.Disk().End()
	snapped := false
	s.AmbushOf(third, "SNAP", func() { snapped = true })
	s.Filter = hold(jute.PacketNewLeader, leader, third)
	s.Boot(third)
	s.until(func() bool { return snapped })
	s.RunFor(100 * time.Millisecond)
	leader.Crash(true)
	s.RunFor(time.Second)
	require.Equal(s.t, end, third.Disk().End())
	s.converge()
}

func Test3642(t *testing.T) {
	requireKept(t, snapshotWithoutNewLeader, planted{defect.KeepPartialSnapshot, "broadcast, log to 0x0"})
}

// diffCutShort: a learner loses its leader between DIFF and the transactions that it announced, one of which ends a
// session. It asks for them again.
func diffCutShort(s *stage) {
	leader, second, third := s.roles()
	c := s.client(second)
	s.answered(c.CreateEphemeral("/e"))
	s.requireNode(third, "/e", jute.Ok)
	third.Crash(true)
	s.answered(c.CloseSession())
	s.Filter = hold(jute.PacketProposal, leader, third)
	cut := false
	s.AmbushOf(third, "DIFF", func() {
		s.Reset(leader.ID, third.ID)
		s.Filter = nil
		cut = true
	})
	s.Boot(third)
	s.until(func() bool { return cut })
	s.serve(third)
	s.requireNode(third, "/e", jute.NoNode)
	s.converge()
}

func Test2355(t *testing.T) {
	requireKept(t, diffCutShort, planted{defect.ClaimDiff, "stands behind 0x100000003 at member 2 and behind 0x100000004 elsewhere"})
}

// writesBesideASnapshot: while a learner gets the leader's tree, a proposal is outstanding and others are committed. It
// gets all of them, once, and serves without a second try.
func writesBesideASnapshot(s *stage) {
	leader, second, third := s.roles()
	third.Crash(true)
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"} {
		s.create(leader, "/"+name)
	}
	c := s.client(leader)
	for range 60 {
		s.answered(c.Set("/a"))
	}
	s.until(func() bool { return second.Disk().End() == leader.Disk().End() })
	s.Filter = hold(jute.PacketAck, second, leader)
	outstanding := c.Create("/outstanding")
	snaps := 0
	s.AmbushOf(third, "SNAP", func() {
		s.Filter = nil
		s.Nudge()
		c.Create("/committed")
		snaps++
		s.AmbushOf(third, "SNAP", func() { snaps++ })
	})
	s.Boot(third)
	s.serve(third)
	s.answered(outstanding)
	require.Equal(s.t, 1, snaps)
	s.requireNode(third, "/outstanding", jute.Ok)
	s.requireNode(third, "/committed", jute.Ok)
	s.converge()
}

func Test3104And3589(t *testing.T) { requireKept(t, writesBesideASnapshot) }

// diffWithoutSnapshot: who is brought up to date by DIFF writes the transactions into its log, and no snapshot.
func diffWithoutSnapshot(s *stage) {
	leader, _, third := s.roles()
	s.create(third, "/a")
	third.Crash(true)
	s.create(leader, "/b")
	snapshots := third.Disk().Snapshots()
	diff := false
	s.AmbushOf(third, "DIFF", func() { diff = true })
	s.Boot(third)
	s.serve(third)
	require.True(s.t, diff)
	require.Equal(s.t, snapshots, third.Disk().Snapshots())
	require.Equal(s.t, leader.Disk().End(), third.Disk().End())
	s.converge()
}

func Test2678(t *testing.T) { requireKept(t, diffWithoutSnapshot) }

// servedBeforeUpToDate: a leader serves once its NEWLEADER is acknowledged, though no follower has heard UPTODATE: what
// it served is on their disks.
func servedBeforeUpToDate(s *stage) {
	leader, second, third := s.roles()
	s.create(leader, "/a")
	s.ghost(leader)
	s.Filter = hold(jute.PacketUpToDate, leader, nil)
	s.Boot(leader, second)
	s.serve(leader)
	require.False(s.t, second.State().Serving)
	leader.Crash(true)
	second.Crash(true)
	s.Filter = nil
	s.Boot(second, third)
	s.serve(second, third)
	s.requireNode(third, "/ghost", jute.Ok)
	s.converge()
}

func Test3911(t *testing.T) {
	requireKept(t, servedBeforeUpToDate, planted{defect.LogAfterUpToDate, "is committed, but only the disks of 1 members hold it"})
}

// servesWhatItGot: at UPTODATE a follower has in its tree all that was committed before.
func servesWhatItGot(s *stage) {
	leader, _, third := s.roles()
	s.create(third, "/a")
	third.Crash(true)
	s.create(leader, "/b")
	end := leader.Disk().End()
	s.Boot(third)
	s.serve(third)
	require.GreaterOrEqual(s.t, third.State().LastZxid, end, "it serves without what it was synchronised with")
	s.converge()
}

func Test3023(t *testing.T) {
	requireKept(t, servesWhatItGot, planted{defect.ServeBeforeCommits, "without what it was synchronised with"})
}

// acknowledgementsInOrder: the log of a follower is faster than its word about NEWLEADER. A leader gets its quorum all
// the same, in the epoch that it began with.
func acknowledgementsInOrder(s *stage) {
	leader, second, _ := s.roles()
	s.create(leader, "/a")
	epoch := leader.State().Epoch
	s.ghost(leader)
	s.Boot(leader, second)
	s.serve(leader, second)
	require.Equal(s.t, epoch+1, leader.State().Epoch, "a leader gave up")
	s.requireNode(second, "/ghost", jute.Ok)
	s.converge()
}

func Test4685(t *testing.T) {
	requireKept(t, acknowledgementsInOrder, planted{defect.FirstAckCounts, "a leader gave up"})
}

// commitBeforeUpToDate: the COMMIT of a proposal that was outstanding when a follower joined comes before UPTODATE. The
// follower stays.
func commitBeforeUpToDate(s *stage) {
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
	require.False(s.t, call.Answered)
	require.False(s.t, third.State().Serving)
	// Second's ACK commits; third's ACK of NEWLEADER is still on its way.
	s.Filter = hold(jute.PacketAck, third, leader)
	s.Nudge()
	s.answered(call)
	s.RunFor(50 * time.Millisecond)
	require.False(s.t, third.State().Serving)
	s.Filter = nil
	s.Nudge()
	s.until(func() bool { return third.State().Serving })
	s.requireNode(third, "/a", jute.Ok)
	s.converge()
}

func Test4394(t *testing.T) {
	requireKept(t, commitBeforeUpToDate, planted{defect.LoseEarlyProposals, "no proposal is known for COMMIT"})
}

// stuckSnapshot: a learner takes half of the leader's tree and then no more. Nobody else waits for it, and the tree goes
// on changing, in names and in ACLs.
func stuckSnapshot(s *stage) {
	leader, second, third := s.roles()
	third.Crash(true)
	c := s.client(leader)
	for range 60 {
		s.answered(c.Set("/"))
	}
	s.until(func() bool { return second.Disk().End() == leader.Disk().End() })
	stuck := false
	s.Filter = func(from, to *world.Member, message peer.LearnerMessage) bool {
		stuck = stuck || to == third && message.Packet.Type == jute.PacketSnap
		return !(stuck && to == third)
	}
	s.Boot(third)
	s.until(func() bool { return stuck })
	s.answered(c.Create("/a"))
	s.answered(c.CreateReadable("/b"))
	s.requireNode(second, "/b", jute.Ok)
	require.False(s.t, third.State().Serving)
	s.converge()
}

func Test2201And3531(t *testing.T) { requireKept(t, stuckSnapshot) }
