// Package queue has what queues in slices have in common. It must know nothing else.
package queue

// Popped is a queue without its oldest item; the queue must not be empty. One that becomes empty begins at the front of
// its memory again, so that a queue that is short most of the time asks for none.
func Popped[T any](items []T) []T {
	var none T
	items[0] = none
	if len(items) == 1 {
		return items[:0]
	}
	return items[1:]
}
