package tree

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValidatePath(t *testing.T) {
	for _, path := range []string{"/", "/a", "/a/b", "/a.b", "/...", "/.a", "/a..", "/é", "/漢字", "/a b", "/\ufeef"} {
		require.NoError(t, ValidatePath(path), "%q", path)
	}
	for path, want := range map[string]string{
		"":            "is empty",
		"a":           "does not start with /",
		"/a/":         "ends with /",
		"//":          "ends with /",
		"/a//b":       "empty element",
		"/.":          "is relative",
		"/a/../b":     "is relative",
		"/a/./b":      "is relative",
		"/a\x00":      "U+0000",
		"/a\x1f":      "U+001F",
		"/a\x7f":      "U+007F",
		"/a\u009f":    "U+009F",
		"/\ue000":     "U+E000",
		"/\uf8ff":     "U+F8FF",
		"/\ufff0":     "U+FFF0",
		"/\U0001F600": "U+1F600", // two surrogates to Java
		"/\xff":       "U+FFFD",  // what Java reads from invalid UTF-8
	} {
		require.ErrorContains(t, ValidatePath(path), want, "%q", path)
	}
}

func TestParent(t *testing.T) {
	require.Equal(t, "/", Parent("/a"))
	require.Equal(t, "/a", Parent("/a/b"))
	require.Panics(t, func() { Parent("a") })
}

func TestReservedPaths(t *testing.T) {
	for _, path := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		require.True(t, IsReserved(path))
	}
	require.False(t, IsReserved("/zookeeper/quota/a"))
}
