package peer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
	"ordeal/node/jute"
	"ordeal/node/peer/internal/world"
)

// The interleavings of this file are about what clients see: reads after a sync, and the ends of sessions.

// syncOfTheAbandoned: a leader that others have abandoned answers no sync: what is read after it is never stale.
func syncOfTheAbandoned(s *stage) {
	leader, second, third := s.roles()
	s.create(leader, "/a")
	onOld, onNew := s.client(leader), s.client(second)
	s.RunFor(100 * time.Millisecond)
	s.Abandon(leader)
	s.until(func() bool {
		return second.State().Role == "leading" && second.State().Serving || third.State().Role == "leading" && third.State().Serving
	})
	require.Equal(s.t, "leading", leader.State().Role, "the old leader noticed too early for this test")
	call := onOld.Sync("/a")
	s.until(func() bool { return second.State().Serving && onNew.Connected() })
	s.RunFor(2 * time.Second)
	require.False(s.t, call.Answered)
	require.NotEqual(s.t, "leading", leader.State().Role)
	s.converge()
}

func Test1675And2136(t *testing.T) { requireKept(t, syncOfTheAbandoned) }

// ephemeralOnItsWay: a leader ends while the creation of an ephemeral is on its way: as it reads the request, as one
// follower has the proposal, or as one follower has logged it. Then the session ends. The ephemeral is nowhere.
func ephemeralOnItsWay(s *stage, point string) {
	leader, second, third := s.roles()
	s.create(leader, "/a")
	c := s.client(second)
	s.AmbushOf(map[string]*world.Member{"REQUEST": leader, "PROPOSAL": third, "ACK": third}[point], point, func() { leader.Crash(true) })
	c.CreateEphemeral("/e")
	s.until(func() bool { return !leader.Up() })
	s.serve(second, third)
	s.Boot(leader)
	s.serve(leader)
	s.until(c.Connected)
	s.answered(c.CloseSession())
	s.RunFor(200 * time.Millisecond)
	for _, m := range s.Members {
		s.requireNode(m, "/e", jute.NoNode)
	}
	s.converge()
}

func Test5010(t *testing.T) {
	for _, point := range []string{"REQUEST", "PROPOSAL", "ACK"} {
		t.Run(point, func(t *testing.T) {
			requireKept(t, func(s *stage) { ephemeralOnItsWay(s, point) })
		})
	}
}

// sessionEndsWhileAway: a session expires while the member that its client was with is down. Then all lose their power.
// Its ephemeral is on no member afterwards.
func sessionEndsWhileAway(s *stage) {
	_, second, third := s.roles()
	c := s.client(third)
	s.answered(c.CreateEphemeral("/e"))
	s.requireNode(second, "/e", jute.Ok)
	third.Crash(true)
	s.RunFor(3 * time.Second)
	s.CrashAll(true)
	s.Boot(s.Members...)
	s.serve(s.Members...)
	for _, m := range s.Members {
		s.requireNode(m, "/e", jute.NoNode)
	}
	s.converge()
}

func Test1367(t *testing.T) {
	requireKept(t, sessionEndsWhileAway, planted{defect.NeverExpire, "/e at member"}, planted{defect.KeepEphemerals, "/e at member"})
}

// loneClient: one client with one request at a time, and nobody else whose requests could wake a commit that was
// overlooked: every request is answered before the next ping could do so.
func loneClient(s *stage) {
	_, second, _ := s.roles()
	c := s.client(second)
	s.RunFor(50 * time.Millisecond)
	for range 100 {
		call := c.Set("/")
		require.True(s.t, s.RunUntil(250*time.Millisecond, func() bool { return call.Answered }))
	}
	s.converge()
}

func Test4537(t *testing.T) { requireKept(t, loneClient) }
