package sim

import (
	"errors"
	"time"

	"ordeal/node/election"
	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/tree"
)

// way is all traffic from one member to another, or between clients and members: what is common to
// the connections between two machines in one direction.
type way struct {
	from, to int
	base     time.Duration // a packet's usual time
	slow     time.Duration // added while a fault says so
	cuts     int           // faults that cut it now
	stalls   int           // faults that make its reader not read now
	unread   []func()      // notifications that have arrived and are not read
	index    uint64        // numbers packets
	arrival  time.Duration // of the last notification: they keep their order
}

func (v *way) cut() bool { return v.cuts > 0 }

// stands tells whether nothing that is on its way is taken now.
func (v *way) stands() bool { return v.cuts > 0 || v.stalls > 0 }

// How much waits for a reader that does not read. Beyond it a connection's sender ends it, as the server
// does with a learner or a client that does not keep up, and of notifications the oldest are dropped.
const (
	unreadParcelsMax       = 512
	unreadNotificationsMax = 64
)

// latency is the time of the next packet on its way.
func (w *World) latency(v *way) time.Duration {
	index := v.index
	v.index++
	return v.base + v.slow + w.source.jitter(v, index) + w.source.delay(w, v, index)
}

// parcel is something on its way through a pipe: a packet, a client's frame, or a beginning or an end.
type parcel struct {
	arrives time.Duration
	// natural is when it would have arrived had nothing held it; index is its number on its way, and
	// delay the decision that holds it, if one was made on its way.
	natural time.Duration
	index   uint64
	delay   *Delay
	packet  *jute.QuorumPacket
	// outgoing is the tree behind a SNAP, which is streamed and so takes its time while the tree may change.
	outgoing *tree.Snapshotter
	// bytes are a client's frame, or what was streamed so far of a tree.
	bytes    []byte
	streamed bool
	opened   bool
	closed   bool
}

// pipe is one direction of a connection: it delivers in order.
type pipe struct {
	world   *World
	way     *way
	queue   []parcel
	head    int
	planned bool // an event for the head is planned
	broken  bool
	listed  bool // among the world's pipes
	ends    pipeEnds
	run     func() // arrive
}

// pipeEnds are what a pipe is part of.
type pipeEnds interface {
	// take takes what has arrived.
	take(*pipe, parcel)
	// reset ends the connection.
	reset()
}

// open makes a pipe ready, which is part of its ends.
func (p *pipe) open(w *World, v *way, ends pipeEnds) {
	p.world, p.way, p.ends = w, v, ends
	p.run = p.arrive
}

// arrive lets the head of the queue arrive, unless it has to wait for its turn.
func (p *pipe) arrive() {
	p.planned = false
	if p.world.hold(p) {
		p.plan()
		return
	}
	p.deliver()
}

// push sends something.
func (p *pipe) push(item parcel) {
	if p.broken {
		return
	}
	if p.way.stalls > 0 && len(p.queue)-p.head >= unreadParcelsMax {
		p.broken = true
		p.world.coverage.hit("cut-off")
		p.world.tell("%d → %d  too much is unread: the connection is ended", p.way.from, p.way.to)
		p.world.after(0, p.ends.reset)
		return
	}
	item.index = p.way.index
	item.natural = p.world.now + p.world.latency(p.way)
	item.arrives = item.natural
	if len(p.queue) > p.head {
		item.arrives = max(item.arrives, p.queue[len(p.queue)-1].arrives)
	}
	if p.head == len(p.queue) {
		p.queue, p.head = p.queue[:0], 0
	}
	p.queue = append(p.queue, item)
	p.plan()
}

func (p *pipe) plan() {
	if p.planned || p.broken || p.head == len(p.queue) {
		return
	}
	if p.way.stands() {
		p.world.list(p)
		return
	}
	p.planned = true
	p.world.after(p.queue[p.head].arrives-p.world.now, p.run)
}

// deliver hands over what has arrived: one parcel an event, so that anything may come between two.
func (p *pipe) deliver() {
	w := p.world
	if p.broken || p.head == len(p.queue) {
		return
	}
	if p.way.stands() {
		w.list(p)
		return
	}
	if !p.stream(&p.queue[p.head]) {
		p.plan()
		return
	}
	item := p.queue[p.head]
	p.queue[p.head] = parcel{}
	p.head++
	p.ends.take(p, item)
	p.plan()
}

