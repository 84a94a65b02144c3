// Package agent is what stands beside a member in its network namespace. It owns the namespace, as
// the pause container of a Kubernetes pod does, so that address, published ports and link faults
// outlive a kill of the member, and the member's own image stays untouched.
//
// The agent knows addresses, ports and packet filters. It must not know which server runs beside it,
// nor why a link is cut.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// Ports inside a member's network namespace. Those of ZooKeeper are its customary ones.
const (
	ClientPort   = 2181
	ProbePort    = 2182 // forwarded to the client port from within, so that client cuts do not matter
	EchoPort     = 2183 // answers every byte with itself, to prove that a link passes traffic
	QuorumPort   = 2888
	ElectionPort = 3888
)

const (
	connectionsMax = 64               // at once on each of the agent's own ports
	dialTimeout    = 2 * time.Second  // to the member's client port, which is on the same host
	idleTimeout    = 30 * time.Second // after which a probe or echo connection is closed
)

// Serve runs the agent until ctx ends: the probe port and the echo port.
func Serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return listen(ctx, ProbePort, forward) })
	group.Go(func() error { return listen(ctx, EchoPort, echo) })
	return group.Wait()
}

// listen hands every connection on port to handle, at most connectionsMax at once.
func listen(ctx context.Context, port int, handle func(context.Context, net.Conn)) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("agent: listen on port %d: %w", port, err)
	}
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	var group errgroup.Group
	group.SetLimit(connectionsMax)
	for {
		connection, err := listener.Accept()
		if err != nil {
			waitErr := group.Wait()
			if ctx.Err() != nil {
				return waitErr
			}
			return errors.Join(fmt.Errorf("agent: accept on port %d: %w", port, err), waitErr)
		}
		group.Go(func() error {
			defer connection.Close()
			stop := context.AfterFunc(ctx, func() { connection.Close() })
			defer stop()
			_ = connection.SetDeadline(time.Now().Add(idleTimeout))
			handle(ctx, connection)
			return nil
		})
	}
}

// echo answers every byte with itself.
func echo(_ context.Context, connection net.Conn) { _, _ = io.Copy(connection, connection) }

// forward carries one probe to the member's client port and its answer back.
func forward(ctx context.Context, connection net.Conn) {
	dialer := net.Dialer{Timeout: dialTimeout}
	member, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(ClientPort)))
	if err != nil {
		return
	}
	defer member.Close()
	_ = member.SetDeadline(time.Now().Add(idleTimeout))
	var group errgroup.Group
	group.Go(func() error {
		_, err := io.Copy(member, connection)
		return err
	})
	_, _ = io.Copy(connection, member)
	connection.Close()
	_ = group.Wait()
}

// Reach proves that traffic passes between here and the echo port of each host, in both directions,
// within timeout.
func Reach(ctx context.Context, hosts []string, timeout time.Duration) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, host := range hosts {
		group.Go(func() error { return reach(ctx, host, timeout) })
	}
	return group.Wait()
}

func reach(ctx context.Context, host string, timeout time.Duration) error {
	dialer := net.Dialer{Timeout: timeout}
	connection, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(EchoPort)))
	if err != nil {
		return fmt.Errorf("no traffic to %s: %w", host, err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(timeout))
	if _, err := connection.Write([]byte{1}); err != nil {
		return fmt.Errorf("no traffic to %s: %w", host, err)
	}
	if _, err := io.ReadFull(connection, make([]byte, 1)); err != nil {
		return fmt.Errorf("no traffic back from %s: %w", host, err)
	}
	return nil
}
