package server

import (
	"net"
	"slices"
	"sync"
)

// waitingRoom holds the connections whose other side has not yet said who it is. When it is full,
// who has waited longest must go: servers say at once who they are, so those who say nothing cannot
// keep them out.
type waitingRoom struct {
	most int

	lock    sync.Mutex
	waiting []net.Conn // the oldest first
}

// enter takes a connection in, and closes another if there are too many. It returns that one, or nil.
func (w *waitingRoom) enter(conn net.Conn) (out net.Conn) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if len(w.waiting) >= w.most {
		out = w.waiting[0]
		w.waiting = w.waiting[1:]
		out.Close()
	}
	w.waiting = append(w.waiting, conn)
	return out
}

// leave lets a connection out, because it is known or over.
func (w *waitingRoom) leave(conn net.Conn) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if i := slices.Index(w.waiting, conn); i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
	}
}
