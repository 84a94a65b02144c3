package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// listenForClients opens the port for clients without TLS. There may be none beside that for TLS.
func (s *shell) listenForClients(ctx context.Context) (net.Listener, error) {
	c := s.config
	if c.ClientPort == 0 {
		return &silence{closed: make(chan struct{})}, nil
	}
	return s.listenWithBacklog(ctx, "client", net.JoinHostPort(c.ClientHost, strconv.Itoa(c.ClientPort)))
}

// listenWithBacklog opens a port for clients with the backlog that was asked for. On Linux a listener takes a
// new one by listening again.
func (s *shell) listenWithBacklog(ctx context.Context, purpose, address string) (net.Listener, error) {
	listener, err := listenTCP(ctx, purpose, address)
	if err != nil || s.config.ClientBacklog < 1 {
		return listener, err
	}
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err == nil {
		var listening error
		err = errors.Join(raw.Control(func(fd uintptr) { listening = unix.Listen(int(fd), s.config.ClientBacklog) }), listening)
	}
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("set the backlog of the %s port: %w", purpose, err)
	}
	return listener, nil
}

// openSecurePort opens the port for clients with TLS, if there is to be one.
func (s *shell) openSecurePort(ctx context.Context) (err error) {
	c, t := s.config, s.config.tuning
	s.client.superUser = t.x509SuperUser
	if t.clientUnified {
		unified := *t.clientSecurity
		unified.unify = true
		s.client.plain = &unified
	}
	if c.SecureClientPort == 0 {
		return nil
	}
	address := net.JoinHostPort(c.SecureClientHost, strconv.Itoa(c.SecureClientPort))
	if s.secureListener, err = s.listenWithBacklog(ctx, "secure client", address); err != nil {
		s.secureListener = nil
		return err
	}
	s.client.secure, s.client.secured = s.secureListener, t.clientSecurity
	return nil
}

// silence is a listener that nobody can reach.
type silence struct {
	closing sync.Once
	closed  chan struct{}
}

// Accept waits for the end.
func (s *silence) Accept() (net.Conn, error) {
	<-s.closed
	return nil, net.ErrClosed
}

// Close ends Accept.
func (s *silence) Close() error {
	s.closing.Do(func() { close(s.closed) })
	return nil
}

// Addr says that there is no address.
func (s *silence) Addr() net.Addr { return nowhere{} }

type nowhere struct{}

func (nowhere) Network() string { return "none" }
func (nowhere) String() string  { return "none" }

// secureAll reads what the properties say about TLS.
func (c *Config) secureAll() (err error) {
	t, p := &c.tuning, c.Properties
	t.x509SuperUser = p.text("zookeeper.X509AuthenticationProvider.superUser")
	if t.clientUnified, err = p.flag("zookeeper.client.portUnification", false); err != nil {
		return err
	}
	if c.SecureClientPort != 0 || t.clientUnified {
		if t.clientSecurity, err = p.secure("zookeeper.ssl."); err != nil {
			return err
		}
		// Clients come from anywhere, and are not asked for the names of their machines.
		t.clientSecurity.checkCaller = false
	}
	if !c.QuorumTLS && !c.PortUnification {
		return nil
	}
	if c.Standalone {
		return errors.New("sslQuorum is for the members of an ensemble, and this server is alone")
	}
	if t.quorumSecurity, err = p.secure("zookeeper.ssl.quorum."); err != nil {
		return err
	}
	t.quorumSecurity.unify, t.quorumSecurity.plain = c.PortUnification, !c.QuorumTLS
	return nil
}
