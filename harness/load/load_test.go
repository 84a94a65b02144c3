package load_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ordeal/harness/client"
	"ordeal/harness/client/fake"
	"ordeal/harness/load"
	"ordeal/node/jute"
	"ordeal/results/history"
	"ordeal/workloads"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log is a history in memory.
type log struct {
	began   time.Time
	numbers client.Numbers
	mu      sync.Mutex
	memory  history.Memory
}

func (l *log) Record(e history.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.memory = append(l.memory, e)
}

func (l *log) now() time.Duration { return time.Since(l.began) }

func (l *log) states() []history.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []history.State
	for _, e := range l.memory {
		if e.Kind == history.Session {
			all = append(all, e.State)
		}
	}
	return all
}

func newOptions(members ...client.Member) (load.Options, *log) {
	l := &log{began: time.Now()}
	return load.Options{
		Client: client.Options{
			Client: 1, Workload: "test", Members: members, Recorder: l, Now: l.now, Numbers: &l.numbers,
		},
		Until: time.Hour, Counts: new(load.Counts), CloseTimeout: time.Second,
	}, l
}

var (
	set = history.Request{Kind: history.Set, Path: "/a", Value: "c1-1", Version: history.AnyVersion}
	get = history.Request{Kind: history.Get, Path: "/a"}
)

// scripted is a workload client that notes all that it is told.
type scripted struct {
	steps []workloads.Step // in turn; the last again and again
	told  []string
	done  func(s *scripted) // called after each return and notice
}

func (s *scripted) Next(time.Duration) workloads.Step {
	step := s.steps[0]
	if len(s.steps) > 1 {
		s.steps = s.steps[1:]
	}
	return step
}

func (s *scripted) Return(request history.Request, result history.Result) {
	s.tell(string(request.Kind) + " " + string(result.Outcome))
}

func (s *scripted) Notify(e history.Event) { s.tell(string(e.State)) }

func (s *scripted) tell(what string) {
	s.told = append(s.told, what)
	if s.done != nil {
		s.done(s)
	}
}

func TestRunTellsInOrderAndClosesTheSession(t *testing.T) {
	servers := fake.NewEnsemble()
	options, l := newOptions(servers.Member(t, 1, fake.Once(jute.OpGetData, fake.DropAfter)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	steps := &scripted{steps: []workloads.Step{{Do: &set}, {Do: &get}, {Wait: time.Hour}}}
	steps.done = func(s *scripted) {
		if s.told[len(s.told)-1] == string(history.Resumed) { // which ends the hour's wait
			cancel()
		}
	}
	require.NoError(t, load.Run(ctx, options, steps))
	require.Equal(t, []string{"connected", "set ok", "disconnected", "get failed", "resumed"}, steps.told)
	require.Equal(t, []history.State{history.Connected, history.Disconnected, history.Resumed, history.Closed}, l.states(),
		"the session is closed although the context has ended")
	ok, failed, unknown := options.Counts.Totals()
	require.Equal(t, []int64{1, 1, 0}, []int64{ok, failed, unknown})
}

func TestRunEndsAtItsDeadline(t *testing.T) {
	servers := fake.NewEnsemble()
	options, l := newOptions(servers.Member(t, 1, nil))
	options.Until = l.now() + 500*time.Millisecond
	steps := &scripted{steps: []workloads.Step{{Do: &get}}}
	require.NoError(t, load.Run(t.Context(), options, steps))
	late := 0
	for _, e := range l.memory {
		if e.Kind == history.Call && e.Request.Kind == history.Get && e.Time >= options.Until {
			late++
		}
	}
	require.LessOrEqual(t, late, 1, "only a step that had begun before may ask so late")
	require.NotEmpty(t, steps.told)
	require.Equal(t, []history.State{history.Connected, history.Closed}, l.states())
}

func TestRunIsInterruptedWithAnOperationInFlight(t *testing.T) {
	servers := fake.NewEnsemble()
	ctx, cancel := context.WithCancel(t.Context())
	options, l := newOptions(servers.Member(t, 1, func(header jute.RequestHeader) fake.Verdict {
		if header.Type == jute.OpSetData {
			cancel()
			return fake.Silent
		}
		return fake.Answer
	}))
	require.NoError(t, load.Run(ctx, options, &scripted{steps: []workloads.Step{{Do: &set}}}))
	last := l.memory[len(l.memory)-1]
	require.Equal(t, history.Return, last.Kind)
	calls := 0
	for _, e := range l.memory {
		switch e.Kind {
		case history.Call:
			calls++
		case history.Return:
			calls--
		}
	}
	require.Zero(t, calls, "every call has its return")
}

func TestPerformRepeatsUntilAnswered(t *testing.T) {
	servers := fake.NewEnsemble()
	options, _ := newOptions(servers.Member(t, 1, fake.Once(jute.OpSetData, fake.DropAfter)))
	results, err := load.Perform(t.Context(), options, []history.Request{set, get})
	require.NoError(t, err)
	require.Len(t, results, 2)
	require.Equal(t, int32(2), results[0].Stat.Version, "done twice: the first time's outcome was unknown")
	require.Equal(t, "c1-1", results[1].Value)
	_, _, unknown := options.Counts.Totals()
	require.Equal(t, int64(1), unknown)
}

func TestPerformGivesUpWithItsContext(t *testing.T) {
	options, _ := newOptions(client.Member{Number: 1, Address: "127.0.0.1:1"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := load.Perform(ctx, options, []history.Request{set})
	require.ErrorContains(t, err, "perform set /a: context deadline exceeded (never answered)")
}

func TestPaceSpreadsTurns(t *testing.T) {
	pace, err := load.NewPace(1000)
	require.NoError(t, err)
	began := time.Now()
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for range 10 {
				require.NoError(t, pace.Wait(t.Context()))
			}
		})
	}
	callers.Wait()
	require.GreaterOrEqual(t, time.Since(began), 39*time.Millisecond)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	slow, err := load.NewPace(0.001)
	require.NoError(t, err)
	require.NoError(t, slow.Wait(t.Context()), "the first turn is now")
	require.ErrorIs(t, slow.Wait(ctx), context.Canceled)
	_, err = load.NewPace(0)
	require.Error(t, err)
}
