package pipeline

import (
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/rare"
)

// syncRequestProcessor writes transactions to the log and passes a request on once everything that
// came before it is on disk. All that arrives while a sync is under way shares the next one.
type syncRequestProcessor struct {
	log     Log
	next    requestProcessor // nil on an observer
	defects defect.Set
	rare    rare.Choice
	// unapplied is where every transaction is noted that is given to the log.
	unapplied *fifo[*request]

	queue fifo[*request]
	// flushing waits for ticket; waiting was appended after that sync was asked for.
	flushing []*request
	ticket   disk.Ticket
	waiting  []*request
	spare    []*request // an empty list for the next requests to wait in

	now, syncedAt time.Duration // for the defect
}

// unsyncedMax bounds how long the log stays without a sync under defect.AckBeforeFsync.
const unsyncedMax = 500 * time.Millisecond

func (p *syncRequestProcessor) processRequest(r *request) {
	if r.isTxn {
		p.unapplied.push(r)
	}
	p.queue.push(r)
}

func (p *syncRequestProcessor) hasWork() bool { return !p.queue.empty() }

// step appends one request, and asks for a sync when it was the last that is there.
func (p *syncRequestProcessor) step() {
	r := p.queue.pop()
	if r.isTxn {
		p.log.Append(r.entry)
	}
	switch {
	case p.defects.On(defect.AckBeforeFsync):
		p.pass(r)
		if r.isTxn {
			p.waiting = append(p.waiting, &request{entry: r.entry, isTxn: true})
		}
	case !r.isTxn && len(p.flushing) == 0 && len(p.waiting) == 0:
		p.pass(r)
	default:
		p.waiting = append(p.waiting, r)
	}
	if p.queue.empty() || p.rare.Take(rare.SmallBatch) {
		p.flush()
	}
}

// flush asks for a sync if there is something to sync and none is under way.
func (p *syncRequestProcessor) flush() {
	if len(p.flushing) > 0 || len(p.waiting) == 0 {
		return
	}
	if p.defects.On(defect.AckBeforeFsync) && p.now-p.syncedAt < unsyncedMax {
		return
	}
	p.flushing, p.waiting = p.waiting, p.spare
	p.spare = nil
	p.syncedAt = p.now
	p.ticket = p.log.Sync()
}

// synced takes the news that a sync is done.
func (p *syncRequestProcessor) synced(ticket disk.Ticket) {
	if len(p.flushing) == 0 || ticket != p.ticket {
		return
	}
	done := p.flushing
	p.flushing = nil
	if len(p.waiting) > 0 && !p.defects.On(defect.AckBeforeFsync) && p.rare.Take(rare.HoldAcks) {
		p.waiting = append(done, p.waiting...)
		p.flush()
		return
	}
	if !p.defects.On(defect.AckBeforeFsync) {
		for _, r := range done {
			p.pass(r)
		}
		clear(done)
		p.spare = done[:0]
		for len(p.waiting) > 0 && !p.waiting[0].isTxn {
			p.pass(p.waiting[0])
			p.waiting = p.waiting[1:]
		}
	}
	p.flush()
}

func (p *syncRequestProcessor) pass(r *request) {
	if p.next != nil {
		p.next.processRequest(r)
	}
}

// tick tells the time.
func (p *syncRequestProcessor) tick(now time.Duration) {
	p.now = now
	if p.defects.On(defect.AckBeforeFsync) {
		p.flush()
	}
}

// drain appends everything that is still queued: what was taken from a leader belongs into the log,
// since it may be in the tree already.
func (p *syncRequestProcessor) drain() {
	for p.hasWork() {
		if r := p.queue.pop(); r.isTxn {
			p.log.Append(r.entry)
		}
	}
}
