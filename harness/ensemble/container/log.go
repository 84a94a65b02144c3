package container

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/testcontainers/testcontainers-go"
)

// tailLines is how many of a member's last words are kept for the report of a crash.
const tailLines = 12

// logFile takes what a member prints, as it comes. It implements testcontainers.LogConsumer.
type logFile struct {
	path string

	mu     sync.Mutex
	file   *os.File
	last   []string
	failed error // the first write error: nothing is written after it
}

func openLog(path string) (*logFile, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("open a member's log: %w", err)
	}
	return &logFile{path: path, file: file}, nil
}

// Accept takes one piece of output.
func (l *logFile) Accept(piece testcontainers.Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil || l.failed != nil {
		return
	}
	_, l.failed = l.file.Write(piece.Content)
	for line := range strings.Lines(string(piece.Content)) {
		l.last = append(l.last, strings.TrimSpace(line))
	}
	if extra := len(l.last) - tailLines; extra > 0 {
		l.last = append([]string(nil), l.last[extra:]...)
	}
}

// tail is what the member said last, on one line.
func (l *logFile) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, " | ")
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
	l.file = nil
	return err
}
