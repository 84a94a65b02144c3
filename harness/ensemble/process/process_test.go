package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/mesh"
	"ordeal/results/history"
)

var background = context.Background()

func TestMembersAreKilledAndStartedAgain(t *testing.T) {
	r := startFake(t, 3)
	before := r.pid(2)
	fault := history.Fault{ID: 1, Kind: history.Kill, Members: []int{2}}
	require.NoError(t, r.Inject(t.Context(), fault))
	require.Equal(t, []history.State{history.Started, history.Exited}, r.states(2))
	_, err := identify(before)
	require.Error(t, err, "the process is gone")
	require.ErrorContains(t, r.Inject(t.Context(), history.Fault{ID: 2, Kind: history.Kill, Members: []int{2}}), "member 2 is not running")
	require.NoError(t, r.Heal(t.Context(), history.Fault{ID: 2}), "what is not on need not be healed")
	require.NoError(t, r.Heal(t.Context(), fault))
	require.NotEqual(t, before, r.pid(2))
	require.NoError(t, r.LinksPass(t.Context()))
	require.Empty(t, r.crashes())
}

func TestAStoppedMemberEndsInOrder(t *testing.T) {
	r := startFake(t, 1)
	fault := history.Fault{ID: 1, Kind: history.Stop, Members: []int{1}}
	require.NoError(t, r.Inject(t.Context(), fault))
	require.Contains(t, r.logText(1), "ended in order")
	require.NoError(t, r.Heal(t.Context(), fault))
	require.True(t, r.members[0].isRunning())
}

func TestAMemberDownForTwoFaultsStartsWhenBothAreHealed(t *testing.T) {
	r := startFake(t, 1)
	r.members[0].hold(5)
	fault := history.Fault{ID: 6, Kind: history.Kill, Members: []int{1}}
	require.NoError(t, r.Inject(t.Context(), fault))
	require.NoError(t, r.Heal(t.Context(), fault))
	require.False(t, r.members[0].isRunning())
	r.members[0].release(5)
	require.NoError(t, r.members[0].start(t.Context()))
	require.True(t, r.members[0].isRunning())
}

func TestAPausedMemberStandsStillUntilItIsResumed(t *testing.T) {
	r := startFake(t, 1)
	first := history.Fault{ID: 1, Kind: history.Pause, Members: []int{1}}
	second := history.Fault{ID: 2, Kind: history.Pause, Members: []int{1}}
	for _, fault := range []history.Fault{first, second} {
		require.NoError(t, r.Inject(t.Context(), fault))
	}
	require.Equal(t, "T", r.processState(1))
	require.NoError(t, r.Heal(t.Context(), first))
	require.Equal(t, "T", r.processState(1))
	require.NoError(t, r.Heal(t.Context(), second))
	require.Eventually(t, func() bool { return r.processState(1) != "T" }, 10*time.Second, time.Millisecond)

	// A member that is killed while it is paused is not resumed, but started.
	require.NoError(t, r.Inject(t.Context(), first))
	kill := history.Fault{ID: 3, Kind: history.Kill, Members: []int{1}}
	require.NoError(t, r.Inject(t.Context(), kill))
	require.NoError(t, r.Heal(t.Context(), first))
	require.False(t, r.members[0].isRunning())
	require.NoError(t, r.Heal(t.Context(), kill))
	require.True(t, r.members[0].isRunning())
}

func TestAFaultThatFailsLeavesNothingOn(t *testing.T) {
	r := startFake(t, 2)
	kill := history.Fault{ID: 1, Kind: history.Kill, Members: []int{1}}
	require.NoError(t, r.Inject(t.Context(), kill))
	pause := history.Fault{ID: 2, Kind: history.Pause, Members: []int{1, 2}}
	require.ErrorContains(t, r.Inject(t.Context(), pause), "member 1 is not running")
	require.NotEqual(t, "T", r.processState(2))
	require.NoError(t, r.Heal(t.Context(), kill))

	// The second link does not exist, so the first is not cut.
	cut := history.Fault{ID: 3, Kind: history.Cut, Mode: history.Drop, Links: []history.Link{{From: 1, To: 2}, {From: 1, To: 3}}}
	require.ErrorContains(t, r.Inject(t.Context(), cut), "no link 1→3")
	require.NoError(t, r.LinksPass(t.Context()))

	// A stop that cannot be waited for is taken back by a start.
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	before := r.pid(2)
	require.ErrorContains(t, r.Inject(ended, history.Fault{ID: 4, Kind: history.Stop, Members: []int{2}}), "member 2")
	require.True(t, r.members[1].isRunning())
	require.NotEqual(t, before, r.pid(2))

	// Who does not know how far any of them came can heal them.
	for id := 2; id <= 4; id++ {
		require.NoError(t, r.Heal(t.Context(), history.Fault{ID: id}))
	}
}

