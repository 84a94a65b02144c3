package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/moby/moby/client"
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

// Clean removes the containers and networks of runs whose process is gone, and with images also the
// images that this project built and nothing uses. It returns what it removed, in words.
func Clean(ctx context.Context, images bool) ([]string, error) {
	docker, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	defer docker.Close()
	ours := make(client.Filters).Add("label", labelOwner)
	containers, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var removed []string
	var failed error
	for _, found := range containers.Items {
		if !orphaned(found.Labels[labelOwner]) {
			continue
		}
		_, err := docker.ContainerRemove(ctx, found.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		failed = errors.Join(failed, err)
		if err == nil {
			removed = append(removed, "container "+strings.TrimPrefix(append(found.Names, found.ID)[0], "/"))
		}
	}
	networks, err := docker.NetworkList(ctx, client.NetworkListOptions{Filters: ours})
	if err != nil {
		return removed, errors.Join(failed, fmt.Errorf("list networks: %w", err))
	}
	for _, found := range networks.Items {
		if !orphaned(found.Labels[labelOwner]) {
			continue
		}
		_, err := docker.NetworkRemove(ctx, found.ID, client.NetworkRemoveOptions{})
		failed = errors.Join(failed, err)
		if err == nil {
			removed = append(removed, "network "+found.Name)
		}
	}
	if images {
		for _, kind := range []string{imageOfNode, imageOfApache} {
			for _, name := range removeImages(ctx, docker.Client, kind) {
				removed = append(removed, "image "+name)
			}
		}
	}
	return removed, failed
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
