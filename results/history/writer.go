package history

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	// flushInterval is how often recorded events go to the file. With holdBack it bounds what a killed
	// run loses.
	flushInterval = 400 * time.Millisecond
	// holdBack is how long an event waits in memory for others with an earlier Time, so that the file
	// is in order of Time although many goroutines record.
	holdBack = 100 * time.Millisecond
	// flushBytes of recorded events start a flush before its time.
	flushBytes = 4 << 20
	// pendingBytesMax bounds the memory of events not yet taken by a flush; Record waits at the bound.
	pendingBytesMax = 16 << 20
	// windowBytes bounds the memory that a reader needs.
	windowBytes = 1 << 20
)

// endMark is a skippable frame (RFC 8878 section 3.1.2) that closes a complete history. zstd tools
// pass over it; its absence tells that the run was cut off.
var endMark = append([]byte{0x50, 0x2a, 0x4d, 0x18, 18, 0, 0, 0}, "ordeal history end"...)

// Writer streams a history to a file: one JSON object a line, compressed with zstd, readable with
// zstdcat and jq. Every flush ends a zstd frame, so that whatever a killed run leaves is readable up
// to its last half second.
//
// Events stand in the file in order of Time. An event recorded more than 100 ms after its Time may
// come later than it should: a reader that needs the exact order sorts by Time.
//
// Its methods may be called from several goroutines.
type Writer struct {
	base   time.Time
	offset atomic.Int64 // of the history's zero from base, nanoseconds

	mu      sync.Mutex
	room    *sync.Cond // pending has been taken
	pending batch
	err     error
	closed  bool

	kick    chan struct{} // a flush before its time
	stop    chan struct{}
	stopped chan struct{}

	// The rest belongs to the flushing goroutine.
	file       sink
	encoder    *zstd.Encoder
	held       batch // taken from pending, younger than holdBack
	lines      []byte
	compressed []byte
}

// batch is encoded events, each with its newline.
type batch struct {
	data  []byte
	index []line
}

type line struct {
	time       time.Duration
	start, end int
}

// NewWriter makes the file, which must not exist, and starts the clock.
func NewWriter(path string) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create history: %w", err)
	}
	w, err := newWriter(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return w, nil
}

// sink is what a Writer needs of a file.
type sink interface {
	io.WriteCloser
	Sync() error
}

func newWriter(file sink) (*Writer, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(windowBytes))
	if err != nil {
		return nil, fmt.Errorf("create history: %w", err)
	}
	w := &Writer{
		base: time.Now(), file: file, encoder: encoder,
		kick: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	w.room = sync.NewCond(&w.mu)
	go w.flushLoop()
	return w, nil
}

// Start makes this moment the history's zero. Without it that is the call of NewWriter.
func (w *Writer) Start() { w.offset.Store(int64(time.Since(w.base))) }

// Now is the time since the history's zero, on a monotonic clock: what Event.Time wants.
func (w *Writer) Now() time.Duration { return time.Since(w.base) - time.Duration(w.offset.Load()) }

// Record adds an event. The caller has set its Time, by Now, at the moment that it describes. After
// a write error, and after Close, events are dropped: Err and Close tell.
func (w *Writer) Record(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending.data) >= pendingBytesMax && w.err == nil && !w.closed {
		w.room.Wait()
	}
	if w.err != nil || w.closed {
		return
	}
	start := len(w.pending.data)
	w.pending.data = append(AppendEvent(w.pending.data, &e), '\n')
	w.pending.index = append(w.pending.index, line{e.Time, start, len(w.pending.data)})
	if len(w.pending.data) >= flushBytes {
		select {
		case w.kick <- struct{}{}:
		default: // a flush is due already
		}
	}
}

// Err is the first error of writing, or nil. What was written before it stays readable.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Close writes what is left, marks the history as complete, and returns the first error met. It may
// be called again, and answers the same.
func (w *Writer) Close() error {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	w.room.Broadcast()
	w.mu.Unlock()
	if first {
		close(w.stop)
	}
	<-w.stopped
	return w.Err()
}

func (w *Writer) flushLoop() {
	defer close(w.stopped)
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			w.flush(false)
		case <-w.kick:
			w.flush(false)
		case <-w.stop:
			w.flush(true)
			w.finish()
			return
		}
	}
}

// flush writes what was recorded, in order of Time, as one zstd frame. All of it, or only what is
// old enough that nothing earlier is to be expected.
func (w *Writer) flush(all bool) {
	w.mu.Lock()
	taken := w.pending
	w.pending = batch{}
	failed := w.err != nil
	w.room.Broadcast()
	w.mu.Unlock()
	if failed {
		return
	}
	shift := len(w.held.data)
	w.held.data = append(w.held.data, taken.data...)
	for _, l := range taken.index {
		w.held.index = append(w.held.index, line{l.time, l.start + shift, l.end + shift})
	}
	slices.SortStableFunc(w.held.index, func(a, b line) int { return cmp.Compare(a.time, b.time) })

	ready := len(w.held.index)
	if !all && len(w.held.data) < pendingBytesMax {
		horizon := w.Now() - holdBack
		ready, _ = slices.BinarySearchFunc(w.held.index, horizon, func(l line, t time.Duration) int {
			return cmp.Compare(l.time, t)
		})
	}
	if ready == 0 {
		return
	}
	w.lines = w.lines[:0]
	for _, l := range w.held.index[:ready] {
		w.lines = append(w.lines, w.held.data[l.start:l.end]...)
	}
	var rest batch
	for _, l := range w.held.index[ready:] {
		start := len(rest.data)
		rest.data = append(rest.data, w.held.data[l.start:l.end]...)
		rest.index = append(rest.index, line{l.time, start, len(rest.data)})
	}
	w.held = rest
	w.compressed = w.encoder.EncodeAll(w.lines, w.compressed[:0])
	w.write(w.compressed)
}

func (w *Writer) write(data []byte) {
	if _, err := w.file.Write(data); err != nil {
		w.fail(fmt.Errorf("write history: %w (what was recorded before stays readable)", err))
	}
}

func (w *Writer) finish() {
	if w.Err() == nil {
		w.write(endMark)
	}
	if err := w.file.Sync(); err != nil {
		w.fail(fmt.Errorf("sync history: %w", err))
	}
	if err := w.file.Close(); err != nil {
		w.fail(fmt.Errorf("close history: %w", err))
	}
}

func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	w.room.Broadcast()
}
