package client_test

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/harness/client"
	"ordeal/harness/client/fake"
	"ordeal/node/jute"
	"ordeal/results/history"
)

var (
	setValue = history.Request{Kind: history.Set, Path: "/a", Value: "c1-1", Version: history.AnyVersion}
	getValue = history.Request{Kind: history.Get, Path: "/a"}
)

// outcomes checks that every call has one return, and gives the results in order of the returns.
func outcomes(t *testing.T, events history.Memory) []history.Result {
	t.Helper()
	called := map[int64]history.Event{}
	var results []history.Result
	for _, e := range events {
		switch e.Kind {
		case history.Call:
			require.NotZero(t, e.Operation)
			require.NotContains(t, called, e.Operation)
			called[e.Operation] = e
		case history.Return:
			require.Contains(t, called, e.Operation)
			require.GreaterOrEqual(t, e.Time, called[e.Operation].Time)
			require.Equal(t, called[e.Operation].Member, e.Member)
			delete(called, e.Operation)
			results = append(results, *e.Result)
		}
	}
	require.Empty(t, called, "calls without a return")
	return results
}

func states(events history.Memory) []history.State {
	var all []history.State
	for _, e := range events {
		if e.Kind == history.Session {
			all = append(all, e.State)
		}
	}
	return all
}

func TestConnectionLostAtEachPoint(t *testing.T) {
	for _, test := range []struct {
		name     string
		hook     fake.Hook
		request  history.Request
		outcome  history.Outcome
		value    string // afterwards
		reported string
	}{
		{"write not carried out", fake.Once(jute.OpSetData, fake.DropBefore), setValue, history.Unknown, "", "ConnectionLoss"},
		{"write carried out", fake.Once(jute.OpSetData, fake.DropAfter), setValue, history.Unknown, "c1-1", "ConnectionLoss"},
		{"reply cut in half", fake.Once(jute.OpSetData, fake.DropWithin), setValue, history.Unknown, "c1-1", "ConnectionLoss"},
		{"read", fake.Once(jute.OpGetData, fake.DropAfter), getValue, history.Failed, "", "ConnectionLoss"},
		{"sync of a sync-get", fake.Once(jute.OpSync, fake.DropBefore), history.Request{Kind: history.SyncGet, Path: "/a"}, history.Failed, "", "ConnectionLoss"},
		{"between sync and get", fake.Once(jute.OpGetData, fake.DropBefore), history.Request{Kind: history.SyncGet, Path: "/a"}, history.Failed, "", "ConnectionLoss"},
	} {
		t.Run(test.name, func(t *testing.T) {
			servers, log := fake.NewEnsemble(), newLog()
			c, err := client.New(log.options(1, servers.Member(t, 1, test.hook), servers.Member(t, 2, test.hook)))
			require.NoError(t, err)
			ctx := t.Context()
			lost, err := c.Do(ctx, test.request)
			require.NoError(t, err)
			require.Equal(t, test.outcome, lost.Result.Outcome)
			require.Equal(t, test.reported, lost.Result.Error)
			require.False(t, lost.Result.Answered)
			require.NotZero(t, lost.Result.Xid)

			after, err := c.Do(ctx, getValue)
			require.NoError(t, err)
			require.Equal(t, history.OK, after.Result.Outcome)
			require.Equal(t, test.value, after.Result.Value)
			require.NoError(t, c.Close(ctx))

			events := log.events()
			outcomes(t, events)
			require.Equal(t, []history.State{history.Connected, history.Disconnected, history.Resumed, history.Closed}, states(events))
			require.Len(t, servers.Seen(), 2)
			require.Equal(t, int64(1), servers.Seen()[1].SessionID, "the same session")
			require.Equal(t, jute.SessionPassword(1), servers.Seen()[1].Passwd)
		})
	}
}

func TestLateReplyIsNotTaken(t *testing.T) {
	servers, log := fake.NewEnsemble(), newLog()
	member := servers.Member(t, 1, fake.Once(jute.OpSetData, fake.Silent))
	options := log.options(1, member)
	options.RequestTimeout = time.Second // the second operation, with its connection, needs less on a slow machine too
	c, err := client.New(options)
	require.NoError(t, err)
	late, err := c.Do(t.Context(), setValue)
	require.NoError(t, err)
	require.Equal(t, history.Unknown, late.Result.Outcome)
	require.Equal(t, "OperationTimeout", late.Result.Error)
	now, err := c.Do(t.Context(), setValue)
	require.NoError(t, err)
	require.Equal(t, history.OK, now.Result.Outcome)
	require.Equal(t, int32(2), now.Result.Stat.Version, "both took effect, in order")
	require.NoError(t, c.Close(t.Context()))
}

func TestExpiredSessionIsReplacedByTheNextOperation(t *testing.T) {
	servers, log := fake.NewEnsemble(), newLog()
	c, err := client.New(log.options(1, servers.Member(t, 1, fake.Once(jute.OpGetData, fake.DropBefore))))
	require.NoError(t, err)
	_, err = c.Do(t.Context(), setValue)
	require.NoError(t, err)
	servers.ExpireAll()
	_, err = c.Do(t.Context(), getValue) // drops the connection
	require.NoError(t, err)
	for expired := false; !expired; {
		<-c.Noticed()
		for _, e := range c.Notices() {
			expired = expired || e.State == history.Expired
		}
	}
	answer, err := c.Do(t.Context(), getValue)
	require.NoError(t, err)
	require.Equal(t, history.OK, answer.Result.Outcome)
	require.NoError(t, c.Close(t.Context()))
	require.Equal(t, []history.State{history.Connected, history.Disconnected, history.Expired, history.Connected, history.Closed}, states(log.events()))
	require.Zero(t, servers.Seen()[2].SessionID)
	require.Zero(t, servers.Seen()[2].LastZxidSeen)
}

