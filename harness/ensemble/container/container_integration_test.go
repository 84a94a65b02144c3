//go:build integration

package container

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	members "ordeal/harness/client"
	"ordeal/harness/ensemble"
	"ordeal/results/history"
)

// events takes what a driver tells.
type events struct {
	mu     sync.Mutex
	list   []history.Event
	broken []string // what was no member's fault
}

func (e *events) failed(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.broken = append(e.broken, err.Error())
}

func (e *events) take(event history.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
}

// of are the texts of a member's events of one kind of state; those of member 0 and no state are notes.
func (e *events) of(member int, state history.State) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var texts []string
	for _, event := range e.list {
		if event.Member == member && event.State == state {
			texts = append(texts, event.Text)
		}
	}
	return texts
}

// needsEngine skips a test where no engine answers, and returns the program that members run.
func needsEngine(ctx context.Context, t *testing.T) (binary string) {
	t.Helper()
	if _, err := Available(ctx); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "CI wants Docker: %v", err)
		t.Skip(err)
	}
	binary, err := filepath.Abs("../../../bin/ordeal")
	require.NoError(t, err)
	require.FileExists(t, binary, "run make build first")
	return binary
}

// startThree starts three members of our node, which are removed with the test.
func startThree(ctx context.Context, t *testing.T) (*Ensemble, *events) {
	t.Helper()
	told := &events{}
	e, err := Start(ctx, ensemble.Spec{
		Run: t.Name(), Implementations: []ensemble.Implementation{ensemble.Node, ensemble.Node, ensemble.Node},
		TickTime: 500 * time.Millisecond, InitLimit: 10, SyncLimit: 4, HoldUnsynced: true,
		Dir: t.TempDir(), Binary: needsEngine(ctx, t), Log: slog.New(slog.DiscardHandler), Notify: told.take, Failed: told.failed,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close(context.Background())) })
	require.Eventually(t, func() bool {
		return serves(ctx, e.ProbeAddress(1)) && serves(ctx, e.ProbeAddress(2)) && serves(ctx, e.ProbeAddress(3))
	},
		30*time.Second, 50*time.Millisecond, "all serve")
	return e, told
}

// status is what a member that serves says of itself; zero if it does not.
func status(ctx context.Context, address string) members.Status {
	asked, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	status, _ := members.Probe(asked, address) // an error says that it does not serve
	return status
}

// serves tells whether a member serves.
func serves(ctx context.Context, address string) bool { return status(ctx, address).Mode != "" }

// TestIntegrationContainerFaults puts three members of our node through every fault, and looks from
// outside whether it is on and whether it is off.
func TestIntegrationContainerFaults(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	e, told := startThree(ctx, t)
	answers := func(address string) bool { return serves(ctx, address) }
	serve := func(members ...int) func() bool {
		return func() bool {
			for _, id := range members {
				if !answers(e.ProbeAddress(id)) {
					return false
				}
			}
			return true
		}
	}
	eventually := func(condition func() bool, words string) {
		require.Eventually(t, condition, 30*time.Second, 50*time.Millisecond, words)
	}
	require.NoError(t, e.LinksPass(ctx))
	for id := range 3 {
		host, _, err := net.SplitHostPort(e.ClientAddress(id + 1))
		require.NoError(t, err)
		require.True(t, net.ParseIP(host).IsLoopback(), "published on loopback only")
	}

	number := 0
	during := func(fault history.Fault, look func()) {
		number++
		fault.ID = number
		require.NoError(t, e.Inject(ctx, fault), fault)
		look()
		require.NoError(t, e.Heal(ctx, fault), fault)
		eventually(serve(1, 2, 3), "all serve after "+fault.String())
		require.NoError(t, e.LinksPass(ctx))
	}
	for _, mode := range []history.CutMode{history.Drop, history.Reset} {
		links := []history.Link{{From: 1, To: 2}, {From: 2, To: 1}, {From: 1, To: 3}, {From: 3, To: 1}}
		during(history.Fault{Kind: history.Cut, Mode: mode, Links: links}, func() {
			require.Error(t, e.LinksPass(ctx), "a cut link must not pass")
			eventually(func() bool { return !answers(e.ProbeAddress(1)) }, "a member alone serves no longer")
			eventually(serve(2, 3), "the majority goes on")
		})
	}
	during(history.Fault{Kind: history.ClientCut, Members: []int{2}}, func() {
		require.False(t, answers(e.ClientAddress(2)))
		require.True(t, answers(e.ProbeAddress(2)), "the harness sees the member all the same")
	})
	during(history.Fault{Kind: history.Pause, Members: []int{3}}, func() { require.False(t, answers(e.ProbeAddress(3))) })
	for _, kind := range []history.FaultKind{history.Kill, history.PowerLoss, history.Stop} {
		address := e.ClientAddress(3)
		during(history.Fault{Kind: kind, Members: []int{3}}, func() { require.False(t, answers(e.ProbeAddress(3))) })
		require.Equal(t, address, e.ClientAddress(3), "the address outlives a kill")
	}
	during(history.Fault{Kind: history.PowerLoss, Members: []int{1, 2, 3}}, func() {
		for id := 1; id <= 3; id++ {
			require.False(t, answers(e.ProbeAddress(id)))
		}
	})
	require.Empty(t, told.of(3, history.Crashed), "what a fault ended did not crash")
	require.ErrorContains(t, e.Inject(ctx, history.Fault{Kind: history.Kill, Members: []int{9}}), "no member 9")
	require.NoError(t, e.Heal(ctx, history.Fault{ID: 99}), "what is not on is off")

	require.NoError(t, e.Stop(ctx))
	collected := t.TempDir()
	require.NoError(t, e.Collect(ctx, collected))
	for id := 1; id <= 3; id++ {
		folder := filepath.Join(collected, strconv.Itoa(id))
		require.DirExists(t, filepath.Join(folder, "data", "version-2"))
		log, err := os.ReadFile(filepath.Join(folder, "log"))
		require.NoError(t, err)
		lives := 2
		if id == 3 {
			lives = 5 // it was killed, cut from the power twice, and stopped
		}
		require.Equal(t, lives, strings.Count(string(log), "data directory read"), "each start is told once, in member %d's log", id)
		_, last, _ := strings.Cut(string(log[strings.LastIndex(string(log), "data directory read"):]), "msg=serving")
		require.Contains(t, last, "epoch=", "what was printed after the last start is there too")
		require.Len(t, told.of(id, history.Started), lives)
		require.Len(t, told.of(id, history.Exited), lives)
	}
}

