package sim

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASearchSaysWhyItEnded(t *testing.T) {
	for name, test := range map[string]struct {
		search Search
		ended  Ended
		whole  bool
	}{
		"its seeds":     {Search{From: 1, To: 3, Options: short}, EndedDone, true},
		"first failure": {Search{From: 1, Options: with(short, "serve-before-commits"), StopAtFirst: true}, EndedFirstFailure, false},
		"many failures": {Search{From: 1, Options: with(short, "serve-before-commits")}, EndedFailures, false},
		"time":          {Search{From: 1, Options: short, For: 1}, EndedTime, true},
	} {
		t.Run(name, func(t *testing.T) {
			summary := test.search.Run(t.Context())
			require.Len(t, summary.Parts, 1)
			require.Equal(t, test.ended, summary.Parts[0].Ended)
			require.Equal(t, summary.Seeds, summary.Parts[0].Seeds)
			require.Equal(t, test.whole, len(summary.Unfinished()) == 0)
			for _, failure := range summary.Failures {
				require.NotNil(t, failure.Script, "a failure is kept even if it was not shrunk")
				require.Len(t, failure.Script.Decisions, failure.Found)
			}
		})
	}
}

// with is options with a defect.
func with(options Options, defect string) Options {
	options.Defect = defect
	return options
}

// An interrupted search does not finish shrinking, but stores what it has found.
func TestAnInterruptedSearchStopsShrinking(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	search := Search{From: 1, Options: with(short, "serve-before-commits"), ShrinkFor: 1 << 40, Found: func(Failure) { cancel() }}
	summary := search.Run(ctx)
	require.Equal(t, EndedInterrupted, summary.Parts[0].Ended)
	require.Len(t, summary.Failures, 1)

	cancelled := Search{ShrinkFor: 1 << 62, Options: search.Options}
	seed := summary.Failures[0].Seed
	failure := cancelled.failure(ctx, seed, Run(Draw(seed, search.Options), Observation{}))
	require.Equal(t, failure.Found, failure.Shrunk, "nothing was tried")
}

func TestPartsKnowTheirSeeds(t *testing.T) {
	part := Part{From: 1, To: 10, Shard: 1, Shards: 3, Seeds: 3}
	require.Equal(t, 3, part.Wanted()) // 2, 5, 8
	require.True(t, part.Complete())
	for seed, tried := range map[uint64]bool{1: false, 2: true, 3: false, 5: true, 8: true, 11: false} {
		require.Equal(t, tried, part.tried(seed), seed)
	}
	require.Zero(t, Part{From: 1, To: 2, Shard: 5, Shards: 8}.Wanted())
	_, any := part.overlap(Part{From: 1, To: 10, Shard: 0, Shards: 3, Seeds: 4})
	require.False(t, any)
	seed, any := part.overlap(Part{From: 8, To: 20, Shards: 1, Seeds: 1})
	require.True(t, any)
	require.EqualValues(t, 8, seed)
}

func TestSummariesOfOtherSearchesAreNotJoined(t *testing.T) {
	one := Summary{Options: short, Parts: []Part{{From: 1, To: 4, Shards: 2, Seeds: 2, Ended: EndedDone}}, Seeds: 2}
	var joined Summary
	require.NoError(t, joined.Add(one))
	require.ErrorContains(t, joined.Add(one), "would count twice")
	other := one
	other.Options.Members = 5
	require.ErrorContains(t, joined.Add(other), "of another search (strategy , 5 members")
	require.ErrorContains(t, joined.Add(Summary{Options: short}), "does not say which seeds")
	require.Equal(t, []Part{{From: 1, To: 4, Shard: 1, Shards: 2}}, joined.Missing())
}
