package peer

import (
	"ordeal/node/disk"
	"ordeal/node/election"
)

// Peer is one server. It is driven by one goroutine at a time.
type Peer struct {
	config Config
	now    Now
	ready  Ready
}

// New returns a peer that starts with what its disk holds.
func New(config Config, state *disk.State, now Now) *Peer {
	return &Peer{config: config, now: now}
}

// Tick says that time has passed.
func (p *Peer) Tick(now Now) { p.now = now }

// ReceiveNotification takes an election message from a server.
func (p *Peer) ReceiveNotification(from int64, message election.Notification) {}

// LearnerConnected says that a learner reached the learner port.
func (p *Peer) LearnerConnected(link Link, remote string) {}

// LearnerPacket takes a packet from a learner.
func (p *Peer) LearnerPacket(link Link, message LearnerMessage) {}

// LearnerClosed says that a learner's connection is gone.
func (p *Peer) LearnerClosed(link Link) {}

// LeaderConnected says that the connection that was asked for stands.
func (p *Peer) LeaderConnected(attempt uint64) {}

// LeaderPacket takes a packet from the leader.
func (p *Peer) LeaderPacket(attempt uint64, message LearnerMessage) {}

// LeaderClosed says that the connection is gone, or never came to be.
func (p *Peer) LeaderClosed(attempt uint64, reason error) {}

// ClientConnected says that a client reached the client port.
func (p *Peer) ClientConnected(conn Conn, remoteIP string) {}

// ClientFrame takes a client's frame; the first is the ConnectRequest.
func (p *Peer) ClientFrame(conn Conn, frame []byte) {}

// ClientClosed says that a client's connection is gone.
func (p *Peer) ClientClosed(conn Conn) {}

// DiskDone reports a disk operation that carried a ticket.
func (p *Peer) DiskDone(result disk.Result) {}

// Ready returns what the peer wants done since the last call.
func (p *Peer) Ready() Ready {
	ready := p.ready
	p.ready = Ready{}
	return ready
}

// State describes the peer for four-letter words and metrics.
func (p *Peer) State() State { return State{} }

// ReadNow answers a plain read from the tree, or reports that it cannot.
func (p *Peer) ReadNow(conn Conn, frame []byte) (reply []byte, ok bool) { return nil, false }

// Stop ends serving and closes all connections.
func (p *Peer) Stop() {}
