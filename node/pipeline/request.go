package pipeline

import (
	"time"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/quorum"
	"ordeal/node/tree"
)

// request is one request on its way through the processors: of a client, of a learner, or of the
// server itself. Each processor adds what it finds out.
type request struct {
	session  int64
	cxid     int32
	op       jute.OpCode
	body     []byte
	authinfo []jute.Id // who the client was when it asked
	origin   Origin
	// connection is where the answer goes; nil if nobody here waits for one.
	connection *connection

	// header, txn, digest (which may be nil) and entry are set once the request has become a transaction (isTxn).
	header jute.TxnHeader
	txn    jute.Txn
	digest *jute.TxnDigest
	entry  disk.Entry
	isTxn  bool
	// refused is why a request is not carried out, before it has become a transaction.
	refused jute.Code
	// refusedHere is what this server knows better than the leader about a request that fails.
	refusedHere jute.Code
	// local tells that the request begins or ends a session that only this server knows.
	local bool
	// submitted tells that the request came through the RequestThrottler, which counts it, with so many bytes.
	submitted bool
	bytes     int
	// queuedAt is when the request came to the PrepRequestProcessor, or to the CommitProcessor if it is there, and
	// committedAt when its commit came.
	queuedAt, committedAt time.Duration

	// membership is what a reconfiguration makes the membership, on the server that prepared it.
	membership *quorum.Config

	// result is what applying the transaction gave.
	result tree.Result
	// completed tells that a sync's SYNC has come.
	completed bool
}

// requestProcessor is one link of a chain.
type requestProcessor interface {
	processRequest(*request)
}

// newTransaction returns the request that a logged transaction stands for, on a server that did not
// prepare it.
func newTransaction(entry disk.Entry) (*request, error) {
	header, txn, digest, err := jute.DecodePayload(entry.Payload)
	if err != nil {
		return nil, err
	}
	return &request{
		session: header.ClientID, cxid: header.Cxid, op: header.Type,
		header: header, txn: txn, digest: digest, entry: entry, isTxn: true,
	}, nil
}

// adopt takes over the transaction of another request, which is this one as the leader prepared it.
func (r *request) adopt(committed *request) {
	r.header, r.txn, r.digest = committed.header, committed.txn, committed.digest
	r.entry, r.isTxn = committed.entry, committed.isTxn
}

// isClientOp tells whether a client may ask for an op at all. A check alone is refused, since the
// transaction that it would become cannot be read back (ZOOKEEPER-2623), and so are the ops that
// servers ask of themselves: nothing checks who may delete a container or create a session. Apache's
// followers let them in: the leader refuses what they forward.
func isClientOp(op jute.OpCode) bool {
	switch op {
	case jute.OpNotification, jute.OpCheck, jute.OpError, jute.OpCreateSession, jute.OpDeleteContainer,
		jute.OpAuth, jute.OpSASL:
		return false
	}
	return op.Known()
}

// IsWrite tells whether an op becomes a transaction, and so has to wait for its commit. A check alone
// becomes one that says that it is refused.
func IsWrite(op jute.OpCode) bool {
	switch op {
	case jute.OpCreate, jute.OpCreate2, jute.OpCreateTTL, jute.OpCreateContainer,
		jute.OpDelete, jute.OpDeleteContainer, jute.OpSetData, jute.OpSetACL, jute.OpCheck, jute.OpReconfig, jute.OpMulti,
		jute.OpCreateSession, jute.OpCloseSession:
		return true
	}
	return false
}

// isWrite tells whether a request becomes a transaction.
func (r *request) isWrite() bool { return IsWrite(r.op) && !r.local && r.refused == jute.Ok }

// wasCommittedAs tells whether a committed transaction is what the leader made of this request. Its number alone does not: a
// client that has come from another server may count anew.
func (r *request) wasCommittedAs(committed *request) bool {
	sameType := committed.header.Type == r.op || committed.header.Type == jute.OpError
	return r.isWrite() && r.cxid == committed.cxid && sameType
}

// isForwarded tells whether a learner has to ask the leader for what a request wants.
func (r *request) isForwarded() bool {
	return r.isWrite() || (r.op == jute.OpSync && r.refused == jute.Ok)
}
