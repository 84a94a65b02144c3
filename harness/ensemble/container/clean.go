package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// self names this process as an owner: host and process, so that a reused process id is told apart.
func self() string {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", name, os.Getpid(), processStart(os.Getpid()))
}

// orphaned tells whether the owner was a process of this host that is gone. What belongs to another
// host is never touched: whether its run goes on is not known here.
func orphaned(owner string) bool {
	parts := strings.Split(owner, "/")
	if len(parts) != 3 {
		return false
	}
	name, err := os.Hostname()
	if err != nil || parts[0] != name {
		return false
	}
	pid, err := strconv.Atoi(parts[1])
	return err == nil && processStart(pid) != parts[2]
}

// Clean removes the containers and networks of runs whose process is gone, and the images that this
// project built and no run needs. It returns what it removed, in words.
func Clean(ctx context.Context) ([]string, error) {
	engine, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	removed, failed := sweep(ctx, engine)
	for _, kind := range []string{imageOfNode, imageOfApache} {
		images, err := removeImages(ctx, engine, kind)
		removed, failed = append(removed, images...), errors.Join(failed, err)
	}
	return removed, failed
}

// sweep removes the containers and networks of runs whose process is gone.
func sweep(ctx context.Context, engine *testcontainers.DockerClient) (removed []string, failed error) {
	ours := make(client.Filters).Add("label", labelOwner)
	took := func(what string, err error) {
		switch {
		case err == nil:
			removed = append(removed, what)
		case !errdefs.IsNotFound(err) && !errdefs.IsConflict(err):
			failed = errors.Join(failed, fmt.Errorf("remove %s: %w", what, err))
		} // otherwise somebody else who sweeps has taken it, or is about to
	}
	containers, err := engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	for _, found := range containers.Items {
		if orphaned(found.Labels[labelOwner]) {
			_, err := engine.ContainerRemove(ctx, found.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			took("container "+strings.TrimPrefix(append(found.Names, found.ID)[0], "/"), err)
		}
	}
	networks, err := engine.NetworkList(ctx, client.NetworkListOptions{Filters: ours})
	if err != nil {
		return removed, errors.Join(failed, fmt.Errorf("list networks: %w", err))
	}
	for _, found := range networks.Items {
		if orphaned(found.Labels[labelOwner]) {
			_, err := engine.NetworkRemove(ctx, found.ID, client.NetworkRemoveOptions{})
			took("network "+found.Name, err)
		}
	}
	return removed, failed
}

// imageYoung is how old an image must be before it can be taken for one that nobody needs: a run that
// has just built it may be about to start containers of it.
const imageYoung = 10 * time.Minute

// removeImages removes the project's images of one kind that nobody needs, and returns what it removed,
// in words. An image that a container uses stays, and so does one that a run under way has named: that
// is no error.
func removeImages(ctx context.Context, engine *testcontainers.DockerClient, kind string) ([]string, error) {
	needed, err := neededImages(ctx, engine)
	if err != nil {
		return nil, err
	}
	list, err := engine.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("label", labelImage+"="+kind)})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var removed []string
	for _, image := range list.Items {
		if time.Since(time.Unix(image.Created, 0)) < imageYoung || slices.ContainsFunc(image.RepoTags, func(tag string) bool { return needed[tag] }) {
			continue
		}
		if _, err := engine.ImageRemove(ctx, image.ID, client.ImageRemoveOptions{PruneChildren: true}); err == nil {
			removed = append(removed, "image "+append(image.RepoTags, image.ID)[0])
		}
	}
	return removed, nil
}

// neededImages are the images that runs under way have named. A run's network is made first, and carries
// their names: before that a container of an image might not yet be there to protect it.
func neededImages(ctx context.Context, engine *testcontainers.DockerClient) (map[string]bool, error) {
	networks, err := engine.NetworkList(ctx, client.NetworkListOptions{Filters: make(client.Filters).Add("label", labelNeeds)})
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	needed := map[string]bool{}
	for _, found := range networks.Items {
		if orphaned(found.Labels[labelOwner]) {
			continue
		}
		for _, image := range strings.Split(found.Labels[labelNeeds], ",") {
			needed[image] = true
		}
	}
	return needed, nil
}

// processStart tells processes with the same id apart: the moment at which the process began, in the
// kernel's own count, or empty if there is none.
func processStart(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name of the program, in parentheses, may hold blanks: fields are counted behind it.
	_, behind, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(behind)
	const startTime = 19 // field 22 of proc(5), counted from the third
	if len(fields) <= startTime {
		return ""
	}
	return fields[startTime]
}
