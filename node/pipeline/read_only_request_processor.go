package pipeline

import "ordeal/node/jute"

// readOnlyRequestProcessor is where requests enter a server that has lost its ensemble and serves what it has
// to clients that agreed to that. Whatever would need the ensemble is refused.
type readOnlyRequestProcessor struct {
	server *Server
	next   requestProcessor
}

func (p *readOnlyRequestProcessor) processRequest(r *request) {
	p.server.setLocal(r)
	if r.isForwarded() {
		r.refused = jute.NotReadOnly
	}
	p.next.processRequest(r)
}