func TestStopEndsPausedMembersToo(t *testing.T) {
	r := startFake(t, 2)
	require.NoError(t, r.Inject(t.Context(), history.Fault{ID: 1, Kind: history.Pause, Members: []int{1}}))
	require.NoError(t, r.Stop(t.Context()))
	for id := 1; id <= 2; id++ {
		require.Contains(t, r.logText(id), "ended in order")
	}
	require.NoError(t, r.Stop(t.Context()), "there is nothing left to stop")
}

func TestAMemberThatDoesNotStopIsKilledAndNamed(t *testing.T) {
	r := startFake(t, 1)
	kill := history.Fault{ID: 1, Kind: history.Kill, Members: []int{1}}
	require.NoError(t, r.Inject(t.Context(), kill))
	r.behave(1, "stubborn")
	require.NoError(t, r.Heal(t.Context(), kill))
	require.Eventually(t, func() bool { return strings.Count(r.logText(1), "ready") == 2 }, 10*time.Second, time.Millisecond)
	// The caller's patience may end before the driver's.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, r.Stop(ctx), "member 1 did not stop")
	require.NoError(t, r.members[0].ended(t.Context()))
}

func TestUnexpectedEndsAreReported(t *testing.T) {
	for behaviour, want := range map[string][]string{
		"crash": {"ended by itself (exit status 7)", "last words"},
		"panic": {"its log has: panic: expected order, found chaos", "ended by itself (exit status 2)"},
	} {
		t.Run(behaviour, func(t *testing.T) {
			r := startFake(t, 2)
			kill := history.Fault{ID: 1, Kind: history.Kill, Members: []int{1}}
			require.NoError(t, r.Inject(t.Context(), kill))
			r.behave(1, behaviour)
			require.NoError(t, r.Heal(t.Context(), kill))
			require.NoError(t, r.members[0].ended(t.Context()))
			var told strings.Builder
			for _, event := range r.crashes() {
				require.Equal(t, 1, event.Member)
				told.WriteString(event.Text + "\n")
			}
			for _, words := range want {
				require.Contains(t, told.String(), words)
			}
			require.NoError(t, r.LinksPass(t.Context()), "only running members have links to prove")
		})
	}
}

func TestADataRaceIsReportedThoughTheMemberWentOn(t *testing.T) {
	r := startFake(t, 1)
	kill := history.Fault{ID: 1, Kind: history.Kill, Members: []int{1}}
	require.NoError(t, r.Inject(t.Context(), kill))
	r.behave(1, "race")
	require.NoError(t, r.Heal(t.Context(), kill))
	r.logHas(1, "DATA RACE")
	require.NoError(t, r.Stop(t.Context()))
	require.Len(t, r.crashes(), 1)
	require.Contains(t, r.crashes()[0].Text, "DATA RACE")
}

func TestPowerLossNeedsMembersThatHoldBytesBack(t *testing.T) {
	r := startFake(t, 2)
	loss := history.Fault{ID: 1, Kind: history.PowerLoss, Members: []int{1, 2}}
	require.ErrorContains(t, r.Inject(t.Context(), loss), "power-loss member 1 2 is not possible: the members were not told to hold un-synced bytes back")

	spec := fakeSpec(t.TempDir(), 2)
	spec.HoldUnsynced, spec.Defect = true, "skip-trunc"
	r = startRecorded(t, spec)
	require.Empty(t, r.Refuses())
	r.logHas(1, "[-Dordeal.defect=skip-trunc -Dordeal.holdUnsynced=yes]")
	require.NoError(t, r.Inject(t.Context(), loss))
	require.NoError(t, r.Heal(t.Context(), loss))
	require.Empty(t, r.crashes())
}

