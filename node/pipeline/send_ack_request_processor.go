package pipeline

// sendAckRequestProcessor is the end of a follower's sync chain: it acknowledges to the leader what
// is on this server's disk.
type sendAckRequestProcessor struct {
	server  *Server
	learner Learner
}

func (p *sendAckRequestProcessor) processRequest(r *request) {
	if r.isTxn {
		p.server.measuredAge(AckTime, r)
		p.learner.Acknowledge(r.entry.Zxid)
	}
}
