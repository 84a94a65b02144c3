package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
	"github.com/stretchr/testify/require"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"ordeal/harness/sim"
)

// The examples that spread a search over machines.
const (
	manifestFile = "../../../.kubernetes/search.yaml"
	workflowFile = "../../../.github/workflows/search.yaml"
)

// manifest reads the claim and the job as Kubernetes does, and refuses every field that it does not have.
func manifest(t *testing.T, text []byte) (claim core.PersistentVolumeClaim, job batch.Job, err error) {
	t.Helper()
	documents := bytes.Split(text, []byte("\n---\n"))
	require.Len(t, documents, 2)
	if err := yaml.UnmarshalStrict(documents[0], &claim); err != nil {
		return claim, job, err
	}
	return claim, job, yaml.UnmarshalStrict(documents[1], &job)
}

func TestTheKubernetesJobIsWellFormed(t *testing.T) {
	text, err := os.ReadFile(manifestFile)
	require.NoError(t, err)
	claim, job, err := manifest(t, text)
	require.NoError(t, err)
	require.Equal(t, "v1 PersistentVolumeClaim", claim.APIVersion+" "+claim.Kind)
	require.Equal(t, "batch/v1 Job", job.APIVersion+" "+job.Kind)
	require.Equal(t, batch.IndexedCompletion, *job.Spec.CompletionMode)
	pod := job.Spec.Template.Spec
	require.Equal(t, core.RestartPolicyNever, pod.RestartPolicy, "pod failure policies want this")

	// What was found outlives its pod.
	require.Len(t, pod.Volumes, 1)
	require.Equal(t, claim.Name, pod.Volumes[0].PersistentVolumeClaim.ClaimName)
	container := pod.Containers[0]
	require.Equal(t, pod.Volumes[0].Name, container.VolumeMounts[0].Name)
	out := slices.IndexFunc(container.Args, func(a string) bool { return strings.HasPrefix(a, "--out="+container.VolumeMounts[0].MountPath+"/") })
	require.GreaterOrEqual(t, out, 0, "results belong on the volume")

	// A find ends its own shard at once, and no other.
	require.Nil(t, job.Spec.BackoffLimit)
	require.NotNil(t, job.Spec.BackoffLimitPerIndex)
	require.Equal(t, *job.Spec.Completions, *job.Spec.MaxFailedIndexes)
	rule := job.Spec.PodFailurePolicy.Rules[0]
	require.Equal(t, batch.PodFailurePolicyActionFailIndex, rule.Action)
	require.Equal(t, container.Name, *rule.OnExitCodes.ContainerName)
	require.Equal(t, []int32{exitViolation, exitUnknown, exitUsage}, rule.OnExitCodes.Values)

	accepts(t, append(container.Command[1:], container.Args...), "$(JOB_COMPLETION_INDEX)", int(*job.Spec.Completions))
}

func TestAMisspeltManifestIsRefused(t *testing.T) {
	text, err := os.ReadFile(manifestFile)
	require.NoError(t, err)
	for _, word := range []string{"completionMode", "backoffLimitPerIndex", "claimName", "accessModes", "onExitCodes", "fieldPath"} {
		wrong := bytes.ReplaceAll(text, []byte(word+":"), []byte(word+"s:"))
		require.NotEqual(t, text, wrong)
		_, _, err := manifest(t, wrong)
		require.ErrorContains(t, err, word+"s")
	}
}

// lintWorkflow checks a workflow as GitHub does.
func lintWorkflow(t *testing.T, text []byte) []*actionlint.Error {
	t.Helper()
	linter, err := actionlint.NewLinter(&bytes.Buffer{}, &actionlint.LinterOptions{})
	require.NoError(t, err)
	faults, err := linter.Lint("search.yaml", text, nil)
	require.NoError(t, err)
	return faults
}

func TestTheWorkflowIsWellFormed(t *testing.T) {
	text, err := os.ReadFile(workflowFile)
	require.NoError(t, err)
	require.Empty(t, lintWorkflow(t, text))
	require.NotEmpty(t, lintWorkflow(t, bytes.ReplaceAll(text, []byte("fail-fast:"), []byte("fail-first:"))))
	require.NotEmpty(t, lintWorkflow(t, bytes.ReplaceAll(text, []byte("needs: shard"), []byte("needs: shards"))))

	workflow, faults := actionlint.Parse(text)
	require.Empty(t, faults)
	shard := workflow.Jobs["shard"]
	require.False(t, shard.Strategy.FailFast.Value, "a find must not end the other shards")
	indices := shard.Strategy.Matrix.Rows["index"].Values
	require.NotEmpty(t, indices)
	for i, index := range indices {
		require.Equal(t, fmt.Sprint(i), index.(*actionlint.RawYAMLString).Value)
	}
	found := false
	for _, step := range shard.Steps {
		run, is := step.Exec.(*actionlint.ExecRun)
		if !is {
			continue
		}
		if line, is := strings.CutPrefix(run.Run.Value, "bin/ordeal "); is {
			found = true
			accepts(t, strings.Fields(strings.ReplaceAll(line, "${{ matrix.index }}", "$INDEX")), "$INDEX", len(indices))
		}
	}
	require.True(t, found, "no step searches")
	require.Equal(t, "shard", workflow.Jobs["merge"].Needs[0].Value)
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