func TestCutsReachTheMesh(t *testing.T) {
	r := startFake(t, 2)
	cut := history.Fault{ID: 1, Kind: history.Cut, Links: []history.Link{{From: 1, To: 2}}, Mode: history.Reset}
	require.NoError(t, r.Inject(t.Context(), cut))
	require.ErrorContains(t, r.Inject(t.Context(), cut), "a fault numbered 1 is on already")
	require.ErrorContains(t, r.LinksPass(t.Context()), "link 1→2 does not pass: cut by fault [1]")
	clients := history.Fault{ID: 2, Kind: history.ClientCut, Members: []int{1}, Mode: history.Reset}
	require.NoError(t, r.Inject(t.Context(), clients))
	_, err := net.Dial("tcp4", r.ClientAddress(1))
	require.ErrorIs(t, err, unix.ECONNREFUSED)
	require.NoError(t, r.Heal(t.Context(), clients))
	require.NoError(t, r.Heal(t.Context(), cut))
	require.NoError(t, r.Heal(t.Context(), cut), "it is off already")
	require.NoError(t, r.LinksPass(t.Context()))
}

func TestBadSpecsAndFaultsAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*ensemble.Spec)
		want   string
	}{
		"nobody":         {func(s *ensemble.Spec) { s.Implementations = nil }, "an ensemble needs at least one member"},
		"only observers": {func(s *ensemble.Spec) { s.Observers = 1 }, "1 members of which 1 observe: at least one must vote"},
		"no ticks":       {func(s *ensemble.Spec) { s.TickTime = 0 }, "tickTime 0s"},
		"no directory":   {func(s *ensemble.Spec) { s.Dir = "" }, "no directory"},
		"no program":     {func(s *ensemble.Spec) { s.Binary = "/nowhere" }, "program of member 1: /nowhere is not a program"},
		"an image":       {func(s *ensemble.Spec) { s.Implementations[0] = "image:zookeeper:3.9" }, `the process driver runs node and apache, not "image:zookeeper:3.9": use the container driver`},
	} {
		t.Run(name, func(t *testing.T) {
			spec := fakeSpec(t.TempDir(), 1)
			test.change(&spec)
			_, err := Start(t.Context(), spec)
			require.ErrorContains(t, err, test.want)
		})
	}
	r := startFake(t, 1)
	require.ErrorContains(t, r.Inject(t.Context(), history.Fault{ID: 1, Kind: history.Kill, Members: []int{4}}), "no member 4: members are 1 to 1")
	require.ErrorContains(t, r.Inject(t.Context(), history.Fault{ID: 1, Kind: "flood", Members: []int{1}}), "unknown kind of fault")
	require.ErrorContains(t, r.Inject(t.Context(), history.Fault{ID: 2, Kind: history.Cut}), "an ensemble of one has no links")
}

func TestCollectBringsLogsAndDataHome(t *testing.T) {
	r := startFake(t, 2)
	target := t.TempDir()
	running := filepath.Join(target, "running")
	require.NoError(t, r.Collect(t.Context(), running))
	require.NoError(t, r.Stop(t.Context()))
	for _, dir := range []string{running, r.spec.Dir} {
		require.NoError(t, r.Collect(t.Context(), r.spec.Dir))
		for _, path := range []string{"1/log", "1/zoo.cfg", "1/data/myid", "2/log"} {
			require.FileExists(t, filepath.Join(dir, path))
		}
	}
	rest := filepath.Join(target, "rest")
	require.NoError(t, r.Collect(t.Context(), rest))
	require.FileExists(t, filepath.Join(rest, "2", "data", "myid"))
	require.NoDirExists(t, filepath.Join(r.spec.Dir, "2"), "members at rest are moved")
	r.spec.Dir = rest // where the logs are now
}

func TestPortsAreBelowTheEphemeralRange(t *testing.T) {
	last := attempt(0, attempts-1)
	require.Less(t, last.client, 32768)
	require.Less(t, last.quorum, 32768)
	require.Less(t, last.election, 32768)
	require.NotEqual(t, attempt(0, 0), attempt(0, 1))
}

