//go:build integration

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestIntegrationReadme types every command of the README, in its order, at the top of the repository,
// as a reader would. "make test" is what runs this test, and "make run" is the first command, shortened.
func TestIntegrationReadme(t *testing.T) {
	top, err := filepath.Abs("../../..")
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(top, "README.md"))
	require.NoError(t, err)
	commands := readmeCommands(string(text))
	require.Greater(t, len(commands), 5)
	apache, docker := has(t, "apache"), has(t, "docker")
	for _, command := range commands {
		t.Run(command, func(t *testing.T) {
			line, comment, _ := strings.Cut(command, "#")
			line = strings.TrimSpace(line)
			switch {
			case line == "make test":
				t.Skip("this test is part of it")
			case line == "make run":
				line += " ARGS='--duration 8s'"
			case strings.Contains(line, "apache") && !apache:
				t.Skip("no Apache ZooKeeper")
			case strings.Contains(line, "apache") && !docker:
				line += " --driver process"
			}
			want := 0
			if strings.Contains(comment, "exits 1") {
				want = 1
			}
			shell := exec.Command("sh", "-c", line)
			shell.Dir = top
			output, err := shell.CombinedOutput()
			code := 0
			if exit, failed := err.(*exec.ExitError); failed {
				code, err = exit.ExitCode(), nil
			}
			require.NoError(t, err)
			require.Equal(t, want, code, "%s said:\n%s", line, output)
		})
	}
}

// readmeCommands are the lines of the README's blocks of shell commands.
func readmeCommands(text string) []string {
	var commands []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[1]) {
			commands = append(commands, strings.TrimSpace(line))
		}
	}
	return commands
}
