package peer_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/peer/internal/world"
)

// testingT is what an interleaving needs of a test.
type testingT interface {
	require.TestingT
	Helper()
}

// stage is a world with a running ensemble, without clients of its own.
type stage struct {
	*world.World
	t testingT
}

// interleaving is one order of events, packet by packet, that broke real ensembles. It ends at the first
// requirement that is not met.
type interleaving func(s *stage)

// planted is a mistake that an interleaving must bring to light, and words of what is broken then.
type planted struct {
	name   defect.Name
	breaks string
}

// requireKept plays an interleaving: in an ensemble as it is it breaks nothing. With a mistake planted it does, or the
// silence of the first play would say nothing.
func requireKept(t *testing.T, play interleaving, mistakes ...planted) {
	t.Helper()
	require.NoError(t, perform(play, world.Options{}))
	for _, mistake := range mistakes {
		err := perform(play, world.Options{Defects: defect.Set{mistake.name: true}})
		require.ErrorContains(t, err, mistake.breaks, "%s is planted", mistake.name)
	}
}

// perform plays an interleaving in an ensemble of three, and tells what it broke.
func perform(play interleaving, options world.Options) (broken error) {
	recorder := &failureRecorder{}
	defer func() {
		if problem := recover(); problem == recorder {
			broken = errors.New(recorder.failure)
		} else if problem != nil {
			panic(problem)
		}
	}()
	options.Seed, options.Voters = 1, 3
	s := &stage{World: world.New(options), t: recorder}
	s.Start()
	s.serve(s.Members[:options.Voters]...)
	play(s)
	return s.Violation()
}

// failureRecorder is a test that keeps why it failed, and ends by a panic with itself.
type failureRecorder struct{ failure string }

func (r *failureRecorder) Errorf(format string, args ...any) {
	r.failure += fmt.Sprintf(format, args...)
}
func (r *failureRecorder) FailNow() { panic(r) }
func (r *failureRecorder) Helper()  {}

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

// client returns a client that stays with a member, connected.
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

// ghost leaves a transaction in the leader's log that nobody else has, with all members down. It returns the client
// that asked for it.
func (s *stage) ghost(leader *world.Member) *world.Client {
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
	return c
}
