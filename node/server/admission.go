package server

import (
	"slices"
	"sync"
)

const (
	// requestBytesMax bounds the bytes of the clients' requests that are under way in this server, so that all
	// that a follower forwards fits into its queue to the leader with room to spare (learnerQueueMax), whatever
	// the leader waits for. Apache's zookeeper.largeRequestMaxBytes is like it, but closes connections.
	requestBytesMax = 32 << 20
	// connectionBytesMax bounds those of one connection, but for the last request.
	connectionBytesMax = 8 << 20
	// smallRequestMax is the length up to which a request does not count: the number of requests under way
	// (clientOutstandingMax, globalOutstandingLimit) bounds those enough. So pings and reads pass by the large
	// writes of others.
	smallRequestMax = 4 << 10
)

// admission makes connections wait before they hand over a request: one that is large, until there is room
// among all that are under way, and one that the disk has to write down, until the disk has done enough of what it
// was asked before. Nobody is refused, and who has waited longest is the first to be let in. Only clients wait here:
// what other servers send goes past it, so that a slow disk does not cost this server its role.
type admission struct {
	bytesMax int
	diskBusy func() bool

	taken int // bytes that the core has taken in since its last step ended; whoever has the core's turn uses it

	lock     sync.Mutex
	entering int // bytes that were let in, but for those in underWay
	underWay int // bytes that were under way in the core when its last step ended
	waiting  []*applicant
}

// applicant is a request that waits.
type applicant struct {
	bytes    int // that count
	write    bool
	admitted chan struct{}
}

// enter waits until a request may be handed over. If it has to wait, it calls wait, which does that until the channel
// is closed, or gives up and is false, and with it enter. The request's bytes then count until the core has taken them,
// or they leave.
func (a *admission) enter(bytes int, write bool, wait func(ready <-chan struct{}) bool) bool {
	if counted(bytes) == 0 && !(write && a.diskBusy()) {
		return true
	}
	one := &applicant{bytes: counted(bytes), write: write, admitted: make(chan struct{})}
	a.lock.Lock()
	if len(a.waiting) == 0 && a.fits(one) {
		a.entering += one.bytes
		a.lock.Unlock()
		return true
	}
	a.waiting = append(a.waiting, one)
	a.lock.Unlock()
	if wait(one.admitted) {
		return true
	}
	a.lock.Lock()
	defer a.lock.Unlock()
	if i := slices.Index(a.waiting, one); i >= 0 {
		a.waiting = slices.Delete(a.waiting, i, i+1)
	} else {
		a.entering -= one.bytes
	}
	a.letIn()
	return false
}

// counted is how much of a request's length counts.
func counted(bytes int) int {
	if bytes <= smallRequestMax {
		return 0
	}
	return bytes
}

// fits tells whether a request may be let in now. One that is larger than the bound fits when it is alone.
func (a *admission) fits(one *applicant) bool {
	if one.write && a.diskBusy() {
		return false
	}
	used := a.entering + a.underWay
	return one.bytes == 0 || used == 0 || used+one.bytes <= a.bytesMax
}

// letIn lets in who waits, as far as there is room. The caller has the lock.
func (a *admission) letIn() {
	for len(a.waiting) > 0 && a.fits(a.waiting[0]) {
		a.entering += a.waiting[0].bytes
		close(a.waiting[0].admitted)
		a.waiting = slices.Delete(a.waiting, 0, 1)
	}
}

// leave takes back a request that was let in and not handed over.
func (a *admission) leave(bytes int) {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.entering -= counted(bytes)
	a.letIn()
}

// take tells that the core takes a request in. Whoever has the core's turn calls it.
func (a *admission) take(bytes int) { a.taken += counted(bytes) }

// settle ends a step of the core, in which so many bytes are under way now. Whoever has the core's turn calls it.
func (a *admission) settle(underWay int) {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.entering -= a.taken
	a.taken = 0
	a.underWay = underWay
	a.letIn()
}
