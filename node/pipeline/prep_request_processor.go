package pipeline

import (
	"fmt"
	"math"
	"time"

	"ordeal/node/disk"
	"ordeal/node/jute"
)

// prepRequestProcessor turns requests into transactions, on a leader or a standalone server: it
// checks each against the tree as it will be once everything that is under way is applied, numbers
// it, and says what it will change. A request that fails becomes a transaction too, one that changes
// nothing, so that the server that asked learns the outcome.
type prepRequestProcessor struct {
	server  *Server
	next    requestProcessor
	changes *outstandingChanges

	queue fifo[*request]
	// lastZxid is the last number that was given out.
	lastZxid int64
	// resigned is set when the epoch has run out of zxids: nothing is prepared any more.
	resigned bool
	// ephemeralsMax bounds the encoded paths of one session's ephemeral znodes, in bytes, so that the
	// transaction which closes the session has room for all of them.
	ephemeralsMax int
	// held are the requests that wait behind a sync which is not done yet.
	held map[holder]*heldRequests
	// nextQuotaWarning is when the server may warn of a quota again.
	nextQuotaWarning time.Duration
}

// holder is whose requests wait for one another: those of one session at this server, or all of a
// learner's.
type holder struct {
	origin  Origin
	session int64 // of the server's own clients only
}

func holderOf(r *request) holder {
	if r.origin == Local {
		return holder{session: r.session}
	}
	return holder{origin: r.origin}
}

// heldRequests are what came behind syncs that wait for a quorum's confirmation. No write among them
// may be committed before: the session's reads in between would see it, and a learner matches commits
// and SYNCs with its own requests in the order in which it sent them.
type heldRequests struct {
	syncs int // that are not done
	queue []*request
}

func (p *prepRequestProcessor) processRequest(r *request) {
	p.server.measured(PrepQueued, 1)
	r.queuedAt = p.server.now.Elapsed
	p.queue.push(r)
}

func (p *prepRequestProcessor) hasWork() bool { return !p.queue.empty() }

// step prepares one request.
func (p *prepRequestProcessor) step() {
	r := p.queue.pop()
	if p.resigned {
		p.server.finished(r)
		return
	}
	if p.holdBack(r) {
		return
	}
	p.server.measuredSince(PrepBegun, r.queuedAt)
	changes := p.changes.changes.len()
	p.prepare(r)
	p.server.measured(PrepDone, 1)
	if added := p.changes.changes.len() - changes; added > 0 {
		p.server.measured(ChangesQueued, int64(added))
	}
	if !p.resigned {
		p.next.processRequest(r)
		p.server.measured(ProposalDone, 1)
	}
}

// holdBack keeps a request if it has to wait for a sync before it. Reads and further syncs need not
// until a write does.
func (p *prepRequestProcessor) holdBack(r *request) bool {
	if !p.server.config.SyncByQuorum {
		return false
	}
	held := p.held[holderOf(r)]
	if held == nil || (len(held.queue) == 0 && !r.isWrite()) {
		return false
	}
	held.queue = append(held.queue, r)
	return true
}

// syncBegun tells that a sync waits for its confirmation.
func (p *prepRequestProcessor) syncBegun(r *request) {
	held := p.held[holderOf(r)]
	if held == nil {
		held = &heldRequests{}
		p.held[holderOf(r)] = held
	}
	held.syncs++
}

// syncDone lets the requests go that waited behind a sync.
func (p *prepRequestProcessor) syncDone(r *request) {
	held := p.held[holderOf(r)]
	if held.syncs--; held.syncs > 0 {
		return
	}
	delete(p.held, holderOf(r))
	waiting := p.queue.all()
	p.queue = fifo[*request]{items: append(held.queue, waiting...)}
}

// prepare decides what becomes of a request.
func (p *prepRequestProcessor) prepare(r *request) {
	switch {
	case r.refused != jute.Ok || r.local:
		return
	case !IsWrite(r.op):
		r.refused = p.server.checkSession(r.session, r.origin)
		return
	}
	if r.op == jute.OpCloseSession {
		p.deleteExcessEphemerals(r.session)
	}
	if !p.number(r) {
		return
	}
	p.changes.begin()
	txn, code := p.transaction(r)
	p.record(r, txn, code)
}

