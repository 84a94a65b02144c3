package pipeline

import "ordeal/node/jute"

// followerRequestProcessor is where the requests of a follower's clients enter: each goes to the
// CommitProcessor, and what the leader has to decide goes to the leader as well. A local session that
// needs to be global becomes so first.
type followerRequestProcessor struct {
	server  *Server
	next    requestProcessor
	learner Learner
	// syncs are this server's syncs that the leader has not answered yet, oldest first.
	syncs fifo[*request]
}

func (p *followerRequestProcessor) processRequest(r *request) {
	p.server.measured(ForwardBegun, 1)
	p.server.setLocal(r)
	if upgrade := p.server.upgradeSession(r); upgrade != nil {
		p.pass(upgrade)
	}
	p.pass(r)
}

func (p *followerRequestProcessor) pass(r *request) {
	p.next.processRequest(r)
	if r.op == jute.OpSync && r.refused == jute.Ok {
		p.syncs.push(r)
	}
	if r.isForwarded() {
		p.learner.Forward(Forwarded{
			Session: r.session, Cxid: r.cxid, Type: r.op, Body: r.body, Authinfo: r.authinfo,
		})
	}
}
