package server

import (
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// logBytesMax bounds what waits to be written. Lines beyond it are lost, and their number is told.
	logBytesMax = 4 << 20
	// logGrace is how long Flush and Close wait for whoever reads the log.
	logGrace = time.Second
)

// LogWriter hands lines of a log on to another writer without ever waiting for it: the core logs while others wait
// for its lock, and whoever reads the log, a terminal or a pipe, must not be able to stop the server.
type LogWriter struct {
	to    io.Writer
	wake  chan struct{}
	ended chan struct{}

	lock    sync.Mutex
	pending []byte
	lost    int // lines
	flushes []chan struct{}
	closing bool
}

// NewLogWriter starts a LogWriter, which writes until Close.
func NewLogWriter(to io.Writer) *LogWriter {
	l := &LogWriter{to: to, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go l.run()
	return l
}

// Write queues a line, as slog's handlers write them: whole, and with its end. It never fails.
func (l *LogWriter) Write(line []byte) (int, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.closing || len(l.pending)+len(line) > logBytesMax {
		l.lost++
	} else {
		l.pending = append(l.pending, line...)
	}
	signal(l.wake)
	return len(line), nil
}

// Flush waits until what was written before has been handed on, but for logGrace at most. It is for the moment before
// the process ends by a panic.
func (l *LogWriter) Flush() {
	flushed := make(chan struct{})
	l.lock.Lock()
	l.flushes = append(l.flushes, flushed)
	l.lock.Unlock()
	signal(l.wake)
	waitBriefly(flushed)
}

// Close is Flush, and ends the writer. Lines that come later are lost.
func (l *LogWriter) Close() {
	l.lock.Lock()
	l.closing = true
	l.lock.Unlock()
	signal(l.wake)
	waitBriefly(l.ended)
}

func waitBriefly(done <-chan struct{}) {
	timer := time.NewTimer(logGrace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// run hands on what was queued until the writer is closed.
func (l *LogWriter) run() {
	defer close(l.ended)
	own := slog.New(slog.NewTextHandler(l.to, nil))
	for range l.wake {
		l.lock.Lock()
		lines, lost, flushes, closing := l.pending, l.lost, l.flushes, l.closing
		l.pending, l.lost, l.flushes = nil, 0, nil
		l.lock.Unlock()
		if len(lines) > 0 {
			_, _ = l.to.Write(lines) // there is nowhere to say that the log cannot be written
		}
		if lost > 0 {
			own.Warn("lines of the log are lost: its reader does not keep up", "lines", lost)
		}
		for _, flushed := range flushes {
			close(flushed)
		}
		if closing {
			return
		}
	}
}