// number gives a request the next zxid. It is false if the epoch has none left.
func (p *prepRequestProcessor) number(r *request) bool {
	zxid := p.lastZxid + 1
	if !p.resigned && p.server.config.Role == Leader && zxid&math.MaxUint32 == math.MaxUint32 {
		p.resigned = true
		p.server.outputs.Leading.Resign(fmt.Sprintf("epoch %d has no zxid left", zxid>>32))
	}
	if p.resigned {
		p.server.finished(r)
		return false
	}
	p.lastZxid = zxid
	r.header = jute.TxnHeader{ClientID: r.session, Cxid: r.cxid, Zxid: zxid, Time: p.server.now.Wall, Type: r.op}
	return true
}

// record writes a request's transaction down, and keeps its changes or, if it failed, rolls them back.
//
// A transaction that is larger than other servers can read from a packet or from their log fails: it
// would take every follower down, and keep this server from starting again (ZOOKEEPER-2101). A request of
// a reasonable size may become one, since an ACL "auth" stands for all identities of its client.
func (p *prepRequestProcessor) record(r *request, txn jute.Txn, code jute.Code) {
	var payload []byte
	if code == jute.Ok {
		if p.changes.digestEnabled {
			r.digest = &jute.TxnDigest{Version: jute.DigestVersion, TreeDigest: p.changes.digest()}
		}
		payload = jute.EncodePayload(r.header, txn, r.digest)
		if size, most := len(payload), p.server.config.TransactionMax; size > most {
			p.server.config.Log.Warn("a request is refused: its transaction is too large", "session", hex(r.session), "op", r.op, "bytes", size, "max", most)
			code = jute.MarshallingError
		}
	}
	if code != jute.Ok {
		p.changes.rollBack()
		r.header.Type, txn, r.digest, r.membership = jute.OpError, &jute.ErrorTxn{Err: code}, nil, nil
		payload = jute.EncodePayload(r.header, txn, nil)
	}
	p.changes.keep()
	r.txn, r.isTxn = txn, true
	r.entry = disk.Entry{Zxid: r.header.Zxid, Payload: payload}
}

// transaction returns what a request becomes, or why it fails.
func (p *prepRequestProcessor) transaction(r *request) (jute.Txn, jute.Code) {
	switch r.op {
	case jute.OpCreateSession:
		return p.createSession(r)
	case jute.OpCloseSession:
		return p.closeSession(r)
	}
	if r.op == jute.OpCheck || r.op == jute.OpDeleteContainer && r.origin != Local {
		return nil, jute.Unimplemented // of an Apache follower, whose client waits for the outcome
	}
	body := jute.NewRequest(r.op)
	if !p.server.decodeBody(r.body, body) {
		return nil, jute.MarshallingError
	}
	switch request := body.(type) {
	case *jute.MultiRequest:
		return p.multi(r, request.Ops)
	case *jute.ReconfigRequest:
		return p.reconfig(r, request)
	}
	return p.operation(r, r.op, body)
}

// decodeBody reads a request's body. Like Apache it does not mind bytes behind it.
func (s *Server) decodeBody(body []byte, into jute.Decodable) bool {
	s.decoder.Reset(body)
	into.Decode(&s.decoder)
	return s.decoder.Err() == nil && !lacksPath(body, into)
}

// lacksPath tells whether null stands where the path belongs. Apache's server stumbles over that, and
// answers as if it could not read the request.
func lacksPath(body []byte, request jute.Decodable) bool {
	switch request.(type) {
	case *jute.CreateRequest, *jute.CreateTTLRequest, *jute.DeleteRequest, *jute.SetDataRequest, *jute.SetACLRequest,
		*jute.ExistsRequest, *jute.GetDataRequest, *jute.GetChildrenRequest, *jute.GetChildren2Request, *jute.GetACLRequest,
		*jute.GetAllChildrenNumberRequest:
		return jute.NewDecoder(body).Int() == -1
	}
	return false
}

