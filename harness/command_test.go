package harness

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"ordeal/results"
)

func TestRerunNamesEveryChoice(t *testing.T) {
	plan, err := Plan{
		Members: 5, Observers: 1, Seed: 9, Defect: "keep-ephemerals", StrictSync: true, TickTime: time.Second,
		Hush: true, Properties: map[string]string{"snapCount": "50"}, CheckTime: time.Minute, CheckMemory: 1 << 30,
		InitLimit: 20, SyncLimit: 8, Out: "my runs", Name: "nightly", Program: "bin/ordeal",
	}.resolve()
	require.NoError(t, err)
	require.Equal(t, "bin/ordeal run --implementation node --members 5 --observers 1 --driver auto --workload lock"+
		" --nemesis kill-leader --duration 30s --clients 12 --rate 400/s --seed 9 --defect keep-ephemerals"+
		" --hush --tick-time 1s --init-limit 20 --sync-limit 8 --property snapCount=50 --strict-sync --check-time 1m0s --check-memory 1073741824"+
		" --out 'my runs' --name nightly", plan.rerun())
}

func TestCheckSaysHowItIsRepeated(t *testing.T) {
	folder := stored(t, results.Run{Nemeses: []string{none}, Workloads: []string{"set"}}, written()...)
	verdict, err := Check(context.Background(), folder.Dir, CheckOptions{StrictDisk: true, Time: time.Second, Program: "./ordeal"})
	require.NoError(t, err)
	require.Equal(t, "./ordeal check "+folder.Dir+" --strict-disk --check-time 1s", verdict.Rerun)
}

// A property is read back as it was, whatever is in it.
func TestPropertiesAreReadBack(t *testing.T) {
	want := map[string]string{"plain": "1", "list": "a,b", "options": "a=b,c=d", "quoted": `say "a=b", twice`}
	var got map[string]string
	command := &cobra.Command{}
	command.Flags().StringToStringVar(&got, "property", nil, "")
	var words []string
	for name, value := range want {
		words = append(words, "--property", property(name, value))
	}
	require.NoError(t, command.ParseFlags(words))
	require.Equal(t, want, got)
}

// What a shell makes of the line are the words again.
func TestCommandsAreQuoted(t *testing.T) {
	words := []string{"plain", "image:a/b@sha256:0", "two words", "it's", "", "$HOME", "a;b", "~", "*", "back\\slash", "a=b,c"}
	line := Command(append([]string{"printf", `%s\n`}, words...)...)
	output, err := exec.Command("sh", "-c", line).Output()
	require.NoError(t, err)
	require.Equal(t, strings.Join(words, "\n")+"\n", string(output))
}
