package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/harness/sim"
)

// simulate runs the program and returns what it printed, and its exit code.
func simulate(t *testing.T, arguments ...string) (string, int) {
	t.Helper()
	return simulateUntil(t.Context(), arguments...)
}

// simulateUntil ends with a context, as after Ctrl-C.
func simulateUntil(ctx context.Context, arguments ...string) (string, int) {
	var out bytes.Buffer
	command := newRoot()
	command.SetArgs(arguments)
	command.SetOut(&out)
	command.SetErr(&out)
	code := report(command.ExecuteContext(ctx), arguments)
	return out.String(), code
}

func TestSearchFindsStoresReplaysAndMerges(t *testing.T) {
	dir := t.TempDir()
	_, code := simulate(t, "search", "--seeds", "1..6", "--shard", "0/2", "--out", filepath.Join(dir, "0"))
	require.Equal(t, exitValid, code)
	_, code = simulate(t, "search", "--seeds", "1..200", "--shard", "1/2", "--defect", "partial-multi", "--stop-at-first", "--workers", "1", "--out", filepath.Join(dir, "1"))
	require.Equal(t, exitViolation, code)
	scripts, err := filepath.Glob(filepath.Join(dir, "1", "*.sim"))
	require.NoError(t, err)
	require.Len(t, scripts, 1)

	out := filepath.Join(dir, "again.sim")
	_, code = simulate(t, "replay", scripts[0], "--quiet", "--save", out)
	require.Equal(t, exitViolation, code)
	again, code := simulate(t, "replay", out, "--quiet")
	require.Equal(t, exitViolation, code)
	require.NotContains(t, again, "has changed since")
	_, code = simulate(t, "replay", out, "--until", "1s")
	require.Equal(t, exitValid, code)
	_, code = simulate(t, "replay", out, "--members", "5")
	require.Equal(t, exitUsage, code, "a script says how many members there are")

	_, code = simulate(t, "merge", filepath.Join(dir, "1"))
	require.Equal(t, exitViolation, code)
	_, code = simulate(t, "merge", filepath.Join(dir, "0"), filepath.Join(dir, "1"))
	require.Equal(t, exitUsage, code, "shards of different searches")
	_, code = simulate(t, "merge", dir)
	require.Equal(t, exitFailed, code)
}

// An interrupted search is no valid one, and says how it is begun again.
func TestAnInterruptedSearchIsNotValid(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, code := simulateUntil(ctx, "search", "--seeds", "1..6", "--shard", "1/2", "--members", "3", "--out", t.TempDir())
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "FAILED: the search is not complete")
	require.Contains(t, out, "0 of 3 seeds tried, interrupted")
	require.Contains(t, out, " search --seeds 1..6 --shard 1/2 --members 3 --strategy swarm")
}

func TestMergeCountsEverySeedOnce(t *testing.T) {
	dir := t.TempDir()
	shard := func(i int) string {
		out := filepath.Join(dir, fmt.Sprint(i))
		_, code := simulate(t, "search", "--seeds", "1..6", "--shard", fmt.Sprintf("%d/3", i), "--members", "3", "--out", out)
		require.Equal(t, exitValid, code)
		return out
	}
	first, second, third := shard(0), shard(1), shard(2)
	out, code := simulate(t, "merge", first, second, third)
	require.Equal(t, exitValid, code)
	require.Contains(t, out, "VALID: 6 seeds")

	_, code = simulate(t, "merge", first, second, first)
	require.Equal(t, exitUsage, code, "seeds would count twice")

	out, code = simulate(t, "merge", first, third)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "shard 1 of 3 of the seeds 1 to 6 is missing")
	require.Contains(t, out, " search --seeds 1..6 --shard 1/3 --members 3 --strategy swarm")
}

func TestACommandThatRepeatsNamesAllThatDraws(t *testing.T) {
	out, code := simulate(t, "replay", "3", "--quiet", "--members", "5", "--workload", "register", "--strategy", "pct", "--defect", "partial-multi", "--until", "1s")
	require.Equal(t, exitValid, code, out)
	require.Equal(t, []string{"--members", "5", "--defect", "skip-trunc", "--workload", "set", "--strategy", "walk"},
		drawFlags(sim.Options{Members: 5, Defect: "skip-trunc", Workload: "set", Strategy: sim.Walk}))
}

func TestSimulatorRefusesWhatMakesNoSense(t *testing.T) {
	for _, line := range []string{
		"search --seeds 9..1", "search --seeds many", "search --shard 2/2", "search --shard x", "search --strategy luck",
		"search --members 12", "search --defect none-such", "search --workload chess", "search extra", "replay", "merge",
		"repro ZOOKEEPER-1", "run --driver sim --implementation apache",
	} {
		t.Run(line, func(t *testing.T) {
			_, code := simulate(t, strings.Fields(line)...)
			require.Equal(t, exitUsage, code)
		})
	}
	_, code := simulate(t, "replay", filepath.Join(t.TempDir(), "missing.sim"))
	require.Equal(t, exitFailed, code)
}

// Shards have nothing in common and leave nothing out.
func TestShardsCoverEverySeedOnce(t *testing.T) {
	seen := map[int]int{}
	for shard := range 3 {
		search := sim.Search{Workers: 1}
		require.NoError(t, searchFlags{seeds: "1..10", shard: fmt.Sprintf("%d/3", shard), strategy: "swarm"}.into(&search))
		for seed := search.From + uint64(search.Shard); seed <= search.To; seed += uint64(search.Shards) {
			seen[int(seed)]++
		}
	}
	for seed := 1; seed <= 10; seed++ {
		require.Equal(t, 1, seen[seed], "seed %d", seed)
	}
}
