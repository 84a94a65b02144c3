package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/node/peer"
)

const (
	// sessionlessTimeoutDefault is how long a connection may be without a session (Apache:
	// zookeeper.nio.sessionlessCnxnTimeout).
	sessionlessTimeoutDefault = 10 * time.Second
	// acceptPause is the wait after a failed accept, for instance while no file descriptor is free.
	acceptPause = 50 * time.Millisecond
)

// clientPort accepts clients and knows their connections.
type clientPort struct {
	listener net.Listener
	moves    chan net.Listener // the next place to listen at
	// plain is how connections to listener are secured, nil for not at all. Secure listens for those
	// that must be; nil for nobody.
	plain, secured *security
	secure         net.Listener
	superUser      string // zookeeper.X509AuthenticationProvider.superUser
	core           *core
	log            *slog.Logger
	words          *words
	stats          *serverStats
	group          *errgroup.Group

	connectionsMax     int // per address; 0 for no bound
	allConnectionsMax  int // of all addresses together; 0 for no bound
	frameMax           int // bytes, jute.maxbuffer
	sessionlessTimeout time.Duration
	// touchInterval is how often at least a frame of a connection goes through the core, which notes
	// that the session is alive.
	touchInterval time.Duration
	admission     *admission

	lock      sync.Mutex
	last      peer.Conn
	touched   []*clientConn // with new outputs that nobody has begun to write
	open      map[peer.Conn]*clientConn
	byAddress map[string]int
}

// listenTCP opens a port; the error says which, and what it is for.
func listenTCP(ctx context.Context, purpose, address string) (net.Listener, error) {
	var config net.ListenConfig // Go sets SO_REUSEADDR by itself
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot open the %s port: %w", purpose, err)
	}
	return listener, nil
}

// acceptMoving is accept at a listener that others may take the place of.
func acceptMoving(ctx context.Context, listener net.Listener, moves <-chan net.Listener, log *slog.Logger, handle func(net.Conn)) {
	for {
		accepting := make(chan struct{})
		go func() {
			defer close(accepting)
			accept(ctx, listener, log, handle)
		}()
		var next net.Listener
		select {
		case next = <-moves:
		case <-ctx.Done():
		}
		listener.Close()
		<-accepting
		if next == nil {
			return
		}
		log.Info("listening elsewhere", "address", next.Addr().String())
		listener = next
	}
}

// accept hands every connection to handle until the listener is closed. A failed accept costs a
// pause, never the port.
func accept(ctx context.Context, listener net.Listener, log *slog.Logger, handle func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		if err == nil {
			handle(conn)
			continue
		}
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		log.Warn("cannot accept a connection", "port", listener.Addr().String(), "error", err)
		sleep(ctx, acceptPause)
	}
}

// sleep waits, or returns false at once when ctx is done.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// serve accepts clients until ctx is done, and ends with all their connections closed.
func (p *clientPort) serve(ctx context.Context) error {
	if p.secure != nil {
		p.group.Go(func() error {
			defer context.AfterFunc(ctx, func() { p.secure.Close() })()
			accept(ctx, p.secure, p.log, func(tcp net.Conn) { p.welcome(ctx, tcp, p.secured) })
			return nil
		})
	}
	acceptMoving(ctx, p.listener, p.moves, p.log, func(tcp net.Conn) { p.welcome(ctx, tcp, p.plain) })
	return nil
}

// welcome starts a connection's goroutines, unless its address has too many already.
func (p *clientPort) welcome(ctx context.Context, tcp net.Conn, secured *security) {
	address := addressOf(tcp)
	p.lock.Lock()
	tooMany := ""
	switch {
	case p.connectionsMax > 0 && p.byAddress[address] >= p.connectionsMax:
		tooMany = "too many connections from one address"
	case p.allConnectionsMax > 0 && len(p.open) >= p.allConnectionsMax:
		tooMany = "too many connections"
	}
	if tooMany != "" {
		p.lock.Unlock()
		p.stats.refused.Add(1)
		p.log.Warn(tooMany, "client", tcp.RemoteAddr().String(), "maxClientCnxns", p.connectionsMax, "maxCnxns", p.allConnectionsMax)
		tcp.Close()
		return
	}
	p.last++
	c := newClientConn(p, p.last, tcp, address, secured)
	p.open[c.id] = c
	p.byAddress[address]++
	p.lock.Unlock()
	p.group.Go(func() error {
		c.run(ctx)
		p.forget(c)
		return nil
	})
}

func (p *clientPort) forget(c *clientConn) {
	p.lock.Lock()
	defer p.lock.Unlock()
	delete(p.open, c.id)
	if p.byAddress[c.address]--; p.byAddress[c.address] == 0 {
		delete(p.byAddress, c.address)
	}
}

// addressOf is a connection's remote address without its port.
func addressOf(tcp net.Conn) string {
	host, _, err := net.SplitHostPort(tcp.RemoteAddr().String())
	if err != nil {
		return tcp.RemoteAddr().String()
	}
	return host
}

// deliver queues the core's outputs.
func (p *clientPort) deliver(outputs []peer.ClientOutput) {
	if len(outputs) == 0 {
		return
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	for _, output := range outputs {
		c := p.open[output.Conn]
		if c == nil {
			continue
		}
		if output.Frame != nil {
			c.send(output.Frame, output.Event)
			if last := len(p.touched) - 1; last < 0 || p.touched[last] != c {
				p.touched = append(p.touched, c)
			}
		}
		if output.Close {
			c.end()
		}
	}
}

// pushedMax is how many connections are written to by who drives the core. If there are more, their
// writers do it beside one another.
const pushedMax = 16

// push sees to it that what was delivered is written. The core's lock is not held.
func (p *clientPort) push() {
	p.lock.Lock()
	touched := p.touched
	p.touched = nil
	p.lock.Unlock()
	for _, c := range touched {
		if len(touched) > pushedMax {
			signal(c.out.wake)
		} else {
			c.out.push()
		}
	}
	clear(touched)
	p.lock.Lock()
	if p.touched == nil {
		p.touched = touched[:0]
	}
	p.lock.Unlock()
}

// touchIntervalFor is short enough that no session expires for the silence of its connection towards
// the core: the core sees each connection several times in the shortest timeout, and in a tick.
func touchIntervalFor(config *Config) time.Duration {
	return min(config.TickTime, config.SessionTimeoutMin) / 4
}

// mustTouch tells whether a connection that the core has not heard of for so long must send its next
// frame through the core.
func (p *clientPort) mustTouch(silence time.Duration) bool { return silence >= p.touchInterval }

// pause stops and resumes reading from clients.
func (p *clientPort) pause(commands []peer.ClientReading) {
	if len(commands) == 0 {
		return
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	for _, command := range commands {
		if c := p.open[command.Conn]; c != nil {
			c.paused.Store(command.Paused)
			c.signalRoom()
		}
	}
}

// sessions returns the session of every open connection that has one.
func (p *clientPort) sessions() map[peer.Conn]int64 {
	sessions := map[peer.Conn]int64{}
	for _, c := range p.connections() {
		if session := c.session(); session != 0 {
			sessions[c.id] = session
		}
	}
	return sessions
}

// connections returns all open connections, oldest first.
func (p *clientPort) connections() []*clientConn {
	p.lock.Lock()
	defer p.lock.Unlock()
	all := make([]*clientConn, 0, len(p.open))
	for _, c := range p.open {
		all = append(all, c)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].id < all[j].id })
	return all
}
