package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/harness/ensemble"
)

// A test binary that is started as a member would run its tests, which start members.
func TestATestIsNoMember(t *testing.T) {
	t.Setenv("PATH", "")
	own, err := os.Executable()
	require.NoError(t, err)
	for name, binary := range map[string]string{
		"left out": "", "a test binary": own, "no program": "program.go", "not there": filepath.Join(t.TempDir(), "ordeal"),
	} {
		for _, implementation := range []ensemble.Implementation{ensemble.Node, ensemble.Apache} {
			t.Run(name+" "+string(implementation), func(t *testing.T) {
				out := filepath.Join(t.TempDir(), "runs")
				_, err := Run(t.Context(), Plan{
					Driver: DriverProcess, Binary: binary, Out: out, Nemeses: []string{"kill-leader"},
					Implementations: []ensemble.Implementation{implementation},
				})
				require.ErrorAs(t, err, new(UsageError))
				require.ErrorContains(t, err, "Plan.Binary")
				require.NoDirExists(t, out, "nothing was started")
			})
		}
	}
}

func TestTheProgramIsFoundOnPath(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "ordeal")
	output, err := exec.Command("go", "build", "-o", program, "./cmd/ordeal").CombinedOutput()
	require.NoError(t, err, "%s", output)
	t.Setenv("PATH", dir)
	var plan Plan
	require.NoError(t, plan.resolveProgram())
	require.Equal(t, program, plan.Binary)

	plan = Plan{Binary: program}
	require.NoError(t, plan.resolveProgram())
}
