package pipeline

// leaderRequestProcessor is where the requests of a leader's own clients, and its own, enter the
// chain. Those that learners forward enter one step later, at the PrepRequestProcessor, with the
// learner as their origin.
type leaderRequestProcessor struct {
	next requestProcessor
}

func (p *leaderRequestProcessor) processRequest(r *request) {
	r.origin = Local
	p.next.processRequest(r)
}
