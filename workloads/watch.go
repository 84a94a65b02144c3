package workloads

import (
	"fmt"
	"time"

	"ordeal/results/history"
)

const (
	watchKeys = 3 // of a group at a time
	// watchPause is how long a watcher whose watches are all left lets events come.
	watchPause = 5 * time.Millisecond
	// watchPatience is how long a watcher waits for writers to open a generation before it looks again.
	watchPatience = 200 * time.Millisecond
	// watchPeek is how often, in operations, a watcher that has done its share looks whether the writers
	// have gone on: reads are faster than writes.
	watchPeek = 20
	// watcherOperations is after how many operations a watcher goes on in any case.
	watcherOperations = 3 * generationOperations
)

// watch lets watchers leave one-shot watches and read on, while writers set, create and delete. The
// znodes are the children k0 to k2 of /ordeal-watch/w<group>-<slot>-<part>. Watchers leave data watches
// by get and exists, and child watches by children on the parent; plain reads between them show
// whether newer state is seen before the event that announces it, or without it.
type watch struct{ description }

func newWatch() Workload {
	return watch{description{
		name:       "watch",
		summary:    "watchers that re-arm against writers that set, create and delete; shows watches lost, late or fired twice",
		clientsMin: 2,
		checkers:   []string{"watches", "linearizable", "session-order", "durability"},
	}}
}

// Clients alternates writers and watchers within each group.
func (w watch) Clients(n int, seed uint64) []Client {
	return clients(n, seed, func(a actor) Client {
		k := keys{actor: a, root: w.Root()}
		if a.place%2 == 0 {
			return &watchWriter{keys: k}
		}
		return &watchWatcher{keys: k, armed: map[string]bool{}}
	})
}

// keys are the znodes that writers and watchers share.
type keys struct {
	actor
	root       string
	generation generation
}

func (k *keys) parent() string { return k.root + "/w" + k.generation.name(k.group) }

func (k *keys) anyKey() string {
	return fmt.Sprintf("%s/k%d", k.parent(), k.random.IntN(watchKeys))
}

type watchWriter struct {
	keys
	open    bool            // the parent of this generation exists
	present map[string]bool // keys believed to exist
	// farewell are the keys of the generation left behind; they are deleted, so that no watch stays.
	farewell []string
}

func (c *watchWriter) Next(now time.Duration) Step {
	if len(c.farewell) == 0 && c.generation.due(now) {
		for i := range watchKeys {
			if path := fmt.Sprintf("%s/k%d", c.parent(), i); c.present[path] {
				c.farewell = append(c.farewell, path)
			}
		}
		c.open, c.present = false, nil
		c.generation.advance(now)
	} else {
		c.generation.operations++
	}
	path := c.anyKey()
	switch {
	case len(c.farewell) > 0:
		path, c.farewell = c.farewell[0], c.farewell[1:]
		return do(history.Request{Kind: history.Delete, Path: path, Version: history.AnyVersion})
	case !c.open:
		return do(history.Request{Kind: history.Create, Path: c.parent(), Value: c.unique()})
	case !c.present[path]:
		return do(history.Request{Kind: history.Create, Path: path, Value: c.unique()})
	case c.chance(30):
		return do(history.Request{Kind: history.Delete, Path: path, Version: history.AnyVersion})
	default:
		return do(history.Request{Kind: history.Set, Path: path, Value: c.unique(), Version: history.AnyVersion})
	}
}

func (c *watchWriter) Return(request history.Request, result history.Result) {
	if c.present == nil {
		c.present = map[string]bool{}
	}
	switch {
	case request.Path == c.parent():
		c.open = exists(result)
	case result.Outcome == history.Unknown:
		// Believe nothing new: the next attempt tells.
	case request.Kind == history.Create && exists(result):
		c.present[request.Path] = true
	case request.Kind == history.Delete && ok(result), result.Error == "NoNode":
		delete(c.present, request.Path)
	}
}

func (c *watchWriter) Notify(history.Event) {}

type watchWatcher struct {
	keys
	open  bool            // writers have opened this generation
	idle  bool            // nothing to do before they have
	armed map[string]bool // paths with a watch; the parent's is a child watch
}

func (c *watchWatcher) Next(now time.Duration) Step {
	if c.generation.slotOver(now) || c.generation.operations >= watcherOperations {
		c.goOn(now)
	}
	if c.idle {
		c.idle = false
		return wait(watchPatience)
	}
	c.generation.operations++
	if !c.open {
		return do(history.Request{Kind: history.Exists, Path: c.parent(), Watch: true})
	}
	if n := c.generation.operations; n > generationOperations && n%watchPeek == 0 {
		return do(history.Request{Kind: history.Exists, Path: c.nextParent()})
	}
	path := c.anyKey()
	kind := history.Get
	if c.chance(40) {
		kind = history.Exists
	}
	if c.chance(25) {
		path, kind = c.parent(), history.Children
	}
	switch {
	case !c.armed[path]:
		return do(history.Request{Kind: kind, Path: path, Watch: true})
	case len(c.armed) == watchKeys+1 && c.chance(20):
		return wait(watchPause)
	default:
		return do(history.Request{Kind: kind, Path: path})
	}
}

// goOn turns to the next generation.
func (c *watchWatcher) goOn(now time.Duration) {
	c.generation.next(now)
	c.open, c.idle, c.armed = false, false, map[string]bool{}
}

// nextParent is the parent of the generation to which writers go on in this slot.
func (c *watchWatcher) nextParent() string {
	next := c.generation
	next.part++
	return c.root + "/w" + next.name(c.group)
}

func (c *watchWatcher) Return(request history.Request, result history.Result) {
	switch {
	case request.Path == c.parent() && request.Kind == history.Exists:
		c.open, c.idle = ok(result), !ok(result)
	case request.Path == c.nextParent():
		if ok(result) {
			c.generation.operations = watcherOperations
		}
	case request.Watch && (ok(result) || request.Kind == history.Exists && result.Error == "NoNode"):
		c.armed[request.Path] = true // an exists that finds nothing leaves a watch too
	}
}

// Notify notes which watches are gone: one by its event, all with the session.
func (c *watchWatcher) Notify(event history.Event) {
	switch {
	case event.Kind == history.WatchFired:
		delete(c.armed, event.Watch.Path)
		c.idle = false
	case event.State.Ended():
		clear(c.armed)
	}
}
