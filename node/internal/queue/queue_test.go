package queue

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAQueueThatIsEmptiedKeepsItsMemory(t *testing.T) {
	var items []*int
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		items = append(items, nil)
		items = Popped(items)
	}), 0.0)
	one, two := 1, 2
	items = append(items, &one, &two)
	memory := items
	items = Popped(items)
	require.Equal(t, []*int{&two}, items)
	require.Nil(t, memory[0], "nothing holds on to what was taken")
}
