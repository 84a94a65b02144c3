package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"ordeal/node/disk"
	"ordeal/node/peer"
	"ordeal/node/quorum"
	"ordeal/node/rare"
	"ordeal/results/history"
)

// member is one server: a peer while it is up, and its disk always.
type member struct {
	id    int
	world *World
	disk  memberDisk

	peer        *peer.Peer
	standing    peer.Standing
	incarnation int // counts boots and crashes, so that what was meant for an earlier one is dropped
	up, paused  bool
	starting    bool       // its store recovers
	waiting     []input    // that a paused member has not seen
	serving     bool       // as of its last event in the history
	role        string     // as of its last input
	votes       quorum.Set // whose votes for it have reached it since it began to look
	booted      time.Duration
	servesSince time.Duration // in phase broadcast; never if it is not

	drift      time.Duration // a thousandth of the time is multiplied by it
	wallOffset int64         // ms

	turns turnsTaken

	portOpen bool
	attempt  uint64
	upstream *link
	links    []*link // of learners
	conns    []*connection
}

// elapsed is the member's own monotonic clock.
func (m *member) elapsed() time.Duration { return m.world.now + m.world.now*m.drift/1000 }

func (m *member) now() peer.Now {
	return peer.Now{Elapsed: m.elapsed(), Wall: wallAtZero + m.elapsed().Milliseconds() + m.wallOffset}
}

// boot starts the member with what its disk holds.
func (m *member) boot() {
	if m.up {
		return
	}
	w := m.world
	m.starting = true
	state, err := m.disk.boot()
	m.starting = false
	if err != nil {
		w.tell("member %d  cannot start: %v", m.id, err)
		if !m.disk.excuses(err) {
			w.broken("recovers", "member %d cannot start with what its disk holds: %v", m.id, err)
		}
		return
	}
	w.inside.booted(w, m.disk.end())
	m.incarnation++
	m.up, m.paused, m.portOpen = true, false, false
	m.booted, m.servesSince, m.role = w.now, never, ""
	accepted, current := m.disk.epochs()
	w.note(hashBoot, m.id, m.disk.end(), current)
	w.record(history.Event{Kind: history.Member, Member: m.id, State: history.Started})
	if w.trace != nil {
		w.tell("boot %d  log to %s, accepted epoch %d, current epoch %d", m.id, zxidWord(m.disk.end()), accepted, current)
	}
	c := &w.config
	var branch rare.Choice
	if w.source.mayBranch() {
		branch = m.branch
	}
	var schedule func([]peer.Stage) (peer.Stage, bool)
	if w.source.mayWait() {
		schedule = m.schedule
	}
	m.start(peer.Config{
		MyID: int64(m.id), Membership: w.membership, Standalone: c.Members() == 1,
		TickTime: c.TickTime, InitLimit: c.InitLimit, SyncLimit: c.SyncLimit,
		SessionTimeoutMin: 2 * c.TickTime, SessionTimeoutMax: max(20*c.TickTime, c.SessionTimeout),
		SnapCount: c.SnapCount, SnapshotSizeFactor: c.SizeFactor, CommitLogCount: c.CommitLog,
		LeaderServes: c.LeaderServes, SyncByQuorum: true, Tree: w.tree,
		Random:  rand.New(rand.NewPCG(c.Seed, uint64(m.id)<<32|uint64(m.incarnation))),
		Defects: w.defects, Rare: branch, Schedule: schedule, Reader: m.disk,
	}, state)
	incarnation := m.incarnation
	every := c.TickTime / ticksInTick
	var tick func()
	tick = func() {
		if m.incarnation != incarnation {
			return
		}
		if !m.paused {
			m.input(nil)
		}
		w.after(every, tick)
	}
	w.after(upTo(mix(w.source.noise^uint64(m.id)<<32^uint64(m.incarnation)), every), tick)
}

