package pipeline

import (
	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/tree"
)

// Server is one server in one role, from the moment at which it may serve clients until it leaves
// the role. It changes the tree that it was given; tree and sessions outlive it.
//
// For the runner of a follower the order is: synchronise the tree with the leader, log and sync
// what the leader sent, then New, then Adopt for what is logged but not committed yet, then inputs.
type Server struct {
	config  Config
	tree    *tree.Tree
	outputs Outputs
	now     Now
}

// New starts a server in config.Role on a tree that is synchronised for it. A leader starts when a
// quorum has acknowledged NEWLEADER; it moves the tree's last zxid to Epoch<<32 and gives every
// session in the tree a full timeout.
func New(config Config, t *tree.Tree, now Now, outputs Outputs) *Server {
	return &Server{config: config, tree: t, outputs: outputs, now: now}
}

// Tick tells the time. A leader expires sessions by it. Call it before each batch of inputs.
func (s *Server) Tick(now Now) { s.now = now }

// Work goes on with what Config.Schedule left undone.
func (s *Server) Work() {}

// ClientConnected tells of a new client connection; remoteIP is its address without a port.
func (s *Server) ClientConnected(conn Conn, remoteIP string) {}

// ClientFrame takes one frame of a client, without its length; the first is the ConnectRequest.
// The server keeps the slice.
func (s *Server) ClientFrame(conn Conn, frame []byte) {}

// ClientClosed tells that a connection is gone.
func (s *Server) ClientClosed(conn Conn) {}

// Synced tells that the Sync with this ticket is done.
func (s *Server) Synced(ticket disk.Ticket) {}

// Commit tells that the next proposal is committed: on a leader what it proposed, on a follower what
// it was given by Proposal or Adopt. A zxid that is not the next one is an error of the other side: a
// follower must not go on (Apache exits with UNMATCHED_TXN_COMMIT). On a leader it panics.
func (s *Server) Commit(zxid int64) error { return nil }

// LearnerRequest takes a request that a learner forwarded (Leader).
func (s *Server) LearnerRequest(origin Origin, request Forwarded) {}

// LearnerRevalidate answers REVALIDATE (Leader): whether the session is alive. If it is, it belongs
// to this learner from now on.
func (s *Server) LearnerRevalidate(origin Origin, session int64, timeoutMs int32) (valid bool) {
	return false
}

// LearnerTouch takes what rode on a learner's PING (Leader).
func (s *Server) LearnerTouch(touches []Touch) {}

// SyncDone completes a Leading.Sync (Leader).
func (s *Server) SyncDone(ticket SyncTicket) {}

// Proposal takes the next transaction to log and to acknowledge (Follower).
func (s *Server) Proposal(entry disk.Entry) error { return nil }

// Adopt takes a transaction that was logged, synced and acknowledged before this server started
// but is not committed yet (Follower).
func (s *Server) Adopt(entry disk.Entry) error { return nil }

// Inform takes a committed transaction, to be logged and applied (Observer).
func (s *Server) Inform(entry disk.Entry) error { return nil }

// SyncReceived takes the leader's SYNC: the oldest sync of this server's clients is complete
// (Follower, Observer).
func (s *Server) SyncReceived() {}

// Revalidated takes the leader's answer to Revalidate (Follower, Observer).
func (s *Server) Revalidated(session int64, valid bool) {}

// Touches returns what must ride on the next PING to the leader, and starts a new table (Follower,
// Observer).
func (s *Server) Touches() []Touch { return nil }

// ReadNow answers a plain read (exists, getData, getACL, getChildren, getChildren2 without a watch)
// at once, without changing anything, if the connection has a session with nothing pending.
// ok=false means nothing else than that the frame must be given to ClientFrame. Any number of
// ReadNow may run at the same time, but nothing else beside them.
func (s *Server) ReadNow(conn Conn, frame []byte) (reply []byte, ok bool) { return nil, false }

// Shutdown leaves the role: every client connection is closed, and nothing that was pending is
// answered. It returns the entries that were handed to the log but are not applied to the tree,
// oldest first: the tree may be fast-forwarded by them once the disk has done everything that was
// asked of it before (ZOOKEEPER-4712, ZOOKEEPER-2845). The server must not be used afterwards.
func (s *Server) Shutdown() []disk.Entry { return nil }

// Outstanding is the number of requests of clients that are not answered yet.
func (s *Server) Outstanding() int { return 0 }

// Connections describes every client connection, oldest first.
func (s *Server) Connections() []ConnStats { return nil }

var _ jute.OpCode
