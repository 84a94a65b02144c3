package world

import (
	"time"

	"ordeal/node/jute"
	"ordeal/node/peer"
)

// parcel is something on its way through a pipe.
type parcel struct {
	arrives time.Duration
	message *peer.LearnerMessage // of a pipe between members
	deliver func()
	// picture is what was streamed so far of a SNAP's tree, which takes its time while the tree may
	// change.
	picture []byte
	ready   bool
}

// pipe is one direction of a connection: it delivers in order.
type pipe struct {
	world    *World
	from, to *Member // nil for a client
	queue    []*parcel
	planned  bool // an event for the head is planned
	stalled  bool // the head could not be delivered
	broken   bool
}

func (w *World) newPipe(from, to *Member) *pipe {
	p := &pipe{world: w, from: from, to: to}
	if from != nil && to != nil {
		w.pipes = append(w.pipes, p)
	}
	return p
}

// push sends something.
func (p *pipe) push(item *parcel) {
	if p.broken {
		return
	}
	item.arrives = p.world.now + p.world.latency()
	if n := len(p.queue); n > 0 {
		item.arrives = max(item.arrives, p.queue[n-1].arrives)
	}
	p.queue = append(p.queue, item)
	p.plan()
}

func (p *pipe) plan() {
	if p.planned || p.stalled || p.broken || len(p.queue) == 0 {
		return
	}
	p.planned = true
	p.world.After(max(p.queue[0].arrives-p.world.now, 0), func() {
		p.planned = false
		p.deliver()
	})
}

// deliver hands over what has arrived.
func (p *pipe) deliver() {
	w := p.world
	for !p.broken && len(p.queue) > 0 && p.queue[0].arrives <= w.now {
		head := p.queue[0]
		if p.from != nil && p.to != nil && (w.cut[[2]int64{p.from.ID, p.to.ID}] || (head.message != nil && w.Filter != nil && !w.Filter(p.from, p.to, *head.message))) {
			p.stalled = true
			return
		}
		if !p.streamed(head) {
			break
		}
		p.queue = p.queue[1:]
		head.deliver()
		if head.message != nil {
			w.spring(jute.PacketName(head.message.Packet.Type), p.from, p.to)
		}
	}
	p.plan()
}

// streamed goes on with the tree behind a SNAP, and tells whether all of it has passed.
func (p *pipe) streamed(head *parcel) bool {
	if head.message == nil || head.message.Outgoing == nil || head.ready {
		return true
	}
	chunk, done := head.message.Outgoing.Next(2)
	head.picture = append(head.picture, chunk...)
	head.ready = done
	if !done {
		head.arrives = p.world.now + p.world.upTo(3*time.Millisecond)
	}
	return done
}

// resume goes on after a cut was healed or a filter let go.
func (p *pipe) resume() {
	if p.stalled {
		p.stalled = false
		p.plan()
	}
}

// cutShort drops a SNAP that is not wholly on its way yet, with all behind it: its sender is gone.
func (p *pipe) cutShort() {
	for i, item := range p.queue {
		if item.message != nil && item.message.Outgoing != nil && !item.ready {
			p.queue = p.queue[:i]
			return
		}
	}
}

// link is a learner's connection to a leader. Each end may be closed by itself.
type link struct {
	world               *World
	id                  peer.Link
	attempt             uint64
	learner, leader     *Member
	toLeader, toLearner *pipe
	learnerOpen         bool
	leaderOpen          bool
}

// connect tries to reach the leader as the shell does: five times, 100 ms apart.
func (w *World) connect(m *Member, command peer.LeaderCommand, tries int) {
	incarnation := m.incarnation
	w.After(w.latency(), func() {
		if m.incarnation != incarnation || m.attempt != command.Attempt {
			return
		}
		target := w.Member(command.ConnectTo)
		blocked := w.cut[[2]int64{m.ID, target.ID}] || w.cut[[2]int64{target.ID, m.ID}]
		if target.up && target.portOpen && !blocked {
			w.establish(m, target, command.Attempt)
			return
		}
		if tries >= 5 && !blocked || w.now >= command.Deadline {
			w.trace("%d>%d refused", m.ID, target.ID)
			m.input("refused", func() { m.peer.LeaderClosed(command.Attempt, errRefused) })
			return
		}
		w.After(100*time.Millisecond, func() {
			if m.incarnation == incarnation && m.attempt == command.Attempt {
				w.connect(m, command, tries+1)
			}
		})
	})
}

