package power

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ordeal/checkers"
	"ordeal/harness"
	"ordeal/harness/ensemble"
	"ordeal/nemesis"
	"ordeal/node/defect"
	"ordeal/results"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEnsemblesMeetEveryNemesisByEveryDriverWithEverySeed(t *testing.T) {
	mixed := []ensemble.Implementation{ensemble.Node, ensemble.Node, ensemble.Apache}
	options := Options{
		Ensembles: [][]ensemble.Implementation{mixed, {ensemble.Apache, ensemble.Node, ensemble.Apache}},
		Drivers:   []string{harness.DriverProcess, harness.DriverContainer},
		Seeds:     3, First: 7, Sound: AllSound, Apache: AllApache,
	}.Fill()
	rows, jobs := options.jobs()
	require.Len(t, rows, 2*2*len(nemesis.Names()), "nothing else is measured")
	require.Len(t, jobs, 3*len(rows))
	require.Equal(t, "node,node,apache process kill-leader", rows[0].Name)
	for i, job := range jobs {
		require.Equal(t, i/3, job.row)
		require.Equal(t, uint64(7+i%3), job.plan.Seed)
		require.Nil(t, job.planted)
	}
	last := jobs[len(jobs)/2-1].plan
	require.Equal(t, mixed, last.Implementations)
	require.Equal(t, harness.DriverContainer, last.Driver)
	require.Equal(t, nemesis.Names()[len(nemesis.Names())-1:], last.Nemeses)
}

func TestEveryRunOfAnEnsembleMustBeValid(t *testing.T) {
	options := Options{Ensembles: [][]ensemble.Implementation{{ensemble.Node}}, Nemeses: []string{"rolling"}, Seeds: 2}.Fill()
	rows, jobs := options.jobs()
	require.Len(t, rows, 1)
	row := &rows[0]
	row.add(jobs[0], &results.Verdict{Verdict: string(checkers.Valid)}, 0)
	require.True(t, row.Enough())
	row.add(jobs[1], &results.Verdict{Verdict: string(checkers.Unknown), Results: "runs/2", Rerun: "ordeal run --seed 2"}, 0)
	require.False(t, row.Enough())
	require.Equal(t, []Wrong{{Why: "the verdict is unknown", Results: "runs/2", Rerun: "ordeal run --seed 2"}}, row.Wrong)
}

// A defect counts as found if the run says violation, for one of its guarantees, in time.
func TestADefectIsFoundByTheRightGuaranteeAndInTime(t *testing.T) {
	planted, ok := defect.Find(defect.DuplicateSequence)
	require.True(t, ok)
	objects := func(verdict, checker string) *results.Verdict {
		return &results.Verdict{Verdict: verdict, Results: "runs/1", Rerun: "ordeal run --seed 1",
			Checkers: []checkers.Result{{Name: "register", Verdict: checkers.Valid}, {Name: checker, Verdict: checkers.Violation}}}
	}
	violation, failed := string(checkers.Violation), results.Failed
	for name, c := range map[string]struct {
		verdict *results.Verdict
		took    time.Duration
		why     string // empty if it was found
	}{
		"the right guarantee":     {objects(violation, "sequential-names"), time.Second, ""},
		"another right one":       {objects(violation, "linearizable"), time.Second, ""},
		"at the last moment":      {objects(violation, "sequential-names"), foundWithin, ""},
		"too late":                {objects(violation, "sequential-names"), foundWithin + time.Second, "it was found after 91 s, want within 90 s"},
		"another guarantee alone": {objects(violation, "watches"), time.Second, "no checker objected of sequential-names, linearizable"},
		"a run that failed":       {objects(failed, "sequential-names"), time.Second, "the defect was not found: the verdict is failed"},
		"nothing":                 {&results.Verdict{Verdict: string(checkers.Valid), Results: "runs/1", Rerun: "ordeal run --seed 1"}, time.Second, "the defect was not found: the verdict is valid"},
	} {
		t.Run(name, func(t *testing.T) {
			row := Row{Name: string(planted.Name), Guarantees: map[string]int{}, Verdicts: map[checkers.Verdict]int{}}
			row.add(job{planted: &planted}, c.verdict, c.took)
			require.Equal(t, 1, row.Runs)
			require.Equal(t, []float64{c.took.Seconds()}, row.Seconds)
			require.Equal(t, 1, row.Verdicts[checkers.Verdict(c.verdict.Verdict)])
			for _, checker := range c.verdict.Checkers {
				if checker.Verdict == checkers.Violation {
					require.Equal(t, map[string]int{checker.Name: 1}, row.Guarantees, "who objected counts, in time or not")
				}
			}
			if c.why == "" {
				require.Equal(t, 1, row.Right)
				require.Empty(t, row.Wrong)
				return
			}
			require.Zero(t, row.Right)
			require.Equal(t, []Wrong{{Why: c.why, Results: "runs/1", Rerun: "ordeal run --seed 1"}}, row.Wrong)
		})
	}
}

func TestEnough(t *testing.T) {
	planted := string(defect.PartialMulti)
	for name, c := range map[string]struct {
		row    Row
		enough bool
	}{
		"nine of ten":                      {Row{Name: planted, Runs: 10, Right: 9}, true},
		"eight of ten":                     {Row{Name: planted, Runs: 10, Right: 8}, false},
		"of fewer, all":                    {Row{Name: planted, Runs: 3, Right: 3}, true},
		"of fewer, all but one":            {Row{Name: planted, Runs: 3, Right: 2}, false},
		"a defect without a run":           {Row{Name: planted}, false},
		"sound servers, always valid":      {Row{Name: "sound node", Runs: 20, Right: 20}, true},
		"sound servers, nearly always":     {Row{Name: "sound node", Runs: 20, Right: 19}, false},
		"sound servers that were not seen": {Row{Name: "sound node"}, false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.enough, c.row.Enough()) })
	}
}

// A plan that makes no sense is no run that went wrong, and does not end the others.
func TestARefusedPlanIsLeftOut(t *testing.T) {
	apache := []ensemble.Implementation{ensemble.Apache, ensemble.Apache, ensemble.Apache}
	rows, err := Measure(t.Context(), Options{
		Ensembles: [][]ensemble.Implementation{apache}, Nemeses: []string{"power-loss"}, Seeds: 2, Out: t.TempDir(),
	})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Zero(t, rows[0].Runs)
	require.Contains(t, rows[0].Refused, "--nemesis power-loss can do nothing to 3 members of apache")
}
