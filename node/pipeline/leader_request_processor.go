package pipeline

// leaderRequestProcessor is where the requests of a leader's own clients, and its own, enter the
// chain. Those that learners forward enter one step later, at the PrepRequestProcessor, with the
// learner as their origin. It makes a local session global that needs to be.
type leaderRequestProcessor struct {
	server *Server
	next   requestProcessor
}

func (p *leaderRequestProcessor) processRequest(r *request) {
	r.origin = Local
	p.server.setLocal(r)
	if upgrade := p.server.upgradeSession(r); upgrade != nil {
		p.next.processRequest(upgrade)
	}
	p.next.processRequest(r)
}
