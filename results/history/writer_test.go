package history_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/results/history"
)

func read(t *testing.T, file *history.File) []history.Event {
	t.Helper()
	var events []history.Event
	require.NoError(t, file.Each(func(e history.Event) error {
		events = append(events, e)
		return nil
	}))
	return events
}

func TestWriterKeepsEventsInOrderOfTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl.zst")
	w, err := history.NewWriter(path)
	require.NoError(t, err)
	for _, at := range []time.Duration{30, 10, 20, 20} {
		w.Record(history.Event{Time: at, Kind: history.Note, Text: at.String()})
	}
	require.NoError(t, w.Close())
	require.NoError(t, w.Close(), "closing twice does no harm")

	file, err := history.Open(path)
	require.NoError(t, err)
	require.True(t, file.Complete())
	var times []time.Duration
	for _, e := range read(t, file) {
		times = append(times, e.Time)
	}
	require.Equal(t, []time.Duration{10, 20, 20, 30}, times)
	require.Empty(t, file.Torn())
}

func TestCutOffHistoryKeepsWhatIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl.zst")
	w, err := history.NewWriter(path)
	require.NoError(t, err)
	const events = 20_000
	for i := range events {
		w.Record(history.Event{Time: time.Duration(i), Kind: history.Note, Count: i*7919 + 1})
	}
	require.NoError(t, w.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)

	cut := filepath.Join(t.TempDir(), "cut.jsonl.zst")
	require.NoError(t, os.WriteFile(cut, whole[:len(whole)*2/3], 0o600))
	file, err := history.Open(cut)
	require.NoError(t, err)
	require.False(t, file.Complete())
	got := read(t, file)
	require.NotEmpty(t, got)
	require.Less(t, len(got), events)
	for i, e := range got {
		require.Equal(t, time.Duration(i), e.Time)
	}
	require.Contains(t, file.Torn(), "cut off")
}
