package results

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/results/history"
	"ordeal/results/judgement"
)

// stored makes a stored run with a history.
func stored(t *testing.T) *Folder {
	t.Helper()
	folder, err := Create(t.TempDir(), "node-mixed", sampleRun().Started)
	require.NoError(t, err)
	writer, err := history.NewWriter(folder.Path(HistoryFile))
	require.NoError(t, err)
	for _, e := range sampleHistory(5, 100) {
		writer.Record(e)
	}
	require.NoError(t, writer.Close())
	return folder
}

func TestStoredRunComesBack(t *testing.T) {
	folder := stored(t)
	run, verdict := sampleRun(), sampleVerdict()
	require.NoError(t, folder.Save(run, verdict))

	opened, err := Open(filepath.Join(filepath.Dir(folder.Dir), Latest))
	require.NoError(t, err)
	require.Equal(t, folder.Dir, opened.Dir)
	gotRun, err := opened.Run()
	require.NoError(t, err)
	require.Equal(t, run, gotRun)
	gotVerdict, err := opened.Verdict()
	require.NoError(t, err)
	require.Equal(t, verdict, gotVerdict)
	log, err := opened.History()
	require.NoError(t, err)
	require.True(t, log.Complete())
	for _, name := range []string{RunFile, VerdictFile, JUnitFile, ReportFile, HistoryFile} {
		require.FileExists(t, opened.Path(name))
	}
	require.DirExists(t, opened.Path(MembersDir))
}

func TestLatestPointsAtTheNewestRun(t *testing.T) {
	root, at := t.TempDir(), sampleRun().Started
	first, err := Create(root, "a", at)
	require.NoError(t, err)
	second, err := Create(root, "a", at)
	require.NoError(t, err)
	require.NotEqual(t, first.Dir, second.Dir, "two runs in one second")
	for _, link := range []string{filepath.Join(root, Latest), filepath.Join(root, "a", Latest)} {
		target, err := filepath.EvalSymlinks(link)
		require.NoError(t, err)
		require.Equal(t, second.Dir, target)
	}
}

