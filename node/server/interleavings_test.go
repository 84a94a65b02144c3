package server

import (
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"ordeal/node/election"
	"ordeal/node/peer"
)

// The tests of this file have the numbers of issues in Apache's tracker that are about ports, and what is said of a
// server.

// Test4730: each size stands under its own name.
func Test4730(t *testing.T) {
	config := standaloneConfig(t, "dataLogDir="+t.TempDir(), nil)
	for dir, size := range map[string]int{config.snapshotDir(): 10, config.logDir(): 20} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		writeFile(t, filepath.Join(dir, "file"), strings.Repeat("x", size))
	}
	w := words{config: config}
	require.Equal(t, "datadir_size: 10\nlogdir_size: 20\n", w.dirs(peer.State{}))
	require.Equal(t, object{{"datadir_size", int64(10)}, {"logdir_size", int64(20)}}, w.adminDirs(peer.State{}, nil))
}

// reluctantListener has no file descriptor for its first connections.
type reluctantListener struct {
	net.Listener
	failures int
}

func (l *reluctantListener) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, syscall.EMFILE
	}
	return l.Listener.Accept()
}

// Test4424: an accept that fails costs a pause and not the port, of learners or of clients.
func Test4424(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	accepted := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		accept(t.Context(), &reluctantListener{listener, 3}, slog.New(slog.DiscardHandler), func(tcp net.Conn) {
			tcp.Close()
			close(accepted)
		})
	}()
	tcp, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer tcp.Close()
	select {
	case <-accepted:
	case <-ended:
		t.Fatal("the port is closed")
	}
	listener.Close()
	<-ended
}

// Test4203: the learner port cannot be opened when a server begins to lead. It tries again, and learners reach it.
func Test4203(t *testing.T) {
	r := start(t, ensembleConfigs(t, 3)[1])
	three := call(t, r, header(3, "h:1"))
	readNotification(t, three)
	occupied, err := net.Listen("tcp", r.config.self().QuorumAddress())
	require.NoError(t, err)
	defer occupied.Close()
	writeNotification(t, three, election.Notification{State: election.Looking, Leader: 2, ElectionEpoch: 1, Version: 2})
	r.logs("cannot lead")
	occupied.Close()
	r.dial(r.config.self().QuorumAddress())
}

// blackHole listens at an address and answers no attempt to connect: the queue of those that wait is full.
func blackHole(t *testing.T, address string) {
	t.Helper()
	parsed, err := netip.ParseAddrPort(address)
	require.NoError(t, err)
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(socket) })
	require.NoError(t, unix.Bind(socket, &unix.SockaddrInet4{Port: int(parsed.Port()), Addr: parsed.Addr().As4()}))
	require.NoError(t, unix.Listen(socket, 0))
	for range 3 {
		tcp, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { tcp.Close() })
	}
	t.Fatalf("%s still takes connections", address)
}

// Test2164And3756: one server cannot be reached, and whoever connects to it waits for longer than this test. The others are
// reached meanwhile.
func Test2164And3756(t *testing.T) {
	configs := ensembleConfigs(t, 3)
	blackHole(t, configs[0].self().ElectionAddress())
	listener, err := net.Listen("tcp", configs[1].self().ElectionAddress())
	require.NoError(t, err)
	defer listener.Close()
	configs[2].tuning.connectTimeout = time.Hour
	start(t, configs[2])
	tcp, err := listener.Accept()
	require.NoError(t, err)
	defer tcp.Close()
	require.NoError(t, tcp.SetDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(tcp, make([]byte, len(header(3, configs[2].self().ElectionAddress()))))
	require.NoError(t, err)
	require.EqualValues(t, 3, readNotification(t, tcp).Leader)
}
