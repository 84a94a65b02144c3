//go:build integration

package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/container"
)

// TestIntegration runs whole runs, as a user would, with bin/ordeal. A script whose dependency is
// missing is skipped; with CI=true that is an error.
func TestIntegration(t *testing.T) {
	binary, err := filepath.Abs("../../../bin/ordeal")
	require.NoError(t, err)
	require.FileExists(t, binary, "run make build first")
	params := parameters("testdata/integration")
	params.ContinueOnError = false
	setup := params.Setup
	params.Setup = func(env *testscript.Env) error {
		env.Setenv("ORDEAL", binary)
		return setup(env)
	}
	params.Condition = func(name string) (bool, error) {
		if name == "root" {
			return os.Geteuid() == 0, nil // not needed: no one should have to be
		}
		return has(t, name), nil
	}
	params.Cmds["smalldisk"] = smallDisk
	testscript.Run(t, params)
}

// smallDisk mounts a disk of 24 MB: "smalldisk DIR".
func smallDisk(script *testscript.TestScript, _ bool, arguments []string) {
	dir := script.MkAbs(arguments[0])
	script.Check(os.Mkdir(dir, 0o755))
	script.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"))
	script.Defer(func() { script.Check(unix.Unmount(dir, unix.MNT_DETACH)) })
}

// has tells whether a dependency is there.
func has(t *testing.T, name string) bool {
	var err error
	switch name {
	case "docker":
		_, err = container.Available(context.Background())
	case "apache":
		_, err = ensemble.FindApache()
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing, and CI=true wants everything: %v", name, err)
	}
	return err == nil
}
