//go:build integration

package client_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/harness/client"
	"ordeal/node/apachetest"
	"ordeal/node/freeport"
	"ordeal/results/history"
)

// startApache runs a standalone Apache ZooKeeper from the Debian packages and returns its address and
// the server.
func startApache(t testing.TB, ctx context.Context) (client.Member, *apachetest.Server) {
	t.Helper()
	dir := t.TempDir()
	port := freeport.Take(t)
	member := client.Member{Number: 1, Address: fmt.Sprintf("127.0.0.1:%d", port)}
	server := apachetest.Start(t, []string{
		"tickTime=500", "dataDir=" + dir, fmt.Sprintf("clientPort=%d", port), "clientPortAddress=127.0.0.1",
		"admin.enableServer=false", "maxClientCnxns=0",
	})
	awaitServing(t, ctx, member)
	return member, server
}

// awaitServing asks until the member serves.
func awaitServing(t testing.TB, ctx context.Context, member client.Member) client.Status {
	t.Helper()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		status, err := client.Probe(ctx, member.Address)
		if err == nil {
			return status
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			t.Fatalf("member %d does not serve: %v", member.Number, err)
		}
	}
}

func TestIntegrationApacheAnswersEveryOperation(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	member, _ := startApache(t, ctx)
	status, err := client.Probe(ctx, member.Address)
	require.NoError(t, err)
	require.Equal(t, "standalone", status.Mode)
	require.Contains(t, status.Version, "3.8.0")

	log := newLog()
	options := log.options(1, member)
	options.SessionTimeout = 4 * time.Second
	c, err := client.New(options)
	require.NoError(t, err)
	do := func(request history.Request) history.Result {
		a, err := c.Do(ctx, request)
		require.NoError(t, err)
		require.NotZero(t, a.Result.Xid)
		require.True(t, a.Result.Answered)
		return a.Result
	}
	ok := func(request history.Request) history.Result {
		result := do(request)
		require.Equal(t, history.OK, result.Outcome, "%+v: %+v", request, result)
		return result
	}
	fails := func(name string, request history.Request) history.Result {
		result := do(request)
		require.Equal(t, history.Failed, result.Outcome)
		require.Equal(t, name, result.Error)
		return result
	}
	const root = "/ordeal-test"
	created := ok(history.Request{Kind: history.Create, Path: root, Value: "c1-1"})
	require.Equal(t, root, created.Path)
	require.Equal(t, created.Zxid, created.Stat.Czxid)
	fails("NodeExists", history.Request{Kind: history.Create, Path: root})
	fails("NoNode", history.Request{Kind: history.Exists, Path: root + "/later", Watch: true})
	sequential := ok(history.Request{Kind: history.Create, Path: root + "/s-", Sequential: true, Ephemeral: true})
	require.Equal(t, root+"/s-0000000000", sequential.Path)
	require.NotZero(t, sequential.Stat.EphemeralOwner)
	fails("NoChildrenForEphemerals", history.Request{Kind: history.Create, Path: sequential.Path + "/x"})
	set := ok(history.Request{Kind: history.Set, Path: root, Value: "c1-2"})
	require.Equal(t, int32(1), set.Stat.Version)
	fails("BadVersion", history.Request{Kind: history.Set, Path: root, Value: "c1-3", Version: 7})
	got := ok(history.Request{Kind: history.SyncGet, Path: root, Watch: true})
	require.Equal(t, "c1-2", got.Value)
	children := ok(history.Request{Kind: history.SyncChildren, Path: root, Watch: true})
	require.Equal(t, []string{"s-0000000000"}, children.Children)
	ok(history.Request{Kind: history.Sync, Path: root})
	multi := ok(history.Request{Kind: history.Multi, Parts: []history.Request{
		{Kind: history.Check, Path: root, Version: 1},
		{Kind: history.Create, Path: root + "/later", Value: "c1-4"},
		{Kind: history.Set, Path: root, Value: "c1-5", Version: 1},
		{Kind: history.Delete, Path: sequential.Path, Version: history.AnyVersion},
	}})
	require.Len(t, multi.Parts, 4)
	require.Equal(t, root+"/later", multi.Parts[1].Path)
	require.Equal(t, int32(2), multi.Parts[2].Stat.Version)
	failed := fails("BadVersion", history.Request{Kind: history.Multi, Parts: []history.Request{
		{Kind: history.Set, Path: root, Value: "c1-6", Version: 2},
		{Kind: history.Set, Path: root + "/later", Value: "c1-6", Version: 9},
		{Kind: history.Delete, Path: root + "/later"},
	}})
	require.Equal(t, []string{"Ok", "BadVersion", "RuntimeInconsistency"},
		[]string{failed.Parts[0].Error, failed.Parts[1].Error, failed.Parts[2].Error})
	ok(history.Request{Kind: history.Get, Path: root})
	fails("NotEmpty", history.Request{Kind: history.Delete, Path: root, Version: history.AnyVersion})
	ok(history.Request{Kind: history.CloseSession})
	ok(history.Request{Kind: history.Exists, Path: root + "/later"})
	require.NoError(t, c.Close(ctx))

	var watches, states []string
	for _, e := range log.events() {
		switch e.Kind {
		case history.WatchFired:
			require.Empty(t, e.Text)
			watches = append(watches, e.Watch.Type+" "+e.Watch.Path)
		case history.Session:
			states = append(states, string(e.State))
		}
	}
	require.ElementsMatch(t, []string{"created " + root + "/later", "changed " + root, "children " + root}, watches)
	require.Equal(t, []string{"connected", "closed", "connected", "closed"}, states)
}

