package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
)

func TestReadFrom(t *testing.T) {
	snapshot := snapshotOf(t, Plain)
	one := int64(len(entryAt(1).Payload))
	e2 := func(counter int64) int64 { return zxid(2, counter) }
	for name, c := range map[string]struct {
		directory directory
		from      int64
		sizeMax   int64
		expected  []int64
	}{
		"the first":                  {directory{"log.1": logOf(1, 2, 3)}, 1, 0, upTo(3)},
		"in the middle":              {directory{"log.1": logOf(1, 2, 3)}, 2, 0, []int64{2, 3}},
		"the last":                   {directory{"log.1": logOf(1, 2, 3)}, 3, 0, []int64{3}},
		"behind the last":            {directory{"log.1": logOf(1, 2, 3)}, 9, 0, []int64{3}},
		"before the first":           {directory{"log.2": logOf(2, 3)}, 1, 0, nil},
		"no log":                     {directory{}, 1, 0, nil},
		"over several files":         {directory{"log.1": logOf(1, 2), "log.3": logOf(3), "log.4": logOf(4)}, 2, 0, []int64{2, 3, 4}},
		"from a file's start":        {directory{"log.1": logOf(1, 2), "log.3": logOf(3), "log.4": logOf(4)}, 3, 0, []int64{3, 4}},
		"of another history":         {directory{"log.1": logOf(1, 2), "log.200000001": logOf(e2(1))}, 5, 0, []int64{2, e2(1)}},
		"just small enough":          {directory{"log.1": logOf(1, 2, 3)}, 2, 2 * one, []int64{2, 3}},
		"too much":                   {directory{"log.1": logOf(1, 2, 3)}, 2, 2*one - 1, nil},
		"a hole":                     {directory{"log.1": logOf(1, 2), "log.4": logOf(4)}, 1, 0, nil},
		"a hole before":              {directory{"log.1": logOf(1, 2), "log.4": logOf(4, 5)}, 4, 0, []int64{4, 5}},
		"an installed snapshot":      {directory{"log.1": logOf(1, 2), "snapshot.200000000": nil, "log.200000001": logOf(e2(1))}, 2, 0, nil},
		"before an installed one":    {directory{"log.1": logOf(1, 2), "snapshot.200000000": nil, "log.200000001": logOf(e2(1), e2(2))}, e2(1), 0, []int64{e2(1), e2(2)}},
		"a snapshot of a logged one": {directory{"log.1": logOf(1, 2), "snapshot.2": nil, "log.200000001": logOf(e2(1))}, 2, 0, []int64{2, e2(1)}},
	} {
		t.Run(name, func(t *testing.T) {
			files := newMemoryFS()
			files.put(inData("snapshot.0"), snapshot)
			s, _ := openTest(t, testOptions(files))
			defer s.Close()
			for name, content := range c.directory {
				files.put(inData(name), content)
			}
			entries, err := s.ReadFrom(c.from, c.sizeMax)
			require.NoError(t, err)
			require.Equal(t, c.expected, zxidsOf(entries))
			for _, e := range entries {
				require.Equal(t, entryAt(e.Zxid).Payload, e.Payload)
			}
		})
	}
}

// TestReadFromBesideTheWriter reads while entries are appended: what it gets has no hole and is whole.
func TestReadFromBesideTheWriter(t *testing.T) {
	options := testOptions(nil)
	options.DataDir = t.TempDir()
	s, _ := openTest(t, options)
	r := run(s)
	r.must(t, logged(1)...)
	const last = 2000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for z := int64(2); z <= last; z++ {
			operations := logged(z)
			if z%100 == 0 {
				operations = append(operations, disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(upTo(z)...).Snapshot()})
			}
			for _, result := range r.do(operations...)[:2] {
				if result.Err != nil {
					t.Errorf("append %d: %v", z, result.Err)
				}
			}
		}
	}()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		entries, err := s.ReadFrom(1, 0)
		require.NoError(t, err)
		require.Equal(t, upTo(int64(len(entries))), zxidsOf(entries))
	}
	entries, err := s.ReadFrom(1, 0)
	require.NoError(t, err)
	require.Len(t, entries, last)
	require.NoError(t, r.stop())
}

func TestPurge(t *testing.T) {
	files := newMemoryFS()
	s, _ := openTest(t, testOptions(files))
	r := run(s)
	for z := int64(1); z <= 6; z++ {
		r.must(t, logged(z)...)
		r.must(t, disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(upTo(z)...).Snapshot()})
	}
	files.put(inData("snapshot.5"), flipped(files.get(inData("snapshot.5"))))
	require.NoError(t, s.Purge(1), "at least %d are kept", RetainMin)
	require.Equal(t, "log.3 log.4 log.5 log.6 snapshot.3 snapshot.4 snapshot.5 snapshot.6", files.listing(dataDir+"/"+versionDir))
	require.NoError(t, s.Purge(5), "there are not so many")
	require.Equal(t, "log.3 log.4 log.5 log.6 snapshot.3 snapshot.4 snapshot.5 snapshot.6", files.listing(dataDir+"/"+versionDir))
	require.NoError(t, r.stop())
	for _, gone := range []string{"", "snapshot.6", "snapshot.4"} {
		if gone != "" {
			require.NoError(t, files.Remove(inData(gone)))
		}
		s, state := openTest(t, testOptions(files))
		require.NoError(t, s.Close())
		sameTree(t, treeOf(upTo(6)...), state.Tree)
	}
}

