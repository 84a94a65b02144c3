//go:build integration

package container

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
)

// killedRun starts a whole run in containers and kills it by kill -9 when its members are there. It returns
// the process's id.
func killedRun(ctx context.Context, t *testing.T, engine *testcontainers.DockerClient) int {
	t.Helper()
	run := exec.CommandContext(ctx, needsEngine(ctx, t), "run", "--driver", "container", "--duration", "60s", "--nemesis", "none", "--out", t.TempDir())
	require.NoError(t, run.Start())
	pid := run.Process.Pid
	require.Eventually(t, func() bool { return len(left(ctx, t, engine, pid)) == 7 }, time.Minute, 100*time.Millisecond,
		"three members, their agents and a network")
	require.NoError(t, run.Process.Kill())
	require.Error(t, run.Wait())
	return pid
}

// left is what there is on the engine of a process's runs, in the words of Clean.
func left(ctx context.Context, t *testing.T, engine *testcontainers.DockerClient, pid int) []string {
	t.Helper()
	labelled := make(client.Filters).Add("label", labelOwner)
	owner := fmt.Sprintf("/%d/", pid)
	var found []string
	containers, err := engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: labelled})
	require.NoError(t, err)
	for _, each := range containers.Items {
		if strings.Contains(each.Labels[labelOwner], owner) {
			found = append(found, "container "+strings.TrimPrefix(each.Names[0], "/"))
		}
	}
	networks, err := engine.NetworkList(ctx, client.NetworkListOptions{Filters: labelled})
	require.NoError(t, err)
	for _, each := range networks.Items {
		if strings.Contains(each.Labels[labelOwner], owner) {
			found = append(found, "network "+each.Name)
		}
	}
	return found
}

// TestIntegrationCleanTakesWhatAKilledRunLeftAndNoMore kills whole runs beside one that goes on.
func TestIntegrationCleanTakesWhatAKilledRunLeftAndNoMore(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	goesOn, _ := startThree(ctx, t)
	engine, err := connect(ctx)
	require.NoError(t, err)
	defer engine.Close()

	pid := killedRun(ctx, t, engine)
	leftovers := left(ctx, t, engine, pid)
	removed, err := Clean(ctx)
	require.NoError(t, err)
	require.Subset(t, removed, leftovers)
	require.Empty(t, left(ctx, t, engine, pid))
	for _, what := range removed {
		require.NotContains(t, what, goesOn.images["agent"], "an image that a run needs stays")
	}
	for id := 1; id <= 3; id++ {
		require.True(t, serves(ctx, goesOn.ProbeAddress(id)), "the run that goes on is not touched")
	}

	pid = killedRun(ctx, t, engine)
	leftovers = left(ctx, t, engine, pid)
	next, told := startThree(ctx, t)
	require.Empty(t, left(ctx, t, engine, pid), "the next run begins with sweeping")
	notes := strings.Join(told.of(0, ""), " ")
	for _, what := range leftovers {
		require.Contains(t, notes, what)
	}
	require.True(t, serves(ctx, next.ProbeAddress(1)))
	require.True(t, serves(ctx, goesOn.ProbeAddress(1)))
}

func TestIntegrationImagesThatARunNeedsStay(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e, _ := startThree(ctx, t)
	needed, err := neededImages(ctx, e.engine)
	require.NoError(t, err)
	require.True(t, needed[e.images["agent"]])
	require.False(t, needed[ApacheImage], "no member runs it")
}
