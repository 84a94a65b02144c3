package bench

import (
	"context"
	"sync"
	"time"

	"ordeal/node/jute"
)

// awakePause is the pause between two reads that keep a member awake. It is short beside every timeout, and
// fifty reads a second are nothing beside any load.
const awakePause = 20 * time.Millisecond

// awake keeps members awake: a session at each reads now and then. Apache's need that, since with one
// request under way at a time a CommitProcessor may sleep for ever (ZOOKEEPER-4537). All implementations get
// the same, so that none has an advantage.
type awake struct {
	cancel  context.CancelFunc
	readers sync.WaitGroup
}

// keepAwake begins to read at the addresses.
func keepAwake(ctx context.Context, addresses []string) *awake {
	ctx, cancel := context.WithCancel(ctx)
	a := &awake{cancel: cancel}
	for _, address := range addresses {
		a.readers.Go(func() { readNowAndThen(ctx, address) })
	}
	return a
}

// end ends the reading and waits for it.
func (a *awake) end() {
	a.cancel()
	a.readers.Wait()
}

// readNowAndThen reads until ctx ends, with a new session whenever the old one is lost.
func readNowAndThen(ctx context.Context, address string) {
	for pause(ctx, awakePause) {
		if c, err := usual.reach(ctx, address); err == nil { // a member that is down is tried again
			c.readUntil(ctx)
		}
	}
}

// readUntil reads now and then until ctx ends or the connection does.
func (c *connection) readUntil(ctx context.Context) {
	defer c.socket.Close()
	defer context.AfterFunc(ctx, func() { c.socket.Close() })()
	for pause(ctx, awakePause) {
		if _, err := c.do(jute.OpExists, jute.ExistsRequest{Path: "/"}); err != nil {
			return
		}
	}
}
