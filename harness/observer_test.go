package harness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/harness/client"
	"ordeal/results/history"
)

// recorded is a history in memory that takes events.
type recorded struct {
	mu sync.Mutex
	history.Memory
}

func (r *recorded) Record(e history.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Memory = append(r.Memory, e)
}

func (r *recorded) states(state history.State) []history.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []history.Event
	for _, e := range r.Memory {
		if e.State == state {
			found = append(found, e)
		}
	}
	return found
}

// fakeMembers are members that say what they are told to say. Their probes are answered at once.
type fakeMembers struct {
	mu       sync.Mutex
	statuses []client.Status // an empty mode: it does not answer
	deaf     map[string]bool // addresses where nobody answers
	asked    int
}

func (m *fakeMembers) probe(_ context.Context, address string) (client.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	var id int
	if _, err := fmt.Sscanf(address[strings.Index(address, "-")+1:], "%d", &id); err != nil {
		panic(err)
	}
	if status := m.statuses[id-1]; status.Mode != "" && !m.deaf[address] {
		return status, nil
	}
	return client.Status{}, errors.New("no answer at " + address)
}

func (m *fakeMembers) say(statuses ...client.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statuses = statuses
}

func (m *fakeMembers) hear(address string, hears bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deaf[address] = !hears
}

// newTestObserver observes members that first say these things. It asks only when it is told to.
func newTestObserver(statuses ...client.Status) (*observer, *fakeMembers, *recorded) {
	log, members := &recorded{}, &fakeMembers{statuses: statuses, deaf: map[string]bool{}}
	o := newObserver(&fakeEnsemble{size: len(statuses)}, log, func() time.Duration { return time.Second })
	o.probe = members.probe
	return o, members, log
}

// watching lets an observer run until the test ends.
func watching(t *testing.T, o *observer) {
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { o.run(ctx) })
	t.Cleanup(func() {
		stop()
		group.Wait()
	})
}

func status(mode string, epoch int64) client.Status {
	return client.Status{Mode: mode, Zxid: epoch << 32}
}

var silent client.Status

func TestObserverFollowsTheGreatestEpoch(t *testing.T) {
	ctx := t.Context()
	o, members, log := newTestObserver(status("leader", 1), status("follower", 1), status("follower", 1))
	o.round(ctx)
	// The deposed leader does not know it yet.
	members.say(status("leader", 1), status("leader", 2), status("follower", 2))
	o.round(ctx)
	leader, serving, changes := o.snapshot()
	require.Equal(t, leadership{2, 2}, leader)
	require.Equal(t, []int{1, 2, 3}, serving)
	require.Equal(t, 1, changes)
	// Only the old one answers: it does not lead again, and who does is not known.
	members.say(status("leader", 1), silent, silent)
	o.round(ctx)
	leader, _, _ = o.snapshot()
	require.Equal(t, leadership{}, leader)
	require.Len(t, log.states(history.Leading), 2)
	require.Equal(t, 2, log.states(history.Leading)[1].Member)
	// The one that was silent leads still: that is no change.
	members.say(status("leader", 1), status("leader", 2), silent)
	o.round(ctx)
	leader, _, changes = o.snapshot()
	require.Equal(t, leadership{2, 2}, leader)
	require.Equal(t, 1, changes)
	require.Len(t, log.states(history.Leading), 2)
}

func TestASingleServerLeadsItself(t *testing.T) {
	o, _, log := newTestObserver(status("standalone", 0))
	for range 2 {
		o.round(t.Context())
	}
	leader, _, changes := o.snapshot()
	require.Equal(t, leadership{1, 0}, leader)
	require.Zero(t, changes)
	require.Len(t, log.states(history.Leading), 1)
}

func TestObserverRecordsAMemberThatServesAgain(t *testing.T) {
	o, members, log := newTestObserver(status("leader", 1), status("follower", 1))
	o.round(t.Context())
	members.say(status("leader", 1), silent)
	o.round(t.Context())
	members.say(status("leader", 1), status("follower", 1))
	o.round(t.Context())
	require.Len(t, log.states(history.Serving), 3)
}

func TestARoundThatIsBrokenOffSaysNothing(t *testing.T) {
	o, members, _ := newTestObserver(status("leader", 1), status("follower", 1))
	o.round(t.Context())
	members.say(silent, silent)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	o.round(ended)
	_, serving, _ := o.snapshot()
	require.Equal(t, []int{1, 2}, serving)
}

func TestWholeEnsemble(t *testing.T) {
	for name, c := range map[string]struct {
		first, second   client.Status
		serve, sameZxid bool
	}{
		"nobody leads":        {status("follower", 1), status("follower", 1), false, false},
		"one does not answer": {status("leader", 1), silent, false, false},
		"one lags":            {status("leader", 2), status("follower", 1), true, false},
		"all are there":       {status("leader", 2), status("follower", 2), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			o, _, _ := newTestObserver(c.first, c.second)
			o.round(t.Context())
			require.Equal(t, c.serve, allServe(o))
			require.Equal(t, c.sameZxid, sameZxid(o))
		})
	}
}

func TestWhatWasSeenBeforeTheCallProvesNothing(t *testing.T) {
	o, members, _ := newTestObserver(status("leader", 1), status("follower", 1))
	o.round(t.Context())
	require.True(t, allServe(o))
	// Both end, and nobody has asked since.
	members.say(silent, silent)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.await(ctx, allServe) }()
	require.Eventually(t, func() bool { return len(o.hurry) == 1 }, 10*time.Second, time.Millisecond, "a round is asked for")
	o.round(ctx)
	select {
	case err := <-done:
		require.Fail(t, "expected it to wait for members that serve", "found %v", err)
	default:
	}
	members.say(status("leader", 1), status("follower", 1))
	o.round(ctx)
	require.NoError(t, <-done)
	cancel()
	require.ErrorIs(t, o.await(ctx, allServe), context.Canceled)
}

func TestARoundThatBeganBeforeTheCallProvesNothing(t *testing.T) {
	o, members, _ := newTestObserver(status("leader", 1))
	asked, answer := make(chan struct{}), make(chan struct{})
	o.probe = func(ctx context.Context, address string) (client.Status, error) {
		said, err := members.probe(ctx, address)
		select {
		case asked <- struct{}{}:
			<-answer
		case <-ctx.Done():
		}
		return said, err
	}
	watching(t, o)
	<-asked
	members.say(status("leader", 2))
	found := make(chan leadership, 1)
	go func() {
		leader, _ := o.look(t.Context())
		found <- leader
	}()
	require.Eventually(t, func() bool { return len(o.hurry) == 1 }, 10*time.Second, time.Millisecond)
	close(answer)
	<-asked
	require.Equal(t, leadership{1, 2}, <-found)
}
