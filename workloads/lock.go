package workloads

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ordeal/results/history"
)

const (
	// lockPatience is after how long a waiting client looks again, should its watch not fire.
	lockPatience = time.Second
	// lockHold is how long a client that dawdles holds the lock.
	lockHold = 10 * time.Millisecond
	// lockAbandonPercent is how many of the clients whose time with a lock is over leave it as one that
	// crashes does. The others leave at the same moment, so that nobody waits for the session to expire.
	lockAbandonPercent = 50
)

// lock is the leader-election recipe. A lock is a znode /ordeal-lock/l<group>-<slot>-<part>; whoever
// wants it creates an ephemeral sequential child c<client>-<serial>-<number>, and holds it when that
// has the smallest number, else watches the one before. The holder raises the fencing counter
// /ordeal-lock/f<group>-<slot>-<part>, whose value is a number and a unique word, by one, with a
// version check. Then it deletes its child, or closes its session while holding. When all go on to fresh
// locks, some give their session up without a word.
type lock struct{ description }

func newLock() Workload {
	return lock{description{
		name:       "lock",
		summary:    "the leader-election recipe with a fencing counter, and sessions that close while holding or are abandoned; shows ephemerals that live too short or too long",
		clientsMin: 2,
		checkers:   []string{"linearizable", "ephemerals", "sequential-names", "watches", "session-order", "durability"},
	}}
}

func (w lock) Clients(n int, seed uint64) []Client {
	return clients(n, seed, func(a actor) *lockClient {
		return &lockClient{actor: a, root: w.Root()}
	})
}

// lockStage is what a client of the lock does next.
type lockStage int

const (
	lockOpen    lockStage = iota // create the lock
	lockCounter                  // create its counter
	lockIdle                     // nothing is wanted
	lockList                     // look who is first
	lockWatch                    // watch the one before
	lockWait                     // until that is gone
	lockRead                     // holding: read the counter
	lockRaise                    // holding: raise it
	lockDawdle                   // holding: for a while
	lockRelease                  // delete the child
	lockSweep                    // delete a stray child
	lockClose                    // close the session instead
	lockAbandon                  // give the session up without a word instead
)

type lockClient struct {
	actor
	root       string
	generation generation
	stage      lockStage
	asked      lockStage // the stage whose operation is under way
	mine       string    // the own child's name, when there is one
	wanted     string    // the prefix of the child last asked for
	before     string    // the child before
	stray      string    // a child to be swept away
	count      int       // the counter, as read
	version    int32
	// uncertain are prefixes of children that this session may have created: their outcome was
	// unknown. One that turns up late is a stray, and others wait for it.
	uncertain []string
}

func (c *lockClient) lock() string    { return c.root + "/l" + c.generation.name(c.group) }
func (c *lockClient) counter() string { return c.root + "/f" + c.generation.name(c.group) }

func (c *lockClient) Next(now time.Duration) Step {
	switch {
	case c.stage == lockIdle && c.generation.due(now):
		c.stage, c.uncertain = lockOpen, nil
		c.generation.advance(now)
	case c.stage == lockList && c.mine != "" && c.generation.due(now):
		c.stage = lockRelease // stop waiting
		if c.generation.slotOver(now) && c.chance(lockAbandonPercent) {
			c.stage = lockAbandon
		}
	default:
		c.generation.operations++
	}
	c.asked = c.stage
	switch c.stage {
	case lockOpen:
		return do(history.Request{Kind: history.Create, Path: c.lock(), Value: c.unique()})
	case lockCounter:
		return do(history.Request{Kind: history.Create, Path: c.counter(), Value: "0 " + c.unique()})
	case lockIdle:
		value := c.unique()
		c.wanted = value + "-"
		return do(history.Request{Kind: history.Create, Path: c.lock() + "/" + c.wanted, Value: value, Ephemeral: true, Sequential: true})
	case lockList:
		return do(history.Request{Kind: history.Children, Path: c.lock()})
	case lockWatch:
		return do(history.Request{Kind: history.Exists, Path: c.lock() + "/" + c.before, Watch: true})
	case lockWait:
		c.stage = lockList
		return wait(lockPatience)
	case lockRead:
		return do(history.Request{Kind: history.SyncGet, Path: c.counter()})
	case lockRaise:
		return do(history.Request{
			Kind: history.Set, Path: c.counter(), Version: c.version,
			Value: fmt.Sprintf("%d %s", c.count+1, c.unique()),
		})
	case lockDawdle:
		c.stage = lockRelease
		return wait(lockHold)
	case lockRelease:
		return do(history.Request{Kind: history.Delete, Path: c.lock() + "/" + c.mine, Version: history.AnyVersion})
	case lockSweep:
		return do(history.Request{Kind: history.Delete, Path: c.lock() + "/" + c.stray, Version: history.AnyVersion})
	case lockClose:
		return do(history.Request{Kind: history.CloseSession})
	case lockAbandon:
		return do(history.Request{Kind: history.AbandonSession})
	}
	panic(fmt.Sprintf("workloads: lock client in stage %d", c.stage))
}

