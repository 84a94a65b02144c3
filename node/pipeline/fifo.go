package pipeline

// fifo is a first-in first-out queue that reuses its memory.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) push(item T) { q.items = append(q.items, item) }

func (q *fifo[T]) empty() bool { return q.head == len(q.items) }

func (q *fifo[T]) len() int { return len(q.items) - q.head }

// peek returns the oldest item; the queue must not be empty.
func (q *fifo[T]) peek() T { return q.items[q.head] }

// pop removes and returns the oldest item; the queue must not be empty.
func (q *fifo[T]) pop() T {
	var none T
	item := q.items[q.head]
	q.items[q.head] = none
	q.head++
	switch {
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head >= 1024 && q.head*2 >= len(q.items):
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return item
}

// all returns the items, oldest first, without removing them.
func (q *fifo[T]) all() []T { return q.items[q.head:] }

// popLast removes and returns the newest item; the queue must not be empty.
func (q *fifo[T]) popLast() T {
	var none T
	last := len(q.items) - 1
	item := q.items[last]
	q.items[last] = none
	q.items = q.items[:last]
	return item
}
