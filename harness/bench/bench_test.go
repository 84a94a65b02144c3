package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ordeal/harness/ensemble"
	"ordeal/node/jute"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted answers requests on one connection: each with the code that the script gives for its
// number from 1, and with a watch event in front of the third.
func scripted(t *testing.T, code func(xid int32) jute.Code) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		socket, err := listener.Accept()
		if err != nil {
			return
		}
		defer socket.Close()
		server := newConnection(socket)
		if _, err := server.next(nil); err != nil {
			return
		}
		server.frame(jute.ConnectResponse{TimeOut: 1000, SessionID: 7, Passwd: make([]byte, jute.PasswordSize)})
		for server.flush() == nil {
			frame, err := server.next(nil)
			if err != nil {
				return
			}
			var header jute.RequestHeader
			header.Decode(jute.NewDecoder(frame))
			if header.Xid == 3 {
				server.frame(jute.ReplyHeader{Xid: jute.XidNotification, Zxid: -1}, jute.WatcherEvent{Path: "/a"})
			}
			server.frame(jute.ReplyHeader{Xid: header.Xid, Zxid: 1, Err: code(header.Xid)})
		}
	}()
	return listener.Addr().String()
}

func TestDriveKeepsRequestsInFlightAndSeesThemAllAnswered(t *testing.T) {
	c, err := connect(t.Context(), scripted(t, func(int32) jute.Code { return jute.Ok }))
	require.NoError(t, err)
	require.EqualValues(t, 7, c.id)
	asked, most := 0, 0
	latency := newHistogram()
	err = c.drive(t.Context(), 8, time.Now().Add(50*time.Millisecond), func() {
		asked++
		c.request(jute.OpSync, jute.SyncRequest{Path: "/"})
		most = max(most, len(c.sent))
	}, latency)
	require.NoError(t, err)
	require.EqualValues(t, asked, latency.TotalCount())
	require.Equal(t, 8, most)
	require.NoError(t, c.close())
}

func TestDriveEndsWhereTheServerRefuses(t *testing.T) {
	c, err := connect(t.Context(), scripted(t, func(xid int32) jute.Code {
		if xid == 5 {
			return jute.NoNode
		}
		return jute.Ok
	}))
	require.NoError(t, err)
	err = c.drive(t.Context(), 1, time.Now().Add(time.Hour), func() {
		c.request(jute.OpSync, jute.SyncRequest{Path: "/"})
	}, newHistogram())
	require.EqualError(t, err, "the server answers NoNode")
}

func TestRowsJudgeRatios(t *testing.T) {
	measured := func(name ensemble.Implementation, operations int, took, start time.Duration) *Implementation {
		m := &Measured{Seconds: 1, Latency: newHistogram()}
		for range operations {
			require.NoError(t, m.Latency.RecordValue(took.Microseconds()))
		}
		return &Implementation{
			Name: name, Loads: map[string]*Measured{loads[0].name: m}, Resident: 1 << 20,
			Start: []time.Duration{start}, Gap: []time.Duration{time.Second},
		}
	}
	r := &Result{
		Options: Options{Loads: []string{"writes"}, Rounds: 1, Duration: time.Second},
		Implementations: []*Implementation{
			measured(ensemble.Node, 300, 2*time.Millisecond, time.Second),
			measured(ensemble.Apache, 100, 3*time.Millisecond, 4*time.Second),
		},
	}
	met := map[string]bool{}
	for _, row := range r.Rows() {
		met[strings.TrimSpace(row.What)] = row.Met
	}
	require.True(t, met["writes, 1,024 in flight"], "three times as many, just so")
	require.False(t, met["p99"], "two thirds are more than half")
	require.False(t, met["resident memory of a member"])
	require.True(t, met["start to serving, three members"])
	require.False(t, met["longest without a write after kill -9 of the leader"])

	var text bytes.Buffer
	require.NoError(t, r.Print(&text))
	require.Contains(t, text.String(), "MISSED")
	require.Contains(t, text.String(), "3 targets missed")
	require.Contains(t, text.String(), "0 not measured")
	_, err := json.Marshal(r.Summary())
	require.NoError(t, err)
}

