package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/pipeline"
)

const (
	// clientQueueMax bounds the bytes that wait for a client that does not read. Beyond it the
	// connection is cut.
	clientQueueMax = 64 << 20
	// clientQueueHigh is the number of waiting bytes at which no more requests are read from a
	// connection.
	clientQueueHigh = 1 << 20
	// clientOutstandingMax bounds the requests of one connection that are not answered yet.
	clientOutstandingMax = 1000
	// clientReadsMax bounds the replies to those among them that may be large, counted by the room that they
	// may take, in jute.maxbuffer: together they fit into clientQueueMax.
	clientReadsMax = 48
	// clientLinger is how long the end of a connection waits for the client to close its side, so
	// that what was written last is not lost to a reset.
	clientLinger     = time.Second
	clientBufferSize = 16 << 10
)

// clientConn is one client's connection: the goroutine of run reads, another one writes.
type clientConn struct {
	port    *clientPort
	id      peer.Conn
	tcp     net.Conn
	secured *security // how to make tcp secure, nil for not at all
	stream  net.Conn  // tcp, or TLS over it; set by run, before anybody but run uses it
	address string    // without the port
	since   time.Time
	out     *flow

	paused atomic.Bool // the core wants nothing to be read

	// Only the reader uses these.
	fromCore time.Time // when the core last got a frame
	added    bool      // the core was given frames and not helped since
	replied  bool      // the reader has answered and not pushed since
	patience *time.Timer

	lock        sync.Mutex
	outstanding []request
	reads       int           // what the replies to outstanding take, in jute.maxbuffer
	bytes       int           // what the requests outstanding take
	room        chan struct{} // signalled when outstanding or out shrink
	greeted     bool          // the ConnectResponse has been sent
	facts       connFacts
	latency     latency
}

// request is a frame that the core has not answered yet.
type request struct {
	xid     int32
	op      jute.OpCode
	bytes   int
	arrived time.Time
}

// room is how large the reply may be, as a multiple of jute.maxbuffer; 0 for a small one. Lists of children and
// of ephemerals have no bound of their own.
func (r request) room() int {
	switch r.op {
	case jute.OpMultiRead:
		return pipeline.MultiReadMax
	case jute.OpGetData, jute.OpGetChildren, jute.OpGetChildren2, jute.OpGetEphemerals, jute.OpGetACL, jute.OpWhoAmI:
		return 1
	}
	return 0
}

// connFacts is what cons shows of a connection.
type connFacts struct {
	received, sent int64
	session        int64
	timeout        int32
	lastOp         jute.OpCode
	lastCxid       int64
	lastZxid       int64
	lastResponse   time.Time
	lastLatency    int64 // ms
	answersWord    bool
}

func newClientConn(port *clientPort, id peer.Conn, tcp net.Conn, address string, secured *security) *clientConn {
	c := &clientConn{
		port: port, id: id, tcp: tcp, secured: secured, stream: tcp, address: address, since: time.Now(),
		out:   newFramedFlow(clientQueueMax),
		room:  make(chan struct{}, 1),
		facts: connFacts{lastCxid: -1},
	}
	c.out.shrunk = c.signalRoom
	return c
}

// run serves the connection to its end.
func (c *clientConn) run(server context.Context) {
	defer c.tcp.Close()
	ctx, cancel := context.WithCancel(server)
	defer cancel()
	// The end of the server or of the connection's writer: a moment for what was sent last.
	defer context.AfterFunc(ctx, c.end)()
	impatience := time.AfterFunc(c.port.sessionlessTimeout, func() {
		if c.session() == 0 {
			c.port.stats.sessionless.Add(1)
			c.port.log.Info("no session was asked for in time", "client", c.name())
			c.tcp.Close()
		}
	})
	defer impatience.Stop()

	if err := c.handshake(ctx); err != nil {
		c.port.log.Info("client connection refused", "client", c.name(), "error", err)
		return
	}
	in := bufio.NewReaderSize(newEager(c.stream, c.settlePutOff), clientBufferSize)
	var first [4]byte
	if _, err := io.ReadFull(in, first[:]); err != nil {
		return
	}
	if word := string(first[:]); c.port.words.known(word) {
		c.answerWord(in, word)
		return
	}
	ids := x509Ids(c.stream, c.port.superUser)
	if !c.port.core.tell(ctx, func(p *peer.Peer) { p.ClientConnected(c.id, c.address, ids...) }) {
		return
	}
	c.port.stats.requests.Add(1)
	defer c.port.stats.drops.Add(1)
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		defer cancel()
		c.write()
	}()
	err := c.read(ctx, in, first)
	c.out.end()
	c.tcp.SetWriteDeadline(time.Now().Add(clientLinger))
	<-writing
	if !quietly(err) && server.Err() == nil {
		c.port.log.Info("client connection ends", "client", c.name(), "session", hexadecimal(c.session()), "error", err)
	}
	c.port.core.tell(server, func(p *peer.Peer) { p.ClientClosed(c.id) })
}

// end lets what is queued go out for a moment, and closes: a client that does not read keeps no connection.
func (c *clientConn) end() {
	c.out.end()
	c.tcp.SetDeadline(time.Now().Add(clientLinger))
}