// start makes the member's peer, with what its disk holds.
func (m *member) start(config peer.Config, state *disk.State) {
	defer m.guard()
	m.peer = peer.New(config, state, m.now())
	m.take()
}

// ticksInTick is how often in a tickTime a peer is told the time if nothing else happens.
const ticksInTick = 4

// input is what a peer is told beside the time. What comes often stands in fields: a closure would cost memory each
// time.
type input struct {
	do         func(*peer.Peer)
	link       *link // over which message came, to its leader or its learner
	message    peer.LearnerMessage
	connection *connection // over which a client's frame came
	frame      []byte
	disk       disk.Result // if it has a ticket
}

// carryOut gives the input to a member's peer.
func (in *input) carryOut(m *member) {
	switch {
	case in.link != nil && in.link.leader == m:
		m.peer.LearnerPacket(in.link.id, in.message)
	case in.link != nil:
		m.peer.LeaderPacket(in.link.attempt, in.message)
	case in.connection != nil:
		in.connection.frame(m.peer, in.frame)
	case in.disk.Ticket != 0:
		m.peer.DiskDone(in.disk)
	case in.do != nil:
		in.do(m.peer)
	}
}

// input gives the peer one input and carries out what it wants then; nil only tells the time.
func (m *member) input(do func(*peer.Peer)) { m.give(&input{do: do}) }

// give is input for those that come often. It does not keep in.
func (m *member) give(in *input) {
	if !m.up {
		return
	}
	if m.paused {
		m.waiting = append(m.waiting, *in)
		return
	}
	defer m.guard()
	m.peer.Tick(m.now())
	in.carryOut(m)
	m.take()
}

// guard turns a failed assertion into a broken promise. It must be deferred.
func (m *member) guard() {
	if problem := recover(); problem != nil {
		m.world.broken("assertion", "member %d: %v", m.id, problem)
		if m.world.trace != nil {
			m.world.tell("%s", shortStack())
		}
	}
}

// shortStack is where an assertion failed, without what called the world.
func shortStack() string {
	lines := strings.Split(string(debug.Stack()), "\n")
	return strings.Join(lines[:min(len(lines), 24)], "\n")
}

// take carries out what the peer wants.
func (m *member) take() {
	w := m.world
	ready := m.peer.Ready()
	m.standing = m.peer.Standing()
	w.inside.member(w, m)
	if m.standing.Serving != m.serving {
		m.serving = m.standing.Serving
		m.tellStanding()
	}
	if len(ready.Disk) > 0 {
		m.disk.ask(ready.Disk)
	}
	for _, n := range ready.Notifications {
		w.notify(m, w.members[n.To-1], n.Message)
	}
	for i := range ready.Leader {
		m.command(ready.Leader[i])
	}
	for i := range ready.Learners {
		m.toLearner(ready.Learners[i])
	}
	if ready.LearnerPort != nil {
		m.portOpen = *ready.LearnerPort
	}
	for _, output := range ready.Clients {
		m.toClient(output)
	}
	m.peer.Reuse(ready)
	if ready.Fatal != nil {
		m.fatal(ready.Fatal)
	}
}

// tellStanding records that the member serves, or leads, or does so no longer.
func (m *member) tellStanding() {
	w := m.world
	if !m.serving {
		w.tell("member %d  serves no longer", m.id)
		return
	}
	s := m.standing
	w.tell("member %d  %s, serves epoch %d from %s", m.id, s.Role, s.Epoch, zxidWord(s.LastZxid))
	w.record(history.Event{Kind: history.Member, Member: m.id, State: history.Serving, Zxid: s.LastZxid})
	if s.Role == roleLeading {
		w.coverage.hit("leader")
		w.record(history.Event{Kind: history.Member, Member: m.id, State: history.Leading, Epoch: s.Epoch})
	}
}

// restartPause is after what time a member that ended by itself is started again, as a supervisor
// does.
const restartPause = 300 * time.Millisecond