// operation returns the transaction of a single operation, alone or in a multi, and notes its changes.
func (p *prepRequestProcessor) operation(r *request, op jute.OpCode, body jute.Message) (jute.Txn, jute.Code) {
	switch request := body.(type) {
	case *jute.CreateRequest:
		return p.create(r, op, jute.CreateTTLRequest{
			Path: request.Path, Data: request.Data, ACL: request.ACL, Flags: request.Flags, TTL: -1,
		})
	case *jute.CreateTTLRequest:
		return p.create(r, op, *request)
	case *jute.DeleteRequest:
		return p.delete(r, request)
	case *jute.DeleteContainerRequest:
		return p.deleteContainer(r, request)
	case *jute.SetDataRequest:
		return p.setData(r, request)
	case *jute.SetACLRequest:
		return p.setACL(r, request)
	case *jute.CheckVersionRequest:
		return p.check(r, request)
	}
	return nil, jute.MarshallingError
}

// multi prepares operations of which all or none take effect. If one fails the transaction still
// tells which, for the servers to answer with (protocol.md 2.9).
func (p *prepRequestProcessor) multi(r *request, operations []jute.MultiOp) (jute.Txn, jute.Code) {
	txn := &jute.MultiTxn{Txns: make([]jute.SubTxn, 0, len(operations))}
	failed := jute.Ok
	for _, operation := range operations {
		var sub jute.Txn
		code := jute.RuntimeInconsistency
		if failed == jute.Ok {
			if operation, code = inMulti(operation); code == jute.Ok {
				sub, code = p.operation(r, operation.Type, operation.Request)
			}
			if code == jute.MarshallingError {
				return nil, code
			}
			failed = code
		}
		if code != jute.Ok {
			txn.Txns = append(txn.Txns, jute.SubTxn{Type: jute.OpError, Txn: &jute.ErrorTxn{Err: code}})
			continue
		}
		txn.Txns = append(txn.Txns, jute.SubTxn{Type: operation.Type, Txn: sub})
	}
	if failed != jute.Ok {
		p.changes.rollBack()
	}
	return txn, jute.Ok
}

func (p *prepRequestProcessor) createSession(r *request) (jute.Txn, jute.Code) {
	var request jute.CreateSessionRequest
	if !p.server.decodeBody(r.body, &request) {
		return nil, jute.MarshallingError
	}
	p.server.tracker.track(r.session, request.TimeOut)
	if !p.server.tracker.setOwner(r.session, r.origin) {
		return nil, jute.SessionExpired
	}
	return &jute.CreateSessionTxn{TimeOut: request.TimeOut}, jute.Ok
}

// closeSession ends a session: the transaction lists its ephemeral znodes, those among them that are
// still on their way into the tree (ZOOKEEPER-1208). The session is not checked: its server or the
// expiry of its time may ask.
func (p *prepRequestProcessor) closeSession(r *request) (jute.Txn, jute.Code) {
	paths := p.changes.ephemerals(r.session)
	for _, path := range paths {
		if record, ok := p.changes.lookup(path); ok {
			p.remove(record, r.header.Zxid)
		}
	}
	p.server.tracker.setClosing(r.session)
	p.server.measured(CloseSessionDone, 1)
	return &jute.CloseSessionTxn{Paths2Delete: paths}, jute.Ok
}

// deleteExcessEphemerals deletes ephemeral znodes of a session that is about to end, by transactions of
// their own, until closeSession has room for the rest (ZOOKEEPER-4306). Only another server, or this one
// under a larger jute.maxbuffer, can have let a session have so many. Should this leader go down between
// the transactions, and should the client come back before its time is over again, then it finds
// them gone: no other way leaves a transaction that every member can read.
func (p *prepRequestProcessor) deleteExcessEphemerals(session int64) {
	for p.changes.ephemeralsSize(session) > p.ephemeralsMax {
		r := &request{op: jute.OpMulti} // of nobody's session, so that no server takes it for the answer to a request
		if !p.number(r) {
			return
		}
		p.changes.begin()
		txn := &jute.MultiTxn{}
		// A multi adds more to each path than closeSession does, but not four times as much.
		for size, paths := 0, p.changes.ephemerals(session); len(paths) > 0 && size < p.ephemeralsMax/4; paths = paths[1:] {
			size += pathSize(paths[0])
			if record, ok := p.changes.lookup(paths[0]); ok {
				p.remove(record, r.header.Zxid)
			}
			txn.Txns = append(txn.Txns, jute.SubTxn{Type: jute.OpDelete, Txn: &jute.DeleteTxn{Path: paths[0]}})
		}
		p.record(r, txn, jute.Ok)
		p.next.processRequest(r)
	}
}
