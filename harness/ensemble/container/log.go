package container

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// logFile takes what a member prints, as the engine tells it: pieces that begin with the time at which
// they were printed, "2006-01-02T15:04:05.999999999Z ". The time is kept and not written: it says
// where to go on when the engine has to be asked again, so that nothing is lost and nothing stands
// twice.
type logFile struct {
	path string

	mu     sync.Mutex
	file   *os.File
	size   int64
	last   time.Time // when the newest piece was printed
	failed error     // the first error: nothing is written after it
}

func openLog(path string) (*logFile, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("open a member's log: %w", err)
	}
	return &logFile{path: path, file: file}, nil
}

// Write takes one piece of output.
func (l *logFile) Write(piece []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = l.take(piece)
	}
	if l.failed != nil {
		return 0, l.failed
	}
	return len(piece), nil
}

func (l *logFile) take(piece []byte) error {
	stamp, text, found := bytes.Cut(piece, []byte{' '})
	printed, err := time.Parse(time.RFC3339Nano, string(stamp))
	if !found || err != nil {
		return fmt.Errorf("log %s: expected the engine to say when a line was printed, found %.40q", l.path, piece)
	}
	if _, err := l.file.Write(text); err != nil {
		return err
	}
	l.size += int64(len(text))
	l.last = printed
	return nil
}

// since is where to go on, as the engine wants to be told; empty for the beginning.
func (l *logFile) since() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last.IsZero() {
		return ""
	}
	next := l.last.Add(time.Nanosecond)
	return fmt.Sprintf("%d.%09d", next.Unix(), next.Nanosecond())
}

// written is how many bytes there are.
func (l *logFile) written() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// save copies the log to another path, unless it is there already.
func (l *logFile) save(path string) error {
	if path == l.path {
		return nil
	}
	from, err := os.Open(l.path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

func (l *logFile) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.failed, l.file.Close())
	l.file, l.failed = nil, errors.Join(l.failed, os.ErrClosed)
	return err
}