func TestIntegrationApacheWalkOfManyZnodes(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	member, _ := startApache(t, ctx)
	options := newLog().options(1, member)
	options.RequestTimeout = 30 * time.Second // large multis, on a machine that does other things too
	c, err := client.New(options)
	require.NoError(t, err)
	const parents, each = 50, 1000
	var pending []*client.Pending
	pending = append(pending, c.Start(history.Request{Kind: history.Create, Path: "/many", Value: "root"}))
	want := 1
	for p := range parents {
		parent := fmt.Sprintf("/many/p%d", p)
		request := history.Request{Kind: history.Multi, Parts: []history.Request{{Kind: history.Create, Path: parent}}}
		for i := range each - 1 {
			request.Parts = append(request.Parts, history.Request{Kind: history.Create, Path: fmt.Sprintf("%s/z%d", parent, i), Value: "value"})
		}
		want += len(request.Parts)
		pending = append(pending, c.Start(request))
	}
	for _, p := range pending {
		require.Equal(t, history.OK, p.Answer().Result.Outcome)
	}
	require.NoError(t, c.Close(ctx))

	began := time.Now()
	tree, err := client.Walk(ctx, member, client.WalkOptions{Roots: []string{"/many", "/none"}})
	require.NoError(t, err)
	t.Logf("%d znodes in %s", len(tree.Nodes), time.Since(began))
	require.Len(t, tree.Nodes, want)
	require.Equal(t, "/many", tree.Nodes[0].Path)
	require.Equal(t, int32(parents), tree.Nodes[0].Stat.NumChildren)
	require.NotZero(t, tree.Zxid)
	status, err := client.Probe(ctx, member.Address)
	require.NoError(t, err)
	require.Greater(t, status.NodeCount, want)
}

// The session survives a kill of the only member, and so do its watches.
func TestIntegrationApacheKilledAndStartedAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	member, server := startApache(t, ctx)
	log := newLog()
	options := log.options(1, member)
	options.SessionTimeout = 10 * time.Second
	c, err := client.New(options)
	require.NoError(t, err)
	other, err := client.New(log.options(2, member))
	require.NoError(t, err)
	for _, request := range []history.Request{
		{Kind: history.Create, Path: "/e", Value: "c1-1", Ephemeral: true},
		{Kind: history.Get, Path: "/e", Watch: true},
		{Kind: history.Exists, Path: "/later", Watch: true},
		{Kind: history.Children, Path: "/", Watch: true},
	} {
		a, err := c.Do(ctx, request)
		require.NoError(t, err)
		require.True(t, a.Result.Answered)
	}
	server.Kill()
	apachetest.Run(t, server.Config)
	awaitServing(t, ctx, member)
	for _, request := range []history.Request{
		{Kind: history.Set, Path: "/e", Value: "c2-1", Version: history.AnyVersion},
		{Kind: history.Create, Path: "/later", Value: "c2-2"},
	} {
		for answered := false; !answered; {
			a, err := other.Do(ctx, request)
			require.NoError(t, err)
			answered = a.Result.Answered
			require.True(t, !answered || a.Result.Outcome == history.OK, "%+v", a.Result)
		}
	}
	fired := map[string]bool{}
	for len(fired) < 3 {
		select {
		case <-c.Noticed():
		case <-ctx.Done():
			t.Fatalf("only %v fired", fired)
		}
		for _, e := range c.Notices() {
			if e.Kind == history.WatchFired {
				require.Empty(t, e.Text)
				fired[e.Watch.Type+" "+e.Watch.Path] = true
			}
		}
	}
	require.Equal(t, map[string]bool{"changed /e": true, "created /later": true, "children /": true}, fired)
	require.NoError(t, c.Close(ctx))
	require.NoError(t, other.Close(ctx))
	outcomes(t, log.events())
}

// BenchmarkApache counts the reads of 16 clients with a history on disk, while Apache shares the
// machine.
func BenchmarkApache(b *testing.B) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	member, _ := startApache(b, ctx)
	benchmark(b, member)
}
