package harness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/harness/client"
	"ordeal/results/history"
)

// recorded is a history in memory that takes events.
type recorded struct{ history.Memory }

func (r *recorded) Record(e history.Event) { r.Memory = append(r.Memory, e) }

func (r *recorded) states(state history.State) []history.Event {
	var found []history.Event
	for _, e := range r.Memory {
		if e.State == state {
			found = append(found, e)
		}
	}
	return found
}

func newTestObserver(size int) (*observer, *recorded) {
	log := &recorded{}
	return newObserver(&fakeEnsemble{size: size}, log, func() time.Duration { return time.Second }), log
}

func status(mode string, epoch int64) client.Status {
	return client.Status{Mode: mode, Zxid: epoch << 32}
}

func TestObserverFollowsTheGreatestEpoch(t *testing.T) {
	o, log := newTestObserver(3)
	up := []bool{true, true, true}
	o.take([]client.Status{status("leader", 1), status("follower", 1), status("follower", 1)}, up)
	// The deposed leader does not know it yet.
	o.take([]client.Status{status("leader", 1), status("leader", 2), status("follower", 2)}, up)
	leader, epoch, serving, changes := o.snapshot()
	require.Equal(t, 2, leader)
	require.EqualValues(t, 2, epoch)
	require.Equal(t, []int{1, 2, 3}, serving)
	require.Equal(t, 1, changes)
	// Only the old one answers: it does not lead again.
	o.take([]client.Status{status("leader", 1), {}, {}}, []bool{true, false, false})
	require.Len(t, log.states(history.Leading), 2)
	require.Equal(t, 2, log.states(history.Leading)[1].Member)
}

func TestObserverRecordsAMemberThatServesAgain(t *testing.T) {
	o, log := newTestObserver(2)
	both := []client.Status{status("leader", 1), status("follower", 1)}
	o.take(both, []bool{true, true})
	o.take(both, []bool{true, false})
	o.take(both, []bool{true, true})
	require.Len(t, log.states(history.Serving), 3)
}

func TestWholeEnsemble(t *testing.T) {
	o, _ := newTestObserver(2)
	o.take([]client.Status{status("follower", 1), status("follower", 1)}, []bool{true, true})
	require.False(t, allServe(o), "nobody leads")
	o.take([]client.Status{status("leader", 1), {}}, []bool{true, false})
	require.False(t, allServe(o), "one does not answer")
	o.take([]client.Status{status("leader", 2), status("follower", 1)}, []bool{true, true})
	require.True(t, allServe(o))
	require.False(t, sameZxid(o))
	o.take([]client.Status{status("leader", 2), status("follower", 2)}, []bool{true, true})
	require.True(t, sameZxid(o))
}