// readHook calls a function before a snapshot is opened for reading, once.
type readHook struct {
	*memoryFS
	name   string
	before func()
}

func (h *readHook) Open(name string) (File, error) {
	if before := h.before; before != nil && name == h.name {
		h.before = nil
		before()
	}
	return h.memoryFS.Open(name)
}

// While Purge reads snapshots everything else goes on, and what it finds afterwards counts.
func TestPurgeHoldsNobodyUp(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile disk.Operation
		left      string
	}{
		"a snapshot is taken": {
			disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(upTo(6)...).Snapshot()},
			"log.3 log.4 log.5 log.6 snapshot.3 snapshot.4 snapshot.5 snapshot.6",
		},
		"what was to be kept is taken back": {
			disk.Operation{Kind: disk.Truncate, Zxid: 4},
			"log.1 log.2 log.3 log.4 snapshot.0 snapshot.1 snapshot.2 snapshot.3 snapshot.4",
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := &readHook{memoryFS: newMemoryFS(), name: inData("snapshot.3")}
			s, _ := openTest(t, testOptions(files))
			r := run(s)
			for z := int64(1); z <= 5; z++ {
				r.must(t, logged(z)...)
				r.must(t, disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(upTo(z)...).Snapshot()})
			}
			r.must(t, logged(6)...)
			files.before = func() { r.must(t, test.meanwhile) }
			require.NoError(t, s.Purge(3))
			require.Equal(t, test.left, files.listing(dataDir+"/"+versionDir))
			require.NoError(t, r.stop())
		})
	}
}

func TestSnapshotSize(t *testing.T) {
	files := newMemoryFS()
	s, _ := openTest(t, testOptions(files))
	require.Equal(t, int64(len(files.get(inData("snapshot.0")))), s.SnapshotSize())
	r := run(s)
	r.must(t, logged(1, 2)...)
	r.must(t, disk.Operation{Kind: disk.TakeSnapshot, Snapshot: treeOf(1, 2).Snapshot()})
	require.Equal(t, int64(len(files.get(inData("snapshot.2")))), s.SnapshotSize())
	require.NoError(t, r.stop())
	s, _ = openTest(t, testOptions(files))
	require.Equal(t, int64(len(files.get(inData("snapshot.2")))), s.SnapshotSize())
	require.NoError(t, s.Close())
}

// A ReadLog leaves the log free to go on, and is answered in its turn.
func TestReadLogRunsBesideTheLog(t *testing.T) {
	files := newMemoryFS()
	options := testOptions(files)
	var reads []func()
	options.Beside = func(work func()) (wait func()) {
		reads = append(reads, work)
		return func() { work() }
	}
	s, _ := openTest(t, options)
	var results []disk.Result
	report := func(result disk.Result) { results = append(results, result) }
	read := func(ticket disk.Ticket, from, sizeMax int64) disk.Operation {
		return disk.Operation{Kind: disk.ReadLog, Ticket: ticket, Zxid: from, SizeMax: sizeMax}
	}
	s.CarryOut(append(logged(1, 2, 3), read(1, 2, 0), read(2, 2, 10)), report)
	s.CarryOut(append(logged(4), disk.Operation{Kind: disk.Sync, Ticket: 3}), report)
	require.Len(t, results, 1, "the log has not waited")
	require.Len(t, reads, 1, "one at a time")
	reads[0]()
	s.CarryOut(nil, report)
	require.Len(t, results, 2)
	require.NoError(t, results[1].Err)
	require.Equal(t, disk.Ticket(1), results[1].Ticket)
	require.Equal(t, []int64{2, 3, 4}, zxidsOf(results[1].Entries))
	reads[1]()
	s.CarryOut(nil, report)
	require.Equal(t, disk.Result{Ticket: 2}, results[2], "more than was asked for")
	require.NoError(t, s.Close())
}

func TestReadLogIsGivenUpAtTheEnd(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	files := &readHook{memoryFS: newMemoryFS(), name: inData("log.1"), before: nil}
	s, _ := openTest(t, testOptions(files))
	r := run(s)
	r.must(t, logged(1, 2)...)
	files.before = func() {
		close(entered)
		<-proceed
	}
	results := make(chan disk.Result, 2)
	read := disk.Operation{Kind: disk.ReadLog, Ticket: 1, Zxid: 1}
	r.Do([]disk.Operation{read, read}, func(result disk.Result) { results <- result })
	<-entered
	stopped := make(chan error)
	go func() { stopped <- r.stop() }()
	require.Eventually(t, func() bool { s.queue.mutex.Lock(); defer s.queue.mutex.Unlock(); return s.queue.closed }, 10*time.Second, time.Millisecond)
	close(proceed)
	require.NoError(t, <-stopped)
	require.ErrorIs(t, (<-results).Err, ErrAborted)
	require.ErrorIs(t, (<-results).Err, ErrAborted)
}