// handshakesClientsMax bounds the TLS handshakes under way on the client port (Apache:
// zookeeper.netty.server.outstandingHandshake.limit, 250 where it is set).
const handshakesClientsMax = 250

// handshake makes the connection secure, if it must be.
func (c *clientConn) handshake(ctx context.Context) error {
	if c.secured == nil {
		return nil
	}
	stats := c.port.stats
	defer stats.handshakes.Add(-1)
	if stats.handshakes.Add(1) > handshakesClientsMax {
		stats.handshakesTooMany.Add(1)
		return fmt.Errorf("more than %d TLS handshakes at once", handshakesClientsMax)
	}
	stream, err := c.secured.welcome(ctx, c.tcp)
	if err != nil {
		stats.handshakesFailed.Add(1)
		return err
	}
	c.stream = stream
	return nil
}

// quietly tells whether an error is just the usual way in which a connection ends.
func quietly(err error) bool {
	return err == io.EOF || errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// write sends what is queued until the connection ends, and then closes this side of it only, so that
// a reset does not overtake what was written last.
func (c *clientConn) write() {
	if err := c.out.drain(context.Background(), c.stream); err != nil {
		c.tcp.Close()
		return
	}
	c.closeWriting()
}

func (c *clientConn) closeWriting() {
	for _, conn := range []net.Conn{c.stream, c.tcp} {
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
			return
		}
	}
}

// answerWord answers a four-letter word and ends the connection.
func (c *clientConn) answerWord(in io.Reader, word string) {
	c.tcp.SetDeadline(time.Now().Add(clientLinger))
	c.lock.Lock()
	c.facts.received++
	c.facts.answersWord = true
	c.lock.Unlock()
	c.port.stats.received.Add(1)
	if word == "stmk" {
		var mask [traceMaskSize]byte
		if _, err := io.ReadFull(in, mask[:]); err != nil {
			return
		}
		c.port.words.setTraceMask(mask[:])
	}
	text := c.port.words.answer(word)
	if _, err := io.WriteString(c.stream, text); err != nil {
		return
	}
	c.port.stats.sent.Add(1)
	c.closeWriting()
	// What the client sends behind the word, a newline mostly, must be read, or closing resets the
	// connection and the answer may be lost.
	io.CopyN(io.Discard, in, int64(c.port.frameMax))
}

func (c *clientConn) name() string { return c.tcp.RemoteAddr().String() }

func (c *clientConn) session() int64 {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.facts.session
}

// read takes frames until the connection ends, and returns why it did. The first length was read
// already.
func (c *clientConn) read(ctx context.Context, in io.Reader, length [4]byte) error {
	for {
		size := int(int32(binary.BigEndian.Uint32(length[:])))
		if size < 0 || size > c.port.frameMax {
			c.port.stats.tooLarge.Add(1)
			return fmt.Errorf("a frame of %d bytes: at most %d (jute.maxbuffer) are allowed", size, c.port.frameMax)
		}
		frame, err := readFull(in, size)
		if err != nil {
			return fmt.Errorf("a frame of %d bytes is incomplete: %w", size, err)
		}
		if err := c.take(ctx, frame); err != nil {
			return err
		}
		if err := c.waitForRoom(ctx); err != nil {
			return err
		}
		if _, err := io.ReadFull(in, length[:]); err != nil {
			return err
		}
	}
}

// claimMax is how many bytes are made room for on the mere word of whoever sends them.
const claimMax = 64 << 10

// readFull reads so many bytes. Room is made as they come: a length costs its sender nothing.
func readFull(in io.Reader, size int) ([]byte, error) {
	data := make([]byte, min(size, claimMax))
	for read := 0; ; {
		n, err := io.ReadFull(in, data[read:])
		if read += n; err != nil || read == size {
			return data, err
		}
		data = append(data, make([]byte, min(size-read, len(data)))...)
	}
}

// take hands a frame to the core, or answers it at once if it is a plain read and nothing of this
// connection is under way.
func (c *clientConn) take(ctx context.Context, frame []byte) error {
	now := time.Now()
	c.port.stats.receivedFrame(len(frame))
	c.lock.Lock()
	c.facts.received++
	idle := len(c.outstanding) == 0 && c.greeted
	c.lock.Unlock()
	if idle && !c.port.mustTouch(now.Sub(c.fromCore)) && c.readNow(frame, now) {
		return nil
	}
	c.fromCore = now
	c.lock.Lock()
	r := requestOf(frame, c.greeted || len(c.outstanding) > 0, now)
	c.lock.Unlock()
	admission := c.port.admission
	if !admission.enter(r.bytes, needsDisk(r, frame), func(ready <-chan struct{}) bool { return c.wait(ctx, ready) }) {
		return ctx.Err()
	}
	c.lock.Lock()
	c.outstanding = append(c.outstanding, r)
	c.reads += r.room()
	c.bytes += r.bytes
	c.lock.Unlock()
	c.added = true
	handed := c.port.core.add(ctx, func(p *peer.Peer) {
		admission.take(r.bytes)
		c.port.core.measures.cameAt(now.Sub(c.port.core.measures.started))
		p.ClientFrame(c.id, frame)
	})
	if !handed {
		admission.leave(r.bytes)
		return ctx.Err()
	}
	return nil
}

