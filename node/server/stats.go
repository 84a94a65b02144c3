package server

import (
	"sync"
	"sync/atomic"
	"time"

	"ordeal/node/jute"
	"ordeal/node/server/metrics"
)

// serverStats counts what srvr and mntr show. It is made by newServerStats.
type serverStats struct {
	received atomic.Int64
	sent     atomic.Int64
	latency  latency
	// responses are the sizes of replies.
	responses  bufferStats
	handshakes atomic.Int64 // TLS handshakes under way
	authFailed atomic.Int64
	slowFsyncs atomic.Int64 // longer than fsync.warningthresholdms

	// What else happens on client connections, under Apache's names.
	bytesReceived, responseBytes, watchBytes        *metrics.Counter
	requests, drops, refused, sessionless, tooLarge *metrics.Counter
	handshakesFailed, handshakesTooMany             *metrics.Counter
	reads, updates                                  *metrics.Summary
}

func newServerStats(r *metrics.Registry) *serverStats {
	return &serverStats{
		bytesReceived: r.Counter(metrics.BytesReceived), responseBytes: r.Counter(metrics.ResponseBytes),
		watchBytes: r.Counter(metrics.WatchBytes), requests: r.Counter(metrics.ConnectionRequestCount),
		drops: r.Counter(metrics.ConnectionDropCount), refused: r.Counter(metrics.ConnectionRejected),
		sessionless: r.Counter(metrics.SessionlessConnectionsExpired), tooLarge: r.Counter(metrics.LargeRequestsRejected),
		handshakesFailed: r.Counter(metrics.UnsuccessfulHandshake), handshakesTooMany: r.Counter(metrics.TLSHandshakeExceeded),
		reads: r.Summary(metrics.ReadLatency), updates: r.Summary(metrics.UpdateLatency),
	}
}

// answered counts a reply to a request that took so long.
func (s *serverStats) answered(op jute.OpCode, took time.Duration) {
	s.latency.add(took)
	switch op {
	case jute.OpPing, jute.OpAuth, jute.OpSASL:
	case jute.OpCreateSession, jute.OpCloseSession, jute.OpCreate, jute.OpCreate2, jute.OpCreateContainer,
		jute.OpCreateTTL, jute.OpDelete, jute.OpSetData, jute.OpSetACL, jute.OpMulti, jute.OpReconfig:
		s.updates.AddTime(took)
	default:
		s.reads.AddTime(took)
	}
}

// receivedFrame and sentFrame count what goes over client connections.
func (s *serverStats) receivedFrame(size int) {
	s.received.Add(1)
	s.bytesReceived.Add(int64(size))
}

func (s *serverStats) sentFrame(size int, event bool) {
	s.sent.Add(1)
	if event {
		s.watchBytes.Add(int64(size))
		return
	}
	s.responseBytes.Add(int64(size))
	s.responses.add(size)
}

func (s *serverStats) reset() {
	s.received.Store(0)
	s.sent.Store(0)
	s.latency.reset()
	s.responses.reset()
	s.slowFsyncs.Store(0)
	s.authFailed.Store(0)
}

// bufferStats is the sizes of what was sent, in bytes.
type bufferStats struct {
	lock  sync.Mutex
	sizes bufferSizes
	known bool
}

type bufferSizes struct{ last, least, most int64 }

func (b *bufferStats) add(size int) {
	b.lock.Lock()
	defer b.lock.Unlock()
	s := int64(size)
	if !b.known {
		b.known, b.sizes = true, bufferSizes{s, s, s}
		return
	}
	b.sizes = bufferSizes{s, min(b.sizes.least, s), max(b.sizes.most, s)}
}

// get returns -1 for all if nothing was sent yet.
func (b *bufferStats) get() bufferSizes {
	b.lock.Lock()
	defer b.lock.Unlock()
	if !b.known {
		return bufferSizes{-1, -1, -1}
	}
	return b.sizes
}

func (b *bufferStats) reset() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.known = false
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
