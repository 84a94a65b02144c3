package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatHasPriorityGoesFirst(t *testing.T) {
	p := &priorities{machines: 2, of: []int{4, 3, 2, 1}, busy: make([]time.Duration, 4)}
	p.sent(1, 10*time.Millisecond)
	now := 5 * time.Millisecond
	require.Equal(t, now, p.turn(0, 0, now), "nothing goes before the first")
	require.Equal(t, now, p.turn(1, 0, now), "nobody waits for himself")
	second, third := p.turn(2, 0, now), p.turn(3, 0, now)
	require.Greater(t, second, 10*time.Millisecond)
	require.Greater(t, third, second)
	require.Equal(t, 2*time.Nanosecond, p.turn(3, 1, now)-third, "there is room between two")
	require.Equal(t, 20*time.Millisecond, p.turn(3, 0, 20*time.Millisecond), "what was under way has arrived")
}

func TestAChangePointMakesTheMovingOneTheLast(t *testing.T) {
	p := &priorities{machines: 2, of: []int{5, 4, 3, 2}, busy: make([]time.Duration, 4), changes: []int{2, 3}}
	p.step(0)
	require.Equal(t, []int{5, 4, 3, 2}, p.of)
	p.step(0)
	require.Equal(t, []int{0, 4, 3, 2}, p.of)
	p.step(1)
	p.step(2)
	require.Equal(t, []int{0, 1, 3, 2}, p.of)
}

// Seeds draw other priorities, and few change points within the steps that are expected.
func TestPrioritiesAreDrawn(t *testing.T) {
	options := short
	options.Strategy = PCT
	drawn := map[int]bool{}
	for seed := uint64(1); seed <= 20; seed++ {
		c := Draw(seed, options)
		p := newPriorities(&c)
		require.True(t, slices.IsSorted(p.changes))
		require.LessOrEqual(t, len(p.changes), depthMax)
		for _, priority := range p.of {
			require.GreaterOrEqual(t, priority, len(p.changes), "the lower ones are left for changes")
		}
		drawn[p.of[0]] = true
		require.Empty(t, c.DelayRate, "nothing else delays packets")
	}
	require.Greater(t, len(drawn), 5)
}