// settlePutOff lets the core work on what it was given, and sends replies. The reader calls it before
// it waits for anything.
func (c *clientConn) settlePutOff() {
	if c.added {
		c.added = false
		c.port.core.help()
	}
	if c.replied {
		c.replied = false
		c.out.push()
	}
}

// readNow answers a plain read from the tree. The reply is queued before the lock goes, so that it
// stands in the right order among watch events.
func (c *clientConn) readNow(frame []byte, arrived time.Time) bool {
	core := c.port.core
	core.lock.RLock()
	defer core.lock.RUnlock()
	reply, ok := core.peer.ReadNow(c.id, frame)
	if !ok {
		return false
	}
	c.lock.Lock()
	c.answered(requestOf(frame, true, arrived), reply)
	c.lock.Unlock()
	c.queue(reply, false)
	c.replied = true
	return true
}

// requestOf reads a request's header. The first frame of a connection has none: it is the
// ConnectRequest.
func requestOf(frame []byte, hasHeader bool, arrived time.Time) request {
	r := request{op: jute.OpCreateSession, bytes: len(frame), arrived: arrived}
	if hasHeader && len(frame) >= 8 {
		r.xid = int32(binary.BigEndian.Uint32(frame))
		r.op = jute.OpCode(int32(binary.BigEndian.Uint32(frame[4:])))
	}
	return r
}

// needsDisk tells whether a frame asks for what must be written down. To come back to a session is not such a thing.
func needsDisk(r request, frame []byte) bool {
	const sessionAt = 16 // in a ConnectRequest, behind protocolVersion, lastZxidSeen and timeOut
	if r.op == jute.OpCreateSession && len(frame) >= sessionAt+8 {
		return binary.BigEndian.Uint64(frame[sessionAt:]) == 0
	}
	return pipeline.IsWrite(r.op)
}

// send queues a frame of the core: a watch event, or a reply. It is called under the core's lock.
func (c *clientConn) send(frame []byte, event bool) {
	c.lock.Lock()
	if !c.greeted {
		c.greet(frame)
	}
	if len(frame) >= 4 && !event {
		c.settle(int32(binary.BigEndian.Uint32(frame)), frame)
	}
	c.lock.Unlock()
	c.queue(frame, event)
	c.signalRoom()
}

func (c *clientConn) queue(frame []byte, event bool) {
	c.port.stats.sentFrame(len(frame), event)
	c.lock.Lock()
	c.facts.sent++
	c.lock.Unlock()
	if !c.out.put(flowItem{data: frame}) {
		c.port.log.Warn("client does not read what it asks for and is cut off", "client", c.name(), "bytes", clientQueueMax)
		c.tcp.Close()
	}
}

// greet notes what the ConnectResponse says: protocolVersion, timeOut, sessionId.
func (c *clientConn) greet(frame []byte) {
	c.greeted = true
	if len(frame) >= 16 {
		c.facts.timeout = int32(binary.BigEndian.Uint32(frame[4:]))
		c.facts.session = int64(binary.BigEndian.Uint64(frame[8:]))
	}
}

// settle takes the request that a reply answers off the list. Replies come in the order of requests,
// but for pings and the like, which may overtake.
func (c *clientConn) settle(xid int32, reply []byte) {
	for i, r := range c.outstanding {
		if r.xid == xid {
			c.answered(r, reply)
			c.reads -= r.room()
			c.bytes -= r.bytes
			c.outstanding = append(c.outstanding[:i], c.outstanding[i+1:]...)
			return
		}
	}
}

// answered counts a reply. The caller has the lock.
func (c *clientConn) answered(r request, reply []byte) {
	now := time.Now()
	c.facts.lastOp = r.op
	c.facts.lastResponse = now
	c.facts.lastLatency = now.Sub(r.arrived).Milliseconds()
	if r.xid > 0 {
		c.facts.lastCxid = int64(r.xid)
	}
	if r.op != jute.OpCreateSession && len(reply) >= 12 {
		c.facts.lastZxid = int64(binary.BigEndian.Uint64(reply[4:]))
	}
	c.latency.add(now.Sub(r.arrived))
	c.port.stats.answered(r.op, now.Sub(r.arrived))
}

// waitForRoom keeps the reader from taking more while the client has much outstanding or does not
// read its replies, or all clients together have too much outstanding.
func (c *clientConn) waitForRoom(ctx context.Context) error {
	for {
		c.lock.Lock()
		full := len(c.outstanding) >= clientOutstandingMax || c.reads >= clientReadsMax || c.bytes >= connectionBytesMax
		c.lock.Unlock()
		if !full && c.out.queued() < clientQueueHigh && !c.paused.Load() {
			return nil
		}
		if !c.wait(ctx, c.room) {
			return ctx.Err()
		}
	}
}

func (c *clientConn) signalRoom() { signal(c.room) }
