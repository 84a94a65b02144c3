package world

import (
	"container/heap"
	"time"
)

// event is something that happens at a moment.
type event struct {
	at       time.Duration
	sequence uint64 // events of one moment happen in the order in which they were planned
	do       func()
}

// events is the queue of what will happen.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if e[i].at != e[j].at {
		return e[i].at < e[j].at
	}
	return e[i].sequence < e[j].sequence
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return last
}

// After plans something.
func (w *World) After(delay time.Duration, do func()) {
	w.sequence++
	heap.Push(&w.events, event{at: w.now + delay, sequence: w.sequence, do: do})
}

// step lets the next event happen. It returns false if there is none up to end.
func (w *World) step(end time.Duration) bool {
	if len(w.events) == 0 || w.events[0].at > end {
		return false
	}
	next := heap.Pop(&w.events).(event)
	w.now = next.at
	next.do()
	return true
}

// RunFor lets so much time pass, or stops at the first broken promise.
func (w *World) RunFor(span time.Duration) {
	end := w.now + span
	for w.violation == nil && w.step(end) {
	}
	if w.violation == nil {
		w.now = end
	}
}

// RunUntil lets time pass until a condition holds, for at most span. It tells whether it does.
func (w *World) RunUntil(span time.Duration, condition func() bool) bool {
	end := w.now + span
	for w.violation == nil {
		if condition() {
			return true
		}
		if !w.step(end) {
			return false
		}
	}
	return false
}
