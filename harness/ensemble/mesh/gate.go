package mesh

import (
	"context"
	"sync"
)

// A gate lets the bytes of one link pass, or holds them.
type gate struct {
	mutex  sync.Mutex
	closed chan struct{} // nil while the gate is open; closed when it opens
}

// set opens or closes the gate. Bytes that are being written to a socket at this moment still pass,
// as those that are on the wire when it is cut.
func (g *gate) set(open bool) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	switch {
	case open && g.closed != nil:
		close(g.closed)
		g.closed = nil
	case !open && g.closed == nil:
		g.closed = make(chan struct{})
	}
}

// pass returns when the gate is open.
func (g *gate) pass(ctx context.Context) error {
	for {
		g.mutex.Lock()
		closed := g.closed
		g.mutex.Unlock()
		if closed == nil {
			return ctx.Err()
		}
		select {
		case <-closed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
