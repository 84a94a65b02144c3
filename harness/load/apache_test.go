//go:build integration

package load_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ordeal/harness/client"
	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/process"
	"ordeal/harness/load"
	"ordeal/node/apachetest"
	"ordeal/results/history"
	"ordeal/workloads"
)

// TestIntegrationWorkloadsOnApache runs all workloads on three members of Apache, the leader of which is killed
// and started again meanwhile.
func TestIntegrationWorkloadsOnApache(t *testing.T) {
	if _, err := ensemble.FindApache(); err != nil {
		apachetest.Missing(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	servers, err := process.Start(ctx, ensemble.Spec{
		Run: t.Name(), Dir: t.TempDir(), TickTime: 500 * time.Millisecond, InitLimit: 10, SyncLimit: 5,
		Implementations: []ensemble.Implementation{ensemble.Apache, ensemble.Apache, ensemble.Apache},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, servers.Close(context.WithoutCancel(ctx))) }()

	path := filepath.Join(t.TempDir(), "history.jsonl.zst")
	writer, err := history.NewWriter(path)
	require.NoError(t, err)
	var numbers client.Numbers
	next := 0
	options := func(workload string, members ...int) load.Options {
		next++
		o := load.Options{Client: client.Options{
			Client: next, Workload: workload, Recorder: writer, Now: writer.Now, Numbers: &numbers,
			SessionTimeout: 4 * time.Second, RequestTimeout: 4 * time.Second,
		}}
		for _, m := range members {
			o.Client.Members = append(o.Client.Members, client.Member{Number: m, Address: servers.ClientAddress(m)})
		}
		return o
	}
	for _, w := range workloads.All() {
		_, err := load.Perform(ctx, options(w.Name(), 1, 2, 3), w.Setup())
		require.NoError(t, err)
	}
	leader := 0
	for m := 1; m <= servers.Size(); m++ {
		status, err := client.Probe(ctx, servers.ProbeAddress(m))
		require.NoError(t, err)
		if status.Leads() {
			leader = m
		}
	}
	require.NotZero(t, leader)

	const clients, duration = 4, 6 * time.Second
	start := writer.Now()
	counts := map[string]*load.Counts{}
	group, groupContext := errgroup.WithContext(ctx)
	for _, w := range workloads.All() {
		counts[w.Name()] = new(load.Counts)
		for _, steps := range w.Clients(clients, 1) {
			o := options(w.Name(), 1, 2, 3)
			o.Start, o.Until, o.Counts = start, start+duration, counts[w.Name()]
			group.Go(func() error { return load.Run(groupContext, o, steps) })
		}
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, c := range counts {
		for ok := int64(0); ok < 200; ok, _, _ = c.Totals() {
			<-tick.C
		}
	}
	kill := history.Fault{ID: 1, Kind: history.Kill, Members: []int{leader}}
	require.NoError(t, servers.Inject(ctx, kill))
	require.NoError(t, servers.Heal(ctx, kill))
	require.NoError(t, group.Wait())

	var trees []client.Tree
	var roots []string
	for _, w := range workloads.All() {
		roots = append(roots, w.Root())
		ok, failed, unknown := counts[w.Name()].Totals()
		t.Logf("%s: %d ok, %d failed, %d unknown", w.Name(), ok, failed, unknown)
		require.Greater(t, ok, int64(100), w.Name())
	}
	for m := 1; m <= servers.Size(); m++ {
		for _, w := range workloads.All() {
			results, err := load.Perform(ctx, options(w.Name(), m), w.Final())
			require.NoError(t, err)
			for _, result := range results {
				require.Equal(t, history.OK, result.Outcome)
			}
		}
		began := time.Now()
		tree, err := client.Walk(ctx, client.Member{Number: m, Address: servers.ClientAddress(m)}, client.WalkOptions{Roots: roots})
		require.NoError(t, err)
		t.Logf("member %d: %d znodes walked in %s", m, len(tree.Nodes), time.Since(began))
		trees = append(trees, tree)
	}
	require.Equal(t, trees[0].Nodes, trees[1].Nodes)
	require.Equal(t, trees[0].Nodes, trees[2].Nodes)
	require.NoError(t, writer.Close())
	judge(t, path)
}

// judge looks for what must not happen in a history of a good ensemble.
func judge(t *testing.T, path string) {
	file, err := history.Open(path)
	require.NoError(t, err)
	require.True(t, file.Complete())
	open := map[int64]history.Event{}
	seen := map[string]int{}
	require.NoError(t, file.Each(func(e history.Event) error {
		switch e.Kind {
		case history.Call:
			open[e.Operation] = e
		case history.Return:
			require.Contains(t, open, e.Operation)
			delete(open, e.Operation)
		case history.WatchFired:
			require.Empty(t, e.Text, "%+v", e)
			seen["watch "+e.Watch.Type]++
		case history.Session:
			seen[string(e.State)]++
		case history.Note:
			t.Errorf("unexpected note: %s", e.Text)
		}
		return nil
	}))
	require.Empty(t, open)
	t.Log(fmt.Sprint(seen))
	for _, what := range []string{"watch created", "watch deleted", "watch changed", "watch children", "connected", "resumed", "disconnected", "closed"} {
		require.NotZero(t, seen[what], what)
	}
}
