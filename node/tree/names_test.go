package tree

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func requireSameNames(t require.TestingT, want map[string]bool, n *names) {
	sorted := make([]string, 0, len(want))
	for name := range want {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	require.Equal(t, sorted, n.all())
	require.Equal(t, len(want), n.len())
	var walked []string
	for name, ok := n.next(""); ok; name, ok = n.next(name) {
		walked = append(walked, name)
	}
	if len(sorted) > 0 {
		require.Equal(t, sorted, walked)
		require.Equal(t, sorted[len(sorted)-1], n.last())
	}
	for _, chunk := range n.chunks {
		require.NotEmpty(t, chunk)
		require.LessOrEqual(t, len(chunk), chunkNamesMax)
	}
}

func TestNamesAreASortedSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, model := &names{}, map[string]bool{}
		// Runs of names make it large enough for several chunks.
		for range rapid.IntRange(0, 12).Draw(t, "runs") {
			start := rapid.IntRange(0, 3000).Draw(t, "start")
			length := rapid.IntRange(0, 1000).Draw(t, "length")
			add := rapid.IntRange(0, 2).Draw(t, "add") > 0
			for i := start; i < start+length; i++ {
				name := fmt.Sprintf("%d", i)
				if add {
					require.Equal(t, !model[name], n.add(name))
					model[name] = true
				} else {
					require.Equal(t, model[name], n.remove(name))
					delete(model, name)
				}
			}
		}
		requireSameNames(t, model, n)
		probe := fmt.Sprintf("%d", rapid.IntRange(0, 4000).Draw(t, "probe"))
		require.Equal(t, model[probe], n.has(probe))
	})
}

func TestNoNames(t *testing.T) {
	var n *names
	require.False(t, n.has("a"))
	require.Zero(t, n.len())
	require.Empty(t, n.last())
	require.Equal(t, []string{}, n.all())
	_, ok := n.next("")
	require.False(t, ok)
}

func TestSequentialNamesFillTheirChunks(t *testing.T) {
	n := &names{}
	for i := range 10 * chunkNamesMax {
		n.add(fmt.Sprintf("%010d", i))
	}
	require.LessOrEqual(t, len(n.chunks), 11)
}
