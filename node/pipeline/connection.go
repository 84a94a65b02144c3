package pipeline

import (
	"time"

	"ordeal/node/jute"
	"ordeal/node/sasl"
)

// connection is one client's connection and what is known of the client behind it.
type connection struct {
	id       Conn
	remoteIP string
	state    connectionState

	session   int64
	timeoutMs int32
	// omitsReadOnly is whether the client is too old for the flag in the handshake.
	omitsReadOnly bool
	// authinfo is who the client is. The slice is replaced, never changed: requests keep it.
	authinfo []jute.Id
	// sasl is the client's SASL exchange, nil before it begins.
	sasl *sasl.Server

	// early are frames that came before the session was settled.
	early      [][]byte
	earlyBytes int
	// pending is the number of requests that are not answered yet.
	pending int
	// paused tells that nothing is read from the client.
	paused bool

	establishedAt time.Duration
	heardAt       time.Duration
	// lateEvents are watch events that are held back, for a defect.
	lateEvents   [][]byte
	lateSince    time.Duration
	received     int64
	sent         int64
	lastOp       jute.OpCode
	lastCxid     int32
	lastSentZxid int64
}

// connectionState is how far a connection has come.
type connectionState uint8

const (
	connectionNew      connectionState = iota // the ConnectRequest has not come
	connectionSettling                        // the session is being created or revalidated
	connectionOpen
	connectionClosed
)

// identityOverhead is what an identity counts beside its own bytes: each is compared with the entries of
// every ACL.
const identityOverhead = 128

// addAuth adds ids that the client has proven, unless all together would take more than so many bytes: they
// travel with each request that goes to a leader, and stand in the answer to whoAmI. Apache's servers have no
// bound.
func (c *connection) addAuth(ids []jute.Id, bytesMax int) bool {
	authinfo := append([]jute.Id(nil), c.authinfo...)
	for _, id := range ids {
		known := false
		for _, old := range authinfo {
			known = known || old == id
		}
		if !known {
			authinfo = append(authinfo, id)
		}
	}
	bytes := 0
	for _, id := range authinfo {
		bytes += len(id.Scheme) + len(id.ID) + identityOverhead
	}
	if bytes > bytesMax {
		return false
	}
	c.authinfo = authinfo
	return true
}

func (c *connection) stats() ConnStats {
	return ConnStats{
		Conn: c.id, Session: c.session, TimeoutMs: c.timeoutMs,
		EstablishedAt: c.establishedAt, Outstanding: c.pending,
		Received: c.received, Sent: c.sent,
		LastOp: c.lastOp, LastCxid: c.lastCxid, LastZxid: c.lastSentZxid,
	}
}
