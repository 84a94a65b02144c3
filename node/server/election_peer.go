package server

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ordeal/node/quorum"
)

// electionPeer keeps the connection to one other server. One goroutine owns it: it makes the
// connection or gets it from the port, and writes; another reads.
type electionPeer struct {
	port           *electionPort
	server         quorum.Server
	connectTimeout time.Duration
	// stranger numbers the servers outside the membership in the order in which they came; it is 0 for
	// others. A stranger is called when it has called, and never without that: its address is its own word.
	stranger uint64

	adopted chan net.Conn // a connection that the other side made
	called  chan struct{} // the other side wants to be called back
	wake    chan struct{} // there is something to send

	// Set when the peer is taken up.
	retire func()          // ends the connection for good
	done   <-chan struct{} // closed then

	lock sync.Mutex
	last []byte // the newest message, sent or not
	sent bool   // on the connection that there is
}

func newElectionPeer(port *electionPort, server quorum.Server, connectTimeout time.Duration) *electionPeer {
	return &electionPeer{
		port: port, server: server, connectTimeout: connectTimeout,
		adopted: make(chan net.Conn), called: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
}

// send replaces the message that waits, if there is one.
func (e *electionPeer) send(message []byte) {
	e.lock.Lock()
	e.last, e.sent = message, false
	e.lock.Unlock()
	signal(e.wake)
}

// callBack asks for a new connection in place of the one that there may be: the other side has none.
func (e *electionPeer) callBack() { signal(e.called) }

// adopt takes a connection that the other side made in place of the one that there may be.
func (e *electionPeer) adopt(ctx context.Context, tcp net.Conn) {
	select {
	case e.adopted <- tcp:
	case <-e.done:
		tcp.Close()
	case <-ctx.Done():
		tcp.Close()
	}
}

// hasSomething tells whether anything was ever sent to this server. Before that no connection is
// needed.
func (e *electionPeer) hasSomething() bool {
	e.lock.Lock()
	defer e.lock.Unlock()
	return e.last != nil
}

// serve keeps the connection until ctx is done.
func (e *electionPeer) serve(ctx context.Context) error {
	pause := reconnectMin
	var tcp net.Conn
	for ctx.Err() == nil {
		if tcp != nil {
			began := time.Now()
			tcp = e.use(ctx, tcp)
			if time.Since(began) > reconnectMax {
				pause = reconnectMin
			}
			continue
		}
		wait := pause
		if e.stranger > 0 {
			wait = e.port.strangerPatience
		}
		called := false
		select {
		case tcp = <-e.adopted:
			continue
		case <-ctx.Done():
			return nil
		case <-e.called:
			pause, called = reconnectMin, true
		case <-e.wakeIfSilent():
			// Nothing was ever said, and now there is something.
		case <-time.After(wait):
			if e.stranger > 0 {
				e.port.forget(e)
				return nil
			}
			pause = min(2*pause, reconnectMax)
		}
		if called || e.hasSomething() {
			tcp = e.call(ctx)
		}
	}
	return nil
}

// wakeIfSilent is the wake-up channel for as long as nothing was said; later only time brings another
// try, or messages to a dead server would make for a storm of them.
func (e *electionPeer) wakeIfSilent() chan struct{} {
	if e.hasSomething() {
		return nil
	}
	return e.wake
}

// call makes a connection and introduces this server. It keeps the connection only if this server has
// the larger id; otherwise the call asks to be called back, and nil is returned.
func (e *electionPeer) call(ctx context.Context) net.Conn {
	dialer := net.Dialer{Timeout: e.connectTimeout}
	tcp, err := dialer.DialContext(ctx, "tcp", e.server.ElectionAddress())
	if err != nil {
		e.port.log.Debug("election connection failed", "server", e.server.ID, "error", err)
		return nil
	}
	secured, err := e.port.security.call(ctx, tcp, e.server.ElectionAddress())
	if err != nil {
		tcp.Close()
		e.port.log.Warn("election connection failed", "server", e.server.ID, "error", err)
		return nil
	}
	tcp = secured
	tcp.SetWriteDeadline(time.Now().Add(e.connectTimeout))
	_, err = tcp.Write(e.port.header())
	if err != nil || e.port.id < e.server.ID {
		tcp.Close()
		return nil
	}
	tcp.SetWriteDeadline(time.Time{})
	return tcp
}

// use writes and reads until the connection fails or another takes its place, which is returned if
// the other side made it.
func (e *electionPeer) use(ctx context.Context, tcp net.Conn) (next net.Conn) {
	limitSilence(tcp)
	defer tcp.Close()
	defer context.AfterFunc(ctx, func() { tcp.Close() })()
	failed := make(chan error, 1)
	go func() { failed <- e.port.receive(ctx, e.server.ID, tcp) }()
	e.port.log.Debug("election connection stands", "server", e.server.ID)

	// The receiver may have lost what was sent last with its connection: say it again.
	e.lock.Lock()
	e.sent = false
	e.lock.Unlock()
	var err error
	ended := false
	for err == nil && !ended && next == nil {
		if err = e.flush(tcp); err != nil {
			break
		}
		select {
		case <-e.wake:
		case next = <-e.adopted:
		case <-e.called:
			signal(e.called) // for serve, which calls then
			ended = true
		case err = <-failed:
			failed <- err
		}
	}
	tcp.Close()
	if readErr := <-failed; err == nil {
		err = readErr
	}
	if !quietly(err) && ctx.Err() == nil {
		e.port.log.Warn("election connection ends", "server", e.server.ID, "error", err)
	}
	return next
}

// flush sends the newest message if it was not sent on this connection yet.
func (e *electionPeer) flush(tcp net.Conn) error {
	e.lock.Lock()
	message, sent := e.last, e.sent
	e.sent = true
	e.lock.Unlock()
	if sent || message == nil {
		return nil
	}
	tcp.SetWriteDeadline(time.Now().Add(electionSilence))
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(message)))
	_, err := tcp.Write(append(frame, message...))
	return err
}

// limitSilence makes the kernel give up a connection whose other side is not there any more.
func limitSilence(tcp net.Conn) {
	conn, ok := socketOf(tcp).(*net.TCPConn)
	if !ok {
		return
	}
	conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: electionSilence, Interval: time.Second, Count: 3})
	if raw, err := conn.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			// Best effort: without it a cut link is only found later.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(electionSilence.Milliseconds()))
		})
	}
}
