package workloads

import (
	"slices"
	"time"

	"ordeal/results/history"
)

const (
	queueItem     = "item-" // the name of an item, before its number
	queueLengthOf = 20      // items beyond which clients only consume
)

// queue appends to and consumes from shared queues. A queue is a znode
// /ordeal-queue/q<group>-<slot>-<part>, its items are sequential children item-0000000000 and so on
// with unique values. Clients list the children, read the first and delete it.
type queue struct{ description }

func newQueue() Workload {
	return queue{description{
		name:       "queue",
		summary:    "sequential creates under a parent, and consumers that delete the smallest; shows numbers given twice and items lost",
		clientsMin: 2,
		checkers:   []string{"linearizable", "sequential-names", "session-order", "durability"},
	}}
}

func (w queue) Clients(n int, seed uint64) []Client {
	return clients(n, seed, func(a actor) *queueClient {
		return &queueClient{actor: a, root: w.Root()}
	})
}

type queueClient struct {
	actor
	root       string
	generation generation
	open       bool     // the queue of this generation exists
	items      []string // listed and not yet tried, the first first
	length     int      // when listed last
	read       bool     // the first item has been read, and is to be deleted
}

func (c *queueClient) queue() string { return c.root + "/q" + c.generation.name(c.group) }

func (c *queueClient) Next(now time.Duration) Step {
	if c.generation.advance(now) {
		c.open, c.items, c.length, c.read = false, nil, 0, false
	}
	switch {
	case !c.open:
		return do(history.Request{Kind: history.Create, Path: c.queue(), Value: c.unique()})
	case c.read:
		return do(history.Request{Kind: history.Delete, Path: c.queue() + "/" + c.items[0], Version: history.AnyVersion})
	case c.length < queueLengthOf && c.chance(50):
		return do(history.Request{Kind: history.Create, Path: c.queue() + "/" + queueItem, Value: c.unique(), Sequential: true})
	case len(c.items) > 0:
		return do(history.Request{Kind: history.Get, Path: c.queue() + "/" + c.items[0]})
	case c.chance(50):
		return do(history.Request{Kind: history.SyncChildren, Path: c.queue()})
	default:
		return do(history.Request{Kind: history.Children, Path: c.queue()})
	}
}

func (c *queueClient) Return(request history.Request, result history.Result) {
	switch request.Kind {
	case history.Create:
		if !request.Sequential {
			c.open = exists(result)
		} else if ok(result) {
			c.length++
		}
	case history.Children, history.SyncChildren:
		if ok(result) {
			c.items = slices.Sorted(slices.Values(result.Children))
			c.length = len(c.items)
		}
	case history.Get:
		if c.read = ok(result); !c.read {
			c.items = c.items[1:]
		}
	case history.Delete:
		c.read = false
		c.items = c.items[1:]
		if ok(result) {
			c.length--
		}
	}
}

func (c *queueClient) Notify(history.Event) {}
