package pipeline

// ackRequestProcessor is the end of a leader's sync chain: the leader's own acknowledgement of what
// is on its disk.
type ackRequestProcessor struct {
	server  *Server
	leading Leading
}

func (p *ackRequestProcessor) processRequest(r *request) {
	if r.isTxn {
		p.server.measuredAge(AckTime, r)
		p.leading.Acknowledge(r.entry.Zxid)
	}
}
