package pipeline

import (
	"ordeal/node/jute"
	"ordeal/node/tree"
)

// finalRequestProcessor is where every chain ends: it applies a transaction to the tree, tells the
// watchers, and answers the client. Watch events leave before any reply that shows the change.
type finalRequestProcessor struct {
	server *Server
}

func (p *finalRequestProcessor) processRequest(r *request) {
	if r.isTxn {
		p.apply(r)
	}
	if r.local && r.op == jute.OpCloseSession {
		p.endSession(r)
	}
	p.server.finished(r)
	c := r.connection
	if c == nil {
		return
	}
	if c.state == connectionClosed {
		p.server.measured(StaleReply, 1)
		return // nobody is there to be answered, nor to be told of watches (ZOOKEEPER-1382)
	}
	p.answer(r, c)
}

// apply makes a transaction part of the tree.
func (p *finalRequestProcessor) apply(r *request) {
	s := p.server
	if s.unapplied.empty() || s.unapplied.peek().entry.Zxid != r.entry.Zxid {
		invariant("transactions reach the tree in the order of the log", s.unapplied.len(), hex(r.entry.Zxid))
	}
	s.unapplied.pop()
	if shareData(r) {
		r.result = s.tree.ApplyKeeping(r.header, r.txn)
	} else {
		r.result = s.tree.Apply(r.header, r.txn)
	}
	if err := s.tree.CheckDigest(r.header.Zxid, r.digest); err != nil {
		s.counts.DigestMismatches++
		s.config.Log.Error("the tree is not what the leader expects", "zxid", hex(r.header.Zxid), "error", err)
	}
	if s.prep != nil {
		if removed := s.prep.changes.applied(r.header.Zxid); removed > 0 {
			s.measured(ChangesRemoved, int64(removed))
		}
	}
	s.measuredAge(PropagationTime, r)
	s.outputs.Log.Applied(r.entry)
	p.notify(r.result.Events)
	switch txn := r.txn.(type) {
	case *jute.CreateSessionTxn:
		s.local.committed(r.session)
		if s.tracker != nil {
			s.tracker.touch(r.session, txn.TimeOut)
		}
	case *jute.CloseSessionTxn:
		p.endSession(r)
	}
}

// notify sends watch events to those who may know of them.
func (p *finalRequestProcessor) notify(events []tree.Event) {
	for i, fired := 0, int64(0); i < len(events); i++ {
		event := events[i]
		if fired++; i+1 == len(events) || events[i+1].Type != event.Type || events[i+1].Path != event.Path {
			p.server.measured(measuresOfWatches[event.Type], fired)
			fired = 0
		}
		c := p.server.connections[Conn(event.Watcher)]
		if c != nil && p.server.mayDo(jute.PermRead, event.ACL, c.authinfo) {
			p.server.notify(c, jute.WatcherEvent{Type: event.Type, State: jute.StateSyncConnected, Path: event.Path})
		}
	}
}

// endSession forgets a session. A connection that it has here ends too; the one that asked for the
// end is answered first.
func (p *finalRequestProcessor) endSession(r *request) {
	s := p.server
	s.local.remove(r.session)
	if s.tracker != nil {
		s.tracker.remove(r.session)
	} else {
		s.learnerTracker.remove(r.session)
	}
	if c := s.bySession[r.session]; c != nil && c != r.connection {
		s.closeConnection(c)
	}
}

// answer replies to the client.
func (p *finalRequestProcessor) answer(r *request, c *connection) {
	s := p.server
	if r.op == jute.OpCreateSession && (r.local || r.header.Type == jute.OpCreateSession) && r.refused == jute.Ok {
		s.finishSession(c, true)
		return
	}
	body, code := p.outcome(r)
	if code == jute.SessionMoved {
		// The client is somewhere else by now: whatever this connection would say is not for it.
		s.closeConnection(c)
		return
	}
	header := jute.ReplyHeader{Xid: r.cxid, Zxid: s.tree.LastZxid(), Err: code}
	c.lastOp, c.lastCxid, c.lastSentZxid = r.op, r.cxid, header.Zxid
	s.reply(c, header, body)
	if (r.op == jute.OpCloseSession && code == jute.Ok) || r.op == jute.OpCreateSession {
		s.closeConnection(c)
	}
}

// outcome is what a client is answered with.
func (p *finalRequestProcessor) outcome(r *request) (jute.Record, jute.Code) {
	switch {
	case r.refused != jute.Ok:
		return nil, r.refused
	case !r.isTxn:
		return p.read(r)
	case r.header.Type == jute.OpError && r.refusedHere != jute.Ok:
		return nil, r.refusedHere
	case r.header.Type == jute.OpError:
		return nil, r.result.Err
	}
	result := &r.result
	switch r.op {
	case jute.OpMulti:
		return multiResponse(result.Multi)
	case jute.OpCreate:
		return jute.CreateResponse{Path: result.Path}, result.Err
	case jute.OpCreate2, jute.OpCreateTTL, jute.OpCreateContainer:
		return jute.Create2Response{Path: result.Path, Stat: result.Stat}, result.Err
	case jute.OpSetData:
		return jute.SetDataResponse{Stat: result.Stat}, result.Err
	case jute.OpSetACL:
		return jute.SetACLResponse{Stat: result.Stat}, result.Err
	case jute.OpReconfig:
		text, _, _ := p.server.tree.GetData(tree.ConfigPath)
		return jute.ReconfigResponse{Data: text, Stat: result.Stat}, result.Err
	}
	return nil, result.Err
}

// multiResponse answers a multi. It succeeds as a reply even if the multi failed: then each result
// is an error, Ok for the operations before the one that failed.
func multiResponse(results []tree.Result) (jute.Record, jute.Code) {
	response := jute.MultiResponse{}
	for i := range results {
		result := &results[i]
		answer := jute.MultiResult{Type: result.Type}
		switch result.Type {
		case jute.OpError:
			if result.Err == jute.SessionMoved {
				return nil, jute.SessionMoved
			}
			answer.Err = result.Err
		case jute.OpCreate:
			answer.Body = &jute.CreateResponse{Path: result.Path}
		case jute.OpCreate2, jute.OpCreateTTL, jute.OpCreateContainer:
			answer.Type = jute.OpCreate2
			answer.Body = &jute.Create2Response{Path: result.Path, Stat: result.Stat}
		case jute.OpSetData:
			answer.Body = &jute.SetDataResponse{Stat: result.Stat}
		}
		response.Results = append(response.Results, answer)
	}
	return response, jute.Ok
}