// TestIntegrationContainerEndsAreTold ends members behind the driver's back, also while the engine gives
// no word.
func TestIntegrationContainerEndsAreTold(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e, told := startThree(ctx, t)
	m := e.members[1]
	how := make(chan string, 1)
	go func() {
		ended, _ := m.untilEnd(m.server.GetContainerID(), func(context.Context) error { return errors.New("the engine is silent") })
		how <- ended
	}()
	require.Eventually(t, func() bool { return len(told.of(0, "")) > 0 }, 10*time.Second, 10*time.Millisecond)
	require.Contains(t, told.of(0, "")[0], "the engine is silent")

	_, err := e.engine.ContainerKill(ctx, m.server.GetContainerID(), client.ContainerKillOptions{Signal: "SIGQUIT"})
	require.NoError(t, err)
	require.NoError(t, m.gone(ctx))
	require.Equal(t, "exit status 2", <-how)
	require.Len(t, told.of(2, history.Crashed), 1)
	require.Contains(t, told.of(2, history.Crashed)[0], "ended by itself (exit status 2); its last log lines:\n")
	require.NotContains(t, told.of(2, history.Crashed)[0], "data directory read", "the last lines, not the first")
	require.ErrorContains(t, e.Inject(ctx, history.Fault{ID: 1, Kind: history.Kill, Members: []int{1, 2}}), "member 2 is not running")
	require.True(t, e.members[0].running(), "a fault that is refused leaves nothing on")

	_, err = e.engine.ContainerKill(ctx, e.members[2].agent.GetContainerID(), client.ContainerKillOptions{Signal: "SIGKILL"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		told.mu.Lock()
		defer told.mu.Unlock()
		return strings.Contains(strings.Join(told.broken, " "), "the agent that holds the network of member 3 ended")
	}, 10*time.Second, 10*time.Millisecond)
	require.Empty(t, told.of(3, history.Crashed), "no member is to blame")
}

// TestIntegrationContainerClientCutsStopWhatIsOwed sets a watch, cuts the client off, and lets another
// member's client trigger it.
func TestIntegrationContainerClientCutsStopWhatIsOwed(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e, _ := startThree(ctx, t)
	connect := func(member int) (*zk.Conn, <-chan zk.Event) {
		connection, events, err := zk.Connect([]string{e.ClientAddress(member)}, 8*time.Second, zk.WithLogger(silent{}))
		require.NoError(t, err)
		t.Cleanup(connection.Close)
		return connection, events
	}
	writer, _ := connect(1)
	watcher, states := connect(2)
	for i, mode := range []history.CutMode{history.Drop, history.Reset} {
		path := "/cut-by-" + string(mode)
		_, _, fired, err := watcher.ExistsW(path)
		require.NoError(t, err)
		for len(states) > 0 {
			<-states
		}
		cut := history.Fault{ID: i + 1, Kind: history.ClientCut, Members: []int{2}, Mode: mode}
		require.NoError(t, e.Inject(ctx, cut))
		_, err = writer.Create(path, nil, 0, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
		created := status(ctx, e.ProbeAddress(1)).Zxid
		require.Eventually(t, func() bool { return status(ctx, e.ProbeAddress(2)).Zxid == created },
			10*time.Second, 10*time.Millisecond, "the member that is cut off from clients has the znode")
		select {
		case <-fired:
			t.Fatalf("the watch event reached a client that was cut off by %s", mode)
		case <-time.After(300 * time.Millisecond): // far longer than an event takes; a cut that leaks is seen
		}
		if mode == history.Reset {
			require.Equal(t, zk.StateDisconnected, (<-states).State, "a reset ends the connection")
		}
		require.NoError(t, e.Heal(ctx, cut))
		select {
		case event := <-fired:
			require.Equal(t, zk.EventNodeCreated, event.Type)
		case <-ctx.Done():
			t.Fatal("the watch event was lost")
		}
	}
}

type silent struct{}

func (silent) Printf(string, ...any) {}
