package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A member whose disk was wiped helps nobody to a quorum: the leader that the others find has what it had, and
// then it copies that. So whatever a minority has lost, nothing acknowledged is lost.
func TestAWipedMemberVotesOnlyOnceItHasCopied(t *testing.T) {
	for _, disk := range []string{modelDisks, fileDisks} {
		t.Run(disk, func(t *testing.T) {
			w := onFiles(t, func(c *Config) { c.Disk = disk })
			first, second, third := w.members[0], w.members[1], w.members[2]
			end := first.disk.end()
			for _, m := range w.members {
				m.crash(false, 0)
			}
			w.wipe(third)
			require.True(t, third.disk.lacks())
			w.wipe(second)
			require.False(t, second.disk.lacks(), "two of three must not lose theirs at a time")
			second.boot()
			third.boot()
			w.runTo(w.now + w.bound())
			require.Nil(t, w.violation)
			require.Nil(t, w.leader(), "the wiped one's vote does not count")
			require.True(t, third.disk.lacks())

			first.boot()
			require.True(t, w.runUntil(w.now+2*w.bound(), lookEvery, w.allServe), "%v %v", w.violation, w.members)
			require.Nil(t, w.violation)
			require.False(t, third.disk.lacks())
			require.True(t, third.disk.holds(end))
			first.crash(false, 0)
			require.True(t, w.runUntil(w.now+2*w.bound(), lookEvery, func() bool { return w.serve([]int{2, 3}) }), "now its vote counts")
			require.Nil(t, w.violation)
		})
	}
}

// What would happen if a wiped member were started as a new one.
func TestAWipedMemberThatStartsAsANewOneIsNoticed(t *testing.T) {
	w := onFiles(t)
	w.members[0].crash(false, 0)
	w.wipe(w.members[0])
	storeOf(w, 1).wiped, storeOf(w, 1).lost = false, false
	w.members[1].crash(false, 0)
	w.wipe(w.members[1])
	storeOf(w, 2).wiped, storeOf(w, 2).lost = false, false
	w.members[1].boot()
	require.NotNil(t, w.violation)
	require.Equal(t, "committed-durable", w.violation.Guarantee)
}

// A member that ends while it copies starts to copy anew.
func TestAWipedMemberEndsWhileItCopies(t *testing.T) {
	w := onFiles(t)
	m := w.members[2]
	copied := 0
	for nth := 1; copied == 0; nth++ {
		m.crash(false, 0)
		w.wipe(m)
		w.loadEnd = w.now + time.Hour
		w.ambushes = []*ambush{{fault: &Fault{Kind: faultPower, Keep: 60, Who: whoReceiver, For: time.Second}, word: opSync, seen: -nth}}
		m.boot()
		require.True(t, w.runUntil(w.now+2*w.bound(), lookEvery, w.allServe), "%v %v", w.violation, w.members)
		require.Nil(t, w.violation)
		require.False(t, m.disk.lacks())
		if len(w.ambushes) > 0 {
			copied = nth
		}
	}
	require.Greater(t, copied, 3, "the test expects to see many syncs")
}
