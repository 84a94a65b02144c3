package tree

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The value was computed by Apache's server and by an independent reader of its snapshot.0
// (protocol.md 3.1).
func TestFreshTreeHasApachesDigest(t *testing.T) {
	require.Equal(t, int64(1371985504), New(Options{DigestEnabled: true}).Digest())
}
