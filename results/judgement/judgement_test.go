package judgement

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWorst(t *testing.T) {
	require.Equal(t, Skipped, Worst(nil))
	require.Equal(t, Valid, Worst([]Result{{Verdict: Skipped}, {Verdict: Valid}}))
	require.Equal(t, Unknown, Worst([]Result{{Verdict: Unknown}, {Verdict: Valid}}))
	require.Equal(t, Violation, Worst([]Result{{Verdict: Unknown}, {Verdict: Violation}, {Verdict: Valid}}))
}
