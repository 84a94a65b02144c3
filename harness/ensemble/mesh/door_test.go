package mesh

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"ordeal/node/freeport"
)

// freeAddress is a loopback address at which nobody listens.
func freeAddress(t *testing.T) string { return fmt.Sprintf("127.0.0.1:%d", freeport.Take(t)) }

func TestDoorTreatsCallersAsANetworkWould(t *testing.T) {
	accepted := make(chan *net.TCPConn, 8)
	d, err := openDoor(freeAddress(t), func(conn *net.TCPConn) { accepted <- conn })
	require.NoError(t, err)
	address := d.listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var group errgroup.Group
	group.Go(func() error { return d.serve(ctx) })
	defer func() {
		cancel()
		require.NoError(t, group.Wait())
	}()

	knock := func() error {
		conn, err := net.DialTimeout("tcp4", address, 300*time.Millisecond)
		if err != nil {
			return err
		}
		defer conn.Close()
		return (<-accepted).Close()
	}
	// Each state is entered from each other one, twice.
	for _, state := range []doorState{
		doorOpen, doorHanging, doorOpen, doorRefusing, doorOpen, doorHanging, doorRefusing,
		doorHanging, doorHanging, doorOpen, doorOpen, doorRefusing, doorRefusing, doorOpen,
	} {
		require.NoError(t, d.set(ctx, state))
		err := knock()
		switch state {
		case doorOpen:
			require.NoError(t, err)
		case doorHanging:
			requireTimeout(t, err)
		case doorRefusing:
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
		}
		require.Empty(t, accepted, "the door's own connection must not be seen")
	}
}

func TestHangingCallerGetsThroughAfterTheDoorOpens(t *testing.T) {
	accepted := make(chan *net.TCPConn, 8)
	d, err := openDoor(freeAddress(t), func(conn *net.TCPConn) { accepted <- conn })
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var group errgroup.Group
	group.Go(func() error { return d.serve(ctx) })
	defer func() {
		cancel()
		require.NoError(t, group.Wait())
	}()
	require.NoError(t, d.set(ctx, doorHanging))

	called := make(chan struct{})
	group.Go(func() error {
		close(called)
		conn, err := net.DialTimeout("tcp4", d.listener.Addr().String(), 10*time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	<-called
	require.NoError(t, d.set(ctx, doorOpen))
	(<-accepted).Close()
}

// TestRefusingDoorKeepsItsAddress: nobody else gets it, not even while nobody listens.
func TestRefusingDoorKeepsItsAddress(t *testing.T) {
	address := freeAddress(t)
	d, err := openDoor(address, func(conn *net.TCPConn) { conn.Close() })
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.serve(ctx) }()
	for range 3 {
		require.NoError(t, d.set(ctx, doorRefusing))
		_, err = net.Listen("tcp4", address)
		require.ErrorIs(t, err, unix.EADDRINUSE)
		require.NoError(t, d.set(ctx, doorOpen))
		conn, err := net.Dial("tcp4", address)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	cancel()
	require.NoError(t, <-served)
}