func TestNeverSentIsFailed(t *testing.T) {
	log := newLog()
	options := log.options(1, client.Member{Number: 1, Address: "127.0.0.1:1"})
	options.RequestTimeout = 30 * time.Millisecond
	c, err := client.New(options)
	require.NoError(t, err)
	a, err := c.Do(t.Context(), setValue)
	require.NoError(t, err)
	require.Equal(t, history.Result{Outcome: history.Failed, Error: "ConnectionLoss"}, a.Result)
	require.NoError(t, c.Close(t.Context()))
	require.Len(t, outcomes(t, log.events()), 1)
	require.Zero(t, log.events()[0].Member, "no member was asked")
}

func TestPipelinedOperationsReturnInOrder(t *testing.T) {
	servers, log := fake.NewEnsemble(), newLog()
	options := log.options(1, servers.Member(t, 1, nil))
	options.InFlight = 64
	c, err := client.New(options)
	require.NoError(t, err)
	var pending []*client.Pending
	for range 1000 {
		pending = append(pending, c.Start(setValue))
	}
	for i, p := range pending {
		require.Equal(t, int32(i+1), p.Answer().Result.Stat.Version)
	}
	require.NoError(t, c.Close(t.Context()))
	require.Len(t, outcomes(t, log.events()), 1001)
}

func TestCloseWithAnOperationInFlight(t *testing.T) {
	servers, log := fake.NewEnsemble(), newLog()
	arrived := make(chan jute.RequestHeader, 10)
	c, err := client.New(log.options(1, servers.Member(t, 1, func(header jute.RequestHeader) fake.Verdict {
		arrived <- header
		return fake.Silent
	})))
	require.NoError(t, err)
	p := c.Start(setValue)
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, c.Close(ctx), "session not closed")
	require.Equal(t, history.Unknown, p.Answer().Result.Outcome)
	require.Equal(t, history.Failed, c.Start(setValue).Answer().Result.Outcome, "after Close nothing is sent")
	for _, result := range outcomes(t, log.events()) {
		require.Equal(t, history.Unknown, result.Outcome)
	}
}

func TestPreferMovesTheSession(t *testing.T) {
	servers, log := fake.NewEnsemble(), newLog()
	c, err := client.New(log.options(1, servers.Member(t, 1, nil), servers.Member(t, 2, nil), servers.Member(t, 3, nil)))
	require.NoError(t, err)
	for _, member := range []int{3, 1, 2, 2} {
		c.Prefer(member)
		a, err := c.Do(t.Context(), getValue)
		require.NoError(t, err)
		require.Equal(t, history.OK, a.Result.Outcome)
		events := log.events()
		require.Equal(t, member, events[len(events)-1].Member)
	}
	require.NoError(t, c.Close(t.Context()))
}

func TestMoreThanOneCallerAtATime(t *testing.T) {
	servers, log := fake.NewEnsemble(), newLog()
	c, err := client.New(log.options(1, servers.Member(t, 1, nil)))
	require.NoError(t, err)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 50 {
				_, err := c.Do(t.Context(), setValue)
				require.NoError(t, err)
			}
		})
	}
	callers.Wait()
	require.NoError(t, c.Close(t.Context()))
	require.Len(t, outcomes(t, log.events()), 401)
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	log := newLog()
	for want, change := range map[string]func(*client.Options){
		"at least 1": func(o *client.Options) { o.Client = 0 },
		"no members": func(o *client.Options) { o.Members = nil },
		"a recorder": func(o *client.Options) { o.Recorder = nil },
	} {
		options := log.options(1, client.Member{Number: 1, Address: "127.0.0.1:1"})
		change(&options)
		_, err := client.New(options)
		require.ErrorContains(t, err, want)
	}
}

// BenchmarkClient counts the operations of 16 clients with a history on disk, against members in the
// same process.
func BenchmarkClient(b *testing.B) {
	servers := fake.NewEnsemble()
	benchmark(b, servers.Member(b, 1, nil))
}

func benchmark(b *testing.B, member client.Member) {
	writer, err := history.NewWriter(filepath.Join(b.TempDir(), "history.jsonl.zst"))
	require.NoError(b, err)
	const clients = 16
	var numbers client.Numbers
	var left atomic.Int64
	var running sync.WaitGroup
	var all []*client.Client
	for i := range clients {
		c, err := client.New(client.Options{
			Client: i + 1, Workload: "register", Members: []client.Member{member},
			Recorder: writer, Now: writer.Now, Numbers: &numbers,
		})
		require.NoError(b, err)
		_, err = c.Do(b.Context(), getValue)
		require.NoError(b, err)
		all = append(all, c)
	}
	left.Store(int64(b.N))
	b.ResetTimer()
	for _, c := range all {
		running.Go(func() {
			defer func() { require.NoError(b, c.Close(b.Context())) }()
			for left.Add(-1) >= 0 {
				a, err := c.Do(b.Context(), getValue)
				if err != nil || !a.Result.Answered {
					b.Errorf("get: %v %+v", err, a.Result)
					return
				}
			}
		})
	}
	running.Wait()
	require.NoError(b, writer.Close())
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "operations/s")
}
