package freeport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoPortIsGivenTwice(t *testing.T) {
	seen := map[int]bool{}
	for range 300 {
		port := Take(t)
		require.False(t, seen[port])
		require.True(t, port >= first && port < end)
		seen[port] = true
	}
}
