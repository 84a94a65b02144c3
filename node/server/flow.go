package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"sync"
)

// flow is a queue of byte slices from the core to one connection's writer. Putting never waits: a
// flow that holds more than its bound is broken, and its connection ends.
type flow struct {
	lock     sync.Mutex
	items    []flowItem
	bytes    int
	bytesMax int
	ending   bool // nothing is put any more; the writer ends after what there is
	broken   bool
	wake     chan struct{}
	// shrunk is called when bytes have left the queue; it may be nil.
	shrunk func()
}

// flowItem is bytes to write, and what to stream behind them.
type flowItem struct {
	data   []byte
	behind streamed
}

// streamed is something large that is produced while it is written. Next returns the next bytes and
// whether they are the last; it takes whatever lock it needs, but only while it runs.
type streamed interface {
	next() (chunk []byte, done bool)
}

func newFlow(bytesMax int) *flow {
	return &flow{bytesMax: bytesMax, wake: make(chan struct{}, 1)}
}

// put queues an item. It is false if that is too much: the flow is broken from then on, and whatever
// else is put vanishes.
func (f *flow) put(item flowItem) bool {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.ending || f.broken {
		return true
	}
	if f.bytes+len(item.data) > f.bytesMax {
		f.broken = true
		f.items = nil
		signal(f.wake)
		return false
	}
	f.items = append(f.items, item)
	f.bytes += len(item.data)
	signal(f.wake)
	return true
}

// end lets the writer finish what is queued and then stop.
func (f *flow) end() {
	f.lock.Lock()
	f.ending = true
	signal(f.wake)
	f.lock.Unlock()
}

// take returns everything queued, in place of the emptied slice given. ended is true if nothing will
// follow.
func (f *flow) take(emptied []flowItem) (items []flowItem, ended bool) {
	clear(emptied)
	f.lock.Lock()
	defer f.lock.Unlock()
	items = f.items
	f.items = emptied[:0]
	return items, f.ending || f.broken
}

// written tells that so many bytes have left the queue.
func (f *flow) written(bytes int) {
	f.lock.Lock()
	f.bytes -= bytes
	f.lock.Unlock()
	if f.shrunk != nil {
		f.shrunk()
	}
}

// queued is the number of bytes that wait.
func (f *flow) queued() int {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.bytes
}

// drain writes what is put until the flow ends, the connection fails or ctx is done. It flushes when
// the queue is empty.
func (f *flow) drain(ctx context.Context, w *bufio.Writer, write func(*bufio.Writer, []byte) error) error {
	var items []flowItem
	for {
		var ended bool
		items, ended = f.take(items)
		for _, item := range items {
			if err := write(w, item.data); err != nil {
				return err
			}
			if err := stream(w, item.behind); err != nil {
				return err
			}
			f.written(len(item.data))
		}
		if len(items) > 0 && !ended {
			continue
		}
		if err := w.Flush(); err != nil || (ended && len(items) == 0) {
			return err
		}
		if ended {
			continue
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func stream(w *bufio.Writer, source streamed) error {
	for done := source == nil; !done; {
		var chunk []byte
		chunk, done = source.next()
		if _, err := w.Write(chunk); err != nil {
			return err
		}
	}
	return nil
}

// writeRaw writes data as it is.
func writeRaw(w *bufio.Writer, data []byte) error {
	_, err := w.Write(data)
	return err
}

// writeFrame writes data with its length in front.
func writeFrame(w *bufio.Writer, data []byte) error {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(data)))
	if _, err := w.Write(length[:]); err != nil {
		return err
	}
	return writeRaw(w, data)
}
