package process

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/harness/ensemble"
	"ordeal/results/history"
)

// recorded is an ensemble under test, with what it told about its members.
type recorded struct {
	*Ensemble
	t     *testing.T
	mutex sync.Mutex
	told  []history.Event
}

// startRecorded starts an ensemble that is closed with the test, and leaves nothing behind.
func startRecorded(t *testing.T, spec ensemble.Spec) *recorded {
	t.Helper()
	r := &recorded{t: t}
	spec.Notify = func(event history.Event) {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.told = append(r.told, event)
	}
	e, err := Start(t.Context(), spec)
	require.NoError(t, err)
	r.Ensemble = e
	t.Cleanup(func() {
		if t.Failed() {
			for id := 1; id <= e.Size(); id++ {
				_, last, err := ensemble.ReadLog(filepath.Join(e.spec.Dir, strconv.Itoa(id), ensemble.LogName), 0)
				t.Logf("end of member %d's log:\n%s\n%v", id, last, err)
			}
		}
		require.NoError(t, e.Close(context.Background()))
		require.NoFileExists(t, e.runFile.path)
	})
	return r
}

func (r *recorded) logText(id int) string {
	text, err := os.ReadFile(filepath.Join(r.spec.Dir, strconv.Itoa(id), ensemble.LogName))
	require.NoError(r.t, err)
	return string(text)
}

// events are what was told about a member, in order.
func (r *recorded) events(id int) []history.Event {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var events []history.Event
	for _, event := range r.told {
		if event.Member == id {
			events = append(events, event)
		}
	}
	return events
}

func (r *recorded) crashes() []history.Event {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var crashes []history.Event
	for _, event := range r.told {
		if event.State == history.Crashed {
			crashes = append(crashes, event)
		}
	}
	return crashes
}
