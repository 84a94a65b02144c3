package world

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"ordeal/node/peer"
	"ordeal/node/quorum"
)

var (
	errRefused = errors.New("connection refused")
	errReset   = errors.New("connection reset")
)

// Member is one server: a peer while it is up, and its disk always.
type Member struct {
	ID    int64
	world *World
	disk  *Disk

	// What the member's files say, whatever befalls its disk.
	membership, lastSeen *quorum.Config

	peer        *peer.Peer
	state       peer.State
	incarnation int // counts boots and crashes, so that what was meant for an earlier one is dropped
	up, paused  bool
	waiting     []func() // inputs that a paused member has not seen

	portOpen bool
	attempt  uint64
	upstream *link
	links    []*link // of learners
	conns    []*connection
}

// Up tells whether the member runs.
func (m *Member) Up() bool { return m.up }

// State is what the peer says of itself.
func (m *Member) State() peer.State { return m.state }

// Disk is the member's disk.
func (m *Member) Disk() *Disk { return m.disk }

// Configure replaces the membership in the member's files, as an operator does while it is down.
func (m *Member) Configure(lines string) { m.membership, m.lastSeen = parse(lines), nil }

// Boot starts the member with what its disk holds.
func (m *Member) Boot() {
	if m.up {
		return
	}
	w := m.world
	m.incarnation++
	m.up, m.paused, m.portOpen = true, false, false
	w.trace("boot %d", m.ID)
	m.guard(func() {
		m.peer = peer.New(peer.Config{
			MyID: m.ID, Membership: m.membership, LastSeen: m.lastSeen, Reconfig: w.options.Reconfig, FirstCounter: w.options.FirstCounter, SkipACL: true,
			TickTime: TickTime, InitLimit: initLimit, SyncLimit: syncLimit,
			SessionTimeoutMin: 2 * TickTime, SessionTimeoutMax: 20 * TickTime,
			SnapCount: w.options.SnapCount, SnapshotSizeFactor: 0.33, CommitLogCount: w.options.CommitLogCount,
			LeaderServes: true, SyncByQuorum: true,
			Tree: w.options.Tree, Random: rand.New(rand.NewPCG(w.options.Seed, uint64(m.ID)<<32|uint64(m.incarnation))),
			Defects: w.options.Defects, Reader: m.disk,
		}, m.disk.State(), m.now())
		m.take()
	})
	m.tick()
}

func (m *Member) now() peer.Now {
	return peer.Now{Elapsed: m.world.now, Wall: wallAtZero + m.world.now.Milliseconds()}
}

func (m *Member) tick() {
	incarnation := m.incarnation
	m.world.After(tickEvery+m.world.upTo(tickEvery/4), func() {
		if m.incarnation != incarnation {
			return
		}
		if !m.paused {
			m.input("", func() {})
		}
		m.tick()
	})
}

// input gives the peer one input and carries out what it wants then.
func (m *Member) input(kind string, do func()) {
	if !m.up {
		return
	}
	if m.paused {
		m.waiting = append(m.waiting, do)
		return
	}
	if kind != "" {
		m.world.trace("%d %s", m.ID, kind)
	}
	m.guard(func() {
		m.peer.Tick(m.now())
		do()
		m.take()
	})
}

// guard turns a failed assertion into a broken promise.
func (m *Member) guard(do func()) {
	defer func() {
		if problem := recover(); problem != nil {
			m.world.check(false, "member %d: %v\n%s", m.ID, problem, debug.Stack())
		}
	}()
	do()
}

func (m *Member) take() {
	w := m.world
	ready := m.peer.Ready()
	if ready.Membership != nil {
		m.membership, m.lastSeen = ready.Membership.Present, ready.Membership.Next
		if w.membership.Precedes(m.membership) {
			w.membership, w.verifier = m.membership, m.membership.Verifier()
		}
	}
	w.check(ready.Fatal == nil || m.disk.failed != nil, "member %d: %v", m.ID, ready.Fatal)
	m.state = m.peer.State()
	w.checkMember(m)
	for _, n := range ready.Notifications {
		w.notify(m, w.Member(n.To), n.Message)
	}
	for _, command := range ready.Leader {
		m.command(command)
	}
	for _, output := range ready.Learners {
		m.toLearner(output)
	}
	if ready.LearnerPort != nil {
		m.portOpen = *ready.LearnerPort
	}
	for _, output := range ready.Clients {
		m.toClient(output)
	}
	if len(ready.Disk) > 0 {
		m.disk.ask(ready.Disk)
	}
	if ready.Fatal != nil {
		w.trace("%d ends: %v", m.ID, ready.Fatal)
		m.Crash(false)
	}
}

func (m *Member) command(command peer.LeaderCommand) {
	switch {
	case command.Connect:
		m.attempt = command.Attempt
		m.world.connect(m, command, 1)
	case command.Close:
		if command.Attempt == m.attempt {
			m.attempt = 0
		}
		if m.upstream != nil && m.upstream.attempt == command.Attempt {
			m.upstream.learnerCloses()
		}
	case m.upstream != nil && m.upstream.attempt == command.Attempt && m.upstream.learnerOpen:
		m.world.checkUp(m, command.Message.Packet)
		m.upstream.sendUp(command.Message)
	}
}

func (m *Member) toLearner(output peer.LearnerOutput) {
	for i, l := range m.links {
		if l.id != output.Link {
			continue
		}
		if output.Close {
			l.leaderCloses()
			m.links = append(m.links[:i:i], m.links[i+1:]...)
		} else if l.leaderOpen {
			m.world.checkDown(m, output.Message.Packet)
			l.sendDown(output.Message)
		}
		return
	}
}

// Crash ends the member at once. Without power what its disk had not synced is lost.
func (m *Member) Crash(powerLoss bool) {
	if !m.up {
		return
	}
	w := m.world
	w.trace("crash %d power loss %v", m.ID, powerLoss)
	m.up, m.paused, m.portOpen = false, false, false
	m.incarnation++
	m.waiting = nil
	m.attempt = 0
	m.state = peer.State{}
	m.disk.crash(powerLoss)
	if m.upstream != nil {
		m.upstream.learnerCloses()
		m.upstream = nil
	}
	for _, l := range m.links {
		l.leaderCloses()
	}
	m.links = nil
	for _, c := range m.conns {
		c.serverCloses()
	}
	m.conns = nil
}

// Pause stops the member without ending it; Resume lets it go on where it was.
func (m *Member) Pause() {
	if m.up {
		m.world.trace("pause %d", m.ID)
		m.paused = true
	}
}

// Resume ends a pause.
func (m *Member) Resume() {
	if !m.up || !m.paused {
		return
	}
	m.world.trace("resume %d", m.ID)
	m.paused = false
	waiting := m.waiting
	m.waiting = nil
	for _, do := range waiting {
		m.input("late", do)
	}
}

// String names the member for failures.
func (m *Member) String() string {
	return fmt.Sprintf("member %d (up %v, %s, %s, log to %#x, epoch %d)", m.ID, m.up, m.state.Role, m.state.Phase, m.disk.End(), m.disk.current)
}

// settleTime is how long a healed ensemble may take until all members serve.
const settleTime = 60 * time.Second
