package server

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/server/metrics"
)

const (
	// listenPause is the wait before another try to open the learner port.
	listenPause = 100 * time.Millisecond
	// shutdownGrace is how long a connection that the core has ended may take to send what was
	// queued before.
	shutdownGrace = time.Second
	// learnersMax bounds the connections of learners, with those that have not said yet who they are.
	learnersMax = 1024
)

// learnerPort is where followers and observers reach this server while it leads. It is not listening
// at other times: a learner that is refused tries again, one that is accepted and dropped gives up
// (protocol.md 12, item 11).
type learnerPort struct {
	address  string
	core     *core
	log      *slog.Logger
	group    *errgroup.Group
	fieldMax int
	security *security // nil for none
	metrics  *metrics.Registry
	unknown  waitingRoom // learners that have not said anything

	wanted chan bool // newest wish, see want

	lock sync.Mutex // guards address too
	last peer.Link
	open map[peer.Link]*learnerLink
	// Learners that are sent a DIFF or TRUNC, and a SNAP.
	diffs, snaps syncsUnderWay
}

// learnerLink is one learner's connection.
type learnerLink struct {
	id  peer.Link
	tcp net.Conn
	out *flow
	// known is whether the leader has answered: it does so once it has found the learner to be of the
	// ensemble.
	known atomic.Bool
	// syncing is where it is counted how many learners are brought up to date as this one is now; nil if it is not. It
	// is guarded by the port's lock.
	syncing *syncsUnderWay
}

// syncsUnderWay is how many learners are brought up to date in one way, and where that is told whenever it changes.
type syncsUnderWay struct {
	count int64
	told  *metrics.Summary
}

func (s *syncsUnderWay) change(by int64) {
	s.count += by
	s.told.Add(s.count)
}

// place is where to listen.
func (p *learnerPort) place() string {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.address
}

// moveTo changes where to listen, from the next time on.
func (p *learnerPort) moveTo(address string) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.address = address
}

// want asks for the port to be open or closed.
func (p *learnerPort) want(open bool) {
	select {
	case <-p.wanted:
	default:
	}
	p.wanted <- open
}

// serve opens and closes the port as it is wanted, until ctx is done.
func (p *learnerPort) serve(ctx context.Context) error {
	open := false
	for {
		if !open {
			select {
			case open = <-p.wanted:
			case <-ctx.Done():
				return nil
			}
			continue
		}
		listener, err := listenTCP(ctx, "learner", p.place())
		if err != nil {
			p.log.Error("cannot lead", "error", err)
			select {
			case open = <-p.wanted:
			case <-time.After(listenPause):
			case <-ctx.Done():
				return nil
			}
			continue
		}
		open = p.listen(ctx, listener)
	}
}

