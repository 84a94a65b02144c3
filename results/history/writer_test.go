package history

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// recordUntilKilled is the environment variable that makes the test program record into the file it
// names until it is killed.
const recordUntilKilled = "HISTORY_RECORD_UNTIL_KILLED"

func TestMain(m *testing.M) {
	if path := os.Getenv(recordUntilKilled); path != "" {
		w, err := NewWriter(path)
		if err != nil {
			panic(err)
		}
		for i := 1; ; i++ {
			w.Record(Event{Time: w.Now(), Kind: Note, Count: i})
		}
	}
	goleak.VerifyTestMain(m)
}

func newFile(t testing.TB) (string, *Writer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.jsonl.zst")
	w, err := NewWriter(path)
	require.NoError(t, err)
	return path, w
}

func read(t testing.TB, path string) (*File, []Event) {
	t.Helper()
	file, err := Open(path)
	require.NoError(t, err)
	var events []Event
	require.NoError(t, file.Each(func(e Event) error {
		events = append(events, e)
		return nil
	}))
	return file, events
}

// counted checks that the events count from 1 and that none is missing before the end.
func counted(t *testing.T, events []Event) {
	t.Helper()
	for i := range events {
		if events[i].Count != i+1 { // many events: require is slow
			require.Equal(t, i+1, events[i].Count)
		}
	}
}

func TestWriterKeepsEventsInOrderOfTime(t *testing.T) {
	path, w := newFile(t)
	for _, at := range []time.Duration{30, 10, 20, 20} {
		w.Record(Event{Time: at, Kind: Note, Text: at.String()})
	}
	require.NoError(t, w.Close())
	require.NoError(t, w.Close(), "closing twice does no harm")
	w.Record(Event{Kind: Note, Text: "too late"})

	file, events := read(t, path)
	require.True(t, file.Complete())
	require.Empty(t, file.Torn())
	var times []time.Duration
	for _, e := range events {
		times = append(times, e.Time)
	}
	require.Equal(t, []time.Duration{10, 20, 20, 30}, times)
}

func TestWriterTakesEventsFromManyGoroutines(t *testing.T) {
	path, w := newFile(t)
	w.Start()
	const goroutines, each = 8, 5_000
	var recording sync.WaitGroup
	for g := range goroutines {
		recording.Go(func() {
			for i := range each {
				w.Record(Event{Time: w.Now(), Kind: Note, Client: g + 1, Count: i + 1})
			}
		})
	}
	recording.Wait()
	require.NoError(t, w.Close())
	_, events := read(t, path)
	require.Len(t, events, goroutines*each)
	next := map[int]int{}
	for _, e := range events {
		next[e.Client]++
		require.Equal(t, next[e.Client], e.Count, "each goroutine's events keep their order")
	}
}

func TestWriterNeverOverwrites(t *testing.T) {
	path, w := newFile(t)
	require.NoError(t, w.Close())
	_, err := NewWriter(path)
	require.ErrorIs(t, err, os.ErrExist)
}

func TestKilledRunLeavesAReadableFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl.zst")
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), recordUntilKilled+"="+path)
	require.NoError(t, command.Start())
	require.Eventually(t, func() bool {
		info, err := os.Stat(path)
		return err == nil && info.Size() > 0
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, command.Process.Kill())
	_ = command.Wait()

	file, events := read(t, path)
	require.False(t, file.Complete())
	require.NotEmpty(t, events)
	counted(t, events)
}

