package server

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
	"syscall"
)

const (
	// pushMax bounds the bytes that are written without the connection's writer.
	pushMax = 64 << 10
	// flowBufferSize is how much the writer gathers for one write.
	flowBufferSize = 64 << 10
	// flowItemOverhead is what an item takes in memory beside its bytes, about: watch events are short, and a
	// client can have very many of them.
	flowItemOverhead = 128
)

// flow is a queue of byte slices from the core to one connection's writer. Putting never waits: a
// flow that holds more than its bound is broken, and its connection ends. Whoever has put something
// calls push, which writes at once what the connection takes without waiting, and leaves the rest to
// the writer: to wake that one up for every little message would cost more than the message.
type flow struct {
	lock     sync.Mutex
	items    []flowItem
	bytes    int
	bytesMax int
	framed   bool // items get their length in front
	ending   bool // nothing is put any more; the writer ends after what there is
	broken   bool
	wake     chan struct{}
	// shrunk is called when bytes have left the queue; it may be nil.
	shrunk func()

	// writing is held by who writes. Nobody waits for it but the connection's writer.
	writing sync.Mutex
	raw     syscall.RawConn // nil while nothing can be pushed
	emptied []flowItem
	buffer  []byte
	unsent  []byte // of what was pushed
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

// newFramedFlow returns a flow whose items get their length in front.
func newFramedFlow(bytesMax int) *flow {
	f := newFlow(bytesMax)
	f.framed = true
	return f
}

// put queues an item. It is false if that is too much: the flow is broken from then on, and whatever
// else is put vanishes.
func (f *flow) put(item flowItem) bool {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.ending || f.broken {
		return true
	}
	if f.bytes+len(item.data)+len(f.items)*flowItemOverhead > f.bytesMax {
		f.broken = true
		f.items = nil
		signal(f.wake)
		return false
	}
	f.items = append(f.items, item)
	f.bytes += len(item.data)
	return true
}

// end lets the writer finish what is queued and then stop.
func (f *flow) end() {
	f.lock.Lock()
	f.ending = true
	signal(f.wake)
	f.lock.Unlock()
}

// push writes what is queued, without waiting.
func (f *flow) push() {
	if !f.writing.TryLock() {
		signal(f.wake) // who writes now may have seen the queue before this was put
		return
	}
	defer f.writing.Unlock()
	if f.raw == nil || len(f.unsent) > 0 || !f.takeSmall() {
		signal(f.wake)
		return
	}
	bytes := f.gather()
	if len(f.buffer) == 0 {
		return
	}
	if f.unsent = f.buffer[writeNow(f.raw, f.buffer):]; len(f.unsent) > 0 {
		signal(f.wake)
	}
	f.written(bytes)
}

// takeSmall takes everything queued, if that is little enough to be pushed.
func (f *flow) takeSmall() bool {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.ending || f.broken || f.bytes > pushMax {
		return false
	}
	for i := range f.items {
		if f.items[i].behind != nil {
			return false
		}
	}
	f.items, f.emptied = f.emptied[:0], f.items
	return true
}

// gather puts what was taken into the buffer, and returns how many bytes of the queue that is.
func (f *flow) gather() (bytes int) {
	f.buffer = f.buffer[:0]
	for _, item := range f.emptied {
		f.buffer = f.append(f.buffer, item.data)
		bytes += len(item.data)
	}
	clear(f.emptied)
	return bytes
}

// append puts an item behind the buffer as it goes over the wire.
func (f *flow) append(buffer, data []byte) []byte {
	if f.framed {
		buffer = binary.BigEndian.AppendUint32(buffer, uint32(len(data)))
	}
	return append(buffer, data...)
}

// take takes everything queued. ended is true if nothing will follow.
func (f *flow) take() (ended bool) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.items, f.emptied = f.emptied[:0], f.items
	return f.ending || f.broken
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

// drain writes what is put until the flow ends, the connection fails or ctx is done. It is the
// connection's writer.
func (f *flow) drain(ctx context.Context, conn io.Writer) error {
	f.writing.Lock()
	f.raw = rawConn(conn)
	f.writing.Unlock()
	for {
		if ended, err := f.writeAll(conn); ended || err != nil {
			return err
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// writeAll writes until the queue is empty.
func (f *flow) writeAll(conn io.Writer) (ended bool, err error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	if len(f.unsent) > 0 {
		_, err = conn.Write(f.unsent)
		f.unsent = nil
	}
	for err == nil {
		ended = f.take()
		if len(f.emptied) == 0 {
			return ended, nil
		}
		err = f.writeItems(conn)
	}
	return false, err
}

// writeItems writes what was taken.
func (f *flow) writeItems(conn io.Writer) error {
	f.buffer = f.buffer[:0]
	gathered := 0
	flush := func() error {
		_, err := conn.Write(f.buffer)
		f.buffer = f.buffer[:0]
		f.written(gathered)
		gathered = 0
		return err
	}
	for _, item := range f.emptied {
		f.buffer = f.append(f.buffer, item.data)
		gathered += len(item.data)
		if len(f.buffer) < flowBufferSize && item.behind == nil {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		if err := stream(conn, item.behind); err != nil {
			return err
		}
	}
	clear(f.emptied)
	err := flush()
	if cap(f.buffer) > 2*flowBufferSize {
		f.buffer = nil // of a large item
	}
	return err
}

func stream(w io.Writer, source streamed) error {
	for done := source == nil; !done; {
		var chunk []byte
		chunk, done = source.next()
		if _, err := w.Write(chunk); err != nil {
			return err
		}
	}
	return nil
}
