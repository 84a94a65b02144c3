package pipeline

// toBeAppliedRequestProcessor keeps a leader's list of transactions that are committed but not in
// the tree yet, and sees that they reach the tree in the order of their commits.
type toBeAppliedRequestProcessor struct {
	next        *finalRequestProcessor
	toBeApplied fifo[*request]
}

func (p *toBeAppliedRequestProcessor) processRequest(r *request) {
	p.next.processRequest(r)
	if !r.isTxn {
		return
	}
	if p.toBeApplied.empty() || p.toBeApplied.peek().entry.Zxid != r.entry.Zxid {
		invariant("transactions are applied in the order of commits", p.toBeApplied.len(), r.entry.Zxid)
	}
	p.toBeApplied.pop()
}
