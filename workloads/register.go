package workloads

import (
	"strconv"
	"time"

	"ordeal/results/history"
)

const (
	registerKeys = 3 // of a group at a time
	// registerPast is how many znodes of earlier generations a client reads again now and then: a
	// write that was lost later shows there.
	registerPast = 90
)

// register reads and writes single znodes: /ordeal-register/r<group>-<slot>-<part>-k<key>.
type register struct{ description }

func newRegister() Workload {
	return register{description{
		name:       "register",
		summary:    "reads, writes, compare-and-set by version and sync-then-read on several znodes; shows lost, stale and reordered writes",
		clientsMin: 2,
		checkers:   []string{"linearizable", "sync-reads", "session-order", "durability"},
	}}
}

func (w register) Clients(n int, seed uint64) []Client {
	return clients(n, seed, func(a actor) *registerClient {
		return &registerClient{actor: a, root: w.Root()}
	})
}

type registerClient struct {
	actor
	root       string
	generation generation
	current    map[string]int32 // the znodes of this generation known to exist, with the version last seen
	past       []string         // znodes of earlier generations, the oldest first
}

func (c *registerClient) Next(now time.Duration) Step {
	if c.generation.advance(now) || c.current == nil {
		c.current = map[string]int32{}
	}
	if len(c.past) > 0 && c.chance(10) {
		return do(history.Request{Kind: c.readKind(), Path: c.past[c.random.IntN(len(c.past))]})
	}
	path := c.root + "/r" + c.generation.name(c.group) + "-k" + strconv.Itoa(c.random.IntN(registerKeys))
	version, known := c.current[path]
	switch choice := c.random.IntN(100); {
	case !known:
		return do(history.Request{Kind: history.Create, Path: path, Value: c.unique()})
	case choice < 35:
		return do(history.Request{Kind: history.Set, Path: path, Value: c.unique(), Version: history.AnyVersion})
	case choice < 55:
		return do(history.Request{Kind: history.Set, Path: path, Value: c.unique(), Version: version})
	default:
		return do(history.Request{Kind: c.readKind(), Path: path})
	}
}

func (c *registerClient) readKind() history.OpKind {
	if c.chance(40) {
		return history.SyncGet
	}
	return history.Get
}

func (c *registerClient) Return(request history.Request, result history.Result) {
	_, known := c.current[request.Path]
	switch {
	case request.Kind == history.Create && exists(result) && !known:
		c.current[request.Path] = 0
		if len(c.past) == registerPast {
			c.past = c.past[1:]
		}
		c.past = append(c.past, request.Path)
	case known && result.Stat != nil:
		c.current[request.Path] = result.Stat.Version
	}
}

func (c *registerClient) Notify(history.Event) {}
