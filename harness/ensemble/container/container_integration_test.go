//go:build integration

package container

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/harness/ensemble"
	"ordeal/results/history"
)

// events takes what a driver tells.
type events struct {
	mu   sync.Mutex
	list []history.Event
}

func (e *events) take(event history.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
}

func (e *events) has(member int, state history.State) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.list {
		if event.Member == member && event.State == state {
			return true
		}
	}
	return false
}

// TestIntegrationContainerFaults puts three members of our node through every fault, and looks from
// outside whether it is on and whether it is off.
func TestIntegrationContainerFaults(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if _, err := Available(ctx); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "CI wants Docker: %v", err)
		t.Skip(err)
	}
	binary, err := filepath.Abs("../../../bin/ordeal")
	require.NoError(t, err)
	require.FileExists(t, binary, "run make build first")
	told := &events{}
	e, err := Start(ctx, ensemble.Spec{
		Run: "container-test", Implementations: []ensemble.Implementation{ensemble.Node, ensemble.Node, ensemble.Node},
		TickTime: 500 * time.Millisecond, InitLimit: 10, SyncLimit: 4, HoldUnsynced: true,
		Dir: t.TempDir(), Binary: binary, Log: slog.New(slog.DiscardHandler), Notify: told.take,
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close(context.Background())) }()

	answers := func(address string) bool {
		asked, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		answer, err := ensemble.FourLetterWord(asked, address, "srvr")
		return err == nil && strings.Contains(answer, "Mode: ")
	}
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
	eventually(serve(1, 2, 3), "all serve")
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
	require.False(t, told.has(3, history.Crashed), "what a fault ended did not crash")
	require.ErrorContains(t, e.Inject(ctx, history.Fault{Kind: history.Kill, Members: []int{9}}), "no member 9")

	require.NoError(t, e.Stop(ctx))
	collected := t.TempDir()
	require.NoError(t, e.Collect(ctx, collected))
	for _, id := range []string{"1", "2", "3"} {
		require.DirExists(t, filepath.Join(collected, id, "data", "version-2"))
		require.FileExists(t, filepath.Join(collected, id, "log"))
	}
}
