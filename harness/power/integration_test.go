//go:build integration

package power

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/checkers"
	"ordeal/harness"
	"ordeal/node/defect"
)

// TestIntegrationMeasure is a small part of what "make power" measures: three defects that need no luck to
// be found, and the sound node, all with real members.
func TestIntegrationMeasure(t *testing.T) {
	program := filepath.Join(t.TempDir(), "ordeal")
	output, err := exec.Command("go", "build", "-o", program, "ordeal/harness/cmd/ordeal").CombinedOutput()
	require.NoError(t, err, "%s", output)

	planted := []string{string(defect.DuplicateSequence), string(defect.PartialMulti), string(defect.LateWatch)}
	rows, err := Measure(t.Context(), Options{
		Defects: planted, Seeds: 1, First: 7, Sound: 1,
		Duration: 10 * time.Second, Drivers: []string{harness.DriverProcess},
		Out: t.TempDir(), Binary: program,
		Done: func(row, verdict string, took time.Duration) {
			t.Logf("%s: %s after %.0f s", row, verdict, took.Seconds())
		},
	})
	require.NoError(t, err)
	require.Len(t, rows, len(planted)+1)
	for i, row := range rows {
		require.True(t, row.Enough(), "%s: %+v", row.Name, row.Wrong)
		want := checkers.Valid
		if i < len(planted) {
			require.Equal(t, planted[i], row.Name)
			want = checkers.Violation
		}
		require.Equal(t, map[checkers.Verdict]int{want: 1}, row.Verdicts)
	}
}
