package harness

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/checkers"
	"ordeal/harness/ensemble"
	"ordeal/nemesis"
	"ordeal/node/defect"
	"ordeal/results"
	"ordeal/results/history"
	"ordeal/workloads"
)

func TestDefaultPlan(t *testing.T) {
	plan, err := Plan{Binary: "ordeal"}.resolve()
	require.NoError(t, err)
	require.Equal(t, slices.Repeat([]ensemble.Implementation{ensemble.Node}, 3), plan.Implementations)
	require.Equal(t, workloads.Names(), plan.Workloads)
	require.Equal(t, []string{"mixed"}, plan.Nemeses)
	require.NotZero(t, plan.Seed)
	require.Equal(t, "node-mixed", plan.Name)
	require.True(t, plan.holdsUnsynced(), "mixed may cut the power")
}

func TestDefectBringsItsOwnWorkloadAndNemesis(t *testing.T) {
	plan, err := Plan{Defect: "skip-trunc"}.resolve()
	require.NoError(t, err)
	require.Equal(t, []string{"partition-leader"}, plan.Nemeses)
	require.True(t, plan.Hush, "a truncation that was skipped shows only in silence")

	plan, err = Plan{Defect: "skip-trunc", Nemeses: []string{"none"}, Workloads: []string{"set"}}.resolve()
	require.NoError(t, err)
	require.Equal(t, []string{"none"}, plan.Nemeses, "what is asked for counts")
	require.False(t, plan.holdsUnsynced())
}

// A defect that real time does not bring out is looked for in virtual time, and nowhere else.
func TestADefectChoosesTheDriverThatShowsIt(t *testing.T) {
	for _, d := range defect.Catalogue {
		for _, driver := range []string{"", DriverAuto, DriverSim, DriverProcess, DriverContainer} {
			plan, err := Plan{Defect: string(d.Name), Driver: driver}.resolve()
			switch {
			case !d.SimulatorOnly && driver == "":
				require.Equal(t, DriverAuto, plan.Driver, d.Name)
			case !d.SimulatorOnly:
				require.NoError(t, err)
				require.Equal(t, driver, plan.Driver, d.Name)
			case driver == DriverProcess, driver == DriverContainer:
				require.ErrorAs(t, err, new(UsageError), d.Name)
				require.ErrorContains(t, err, "real time hardly ever gives")
			default:
				require.NoError(t, err)
				require.Equal(t, DriverSim, plan.Driver, d.Name)
			}
		}
	}
	plan, err := Plan{Defect: "epoch-before-log", Out: t.TempDir(), Seed: 1, Duration: 2 * time.Second, Rate: 20}.resolve()
	require.NoError(t, err)
	require.Contains(t, plan.record(time.Now(), driver{name: plan.Driver, reason: plan.driverReason}).DriverReason, "real time")
}

func TestBadPlans(t *testing.T) {
	for name, plan := range map[string]Plan{
		"observers leave no voter":        {Members: 3, Observers: 3},
		"an ensemble has 1 to":            {Members: 10},
		"names 2 members":                 {Members: 3, Implementations: []ensemble.Implementation{"node", "node"}},
		`unknown implementation "etcd"`:   {Implementations: []ensemble.Implementation{"etcd"}},
		`unknown implementation "image:"`: {Implementations: []ensemble.Implementation{"image:"}},
		"unknown workload":                {Workloads: []string{"tetris"}},
		"unknown nemesis":                 {Nemeses: []string{"thanos"}},
		"twice":                           {Nemeses: []string{"mixed", "mixed"}},
		"power-loss can do nothing":       {Nemeses: []string{"kill-leader", "power-loss"}, Implementations: []ensemble.Implementation{"apache"}},
		"one-way can do nothing":          {Nemeses: []string{"one-way"}, Members: 1},
		"unknown driver":                  {Driver: "lxc"},
		"unknown defect":                  {Defect: "gremlin"},
		"inside our own node":             {Defect: "skip-trunc", Implementations: []ensemble.Implementation{"apache"}},
		"need at least":                   {Clients: 1},
		"too short":                       {Duration: time.Millisecond},
		"too long":                        {Duration: 1000 * DurationMax},
		"--rate -1/s":                     {Rate: -1},
		"--rate NaN/s":                    {Rate: math.NaN()},
		"--rate +Inf/s":                   {Rate: math.Inf(1)},
		"--rate 1e-07/s":                  {Rate: 1e-7},
		"--tick-time -1s":                 {TickTime: -time.Second},
		"--tick-time 500µs":               {TickTime: 500 * time.Microsecond},
		"--init-limit -1":                 {InitLimit: -1},
		"cannot be named \"../latest\"":   {Name: "../latest"},
		"cannot be named \"latest\"":      {Name: "latest"},
		"--check-time -1s":                {CheckTime: -time.Second},
		"--check-memory -5":               {CheckMemory: -5},
		"none means no faults":            {Nemeses: []string{"none", "mixed"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := plan.resolve()
			if name == "observers leave no voter" {
				name = "leaves no voter"
			}
			require.ErrorContains(t, err, name)
			require.ErrorAs(t, err, new(UsageError))
		})
	}
}

func TestANemesisNeedsSomethingToDoIt(t *testing.T) {
	for _, implementations := range [][]ensemble.Implementation{{"node"}, {"node", "node", "apache"}, {"apache", "apache", "node"}} {
		_, err := Plan{Nemeses: []string{"power-loss"}, Implementations: implementations}.resolve()
		require.NoError(t, err, "the power of one member is enough")
	}
	for _, wantsLittle := range []string{"mixed", "none"} {
		_, err := Plan{Nemeses: []string{wantsLittle}, Implementations: []ensemble.Implementation{"apache"}, Members: 1}.resolve()
		require.NoError(t, err, "mixed does what is left, and none wants nothing")
	}
}

// TestClientsAreShared: every workload gets what it needs, and all are used.
func TestClientsAreShared(t *testing.T) {
	for _, clients := range []int{0, 11, 13, 40} {
		plan, err := Plan{Clients: clients}.resolve()
		require.NoError(t, err)
		r := &run{plan: plan}
		list := r.workloads()
		sum := 0
		for i, workload := range list {
			share := r.share(workload, i, list)
			require.GreaterOrEqual(t, share, workload.ClientsMin())
			sum += share
		}
		require.Equal(t, plan.Clients, sum)
	}
}

func TestWhatAnEnsembleIsTooSmallForIsSkippedAndSaidOnce(t *testing.T) {
	plan, err := Plan{Nemeses: []string{"partition-halves", "mixed"}}.resolve()
	require.NoError(t, err)
	require.Equal(t, []results.Skipped{{Name: "majority-ring", Reason: "it needs at least 4 voters, and this ensemble has 3"}},
		plan.omitted(history.FaultKinds))
	plan.Members = 5
	require.Empty(t, plan.omitted(history.FaultKinds))
}

// TestEveryDefectNamesWhatThereIs: workloads, nemeses and checkers of the catalogue exist.
func TestEveryDefectNamesWhatThereIs(t *testing.T) {
	for _, d := range defect.Catalogue {
		require.NotEmpty(t, d.Summary, d.Name)
		require.NotEmpty(t, d.Guarantees, d.Name)
		require.Subset(t, checkers.Names(), d.Guarantees, d.Name)
		require.Subset(t, workloads.Names(), d.Workloads, d.Name)
		require.Subset(t, nemesis.Names(), d.Nemeses, d.Name)
	}
}