// streamChunk is how many znodes of a SNAP's tree pass at a time.
const streamChunk = 8

// streamPause is the longest time between two chunks.
const streamPause = 200 * time.Microsecond

// stream goes on with the tree behind a SNAP, and tells whether all of it has passed.
func (p *pipe) stream(item *parcel) bool {
	if item.outgoing == nil || item.streamed {
		return true
	}
	chunk, done := item.outgoing.Next(streamChunk)
	item.bytes = append(item.bytes, chunk...)
	item.streamed = done
	if !done {
		// A tree must pass within initLimit, or its learner never joins.
		item.arrives = p.world.now + min(p.way.base/2, streamPause)
	}
	return done
}

// streaming tells whether a part of the tree behind a SNAP has passed.
func (item *parcel) streaming() bool { return item.outgoing != nil && item.bytes != nil }

// cutShort drops a SNAP that is not wholly on its way yet, with all behind it: its sender is gone.
func (p *pipe) cutShort() {
	for i := p.head; i < len(p.queue); i++ {
		item := &p.queue[i]
		if item.outgoing != nil && !item.streamed {
			p.queue = p.queue[:i]
			return
		}
	}
}

// list remembers a pipe that stands still because of a cut or of its reader.
func (w *World) list(p *pipe) {
	if !p.listed {
		p.listed = true
		w.pipes = append(w.pipes, p)
	}
}

// nudge makes pipes whose way is free again go on.
func (w *World) nudge() {
	waiting := w.pipes
	w.pipes = nil
	for _, p := range waiting {
		p.listed = false
		p.plan()
	}
}

var (
	errRefused = errors.New("connection refused")
	errReset   = errors.New("connection reset")
)

// notify carries an election message: in order, but lost where a way is cut or the receiver is down.
func (w *World) notify(from, to *member, message election.Notification) {
	v := w.ways[from.id][to.id]
	if v.cut() {
		w.coverage.hit("notification-lost")
		return
	}
	v.arrival = max(v.arrival, w.now+w.latency(v))
	incarnation := to.incarnation
	var arrive func()
	arrive = func() {
		if v.stalls > 0 {
			v.unread = append(v.unread, arrive)
			if len(v.unread) > unreadNotificationsMax {
				v.unread = v.unread[1:]
			}
			return
		}
		if v.cut() || to.incarnation != incarnation || !to.up {
			return
		}
		w.note(hashNotification, from.id, int64(to.id), int64(message.State), message.Leader, message.Zxid, message.ElectionEpoch, message.PeerEpoch)
		if w.trace != nil {
			w.tell("%d → %d  vote: %v, leader %d, zxid %s, round %d, epoch %d", from.id, to.id, message.State, message.Leader, zxidWord(message.Zxid), message.ElectionEpoch, message.PeerEpoch)
		}
		to.input(func(p *peer.Peer) {
			if message.Leader == int64(to.id) {
				to.votes.Add(int64(from.id))
			}
			p.ReceiveNotification(int64(from.id), message)
		})
	}
	w.after(v.arrival-w.now, arrive)
}

// stallWay makes the reader at the end of a way not read, and returns what makes it go on.
func (w *World) stallWay(v *way) (heal func()) {
	v.stalls++
	return func() {
		v.stalls--
		if v.stalls > 0 {
			return
		}
		for _, arrive := range v.unread {
			w.after(0, arrive)
		}
		v.unread = nil
		w.nudge()
	}
}

// link is a learner's connection to a leader. Each end may be closed by itself.
type link struct {
	world                   *World
	id                      peer.Link
	attempt                 uint64
	learner, leader         *member
	toLeader, toLearner     pipe
	learnerOpen, leaderOpen bool
}

const (
	connectTries = 5
	connectPause = 100 * time.Millisecond
)

