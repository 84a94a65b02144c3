package doctor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a machine has, the table has a row for everything, and each says what was found, what it is good
// for and how to get it.
func TestEveryFindingSaysWhatItIsGoodForAndHowToGetIt(t *testing.T) {
	var names []string
	for _, f := range Examine(t.Context(), t.TempDir()) {
		names = append(names, f.Name)
		require.NotEmpty(t, f.Found, f.Name)
		require.NotEmpty(t, f.Gives, f.Name)
		require.NotEmpty(t, f.Get, f.Name)
	}
	require.Equal(t, []string{"Docker engine", "network namespaces", "nftables", "netem", "FUSE", "Java", "Apache ZooKeeper", "free ports", "disk"}, names)
}

func TestWhatIsMissingIsFoundMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	f := java(t.Context())
	require.False(t, f.OK)
	require.Contains(t, f.Found, "java")

	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "none.sock"))
	require.False(t, docker(t.Context()).OK)
}

func TestAProgramInPathIsAsked(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "java"), []byte("#!/bin/sh\necho 'openjdk version \"99\"' >&2\necho more >&2\n"), 0o755))
	t.Setenv("PATH", dir+":/bin:/usr/bin")
	f := java(t.Context())
	require.True(t, f.OK, f.Found)
	require.Equal(t, `openjdk version "99"`, f.Found)
}

// The disk is that of the nearest folder that is there, and nothing stays behind in it.
func TestTheDiskIsThatOfTheNearestFolder(t *testing.T) {
	dir := t.TempDir()
	f := disk(filepath.Join(dir, "not", "yet"))
	require.Contains(t, f.Found, "MiB free in "+dir)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)

	f = disk("/proc/self")
	require.False(t, f.OK, "nothing can be written there: %s", f.Found)
}
