package pipeline

import "ordeal/node/jute"

// proposalRequestProcessor hands each transaction to ZAB and to the leader's own log, after it has
// shown the request to the CommitProcessor, where it waits for its commit. It also sees to syncs.
type proposalRequestProcessor struct {
	next    requestProcessor // CommitProcessor
	prep    *prepRequestProcessor
	sync    requestProcessor
	leading Leading
	// syncByQuorum is whether syncs of the leader's own clients wait for a confirmation too.
	syncByQuorum bool

	// proposed are the transactions that are not committed yet, oldest first.
	proposed fifo[*request]
	// syncs wait for the confirmation of the ticket of the same place, counted from syncsDone on.
	syncs     fifo[*request]
	syncsDone SyncTicket
}

func (p *proposalRequestProcessor) processRequest(r *request) {
	if r.op == jute.OpSync && r.origin != Local {
		p.startSync(r)
		return
	}
	p.next.processRequest(r)
	if r.op == jute.OpSync && p.syncByQuorum && r.refused == jute.Ok {
		p.startSync(r)
	}
	if r.isTxn {
		p.proposed.push(r)
		if r.membership != nil {
			p.leading.ProposeReconfig(r.entry, r.membership)
		} else {
			p.leading.Propose(r.entry)
		}
		p.sync.processRequest(r)
	}
}

func (p *proposalRequestProcessor) startSync(r *request) {
	if p.syncByQuorum {
		p.prep.syncBegun(r)
	}
	p.syncs.push(r)
	p.leading.Sync(p.syncsDone + SyncTicket(p.syncs.len()))
}

// syncDone returns the sync with this ticket, which must be the oldest, and lets go what waited for it.
func (p *proposalRequestProcessor) syncDone(ticket SyncTicket) *request {
	if p.syncs.empty() || ticket != p.syncsDone+1 {
		invariant("syncs complete in order", p.syncsDone+1, ticket)
	}
	p.syncsDone++
	r := p.syncs.pop()
	if p.syncByQuorum {
		p.prep.syncDone(r)
	}
	return r
}