// connect tries to reach the leader as the shell does: five times, 100 ms apart.
func (w *World) connect(m *member, command peer.LeaderCommand, tries int) {
	incarnation := m.incarnation
	there := w.ways[m.id][int(command.ConnectTo)]
	back := w.ways[int(command.ConnectTo)][m.id]
	w.after(w.latency(there)+back.base, func() {
		if m.incarnation != incarnation || m.attempt != command.Attempt {
			return
		}
		target := w.members[command.ConnectTo-1]
		blocked := there.cut() || back.cut()
		if target.up && target.portOpen && !blocked {
			w.establish(m, target, command.Attempt)
			return
		}
		if tries >= connectTries && !blocked || m.elapsed() >= command.Deadline {
			w.tell("%d → %d  connection refused", m.id, target.id)
			m.input(func(p *peer.Peer) { p.LeaderClosed(command.Attempt, errRefused) })
			return
		}
		w.after(connectPause, func() {
			if m.incarnation == incarnation && m.attempt == command.Attempt {
				w.connect(m, command, tries+1)
			}
		})
	})
}

func (w *World) establish(m, target *member, attempt uint64) {
	w.lastLink++
	l := &link{world: w, id: w.lastLink, attempt: attempt, learner: m, leader: target, learnerOpen: true, leaderOpen: true}
	l.toLeader.open(w, w.ways[m.id][target.id], l)
	l.toLearner.open(w, w.ways[target.id][m.id], l)
	m.upstream = l
	target.links = append(target.links, l)
	w.tell("%d → %d  connected", m.id, target.id)
	l.toLeader.push(parcel{opened: true})
	m.input(func(p *peer.Peer) { p.LeaderConnected(attempt) })
}

// take implements pipeEnds.
func (l *link) take(p *pipe, item parcel) {
	if p == &l.toLeader {
		l.atLeader(item)
	} else {
		l.atLearner(item)
	}
}

// atLeader and atLearner take what arrives.
func (l *link) atLeader(item parcel) {
	if !l.leaderOpen {
		return
	}
	w := l.world
	switch {
	case item.opened:
		l.leader.input(func(p *peer.Peer) { p.LearnerConnected(l.id, "member") })
	case item.closed:
		l.leaderOpen = false
		w.note(hashClose, l.leader.id, int64(l.learner.id))
		l.leader.dropLink(l)
		l.leader.input(func(p *peer.Peer) { p.LearnerClosed(l.id) })
	default:
		w.packet(l.learner, l.leader, input{link: l, message: peer.LearnerMessage{Packet: item.packet}})
	}
}

func (l *link) atLearner(item parcel) {
	if !l.learnerOpen {
		return
	}
	w := l.world
	if item.closed {
		l.learnerOpen = false
		w.note(hashClose, l.learner.id, int64(l.leader.id))
		l.learner.input(func(p *peer.Peer) { p.LeaderClosed(l.attempt, errReset) })
		return
	}
	received := peer.LearnerMessage{Packet: item.packet}
	if item.outgoing != nil {
		w.noteBytes(item.bytes)
		received.Incoming = readPicture(item.bytes, w.tree, item.packet.Zxid)
	}
	w.packet(l.leader, l.learner, input{link: l, message: received})
}

// packet delivers a packet between two members.
func (w *World) packet(from, to *member, in input) {
	packet := in.message.Packet
	w.note(hashPacket, from.id, int64(to.id), int64(packet.Type), packet.Zxid)
	w.noteBytes(packet.Data)
	if packet.Type != jute.PacketPing {
		w.coverage.packets[packet.Type&63]++
		if w.trace != nil {
			w.tell("%d → %d  %s", from.id, to.id, packetWord(packet))
		}
	}
	incarnation, sender := to.incarnation, from.incarnation
	to.give(&in)
	if packet.Type == jute.PacketAck && !to.paused {
		w.inside.acknowledged(w, to, from, packet)
	}
	if len(w.ambushes) > 0 && to.incarnation == incarnation && from.incarnation == sender {
		w.spring(packet.Type, "", from, to)
	}
}

// learnerCloses and leaderCloses end one side: the other side hears of it behind what was sent. Where
// the way is cut it does not: the connection is half-open.
func (l *link) learnerCloses() {
	if l.learnerOpen {
		l.learnerOpen = false
		l.toLeader.push(parcel{closed: true})
	}
}

func (l *link) leaderCloses() {
	if l.leaderOpen {
		l.leaderOpen = false
		l.toLearner.cutShort()
		l.toLearner.push(parcel{closed: true})
	}
}

// reset breaks the connection at both ends at once.
func (l *link) reset() {
	l.toLeader.broken, l.toLearner.broken = true, true
	l.atLeader(parcel{closed: true})
	l.atLearner(parcel{closed: true})
}