func TestCreateRefusesNamesThatAreNone(t *testing.T) {
	for _, name := range []string{"", "..", "a/b", Latest, "-x", "a b"} {
		_, err := Create(t.TempDir(), name, sampleRun().Started)
		require.ErrorContains(t, err, "cannot be named", name)
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	_, err := Open(t.TempDir())
	require.ErrorContains(t, err, HistoryFile)
	_, err = Open(filepath.Join(t.TempDir(), "nothing"))
	require.Error(t, err)
}

func TestConclude(t *testing.T) {
	held := judgement.Result{Name: "durability", Verdict: judgement.Valid, Judged: 1}
	skipped := judgement.Result{Name: "watches", Verdict: judgement.Skipped}
	empty := judgement.Result{Name: "multi", Verdict: judgement.Skipped, Empty: true, Reason: "no multi was answered"}
	broken := judgement.Result{Name: "health", Verdict: judgement.Violation, Evidence: []string{"member 1 crashed"}}
	open := judgement.Result{Name: "linearizable", Verdict: judgement.Unknown, Reason: "no time"}
	some := Operations{OK: 10}
	for name, c := range map[string]struct {
		operations Operations
		faults     int
		results    []judgement.Result
		verdict    string
		reason     string
		exit       int
	}{
		"held":                    {some, 1, []judgement.Result{held, skipped}, "valid", "1 guarantees", 0},
		"broken":                  {some, 1, []judgement.Result{held, broken, open}, "violation", "health: member 1 crashed", 1},
		"broken, and too little":  {some, 0, []judgement.Result{broken}, "violation", "health", 1},
		"not decided":             {some, 1, []judgement.Result{held, open}, "unknown", "linearizable: no time", 2},
		"no operation succeeded":  {Operations{Unknown: 4}, 1, []judgement.Result{held}, "failed", "no operation", 3},
		"no fault":                {some, 0, []judgement.Result{held}, "failed", "no fault", 3},
		"a checker saw nothing":   {some, 1, []judgement.Result{held, empty}, "failed", "multi saw nothing", 3},
		"no checker judged":       {some, 1, []judgement.Result{skipped}, "failed", "no guarantee was judged", 3},
		"no checker at all":       {some, 1, nil, "failed", "no guarantee was judged", 3},
		"too little outweighs it": {some, 0, []judgement.Result{open}, "failed", "no fault", 3},
	} {
		t.Run(name, func(t *testing.T) {
			v := Verdict{Operations: c.operations, Faults: c.faults, Checkers: c.results}
			v.Conclude(true)
			require.Equal(t, c.verdict, v.Verdict)
			require.Contains(t, v.Reason, c.reason)
			require.Equal(t, c.exit, v.Exit())
		})
	}
	idle := Verdict{Operations: some, Workloads: map[string]Operations{"bank": {Failed: 7}, "set": some}, Faults: 1, Checkers: []judgement.Result{held}}
	idle.Conclude(true)
	require.Equal(t, Failed, idle.Verdict)
	require.Contains(t, idle.Reason, "no operation of the workload bank")
	quiet := Verdict{Operations: some, Checkers: []judgement.Result{held}}
	quiet.Conclude(false)
	require.Equal(t, "valid", quiet.Verdict, "a run that wants no faults needs none")
}

// The document that --json prints has the fields that scripts rely on.
func TestVerdictDocument(t *testing.T) {
	data, err := json.Marshal(sampleVerdict())
	require.NoError(t, err)
	var document map[string]any
	require.NoError(t, json.Unmarshal(data, &document))
	for _, field := range []string{"verdict", "reason", "driver", "implementation", "seed", "duration_s", "operations", "faults",
		"faults_skipped", "leader_changes", "checkers", "results", "rerun"} {
		require.Contains(t, document, field)
	}
	require.Equal(t, map[string]any{"ok": 10412.0, "failed": 934.0, "unknown": 112.0}, document["operations"])
	first := document["checkers"].([]any)[0].(map[string]any)
	for _, field := range []string{"name", "verdict", "judged", "evidence"} {
		require.Contains(t, first, field)
	}
}

func TestJUnit(t *testing.T) {
	data, err := JUnit(sampleRun(), sampleVerdict())
	require.NoError(t, err)
	var suite junitSuite
	require.NoError(t, xml.Unmarshal(data, &suite))
	require.Equal(t, 7, suite.Tests, "the run and six guarantees")
	require.Equal(t, 1, suite.Failures)
	require.Equal(t, 1, suite.Errors)
	require.Equal(t, 1, suite.Skipped)
	require.Contains(t, suite.Cases[1].Failure.Text, "no order explains")
}

func TestReport(t *testing.T) {
	v := sampleVerdict()
	v.Checkers[0].Evidence = append(v.Checkers[0].Evidence, `<script>alert("x")</script>`)
	page, err := Report(sampleRun(), v, sampleHistory(20, 200))
	require.NoError(t, err)
	text := string(page)
	for _, word := range []string{"A guarantee was broken", "no order explains", "isolate-leader", "2 leads", "prefers-color-scheme: dark",
		"pictures/linearizable-ordeal-register-r0-0-0-k1.html", "the image under test writes through", "--seed 4711"} {
		require.Contains(t, text, word)
	}
	require.Equal(t, 2, strings.Count(text, "<svg"), "one drawing for wide screens and one for narrow ones")
	require.NotContains(t, text, "<script")
	for _, word := range []string{"http://", "https://", "@import", "url("} {
		require.NotContains(t, text, word, "a report fetches nothing")
	}
	require.NotContains(t, text, "NaN")
}

func TestReportOfAnEmptyHistory(t *testing.T) {
	v := Verdict{}
	v.Conclude(true)
	page, err := Report(Run{Name: "x"}, v, history.Memory{})
	require.NoError(t, err)
	require.Contains(t, string(page), "The run proves nothing")
	require.NotContains(t, string(page), "<svg")
}

// Long runs get wider buckets, and lose no operation.
func TestTimelineWidens(t *testing.T) {
	line := newTimeline(0)
	log := sampleHistory(2000, 3)
	require.NoError(t, log.Each(line.take))
	line.finish()
	require.LessOrEqual(t, len(line.buckets), bucketsMost)
	var sum, returns int64
	for _, b := range line.buckets {
		sum += b.ok + b.failed + b.unknown
	}
	for _, e := range log {
		if e.Kind == history.Return {
			returns++
		}
	}
	require.Equal(t, returns, sum)
}

func TestSaveKeepsTheOldFileIfItCannotWrite(t *testing.T) {
	folder := stored(t)
	require.NoError(t, folder.SaveVerdict(sampleVerdict()))
	require.NoError(t, os.Mkdir(folder.Path("."+VerdictFile), 0o755)) // in the way
	require.Error(t, folder.SaveVerdict(Verdict{}))
	kept, err := folder.Verdict()
	require.NoError(t, err)
	require.Equal(t, sampleVerdict(), kept)
}

// TestAFaultLastsFromTheBeginOfItsInjectionToTheEndOfItsHealing, or, in a history that does not tell when
// they began, from the end of the one.
func TestAFaultLastsFromTheBeginOfItsInjectionToTheEndOfItsHealing(t *testing.T) {
	for began, from := range map[time.Duration]time.Duration{0: 5 * time.Second, 4 * time.Second: 4 * time.Second} {
		line := newTimeline(10 * time.Second)
		fault := &history.Fault{ID: 1, Kind: history.Kill, Members: []int{1}}
		require.NoError(t, line.take(history.Event{Time: 5 * time.Second, Began: began, Kind: history.FaultOn, Fault: fault}))
		require.NoError(t, line.take(history.Event{Time: 8 * time.Second, Began: 2 * began, Kind: history.FaultOff, Fault: fault}))
		line.finish()
		require.Equal(t, from, line.faults[0].from)
		require.Equal(t, 8*time.Second, line.faults[0].end)
	}
}

// Whatever a run is of, it gets a folder, and two that differ get different ones.
func TestEveryTextGivesAName(t *testing.T) {
	long := strings.Repeat("image:registry.example/a/b,", 40)
	seen := map[string]string{}
	for _, text := range []string{
		"node-mixed", "image:zookeeper@sha256:" + strings.Repeat("0f", 32) + "-mixed", long, long + "x", "", "-x", ".hidden", "latest", "ключ ü\n",
	} {
		name := Name(text)
		folder, err := Create(t.TempDir(), name, time.Now())
		require.NoError(t, err, text)
		require.DirExists(t, folder.Dir)
		require.LessOrEqual(t, len(name), nameMax+len("run-"))
		require.NotContains(t, seen, name, "%q and %q", seen[name], text)
		seen[name] = text
	}
	require.Equal(t, "node-kill-leader+one-way", Name("node-kill-leader+one-way"), "what is a name stays as it is")
}
