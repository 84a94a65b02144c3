package client_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ordeal/harness/client"
	"ordeal/results/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log is a history in memory that several clients may record into.
type log struct {
	began   time.Time
	numbers client.Numbers
	mu      sync.Mutex
	memory  history.Memory
}

func newLog() *log { return &log{began: time.Now()} }

func (l *log) Record(e history.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.memory = append(l.memory, e)
}

func (l *log) events() history.Memory {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.memory)
}

func (l *log) options(number int, members ...client.Member) client.Options {
	return client.Options{
		Client: number, Workload: "test", Members: members, Recorder: l,
		Now: func() time.Duration { return time.Since(l.began) }, Numbers: &l.numbers,
	}
}