// A ratio to nothing is none, and meets no target, at most or at least.
func TestRowsThatWereNotMeasured(t *testing.T) {
	started := func(name ensemble.Implementation, gap time.Duration) *Implementation {
		return &Implementation{Name: name, Start: []time.Duration{time.Second}, Gap: []time.Duration{gap}, Resident: 1}
	}
	for name, c := range map[string]struct{ node, apache time.Duration }{
		"Apache": {time.Second, 0}, "node": {0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Result{
				Options:         Options{SkipLoads: true},
				Implementations: []*Implementation{started(ensemble.Node, c.node), started(ensemble.Apache, c.apache)},
			}
			rows := r.Rows()
			row := rows[len(rows)-1]
			require.True(t, row.NotMeasured)
			require.False(t, row.Met)
			require.Zero(t, row.Ratio)
			var text bytes.Buffer
			require.NoError(t, r.Print(&text))
			require.Contains(t, text.String(), "1 not measured")
		})
	}
}

// The first connection is taken and never answered on, as Apache's server does while it starts. Another one is
// tried while that still waits.
func TestReachTriesAgainWhileATryWaits(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	served := make(chan error, 1)
	go func() {
		early, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		defer early.Close()
		socket, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		defer socket.Close()
		server := newConnection(socket)
		if _, err = server.next(nil); err == nil {
			server.frame(jute.ConnectResponse{TimeOut: 1000, SessionID: 7, Passwd: make([]byte, jute.PasswordSize)})
			err = server.flush()
		}
		served <- err
	}()
	c, err := probing{every: time.Millisecond, timeout: time.Hour}.reach(t.Context(), listener.Addr().String())
	require.NoError(t, err)
	defer c.socket.Close()
	require.EqualValues(t, 7, c.id)
	require.NoError(t, <-served)
}

func TestReachEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close() // takes connections, and answers none
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = probing{every: time.Millisecond, timeout: time.Hour}.reach(ctx, listener.Addr().String())
	require.ErrorContains(t, err, listener.Addr().String())
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	good := Options{
		Implementations: []ensemble.Implementation{ensemble.Node}, Rounds: 1, Duration: 1, WarmUp: 1, TickTime: time.Second,
	}
	require.NoError(t, good.Check())
	unknown := good
	unknown.Implementations = []ensemble.Implementation{"etcd"}
	require.ErrorContains(t, unknown.Check(), `"etcd"`)
	unknown = good
	unknown.Loads = []string{"thunder"}
	require.ErrorContains(t, unknown.Check(), `"thunder"`)
	few := good
	few.Large, few.Sessions, few.Znodes = true, 10, 99
	require.ErrorContains(t, few.Check(), "10 sessions and 99 znodes")
	few.Znodes++
	require.NoError(t, few.Check())
	unseen := good
	unseen.ProfileDir = "profiles"
	require.NoError(t, unseen.Check())
	unseen.Implementations = []ensemble.Implementation{ensemble.Apache}
	require.ErrorContains(t, unseen.Check(), "profiles are of our node")
	none := good
	none.Rounds = 0
	require.Error(t, none.Check())
}

func TestPauseEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, pause(ctx, time.Hour))
}

func TestAProfileIsTakenOnceItIsThere(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	moved := make(chan error)
	go func() { moved <- moveOnceThere(t.Context(), from, to) }()
	require.NoError(t, os.WriteFile(from, nil, 0o600))
	require.NoError(t, <-moved)
	require.FileExists(t, to)
}

func TestFloorsAreMeasured(t *testing.T) {
	r := &Result{Fdatasync: time.Millisecond}
	var err error
	r.RoundTrip, err = roundTrip(t.Context())
	require.NoError(t, err)
	require.Positive(t, r.RoundTrip)
	require.Equal(t, 3*r.RoundTrip+time.Millisecond, r.writeFloor())
}