func (w *World) establish(m, target *Member, attempt uint64) {
	w.lastLink++
	l := &link{
		world: w, id: w.lastLink, attempt: attempt, learner: m, leader: target,
		toLeader: w.newPipe(m, target), toLearner: w.newPipe(target, m), learnerOpen: true, leaderOpen: true,
	}
	m.upstream = l
	target.links = append(target.links, l)
	w.trace("%d>%d connected", m.ID, target.ID)
	l.toLeader.push(&parcel{deliver: func() {
		if l.leaderOpen {
			target.input("learner", func() { target.peer.LearnerConnected(l.id, "member") })
		}
	}})
	m.input("connected", func() { m.peer.LeaderConnected(attempt) })
}

// sendUp carries a packet to the leader, sendDown one to the learner.
func (l *link) sendUp(message peer.LearnerMessage) {
	l.toLeader.push(&parcel{message: &message, deliver: func() {
		l.world.trace("%d>%d %v", l.learner.ID, l.leader.ID, message.Packet)
		if l.leaderOpen {
			l.leader.input("packet", func() { l.leader.peer.LearnerPacket(l.id, message) })
		}
	}})
}

func (l *link) sendDown(message peer.LearnerMessage) {
	item := &parcel{message: &message}
	item.deliver = func() {
		l.world.trace("%d>%d %v", l.leader.ID, l.learner.ID, message.Packet)
		if !l.learnerOpen {
			return
		}
		received := peer.LearnerMessage{Packet: message.Packet}
		if message.Outgoing != nil {
			received.Incoming = readPicture(item.picture, l.world.options.Tree, message.Packet.Zxid)
		}
		l.learner.input("packet", func() { l.learner.peer.LeaderPacket(l.attempt, received) })
	}
	l.toLearner.push(item)
}

// learnerCloses and leaderCloses end one side: the other side hears of it behind what was sent.
func (l *link) learnerCloses() {
	if !l.learnerOpen {
		return
	}
	l.learnerOpen = false
	l.toLeader.push(&parcel{deliver: l.leaderHears})
}

func (l *link) leaderCloses() {
	if !l.leaderOpen {
		return
	}
	l.leaderOpen = false
	l.toLearner.cutShort()
	l.toLearner.push(&parcel{deliver: l.learnerHears})
}

func (l *link) leaderHears() {
	if l.leaderOpen {
		l.leaderOpen = false
		l.leader.input("closed", func() { l.leader.peer.LearnerClosed(l.id) })
	}
}

func (l *link) learnerHears() {
	if l.learnerOpen {
		l.learnerOpen = false
		l.learner.input("closed", func() { l.learner.peer.LeaderClosed(l.attempt, errReset) })
	}
}

// reset breaks the connection at both ends at once.
func (l *link) reset() {
	l.toLeader.broken, l.toLearner.broken = true, true
	l.leaderHears()
	l.learnerHears()
}

// Cut stops everything from one member to another. What was sent waits, as TCP's segments do, for
// Heal or for the end of the connection; election messages are lost.
func (w *World) Cut(from, to int64) {
	w.trace("cut %d>%d", from, to)
	w.cut[[2]int64{from, to}] = true
}

// Heal lets traffic pass again.
func (w *World) Heal(from, to int64) {
	w.trace("heal %d>%d", from, to)
	delete(w.cut, [2]int64{from, to})
	w.Nudge()
}

// HealAll heals every cut.
func (w *World) HealAll() {
	w.trace("heal all")
	w.cut = map[[2]int64]bool{}
	w.Nudge()
}

// Nudge makes pipes that stand still try again.
func (w *World) Nudge() {
	alive := w.pipes[:0]
	for _, p := range w.pipes {
		if !p.broken {
			alive = append(alive, p)
			p.resume()
		}
	}
	w.pipes = alive
}

// Reset breaks the learner connections between two members.
func (w *World) Reset(a, b int64) {
	w.trace("reset %d-%d", a, b)
	for _, m := range []*Member{w.Member(a), w.Member(b)} {
		for _, l := range m.links {
			if l.learner.ID == a || l.learner.ID == b {
				l.reset()
			}
		}
	}
}
