package defect_test

import (
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
)

// TestWhatBreaksWasExpected: every issue was measured, and found to break what its description says,
// by a find that the sound node survives.
func TestWhatBreaksWasExpected(t *testing.T) {
	measured, err := defect.Measurements()
	require.NoError(t, err)
	for _, d := range defect.Catalogue {
		m, known := measured[d.Name]
		require.Equal(t, d.Issue != "", known, "%s: make catalogue measures what has an issue", d.Name)
		if !known {
			continue
		}
		require.NotEmpty(t, m.Guarantees, d.Name)
		for _, guarantee := range m.Guarantees {
			require.Contains(t, slices.Concat(d.Inside, d.Guarantees), guarantee, d.Name)
		}
		require.GreaterOrEqual(t, 10*m.FoundIn, 9*m.Ranges, "%s is found too rarely", d.Name)
		require.LessOrEqual(t, m.CPUSeconds, 60.0, d.Name)
		require.True(t, m.Control, d.Name)
	}
}

func TestARowIsReplacedAndTheOthersStay(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	same := string(text)
	measured, err := defect.Measurements()
	require.NoError(t, err)
	for name, m := range measured {
		same, err = defect.Speed.With(same, name, m.Row())
		require.NoError(t, err)
	}
	require.Equal(t, string(text), same)
	other := measured[defect.EpochBeforeLog]
	other.Events++
	page, err := defect.Speed.With(same, defect.EpochBeforeLog, other.Row())
	require.NoError(t, err)
	require.Contains(t, page, other.Row())
	require.NotEqual(t, same, page)

	_, err = defect.Speed.With("no table", defect.EpochBeforeLog, other.Row())
	require.ErrorContains(t, err, "has no lines")
}
