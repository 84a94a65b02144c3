package store

import (
	"sync"

	"ordeal/node/disk"
)

// queueMax is how many operations may wait before Do waits. A server has a few thousand requests
// outstanding at most (globalOutstandingLimit), so it is met only when a disk hangs.
const queueMax = 64 << 10

// queued is an operation that waits, or a step of the store's own.
type queued struct {
	operation disk.Operation
	done      func(disk.Result)
	step      func() // instead of an operation
}

// report tells the operation's owner how it went, unless he asked for silence.
func (q queued) report(state *disk.State, err error) { q.answer(disk.Result{Err: err, State: state}) }

// answer is report with a whole result but for its ticket.
func (q queued) answer(result disk.Result) {
	if q.operation.Ticket != 0 && q.done != nil {
		result.Ticket = q.operation.Ticket
		q.done(result)
	}
}

// queue hands operations from any goroutine to the one that carries them out.
type queue struct {
	mutex   sync.Mutex
	changed *sync.Cond
	waiting []queued
	emptied []queued // to be filled again
	closed  bool
	running bool
}

func newQueue() *queue {
	q := &queue{}
	q.changed = sync.NewCond(&q.mutex)
	return q
}

// put queues operations, or refuses them if nobody will carry them out any more. Who carries them out must not
// wait for himself.
func (q *queue) put(operations []disk.Operation, done func(disk.Result), wait bool) {
	q.mutex.Lock()
	for wait && len(q.waiting) >= queueMax && !q.closed {
		q.changed.Wait()
	}
	refused := q.closed
	if !refused {
		for _, operation := range operations {
			q.waiting = append(q.waiting, queued{operation: operation, done: done})
		}
		q.changed.Broadcast()
	}
	q.mutex.Unlock()
	if refused {
		for _, operation := range operations {
			queued{operation: operation, done: done}.report(nil, ErrClosed)
		}
	}
}

// putStep queues a step of the store's own, even beyond the bound: the runner must never wait for
// itself. After close it is dropped.
func (q *queue) putStep(step func()) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if !q.closed {
		q.waiting = append(q.waiting, queued{step: step})
		q.changed.Broadcast()
	}
}

// take waits for work and returns all there is, until the next call; more is false when the queue is
// closed and empty.
func (q *queue) take() (batch []queued, more bool) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.changed.Wait()
	}
	batch = q.empty()
	return batch, len(batch) > 0
}

// takeWaiting is take for who must not wait.
func (q *queue) takeWaiting() []queued {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return q.empty()
}

// empty hands out what waits; the mutex is held.
func (q *queue) empty() (batch []queued) {
	clear(q.emptied)
	batch, q.waiting = q.waiting, q.emptied[:0]
	q.emptied = batch
	q.changed.Broadcast()
	return batch
}

// close lets no further operation in.
func (q *queue) close() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.closed = true
	q.changed.Broadcast()
}

// startRunner notes that somebody takes from the queue, unless it is too late for that.
func (q *queue) startRunner() bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.running {
		panic("store: Run expects to be the only one, but another Run is going on")
	}
	q.running = !q.closed
	return q.running
}

func (q *queue) stopRunner() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.running = false
	q.changed.Broadcast()
}

// waitForRunner waits until nobody takes from the closed queue any more and returns what is left in
// it because nobody ever did.
func (q *queue) waitForRunner() []queued {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for q.running {
		q.changed.Wait()
	}
	left := q.waiting
	q.waiting = nil
	return left
}
