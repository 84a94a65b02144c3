package server

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"ordeal/node/peer"
)

// wait keeps the reader from its connection until ready says something; false once ctx is done. Before that it settles
// what it has put off. Meanwhile the client's pings are not read, and it must not lose its session for that: the core is
// told that it is heard of, first for the frame that waits, and then whenever more bytes have gathered in the socket.
func (c *clientConn) wait(ctx context.Context, ready <-chan struct{}) bool {
	c.settlePutOff()
	if c.patience == nil {
		c.patience = time.NewTimer(c.port.touchInterval)
	} else {
		c.patience.Reset(c.port.touchInterval)
	}
	defer c.patience.Stop()
	for unread := -1; ; {
		select {
		case <-ready:
			return true
		case <-ctx.Done():
			return false
		case <-c.patience.C:
		}
		c.patience.Reset(c.port.touchInterval)
		last := unread
		if unread = c.unread(); unread > last {
			c.port.core.tell(ctx, func(p *peer.Peer) { p.ClientHeard(c.id) })
		}
	}
}

// unread is how many bytes the client has sent that nobody has read yet.
func (c *clientConn) unread() (bytes int) {
	if raw := rawConn(c.tcp); raw != nil {
		_ = raw.Control(func(fd uintptr) { // of a connection that is closed there are none
			bytes, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ)
		})
	}
	return bytes
}
