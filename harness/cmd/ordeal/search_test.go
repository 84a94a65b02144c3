package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

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
	code := report(command.ExecuteContext(ctx))
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
	require.Contains(t, out, "ordeal search --seeds 1..6 --shard 1/2 --members 3 --strategy swarm")
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
	require.Contains(t, out, "ordeal search --seeds 1..6 --shard 1/3 --members 3 --strategy swarm")
}

func TestACommandThatRepeatsNamesAllThatDraws(t *testing.T) {
	out, code := simulate(t, "replay", "3", "--quiet", "--members", "5", "--workload", "register", "--strategy", "pct", "--defect", "partial-multi", "--until", "1s")
	require.Equal(t, exitValid, code, out)
	require.Equal(t, " --members 5 --defect skip-trunc --workload set --strategy walk",
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

// strictly reads a manifest and refuses every field that the form does not have.
func strictly(t *testing.T, name string, form any) {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(form), name)
}

func TestTheKubernetesJobIsWellFormed(t *testing.T) {
	type resources map[string]string
	var job struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct{ Name string }
		Spec       struct {
			CompletionMode string `yaml:"completionMode"`
			Completions    int
			Parallelism    int
			BackoffLimit   *int `yaml:"backoffLimit"`
			Template       struct {
				Spec struct {
					RestartPolicy string `yaml:"restartPolicy"`
					Containers    []struct {
						Name, Image   string
						Command, Args []string
						Env           []struct {
							Name      string
							ValueFrom struct {
								FieldRef struct {
									FieldPath string `yaml:"fieldPath"`
								} `yaml:"fieldRef"`
							} `yaml:"valueFrom"`
						}
						Resources    struct{ Requests, Limits resources }
						VolumeMounts []struct {
							Name      string
							MountPath string `yaml:"mountPath"`
						} `yaml:"volumeMounts"`
					}
					Volumes []struct {
						Name     string
						EmptyDir struct{} `yaml:"emptyDir"`
					}
				}
			}
		}
	}
	strictly(t, "../../../.kubernetes/search.yaml", &job)
	require.Equal(t, "batch/v1 Job Indexed", job.APIVersion+" "+job.Kind+" "+job.Spec.CompletionMode)
	require.NotNil(t, job.Spec.BackoffLimit)
	container := job.Spec.Template.Spec.Containers[0]
	accepts(t, append(container.Command[1:], container.Args...), "$(JOB_COMPLETION_INDEX)", job.Spec.Completions)
}

func TestTheWorkflowIsWellFormed(t *testing.T) {
	type step struct {
		Uses, Run, If string
		With          map[string]string
	}
	type work struct {
		RunsOn   string `yaml:"runs-on"`
		Timeout  int    `yaml:"timeout-minutes"`
		Needs    string
		If       string
		Strategy struct {
			FailFast *bool `yaml:"fail-fast"`
			Matrix   struct{ Index []int }
		}
		Steps []step
	}
	var workflow struct {
		Name string
		On   struct {
			Dispatch *struct{} `yaml:"workflow_dispatch"`
			Schedule []struct{ Cron string }
		}
		Permissions map[string]string
		Jobs        map[string]work
	}
	strictly(t, "../../../.github/workflows/search.yaml", &workflow)
	shard := workflow.Jobs["shard"]
	require.NotEmpty(t, shard.Strategy.Matrix.Index)
	for i, index := range shard.Strategy.Matrix.Index {
		require.Equal(t, i, index)
	}
	found := false
	for _, s := range shard.Steps {
		if line, is := strings.CutPrefix(s.Run, "bin/ordeal "); is {
			found = true
			accepts(t, strings.Fields(strings.ReplaceAll(line, "${{ matrix.index }}", "$INDEX")), "$INDEX", len(shard.Strategy.Matrix.Index))
		}
	}
	require.True(t, found, "no step searches")
	require.Equal(t, "shard", workflow.Jobs["merge"].Needs)
}

// accepts checks that the program would take a shard's command line, for every index.
func accepts(t *testing.T, words []string, index string, shards int) {
	t.Helper()
	for i := range shards {
		var arguments []string
		for _, word := range words {
			arguments = append(arguments, strings.ReplaceAll(word, index, fmt.Sprint(i)))
		}
		require.Equal(t, "search", arguments[0])
		command := newSearch()
		require.NoError(t, command.ParseFlags(arguments[1:]))
		seeds, err := command.Flags().GetString("seeds")
		require.NoError(t, err)
		shard, err := command.Flags().GetString("shard")
		require.NoError(t, err)
		search := sim.Search{Workers: 1}
		require.NoError(t, searchFlags{seeds: seeds, shard: shard, strategy: "swarm"}.into(&search))
		require.Equal(t, shards, search.Shards)
	}
}
