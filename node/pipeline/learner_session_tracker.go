package pipeline

import (
	"cmp"
	"slices"

	"ordeal/node/jute"
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
func (t *learnerSessionTracker) take() []jute.SessionTimeout {
	if len(t.touched) == 0 {
		return nil
	}
	touches := make([]jute.SessionTimeout, 0, len(t.touched))
	for id, timeout := range t.touched { // any order: they are sorted below
		touches = append(touches, jute.SessionTimeout{SessionID: id, TimeOut: timeout})
	}
	slices.SortFunc(touches, func(a, b jute.SessionTimeout) int { return cmp.Compare(a.SessionID, b.SessionID) })
	clear(t.touched)
	return touches
}
