// Package freeport gives tests ports to listen at. It is for tests only, and stands under no internal
// directory because those of the toolkit need it as well.
package freeport

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// The ports lie below the range from which Linux chooses those of outgoing connections: there a port may be
// taken at any moment.
const (
	first = 20_000
	end   = 32_768
)

// given are the ports that this process was given. A port stays free until its test listens there, so that
// without this a test that needs several could get one twice.
var given struct {
	lock  sync.Mutex
	ports map[int]bool
}

// Take returns a port of the loopback interface at which nobody listens, and never the same twice. It chooses
// at random, since the tests of other packages look for ports at the same time.
func Take(t testing.TB) int {
	t.Helper()
	given.lock.Lock()
	defer given.lock.Unlock()
	if given.ports == nil {
		given.ports = map[int]bool{}
	}
	for _, offset := range rand.Perm(end - first) {
		port := first + offset
		if given.ports[port] {
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		listener.Close()
		given.ports[port] = true
		return port
	}
	t.Fatalf("no free port from %d to %d", first, end-1)
	return 0
}
