package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// serverStats counts what srvr and mntr show.
type serverStats struct {
	received atomic.Int64
	sent     atomic.Int64
	rejected atomic.Int64 // connections over the bound of their address
	latency  latency
}

func (s *serverStats) reset() {
	s.received.Store(0)
	s.sent.Store(0)
	s.latency.reset()
}

// latency is the time from a request's arrival to its reply, in milliseconds as Apache counts it.
type latency struct {
	lock  sync.Mutex
	count int64
	total int64
	least int64
	most  int64
}

func (l *latency) add(took time.Duration) {
	milliseconds := took.Milliseconds()
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.count == 0 || milliseconds < l.least {
		l.least = milliseconds
	}
	l.most = max(l.most, milliseconds)
	l.count++
	l.total += milliseconds
}

func (l *latency) get() (least int64, average float64, most int64) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.count == 0 {
		return 0, 0, 0
	}
	return l.least, float64(l.total) / float64(l.count), l.most
}

func (l *latency) reset() {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.count, l.total, l.least, l.most = 0, 0, 0, 0
}