func TestCutOffFileKeepsWhatIsWhole(t *testing.T) {
	path, w := newFile(t)
	const events = 20_000
	for i := range events {
		w.Record(Event{Time: time.Duration(i), Kind: Note, Count: i*7919 + 1})
	}
	require.NoError(t, w.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, keep := range []int{0, 1, 5, len(whole) / 3, len(whole) * 2 / 3, len(whole) - len(endMark), len(whole) - 1} {
		cut := filepath.Join(t.TempDir(), "cut.jsonl.zst")
		require.NoError(t, os.WriteFile(cut, whole[:keep], 0o600))
		file, got := read(t, cut)
		require.False(t, file.Complete(), "%d bytes", keep)
		for i := range got {
			if got[i].Time != time.Duration(i) {
				require.Equal(t, time.Duration(i), got[i].Time, "%d bytes", keep)
			}
		}
		switch keep {
		case 0, len(whole) - len(endMark):
			require.Empty(t, file.Torn())
		case len(whole) * 2 / 3:
			require.NotEmpty(t, got)
			require.Contains(t, file.Torn(), "was cut off in line")
		}
	}
}

func TestBrokenFileIsAnError(t *testing.T) {
	path, w := newFile(t)
	for i := range 20_000 {
		w.Record(Event{Time: time.Duration(i), Kind: Note, Count: i*7919 + 1})
	}
	require.NoError(t, w.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[len(data)/2] ^= 0xff
	require.NoError(t, os.WriteFile(path, data, 0o600))
	file, err := Open(path)
	require.NoError(t, err)
	require.ErrorContains(t, file.Each(func(Event) error { return nil }), "line")

	_, err = Open(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestEachStopsAtAnError(t *testing.T) {
	path, w := newFile(t)
	for range 3 {
		w.Record(Event{Kind: Note})
	}
	require.NoError(t, w.Close())
	file, err := Open(path)
	require.NoError(t, err)
	visited := 0
	require.ErrorIs(t, file.Each(func(Event) error { visited++; return io.ErrNoProgress }), io.ErrNoProgress)
	require.Equal(t, 1, visited)
}

func TestLongLines(t *testing.T) {
	path, w := newFile(t)
	var children []string
	for i := range 50_000 {
		children = append(children, fmt.Sprintf("c%d-%d", i%7+1, i))
	}
	w.Record(Event{Kind: Return, Operation: 1, Result: &Result{Outcome: OK, Children: children}})
	w.Record(Event{Kind: Note, Text: "behind"})
	require.NoError(t, w.Close())
	_, events := read(t, path)
	require.Len(t, events, 2)
	require.Equal(t, children, events[0].Result.Children)
}

// fullDisk is a file on a disk that has room for so many bytes.
type fullDisk struct {
	*os.File
	room int
}

func (f *fullDisk) Write(data []byte) (int, error) {
	n, err := f.File.Write(data[:min(len(data), f.room)])
	f.room -= n
	if n < len(data) && err == nil {
		err = syscall.ENOSPC
	}
	return n, err
}

func TestFullDiskKeepsWhatWasRecorded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl.zst")
	file, err := os.Create(path)
	require.NoError(t, err)
	w, err := newWriter(&fullDisk{File: file, room: 60_000})
	require.NoError(t, err)
	recorded := 0
	for w.Err() == nil {
		recorded++
		w.Record(Event{Time: time.Duration(recorded), Kind: Note, Operation: int64(recorded) * 7919, Count: recorded})
	}
	require.ErrorIs(t, w.Err(), syscall.ENOSPC)
	w.Record(Event{Kind: Note, Text: "dropped"})
	require.ErrorIs(t, w.Close(), syscall.ENOSPC)

	log, events := read(t, path)
	require.False(t, log.Complete())
	require.NotEmpty(t, log.Torn())
	require.Greater(t, len(events), 1000)
	counted(t, events)
}

// Any zstd tool reads the file, end mark included: this reads it as one.
func TestFileIsPlainZstdAndLines(t *testing.T) {
	path, w := newFile(t)
	w.Record(Event{Time: 5, Kind: Phase, Text: "setup"})
	require.NoError(t, w.Close())
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	stream, err := zstd.NewReader(file)
	require.NoError(t, err)
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	require.True(t, lines.Scan())
	require.Equal(t, `{"t":5,"e":"phase","text":"setup"}`, lines.Text())
	require.False(t, lines.Scan())
	require.NoError(t, lines.Err())
}

// BenchmarkWriter counts events to a file.
func BenchmarkWriter(b *testing.B) {
	_, w := newFile(b)
	events := typical()[:2]
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			for _, e := range events {
				e.Time = w.Now()
				w.Record(e)
			}
		}
	})
	require.NoError(b, w.Close())
	b.ReportMetric(float64(b.N*len(events))/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkEach counts events read back.
func BenchmarkEach(b *testing.B) {
	path, w := newFile(b)
	const events = 100_000
	kinds := typical()
	for i := range events {
		e := kinds[i%2]
		e.Time = time.Duration(i)
		w.Record(e)
	}
	require.NoError(b, w.Close())
	file, err := Open(path)
	require.NoError(b, err)
	for b.Loop() {
		require.NoError(b, file.Each(func(Event) error { return nil }))
	}
	b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
}
