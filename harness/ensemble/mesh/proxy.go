package mesh

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// UpstreamPatience is how long a caller is held while the member called does not listen. A learner
	// that is refused tries 5 times, 100 ms apart (protocol.md 5.1): this is about as long.
	UpstreamPatience = time.Second
	// upstreamRetry is the pause between two tries.
	upstreamRetry = 10 * time.Millisecond
	// bufferSize is the number of bytes that a direction of a connection holds in the proxy.
	bufferSize = 64 << 10
)

// A proxy carries the connections that one caller opens to one port of one member.
type proxy struct {
	door     *door
	upstream string
	forward  *gate // from the caller to the member
	back     *gate // from the member to the caller
	// announce is what the caller's election address is replaced with; empty for other ports.
	announce string
	log      *slog.Logger

	mutex sync.Mutex
	pairs map[*pair]struct{}
	group *errgroup.Group
	ctx   context.Context
}

// A pair is a caller's connection and, once it is made, the one to the member.
type pair struct {
	mutex    sync.Mutex
	caller   *net.TCPConn
	upstream *net.TCPConn
	over     bool // reset: an upstream connection that is made later is closed at once
}

func newProxy(address, upstream, announce string, forward, back *gate, log *slog.Logger) (*proxy, error) {
	p := &proxy{
		upstream: upstream, announce: announce, forward: forward, back: back,
		log:   log.With("proxy", address, "upstream", upstream),
		pairs: map[*pair]struct{}{},
	}
	var err error
	p.door, err = openDoor(address, p.accepted)
	return p, err
}

// start serves until the context ends; group waits for everything that the proxy does.
func (p *proxy) start(ctx context.Context, group *errgroup.Group) {
	p.ctx, p.group = ctx, group
	group.Go(func() error {
		err := p.door.serve(ctx)
		if err != nil {
			// All doors close with this one: members that can reach only some others would be a
			// partition that nobody asked for.
			p.log.Error("the mesh between members fails", "error", err)
		}
		return err
	})
}

// accepted is called by the door, in the goroutine that changes its state: when a change to another
// state is done, every connection accepted before is among the pairs.
func (p *proxy) accepted(caller *net.TCPConn) {
	c := &pair{caller: caller}
	p.mutex.Lock()
	p.pairs[c] = struct{}{}
	p.mutex.Unlock()
	p.group.Go(func() error {
		stop := context.AfterFunc(p.ctx, c.reset)
		p.carry(c)
		stop()
		p.mutex.Lock()
		delete(p.pairs, c)
		p.mutex.Unlock()
		return nil
	})
}

// resetAll ends every connection with a reset at both ends.
func (p *proxy) resetAll() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for c := range p.pairs {
		c.reset()
	}
}

// carry serves one connection until both its directions ended.
func (p *proxy) carry(c *pair) {
	if isProbe(c.caller) {
		p.echo(c)
		return
	}
	var header []byte
	if p.announce != "" {
		var err error
		header, err = readHandshake(c.caller, p.announce)
		if err != nil {
			p.log.Debug("no election handshake", "caller", c.caller.RemoteAddr(), "error", err)
			c.reset()
			return
		}
	}
	if err := p.connect(c); err != nil {
		p.log.Debug("caller turned away", "caller", c.caller.RemoteAddr(), "error", err)
		c.reset()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(c.upstream, c.caller, header, p.forward, p.back) })
	both.Go(func() { p.pump(c.caller, c.upstream, nil, p.back, p.forward) })
	both.Wait()
	c.close()
}

// connect opens the connection to the member, again and again for a while if the member does not
// listen.
func (p *proxy) connect(c *pair) error {
	ctx, cancel := context.WithTimeout(p.ctx, UpstreamPatience)
	defer cancel()
	var dialer net.Dialer
	dialer.SetMultipathTCP(false)
	for {
		conn, err := dialer.DialContext(ctx, "tcp4", p.upstream)
		if err == nil {
			return c.join(conn.(*net.TCPConn))
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(upstreamRetry):
		}
	}
}

// pump carries one direction through its gate. News of a broken destination travel against the
// stream, so they wait for the other direction's gate.
func (p *proxy) pump(to, from *net.TCPConn, first []byte, here, against *gate) {
	if len(first) > 0 && !p.deliver(to, from, first, here, against) {
		return
	}
	buffer := make([]byte, bufferSize)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !p.deliver(to, from, buffer[:n], here, against) {
			return
		}
		if err == nil {
			continue
		}
		if here.pass(p.ctx) != nil {
			return
		}
		if errors.Is(err, io.EOF) {
			to.CloseWrite()
		} else {
			abort(to)
		}
		return
	}
}

// deliver writes held bytes once the gate is open; false means that this direction is over.
func (p *proxy) deliver(to, from *net.TCPConn, bytes []byte, here, against *gate) bool {
	if here.pass(p.ctx) != nil {
		return false
	}
	if _, err := to.Write(bytes); err != nil {
		if against.pass(p.ctx) == nil {
			abort(from)
		}
		return false
	}
	return true
}

// join adds the connection to the member, unless the pair was reset in the meantime.
func (c *pair) join(upstream *net.TCPConn) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.over {
		abort(upstream)
		return net.ErrClosed
	}
	c.upstream = upstream
	return nil
}

func (c *pair) reset() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.over = true
	abort(c.caller)
	if c.upstream != nil {
		abort(c.upstream)
	}
}

// close ends a pair both directions of which have ended in order.
func (c *pair) close() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.caller.Close()
	c.upstream.Close()
}

// abort closes a connection with a reset instead of an orderly end.
func abort(conn *net.TCPConn) {
	conn.SetLinger(0)
	conn.Close()
}
