package pipeline

import (
	"time"

	"ordeal/node/jute"
)

// requestThrottler stands before every chain. With zookeeper.request_throttle_max_requests it lets only
// so many requests in at a time; the others wait, and those whose client has gone in the meantime are
// dropped. With zookeeper.throttled_op_wait_time a request that had to wait for longer is answered
// with ThrottledOp instead of being carried out.
type requestThrottler struct {
	server *Server
	// inProcess are the requests that were let in and have not left the chain.
	inProcess int
	queue     fifo[throttledRequest]
}

type throttledRequest struct {
	*request
	since time.Duration
}

func (t *requestThrottler) processRequest(r *request) {
	t.queue.push(throttledRequest{r, t.server.now.Elapsed})
	if t.full() {
		t.server.measured(RequestWaits, 1)
	}
	t.letIn()
}

// finished tells that a request has left the chain.
func (t *requestThrottler) finished() {
	t.inProcess--
	t.letIn()
}

// full tells whether as many requests are in as may be.
func (t *requestThrottler) full() bool {
	most := t.server.config.ThrottleMax
	return most > 0 && t.inProcess >= most
}

func (t *requestThrottler) letIn() {
	config := &t.server.config
	for !t.queue.empty() && !t.full() {
		r := t.queue.pop()
		if c := r.connection; c != nil && c.state == connectionClosed && config.ThrottleMax > 0 && !config.ThrottleKeepStale {
			c.pending--
			t.server.requestBytes -= r.bytes
			t.server.measured(StaleRequestDropped, 1)
			continue
		}
		if r.connection != nil && r.connection.state == connectionClosed {
			t.server.measured(StaleRequest, 1)
		}
		waited := t.server.now.Elapsed - r.since
		if config.ThrottledOpWait > 0 && waited > config.ThrottledOpWait && isThrottlable(r.op) {
			r.refused = jute.ThrottledOp
			t.server.measured(OpThrottled, 1)
		}
		t.server.measured(ThrottleTime, waited.Milliseconds())
		t.inProcess++
		t.server.first.processRequest(r.request)
	}
}

// isThrottlable tells whether a request may be refused because it waited for too long.
func isThrottlable(op jute.OpCode) bool {
	return op != jute.OpPing && op != jute.OpCreateSession && op != jute.OpCloseSession
}