// fatal ends a member that must not go on. That is right if its disk failed, and a bug otherwise.
func (m *member) fatal(reason error) {
	w := m.world
	if !m.disk.troubles().any() {
		w.broken("fatal", "member %d ends by itself although its disk is sound: %v", m.id, reason)
		return
	}
	w.tell("member %d  ends: %v", m.id, reason)
	w.coverage.hit("disk-failure")
	m.crash(false, 0)
	w.after(restartPause, m.boot)
}

// command carries out what a learner wants of its connection to the leader.
func (m *member) command(command peer.LeaderCommand) {
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
		m.world.inside.learnerSends(m.world, m, command.Message.Packet)
		m.upstream.toLeader.push(parcel{packet: command.Message.Packet})
	}
}

func (m *member) toLearner(output peer.LearnerOutput) {
	for _, l := range m.links {
		if l.id != output.Link {
			continue
		}
		if output.Close {
			l.leaderCloses()
			m.dropLink(l)
		} else if l.leaderOpen {
			m.world.inside.leaderSends(m.world, m, output.Message.Packet)
			l.toLearner.push(parcel{packet: output.Message.Packet, outgoing: output.Message.Outgoing})
		}
		return
	}
}

func (m *member) dropLink(l *link) {
	for i, other := range m.links {
		if other == l {
			m.links = append(m.links[:i:i], m.links[i+1:]...)
			return
		}
	}
}

// crash ends the member at once. Without power what its disk had not synced is lost.
func (m *member) crash(powerLoss bool, keep int) {
	w := m.world
	if !m.up {
		if powerLoss || m.starting { // the machine, though the process had ended before
			m.disk.crash(powerLoss, keep)
			w.inside.durabilityMayHaveShrunk(w)
		}
		return
	}
	w.note(hashCrash, m.id, m.disk.end())
	w.record(history.Event{Kind: history.Member, Member: m.id, State: history.Exited})
	m.end()
	m.disk.crash(powerLoss, keep)
	w.tell("down %d  its disk holds the log to %s", m.id, zxidWord(m.disk.end()))
	w.inside.durabilityMayHaveShrunk(w)
}

// stop lets the member end in order. What it has asked of its disk by then is carried out.
func (m *member) stop() {
	if !m.up {
		return
	}
	if m.paused {
		m.resume()
	}
	m.input(func(p *peer.Peer) { p.Stop() })
	if !m.up { // its last input was fatal
		return
	}
	m.disk.finish()
	m.crash(false, 0)
}

// end is what a process's end means for its connections: the other sides hear of it behind what was
// sent, if the way is free.
func (m *member) end() {
	m.up, m.paused, m.portOpen, m.serving = false, false, false, false
	m.incarnation++
	m.waiting = nil
	m.attempt = 0
	m.standing = peer.Standing{}
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

// resetAll breaks all the member's connections.
func (m *member) resetAll() {
	if m.upstream != nil {
		m.upstream.reset()
	}
	for _, l := range append([]*link(nil), m.links...) {
		l.reset()
	}
	for _, c := range append([]*connection(nil), m.conns...) {
		c.reset()
	}
}

// pause stops the member without ending it; resume lets it go on where it was.
func (m *member) pause() {
	if m.up {
		m.paused = true
	}
}

func (m *member) resume() {
	if !m.up || !m.paused {
		return
	}
	m.paused = false
	waiting := m.waiting
	m.waiting = nil
	for i := range waiting {
		m.give(&waiting[i])
	}
}

// String names the member for failures.
func (m *member) String() string {
	if !m.up {
		return fmt.Sprintf("member %d is down, its log ends at %s", m.id, zxidWord(m.disk.end()))
	}
	s := m.standing
	return fmt.Sprintf("member %d is %s in phase %s of epoch %d, its log ends at %s, it has applied %s", m.id, s.Role, s.Phase, s.Epoch, zxidWord(m.disk.end()), zxidWord(s.LastZxid))
}
