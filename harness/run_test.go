package harness

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ordeal/harness/ensemble"
	"ordeal/results"
	"ordeal/results/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// idleEnsemble is an ensemble of one at rest, and notes how it is ended.
type idleEnsemble struct {
	fakeEnsemble
	address string

	mu    sync.Mutex
	calls []string
}

func (e *idleEnsemble) note(call string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, call)
	return nil
}

func (e *idleEnsemble) ProbeAddress(int) string                       { return e.address }
func (e *idleEnsemble) ClientAddress(int) string                      { return e.address }
func (e *idleEnsemble) Refuses() map[history.FaultKind]string         { return nil }
func (e *idleEnsemble) Versions() map[string]string                   { return nil }
func (e *idleEnsemble) Spares() map[history.FaultKind]ensemble.Spared { return nil }
func (e *idleEnsemble) Stop(context.Context) error                    { return e.note("stop") }
func (e *idleEnsemble) Close(context.Context) error                   { return e.note("close") }
func (e *idleEnsemble) Collect(context.Context, string) error         { return e.note("collect") }

// newIdleEnsemble has a member that says the given text to everybody who calls, and nothing more.
func newIdleEnsemble(t *testing.T, says string) *idleEnsemble {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(says))
			_ = conn.(*net.TCPConn).CloseWrite()
			serving.Go(func() {
				defer conn.Close()
				_ = conn.SetReadDeadline(time.Now().Add(time.Second))
				_, _ = conn.Read(make([]byte, 1<<10))
			})
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		serving.Wait()
	})
	return &idleEnsemble{fakeEnsemble: fakeEnsemble{size: 1}, address: listener.Addr().String()}
}

// What an idle member says of itself.
const (
	notServing = "This ZooKeeper instance is not currently serving requests\n"
	standalone = "Zookeeper version: test\nZxid: 0x0\nMode: standalone\nNode count: 5\n"
)

// atPhase is a plan of a run that calls do once it enters a phase.
func atPhase(t *testing.T, phase string, do func()) Plan {
	plan, err := Plan{Members: 1, Nemeses: []string{none}, Out: t.TempDir(), Seed: 1}.resolve()
	require.NoError(t, err)
	var once sync.Once
	plan.Progress = func(p Progress) {
		if p.Phase == phase {
			once.Do(do)
		}
	}
	return plan
}

// runsOf is a driver that starts this ensemble.
func runsOf(e ensemble.Ensemble) driver {
	return driver{name: "idle", start: func(context.Context, ensemble.Spec) (ensemble.Ensemble, error) { return e, nil }}
}

func TestAnInterruptEndsStartAndSetUp(t *testing.T) {
	for phase, says := range map[string]string{PhaseStart: notServing, PhaseSetup: standalone} {
		t.Run(phase, func(t *testing.T) {
			e, interrupt := newIdleEnsemble(t, says), make(chan struct{})
			plan := atPhase(t, phase, func() { close(interrupt) })
			plan.Interrupt = interrupt
			verdict, err := carryOut(t.Context(), plan, runsOf(e))
			require.NoError(t, err)
			require.Equal(t, results.Failed, verdict.Verdict)
			require.Contains(t, verdict.Reason, errInterrupted.Error())
			require.Equal(t, []string{"stop", "collect", "close"}, e.calls, "what there is is brought home")
		})
	}
}

func TestAnInterruptEndsTheDriversStart(t *testing.T) {
	interrupt := make(chan struct{})
	plan := atPhase(t, PhaseStart, func() { close(interrupt) })
	plan.Interrupt = interrupt
	slow := driver{name: "slow", start: func(ctx context.Context, _ ensemble.Spec) (ensemble.Ensemble, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	verdict, err := carryOut(t.Context(), plan, slow)
	require.NoError(t, err)
	require.Equal(t, results.Failed, verdict.Verdict)
	require.Equal(t, "start the ensemble: it was interrupted", verdict.Reason)
}

func TestARunWhoseContextEndsCleansUpAtOnce(t *testing.T) {
	for phase, says := range map[string]string{PhaseStart: notServing, PhaseSetup: standalone} {
		t.Run(phase, func(t *testing.T) {
			e := newIdleEnsemble(t, says)
			ctx, end := context.WithCancel(t.Context())
			plan := atPhase(t, phase, end)
			verdict, err := carryOut(ctx, plan, runsOf(e))
			require.Nil(t, verdict)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorContains(t, err, "ended before it was judged; ordeal check "+plan.Out)
			require.Equal(t, []string{"close"}, e.calls)
			folder, err := results.Open(latest(t, plan.Out))
			require.NoError(t, err)
			log, err := folder.History()
			require.NoError(t, err)
			require.True(t, log.Complete(), "what was recorded is kept")
			_, err = os.Stat(folder.Path(results.VerdictFile))
			require.ErrorIs(t, err, os.ErrNotExist)
		})
	}
}

func TestARunWhoseContextEndsWhileItIsJudgedIsNotHalfJudged(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	folder := stored(t, results.Run{Nemeses: []string{none}, Workloads: []string{"set"}}, written()...)
	run, err := folder.Run()
	require.NoError(t, err)
	end()
	verdict, err := judgeAndStore(ctx, folder, run, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, verdict)
}

// latest is the newest run below out.
func latest(t *testing.T, out string) string {
	path, err := filepath.EvalSymlinks(filepath.Join(out, "latest"))
	require.NoError(t, err)
	return path
}