func (c *lockClient) Return(_ history.Request, result history.Result) {
	if c.stage != c.asked {
		return // the session has ended meanwhile
	}
	switch c.stage {
	case lockOpen:
		if exists(result) {
			c.stage = lockCounter
		}
	case lockCounter:
		if exists(result) {
			c.stage = lockIdle
		}
	case lockIdle:
		switch {
		case ok(result):
			c.mine, c.stage = baseName(result.Path), lockList
		case result.Outcome == history.Unknown:
			c.stage = lockList
		}
	case lockList:
		if ok(result) {
			c.listed(result.Children)
		}
	case lockWatch:
		c.stage = lockList
		if ok(result) {
			c.stage = lockWait
		}
	case lockRead:
		if ok(result) {
			c.count, c.version, c.stage = balance(result.Value), result.Stat.Version, lockRaise
		}
	case lockRaise:
		switch {
		case c.chance(15):
			c.stage = lockClose
		case c.chance(15):
			c.stage = lockDawdle
		default:
			c.stage = lockRelease
		}
	case lockRelease:
		c.released(result)
	case lockSweep:
		c.stage = lockList
		if !ok(result) && result.Error != "NoNode" {
			c.uncertain = append(c.uncertain, c.stray)
		}
	case lockClose, lockAbandon:
		c.stage = lockRelease // not sent; after an unknown outcome the session is gone for the client
		if result.Outcome != history.Failed {
			c.sessionEnded()
		}
	}
}

// listed decides by the children of the lock whether the client holds it, waits, or has none.
func (c *lockClient) listed(children []string) {
	children = slices.SortedFunc(slices.Values(children), func(a, b string) int { return strings.Compare(sequence(a), sequence(b)) })
	if c.mine == "" { // the create's outcome was unknown
		at := slices.IndexFunc(children, func(child string) bool { return strings.HasPrefix(child, c.wanted) })
		if at < 0 {
			c.uncertain, c.stage = append(c.uncertain, c.wanted), lockIdle
			return
		}
		c.mine = children[at]
	}
	for i, prefix := range c.uncertain {
		at := slices.IndexFunc(children, func(child string) bool { return strings.HasPrefix(child, prefix) })
		if at >= 0 {
			c.uncertain = slices.Delete(c.uncertain, i, i+1)
			c.stray, c.stage = children[at], lockSweep
			return
		}
	}
	switch at := slices.Index(children, c.mine); at {
	case -1: // deleted after all
		c.mine, c.stage = "", lockIdle
	case 0:
		c.stage = lockRead
	default:
		c.before, c.stage = children[at-1], lockWatch
	}
}

func (c *lockClient) released(result history.Result) {
	if ok(result) || result.Error == "NoNode" {
		c.mine, c.stage = "", lockIdle
		return
	}
	c.stage = lockList
}

// Notify watches for the session's end, with which the own child goes, and for the end of a wait.
func (c *lockClient) Notify(event history.Event) {
	switch {
	case event.Kind == history.Session && event.State.Ended():
		c.sessionEnded()
	case event.Kind == history.WatchFired && c.stage == lockWait:
		c.stage = lockList
	}
}

func (c *lockClient) sessionEnded() {
	c.mine, c.wanted, c.uncertain = "", "", nil
	if c.stage > lockIdle {
		c.stage = lockIdle
	}
}

// sequence is the number that ZooKeeper has put behind the name of a sequential znode.
func sequence(name string) string { return name[strings.LastIndexByte(name, '-')+1:] }

func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
