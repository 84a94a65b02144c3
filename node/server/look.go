package server

import "ordeal/node/peer"

// look lets somebody see the peer while nothing changes it. Who looks must not wait for anything.
func (c *core) look(see func(*peer.Peer)) {
	c.lock.RLock()
	defer c.lock.RUnlock()
	see(c.peer)
}

// state describes the peer.
func (c *core) state() (state peer.State) {
	c.look(func(p *peer.Peer) { state = p.State() })
	return state
}

// leadership describes a leader's learners.
func (c *core) leadership() (leadership peer.Leadership) {
	c.look(func(p *peer.Peer) { leadership = p.Leadership() })
	return leadership
}