// listen accepts learners until the port is wanted closed (false) or anew (true).
func (p *learnerPort) listen(ctx context.Context, listener net.Listener) (open bool) {
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		accept(ctx, listener, p.log, func(tcp net.Conn) { p.welcome(ctx, tcp) })
	}()
	defer func() {
		listener.Close()
		<-accepting
	}()
	for {
		select {
		case open = <-p.wanted:
			if !open {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}

func (p *learnerPort) welcome(ctx context.Context, tcp net.Conn) {
	p.lock.Lock()
	if len(p.open) >= learnersMax {
		p.lock.Unlock()
		p.log.Warn("too many learners", "learner", tcp.RemoteAddr().String(), "max", learnersMax)
		tcp.Close()
		return
	}
	if out := p.unknown.enter(tcp); out != nil {
		p.log.Warn("too many learners that say nothing: closing the oldest", "learner", out.RemoteAddr().String(), "max", handshakesMax)
	}
	p.last++
	link := &learnerLink{id: p.last, tcp: tcp, out: newFlow(learnerQueueMax)}
	p.open[link.id] = link
	p.lock.Unlock()
	p.group.Go(func() error {
		p.run(ctx, link)
		p.unknown.leave(tcp)
		p.lock.Lock()
		delete(p.open, link.id)
		p.synchronises(link, nil)
		p.lock.Unlock()
		return nil
	})
}

// run serves a learner's connection to its end.
func (p *learnerPort) run(ctx context.Context, link *learnerLink) {
	remote := link.tcp.RemoteAddr().String()
	stream, err := p.security.welcome(ctx, link.tcp)
	if err != nil {
		p.log.Warn("learner connection refused", "learner", remote, "error", err)
		link.tcp.Close()
		return
	}
	if !p.core.tell(ctx, func(peer *peer.Peer) { peer.LearnerConnected(link.id, remote) }) {
		link.tcp.Close()
		return
	}
	reader := newLearnerReader(p.core.helping(stream), p.fieldMax, &link.known)
	err = exchange(ctx, stream, link.out, reader, p.metrics.Summary(metrics.SocketClosingTime), func(message peer.LearnerMessage) bool {
		p.unknown.leave(link.tcp)
		if message.Packet.Type == jute.PacketRevalidate {
			p.metrics.Counter(metrics.RevalidateCount).Add(1)
		}
		came := time.Duration(0)
		if message.Packet.Type == jute.PacketRequest {
			came = p.core.measures.now()
		}
		return p.core.add(ctx, func(peer *peer.Peer) {
			p.core.measures.cameAt(came)
			peer.LearnerPacket(link.id, message)
		})
	})
	p.log.Info("learner connection ends", "learner", remote, "error", err)
	p.core.tell(ctx, func(peer *peer.Peer) { peer.LearnerClosed(link.id) })
}

// deliver queues packets for learners.
func (p *learnerPort) deliver(outputs []peer.LearnerOutput, writer *packetWriter) {
	if len(outputs) == 0 {
		return
	}
	for _, link := range p.queue(outputs, writer) {
		link.out.push()
	}
}

// queue returns the links for which there was something.
func (p *learnerPort) queue(outputs []peer.LearnerOutput, writer *packetWriter) (touched []*learnerLink) {
	p.lock.Lock()
	defer p.lock.Unlock()
	for i := range outputs {
		link := p.open[outputs[i].Link]
		if link == nil {
			continue
		}
		message := &outputs[i].Message
		if message.Packet != nil {
			link.known.Store(true)
			p.note(link, message.Packet.Type)
		}
		if message.Packet != nil && !link.out.put(writer.item(message)) {
			p.log.Warn("learner does not keep up and is cut off", "learner", link.tcp.RemoteAddr().String(), "bytes", learnerQueueMax)
			link.tcp.Close()
		}
		if outputs[i].Close {
			link.end()
		}
		if !slices.Contains(touched, link) {
			touched = append(touched, link)
		}
	}
	return touched
}

// note counts what a packet to a learner says of its synchronisation.
func (p *learnerPort) note(link *learnerLink, packetType int32) {
	switch packetType {
	case jute.PacketDiff, jute.PacketTrunc:
		p.metrics.Counter(metrics.DiffCount).Add(1)
		p.synchronises(link, &p.diffs)
	case jute.PacketSnap:
		p.metrics.Counter(metrics.SnapCount).Add(1)
		p.synchronises(link, &p.snaps)
	case jute.PacketUpToDate:
		p.synchronises(link, nil)
	}
}

// synchronises notes how a learner is brought up to date, nil for not any more.
func (p *learnerPort) synchronises(link *learnerLink, now *syncsUnderWay) {
	if link.syncing != nil {
		link.syncing.change(-1)
	}
	if link.syncing = now; now != nil {
		now.change(1)
	}
}

// end lets what is queued go out for a moment, and closes.
func (l *learnerLink) end() {
	l.out.end()
	l.tcp.SetDeadline(time.Now().Add(shutdownGrace))
}

// exchange reads and writes packets until the connection fails, the flow ends or ctx is done, and
// closes the connection. It returns why it ended.
func exchange(ctx context.Context, tcp net.Conn, out *flow, reader *packetReader, closing *metrics.Summary, receive func(peer.LearnerMessage) bool) error {
	defer closeTimed(tcp, closing)
	defer context.AfterFunc(ctx, func() {
		out.end()
		tcp.SetDeadline(time.Now().Add(shutdownGrace))
	})()
	written := make(chan error, 1)
	go func() {
		err := out.drain(context.Background(), tcp)
		closeTimed(tcp, closing) // ends the reading below
		written <- err
	}()
	var err error
	for err == nil {
		var message peer.LearnerMessage
		if message, err = reader.next(); err == nil && !receive(message) {
			err = ctx.Err()
		}
	}
	closeTimed(tcp, closing)
	out.end()
	if writeErr := <-written; writeErr != nil && quietly(err) {
		err = writeErr
	}
	return err
}

// closeTimed closes a connection between servers, and tells how long the first to do so took.
func closeTimed(tcp net.Conn, took *metrics.Summary) {
	began := time.Now()
	if tcp.Close() == nil {
		took.AddTime(time.Since(began))
	}
}
