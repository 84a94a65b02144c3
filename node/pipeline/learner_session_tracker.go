package pipeline

import (
	"cmp"
	"slices"
)

// learnerSessionTracker remembers which sessions a follower or observer has heard of since its last
// PING. Whether a global
// session lives is the leader's to decide.
type learnerSessionTracker struct {
	touched map[int64]int32 // session to timeout in ms
}

func newLearnerSessionTracker() *learnerSessionTracker {
	return &learnerSessionTracker{touched: map[int64]int32{}}
}

func (t *learnerSessionTracker) touch(id int64, timeoutMs int32) { t.touched[id] = timeoutMs }

func (t *learnerSessionTracker) remove(id int64) { delete(t.touched, id) }

// take returns the table, in the order of session ids, and starts a new one.
func (t *learnerSessionTracker) take() []Touch {
	touches := make([]Touch, 0, len(t.touched))
	for id, timeout := range t.touched { // any order: they are sorted below
		touches = append(touches, Touch{Session: id, TimeoutMs: timeout})
	}
	slices.SortFunc(touches, func(a, b Touch) int { return cmp.Compare(a.Session, b.Session) })
	clear(t.touched)
	return touches
}
