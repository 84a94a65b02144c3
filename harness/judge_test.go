package harness

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/checkers"
	"ordeal/results"
	"ordeal/results/history"
)

// stored makes a stored run of these events.
func stored(t *testing.T, run results.Run, events ...history.Event) *results.Folder {
	folder, err := results.Create(t.TempDir(), "test", time.Now())
	require.NoError(t, err)
	writer, err := history.NewWriter(folder.Path(results.HistoryFile))
	require.NoError(t, err)
	for _, event := range events {
		writer.Record(event)
	}
	require.NoError(t, writer.Close())
	run.Implementations = []string{"node", "node", "node"}
	require.NoError(t, folder.SaveRun(run))
	return folder
}

// written are the events of one write that was acknowledged.
func written() []history.Event {
	return []history.Event{
		{Kind: history.Phase, Text: PhaseLoad},
		{Time: 1, Kind: history.Call, Operation: 1, Client: 1, Workload: "set", Request: &history.Request{Kind: history.Create, Path: "/ordeal-set/a", Value: "v"}},
		{Time: 2, Kind: history.Return, Operation: 1, Client: 1, Workload: "set", SessionID: "0x1",
			Result: &history.Result{Outcome: history.OK, Answered: true, Zxid: 7, Path: "/ordeal-set/a", Xid: 1}},
	}
}

func TestRunThatDidTooLittleIsNeverValid(t *testing.T) {
	ctx := context.Background()
	verdict, err := Check(ctx, stored(t, results.Run{Nemeses: []string{"kill-leader"}, Workloads: []string{"set"}}, written()...).Dir, CheckOptions{})
	require.NoError(t, err)
	require.Equal(t, results.Failed, verdict.Verdict)
	require.Contains(t, verdict.Reason, "no fault was applied")
	require.Equal(t, results.ExitFailed, verdict.Exit())

	quiet := results.Run{Nemeses: []string{none}, Workloads: []string{"set"}}
	verdict, err = Check(ctx, stored(t, quiet).Dir, CheckOptions{})
	require.NoError(t, err)
	require.Equal(t, results.Failed, verdict.Verdict)
	require.Contains(t, verdict.Reason, "no operation succeeded")

	// What was written before the load is no work of the load, whatever the load tried.
	events := written()
	events[0].Text = PhaseSetup
	events = append(events, history.Event{Time: 3, Kind: history.Phase, Text: PhaseLoad},
		history.Event{Time: 4, Kind: history.Call, Operation: 2, Client: 2, Workload: "set", Request: &history.Request{Kind: history.Get, Path: "/ordeal-set/a"}},
		history.Event{Time: 5, Kind: history.Return, Operation: 2, Client: 2, Workload: "set", Result: &history.Result{Outcome: history.Failed, Error: "ConnectionLoss"}})
	verdict, err = Check(ctx, stored(t, quiet, events...).Dir, CheckOptions{})
	require.NoError(t, err)
	require.Equal(t, results.Failed, verdict.Verdict)
	require.Contains(t, verdict.Reason, "no operation succeeded")
	require.Equal(t, results.Operations{Failed: 1}, verdict.Operations)
	require.Equal(t, map[string]results.Operations{"set": {Failed: 1}}, verdict.Workloads)
	for _, c := range verdict.Checkers {
		require.NotEqual(t, checkers.Valid, c.Verdict, c.Name)
	}
}

func TestFailureOutweighsEverythingButAViolation(t *testing.T) {
	failure := history.Event{Time: 9, Kind: history.Note, Text: failurePrefix + "the engine is gone"}
	crash := history.Event{Time: 5, Kind: history.Member, Member: 1, State: history.Crashed, Text: "panic: index out of range"}
	run := results.Run{Nemeses: []string{none}, Workloads: []string{"set"}}
	for name, c := range map[string]struct {
		events []history.Event
		want   string
	}{
		"a run that failed":                  {append(written(), failure), results.Failed},
		"a violation, then a failure":        {append(written(), crash, failure), "violation"},
		"members that did not even start up": {[]history.Event{crash, failure}, results.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			verdict, err := Check(context.Background(), stored(t, run, c.events...).Dir, CheckOptions{})
			require.NoError(t, err)
			require.Equal(t, c.want, verdict.Verdict)
			if c.want == results.Failed {
				require.Equal(t, "the engine is gone", verdict.Reason)
			}
		})
	}
}

// A history that could not be written does not tell how the run failed.
func TestAFailureThatTheHistoryLacksIsNotLost(t *testing.T) {
	run := results.Run{Nemeses: []string{none}, Workloads: []string{"set"}, Implementations: []string{"node"}}
	failure := errors.Join(errors.New("the disk is full"), errors.New("nothing was collected"))
	verdict, err := judgeAndStore(t.Context(), stored(t, run, written()...), run, failure)
	require.NoError(t, err)
	require.Equal(t, results.Failed, verdict.Verdict)
	require.Equal(t, "the disk is full; nothing was collected", verdict.Reason)
}

func TestCheckChangesNothing(t *testing.T) {
	folder := stored(t, results.Run{Nemeses: []string{none}, Workloads: []string{"set"}}, written()...)
	before := snapshotOf(t, folder.Dir)
	_, err := Check(context.Background(), folder.Dir, CheckOptions{StrictSync: true})
	require.NoError(t, err)
	require.Equal(t, before, snapshotOf(t, folder.Dir))
}

// snapshotOf is every file below dir with its content.
func snapshotOf(t *testing.T, dir string) map[string]string {
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[path] = string(content)
		return err
	}))
	return files
}

func TestCheckOfNoRun(t *testing.T) {
	_, err := Check(context.Background(), t.TempDir(), CheckOptions{})
	require.ErrorContains(t, err, "no stored run")
}
