package power

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/checkers"
	"ordeal/harness"
	"ordeal/harness/ensemble"
	"ordeal/nemesis"
	"ordeal/results"
)

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
	require.Equal(t, []Wrong{{Results: "runs/2", Rerun: "ordeal run --seed 2"}}, row.Wrong)
}