func TestATakenPortIsPassedBy(t *testing.T) {
	a := attempt(os.Getpid(), 0)
	holder, err := net.Listen("tcp4", a.direct(1, mesh.Election))
	if err == nil {
		defer holder.Close()
	} else {
		require.ErrorIs(t, err, unix.EADDRINUSE, "another program holds it: that does as well")
	}
	_, err = a.open(1, nil)
	require.ErrorContains(t, err, "listen on "+a.direct(1, mesh.Election))
	require.ErrorIs(t, err, unix.EADDRINUSE)
	r := startFake(t, 1)
	require.NotEqual(t, a, r.addresses)
}

// startHarness starts a harness of its own that runs an ensemble.
func startHarness(t *testing.T) *exec.Cmd {
	t.Helper()
	harness := exec.Command(os.Args[0], "harness", t.TempDir())
	output, err := harness.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, harness.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "started\n", line)
	return harness
}

// recordOf finds the run file of a harness.
func recordOf(t *testing.T, owner int) (string, runRecord) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(runDir(), "run-*.json"))
	require.NoError(t, err)
	for _, path := range files {
		var record runRecord
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || len(text) == 0 {
			continue // of another run
		}
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &record))
		if record.Owner.PID == owner {
			return path, record
		}
	}
	t.Fatalf("no run file of process %d", owner)
	return "", runRecord{}
}

func TestMembersDieWithAKilledHarnessAndCleanForgetsThem(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // the machine's own run files are not this test's business
	harness := startHarness(t)
	path, record := recordOf(t, harness.Process.Pid)
	require.Len(t, record.Members, 3)
	lines, err := Clean(t.Context())
	require.NoError(t, err)
	require.Empty(t, lines, "a run that goes on is not touched")

	require.NoError(t, harness.Process.Kill())
	require.Error(t, harness.Wait())
	for _, member := range record.Members {
		require.NoError(t, gone(t.Context(), member))
	}
	lines, err = Clean(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"removed the run file of run fake"}, lines)
	require.NoFileExists(t, path)
}

func TestCleanEndsWhatAKilledRunLeft(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	survivor := exec.Command("sleep", "1000")
	survivor.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	require.NoError(t, survivor.Start())
	bystander := exec.Command("sleep", "1000")
	require.NoError(t, bystander.Start())
	left, err := identify(survivor.Process.Pid)
	require.NoError(t, err)
	other, err := identify(bystander.Process.Pid)
	require.NoError(t, err)
	other.Start-- // the pid was used again by somebody else

	file, err := newRunFile("left")
	require.NoError(t, err)
	file.record.Owner.Start-- // this run's harness is gone
	file.record.Members = []identity{left, other}
	require.NoError(t, file.write())
	reaped := make(chan error, 1)
	go func() { reaped <- survivor.Wait() }()

	lines, err := Clean(t.Context())
	require.NoError(t, err)
	require.Len(t, lines, 2)
	require.Contains(t, lines[0], "of run left")
	require.ErrorContains(t, <-reaped, "signal: killed")
	require.NoError(t, bystander.Process.Signal(unix.Signal(0)), "the bystander lives")
	require.NoError(t, bystander.Process.Kill())
	require.Error(t, bystander.Wait())
}

func TestCleanLeavesAnotherBootsPidsAlone(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	file, err := newRunFile("old")
	require.NoError(t, err)
	self, err := identify(os.Getpid())
	require.NoError(t, err)
	file.record.Boot = "another"
	file.record.Members = []identity{self}
	require.NoError(t, file.write())
	lines, err := Clean(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"removed the run file of run old"}, lines)
}

func (r *recorded) pid(id int) int { return r.members[id-1].child.command.Process.Pid }

func (r *recorded) processState(id int) string {
	r.t.Helper()
	state, _, err := stat(r.pid(id))
	require.NoError(r.t, err)
	return state
}

func (r *recorded) states(id int) []history.State {
	var states []history.State
	for _, event := range r.events(id) {
		states = append(states, event.State)
	}
	return states
}
