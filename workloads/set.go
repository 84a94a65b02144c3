package workloads

import (
	"fmt"
	"time"

	"ordeal/results/history"
)

const (
	setBuckets = 16
	// setSizeMax bounds the elements of all clients together: beyond it each create is preceded by the
	// delete of the client's oldest element.
	setSizeMax = 30_000
)

// set creates unique znodes /ordeal-set/b<bucket>/c<client>-<serial>, whose value is their name, and
// reads them back. At the end every member lists every bucket after a sync.
type set struct{ description }

func newSet() Workload {
	return set{description{
		name:       "set",
		summary:    "creates of unique znodes, then a full read on every member; shows acknowledged writes that are lost",
		clientsMin: 1,
		checkers:   []string{"durability", "linearizable", "sync-reads", "session-order"},
	}}
}

func (w set) bucket(i int) string { return fmt.Sprintf("%s/b%d", w.Root(), i) }

// Setup creates the root and the buckets.
func (w set) Setup() []history.Request {
	requests := w.description.Setup()
	for i := range setBuckets {
		requests = append(requests, history.Request{Kind: history.Create, Path: w.bucket(i), Value: w.name})
	}
	return requests
}

// Final lists every bucket.
func (w set) Final() []history.Request {
	var requests []history.Request
	for i := range setBuckets {
		requests = append(requests, history.Request{Kind: history.SyncChildren, Path: w.bucket(i)})
	}
	return requests
}

func (w set) Clients(n int, seed uint64) []Client {
	return clients(n, seed, func(a actor) *setClient {
		return &setClient{actor: a, set: w, sizeMax: setSizeMax / n}
	})
}

type setClient struct {
	actor
	set     set
	sizeMax int
	created []string // elements known to be there, the oldest first
}

func (c *setClient) Next(time.Duration) Step {
	if len(c.created) >= c.sizeMax {
		return do(history.Request{Kind: history.Delete, Path: c.created[0], Version: history.AnyVersion})
	}
	if len(c.created) > 0 && c.chance(25) {
		kind := history.Get
		if c.chance(40) {
			kind = history.SyncGet
		}
		return do(history.Request{Kind: kind, Path: c.created[c.random.IntN(len(c.created))]})
	}
	name := c.unique()
	return do(history.Request{Kind: history.Create, Path: c.set.bucket(c.serial%setBuckets) + "/" + name, Value: name})
}

func (c *setClient) Return(request history.Request, result history.Result) {
	switch {
	case request.Kind == history.Create && ok(result):
		c.created = append(c.created, request.Path)
	case request.Kind == history.Delete && result.Outcome != history.Failed, result.Error == "NoNode" && request.Kind == history.Delete:
		c.created = c.created[1:]
	}
}

func (c *setClient) Notify(history.Event) {}
