package metrics

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSummary(t *testing.T) {
	s := newSummary(true)
	require.Equal(t, Values{Detailed: true}, s.Values())
	for value := int64(1); value <= 1000; value++ {
		s.Add(value)
	}
	v := s.Values()
	require.Equal(t, int64(1000), v.Count)
	require.Equal(t, int64(500_500), v.Total)
	require.Equal(t, int64(1), v.Least)
	require.Equal(t, int64(1000), v.Most)
	require.InDelta(t, 500.5, v.Average, 0.01)
	for share, found := range map[float64]int64{500: v.P50, 950: v.P95, 990: v.P99, 999: v.P99_9} {
		require.InEpsilon(t, share, found, 1.0/8)
	}
	s.Reset()
	require.Equal(t, Values{Detailed: true}, s.Values())
	s.Add(-5)
	require.Equal(t, Values{Detailed: true, Count: 1}, s.Values(), "time does not run backwards")
	require.Zero(t, newSummary(false).Values().P50)
}

func TestBucketsHoldTheirValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Int64Range(0, math.MaxInt64).Draw(t, "value")
		bucket := bucketOf(value)
		require.Less(t, bucket, bucketsCount)
		require.LessOrEqual(t, bucketStart(bucket), value)
		if bucket+1 < bucketsCount && bucketStart(bucket+1) > 0 {
			require.Greater(t, bucketStart(bucket+1), value)
		}
		require.LessOrEqual(t, value-bucketStart(bucket), bucketStart(bucket)/8)
	})
}

func TestNamesAreApaches(t *testing.T) {
	r := NewRegistry()
	r.Counter(ProposalCount).Add(2)
	seen := map[string]int64{}
	r.Counters(func(name string, value int64) { seen[name] = value })
	require.Len(t, seen, 47)
	require.Equal(t, int64(2), seen["proposal_count"])
	names := map[string]bool{}
	r.Summaries(func(name string, values Values) { names[name] = values.Detailed })
	require.Len(t, names, 64)
	require.True(t, names["readlatency"])
	require.False(t, names["fsynctime"])
	require.Panics(t, func() { r.Counter("fsynctime") })
	require.Panics(t, func() { r.Summary("no_such") })
}
