package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// probing is how a server is reached that may not serve yet. Apache's takes early connections and never answers on
// some of them: who waits for one try to end before the next begins would measure his own patience. Tries
// overlap, therefore, and all implementations get the same.
type probing struct {
	every   time.Duration // between the starts of two tries
	timeout time.Duration // of one try
}

// usual has at most twenty tries under way at a member, which is below ZooKeeper's limit of connections from
// one address.
var usual = probing{every: 50 * time.Millisecond, timeout: time.Second}

// reach opens a session as soon as a server gives one out, or fails when ctx ends.
func (p probing) reach(ctx context.Context, address string) (*connection, error) {
	ctx, cancel := context.WithCancel(ctx)
	var tries sync.WaitGroup
	answers := make(chan answer)
	defer func() {
		cancel()
		go func() {
			tries.Wait()
			close(answers)
		}()
		for late := range answers { // which ends once every try has
			if late.connection != nil {
				late.connection.socket.Close()
			}
		}
	}()
	last := fmt.Errorf("bench: open a session at %s: no answer", address)
	for underWay := 0; ; {
		if ctx.Err() != nil {
			return nil, last
		}
		underWay++
		tries.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, p.timeout)
			defer cancel()
			c, err := connect(ctx, address)
			answers <- answer{c, err}
		})
		wait := time.NewTimer(p.every)
		for next := false; !next; {
			select {
			case <-ctx.Done():
				next = true
			case <-wait.C:
				next = true
			case got := <-answers:
				if got.err == nil {
					wait.Stop()
					return got.connection, nil
				}
				last = got.err
				if underWay--; underWay == 0 { // refused at once: nobody listens yet, and asking again is cheap
					next = true
					pause(ctx, tryPause)
				}
			}
		}
		wait.Stop()
	}
}

// answer is what came of one try.
type answer struct {
	connection *connection
	err        error
}
