package pipeline

import "ordeal/node/jute"

// commitProcessor keeps the order of each session: a request waits behind the session's own earlier
// write until that is committed, while other sessions' requests, and transactions committed from
// elsewhere, go by. Committed transactions go on in the order of their commits.
type commitProcessor struct {
	server *Server
	next   requestProcessor
	// matchSyncs is whether a sync waits for the leader's SYNC like a write for its commit. On a
	// leader whose syncs need no confirmation it passes like a read.
	matchSyncs bool

	queued    fifo[*request]
	committed fifo[*request]
	// pending holds, for each session with a write under way, that write and all that came behind it.
	pending map[int64]*fifo[*request]
	spare   []*fifo[*request] // empty
	queues  CommitQueues
}

// CommitQueues is how many requests wait in the queues of their sessions, for a commit or behind one that does.
type CommitQueues struct{ Reads, Writes int }

func (q *CommitQueues) add(r *request, count int) {
	if r.isWrite() {
		q.Writes += count
	} else {
		q.Reads += count
	}
}

func newCommitProcessor(server *Server, next requestProcessor, matchSyncs bool) *commitProcessor {
	return &commitProcessor{server: server, next: next, matchSyncs: matchSyncs, pending: map[int64]*fifo[*request]{}}
}

func (p *commitProcessor) processRequest(r *request) {
	r.queuedAt = p.server.now.Elapsed
	p.queued.push(r)
}

// commit takes a transaction that is committed, or a sync that is answered.
func (p *commitProcessor) commit(r *request) { p.committed.push(r) }

func (p *commitProcessor) hasWork() bool { return !p.queued.empty() || !p.committed.empty() }

// step sorts one request into its session's queue, or carries out one commit. Requests come first:
// a request is always queued here before its commit can be, so that a commit finds the request that
// it belongs to.
func (p *commitProcessor) step() {
	if p.queued.empty() {
		p.carryOut(p.committed.pop())
		return
	}
	r := p.queued.pop()
	waiting := p.pending[r.session]
	if waiting == nil {
		if !p.needsCommit(r) {
			p.pass(r)
			return
		}
		waiting = p.newQueue()
		p.pending[r.session] = waiting
	}
	waiting.push(r)
	p.queues.add(r, 1)
	p.server.measured(SessionQueueSize, int64(waiting.len()))
}

// pass hands a request on.
func (p *commitProcessor) pass(r *request) {
	isTxn := int64(0)
	if r.isTxn {
		isTxn = 1
	} else {
		p.server.measuredSince(ReadCommitTime, r.queuedAt)
	}
	p.server.measured(FinalBegun, isTxn)
	p.next.processRequest(r)
	p.server.measured(FinalDone, isTxn)
}

// spareQueuesMax bounds the queues that are kept to be used again.
const spareQueuesMax = 64

// newQueue returns an empty queue for a session.
func (p *commitProcessor) newQueue() *fifo[*request] {
	last := len(p.spare) - 1
	if last < 0 {
		return &fifo[*request]{}
	}
	queue := p.spare[last]
	p.spare = p.spare[:last]
	return queue
}

func (p *commitProcessor) needsCommit(r *request) bool {
	return r.isWrite() || (r.op == jute.OpSync && p.matchSyncs && r.refused == jute.Ok)
}

// carryOut passes a committed transaction on: as the local request that it belongs to, so that its
// client is answered, or else as it came, for a client of another server. The second happens also to
// a session that has requests here, after it moved.
func (p *commitProcessor) carryOut(c *request) {
	if !c.isTxn {
		c.completed = true
		p.release(c.session)
		return
	}
	waiting := p.pending[c.session]
	if waiting == nil || !waiting.peek().wasCommittedAs(c) {
		p.server.measuredSince(OtherCommittedTime, c.committedAt)
		p.pass(c)
		return
	}
	p.server.measured(SessionQueues, int64(len(p.pending)))
	p.server.measured(SessionQueueSize, int64(waiting.len()))
	local := waiting.pop()
	p.queues.add(local, -1)
	local.adopt(c)
	p.server.measuredSince(WriteCommitTime, local.queuedAt)
	p.server.measuredSince(OwnCommittedTime, c.committedAt)
	p.pass(local)
	p.server.measured(ReadsAfterWrite, p.release(c.session))
}

// release passes on what need not wait any longer in a session's queue, and returns how much that was.
func (p *commitProcessor) release(session int64) (passed int64) {
	waiting := p.pending[session]
	if waiting == nil {
		return 0
	}
	for !waiting.empty() && (waiting.peek().completed || !p.needsCommit(waiting.peek())) {
		r := waiting.pop()
		p.queues.add(r, -1)
		p.pass(r)
		passed++
	}
	if waiting.empty() {
		delete(p.pending, session)
		if len(p.spare) < spareQueuesMax {
			p.spare = append(p.spare, waiting)
		}
	}
	return passed
}
