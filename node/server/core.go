package server

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"ordeal/node/disk"
	"ordeal/node/peer"
)

const (
	// tickInterval is the longest time between two ticks of the peer.
	tickInterval = 10 * time.Millisecond
	// inputsQueued bounds what ports may hand over before they have to wait.
	inputsQueued = 4096
	// batchMax bounds the inputs between two outputs, and so the time for which reads have to wait.
	batchMax = 256
	// repliesMax bounds the bytes for clients, but for the last of them, that are put together before the
	// connections get them, which cut off clients that do not read. A batch of reads could ask for any number.
	repliesMax = 4 << 20
)

// input is something that happened, told to the peer.
type input func(*peer.Peer)

// core owns the peer. Whoever has its turn drives it: the goroutine of run, a connection's reader that has
// handed over all it has read, or the disk's goroutine that has done something. The latter two spare waking
// another goroutine for every packet and every fsync.
//
// The lock is held for writing while the peer takes inputs and its outputs to clients are queued, and
// for reading by whoever looks at the peer's tree: a connection that answers a plain read by itself,
// and the writer of a fuzzy snapshot.
type core struct {
	lock    sync.RWMutex
	peer    *peer.Peer
	clock   clock
	log     *slog.Logger
	inputs  chan input
	more    chan struct{} // wakes run: inputs wait and nobody has the turn
	results results
	outputs outputs
	// observed is told of every step; it may be nil.
	observed *observer
	measures *coreMeasures
	// beforePanic is called when the peer panics, which ends the process; it may be nil.
	beforePanic func()

	turn  sync.Mutex // guards what follows, and every step
	batch []input
	over  bool  // nothing is driven any more
	fatal error // why the peer can't go on
}

// results are what the disk has done and the peer does not know yet. They are not a channel, since the
// disk must never wait for the core, which may wait for the disk. Their number is bounded by that of
// the operations under way.
type results struct {
	lock    sync.Mutex
	waiting []disk.Result
	arrived chan struct{}
}

func (r *results) put(result disk.Result) {
	r.lock.Lock()
	r.waiting = append(r.waiting, result)
	r.lock.Unlock()
}

func (r *results) empty() bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	return len(r.waiting) == 0
}

func (r *results) take() []disk.Result {
	r.lock.Lock()
	defer r.lock.Unlock()
	waiting := r.waiting
	r.waiting = nil
	return waiting
}

// signal wakes whoever waits at c, a channel with room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// outputs is where the peer's wishes go. None of its methods may wait, or keep the slices that it is given: the
// peer fills them again.
type outputs interface {
	// membership writes down who belongs to the ensemble, and goes by it from now on. It comes before
	// what follows.
	membership(membership peer.Membership)
	// disk queues operations. The core's lock is not held.
	disk(operations []disk.Operation)
	// diskFull tells that so much is queued for the disk that no more should be taken in.
	diskFull() bool
	// clients queues frames while the core's lock is held.
	clients(frames []peer.ClientOutput)
	// others queues everything else.
	others(ready *peer.Ready)
}

// clock tells the peer the time. Elapsed begins with the wall clock of the process's start and then goes on by itself,
// however somebody sets that clock: nothing times out because of it. Transactions and session ids bear the wall clock's
// own time.
type clock struct {
	started time.Time
	base    time.Duration
}

func newClock() clock {
	now := time.Now()
	return clock{started: now, base: time.Duration(now.UnixNano())}
}

func (c clock) elapsed() time.Duration { return c.base + time.Since(c.started) }

func (c clock) now() peer.Now {
	return peer.Now{Elapsed: c.elapsed(), Wall: time.Now().UnixMilli()}
}

// tell hands an input to the peer, and waits while the core has too many. It is false once ctx is
// done.
func (c *core) tell(ctx context.Context, in input) bool {
	told := c.add(ctx, in)
	c.help()
	return told
}

// add is tell for who has more to add, and calls help before he waits for anything.
func (c *core) add(ctx context.Context, in input) bool {
	select {
	case c.inputs <- in:
		return true
	default:
	}
	c.help()
	signal(c.more)
	select {
	case c.inputs <- in:
		return true
	case <-ctx.Done():
		return false
	}
}

// help drives the peer by what waits for it, unless somebody else does.
func (c *core) help() {
	if c.outputs.diskFull() || !c.turn.TryLock() {
		return // who has the turn looks for more afterwards
	}
	c.drive(true)
	c.giveUpTurn()
}

// diskAnswered drives the peer by the disk's results, or leaves that to who has the turn. The disk's goroutine calls
// it: to wake another one would cost a write that others wait for more than what there is to do.
func (c *core) diskAnswered() {
	if c.results.empty() {
		return
	}
	if !c.turn.TryLock() {
		signal(c.results.arrived)
		return
	}
	c.drive(false)
	c.giveUpTurn()
}

// helping returns a reader of conn that helps whenever it may have to wait for bytes.
func (c *core) helping(conn io.Reader) io.Reader { return newEager(conn, c.help) }

// eager does what was put off before it waits for bytes.
type eager struct {
	conn   io.Reader
	putOff func()
}

func newEager(conn io.Reader, putOff func()) eager {
	if raw := rawConn(conn); raw != nil {
		conn = socketReader{raw}
	}
	return eager{conn, putOff}
}

// Read reads.
func (r eager) Read(buffer []byte) (int, error) {
	r.putOff()
	return r.conn.Read(buffer)
}

// giveUpTurn ends a turn. Inputs that came too late for it are run's.
func (c *core) giveUpTurn() {
	failed := c.fatal != nil
	c.turn.Unlock()
	if failed || (len(c.inputs) > 0 && !c.outputs.diskFull()) {
		signal(c.more)
	}
}

// run drives the peer until ctx is done or the peer can't go on. It leaves the peer stopped, with its
// last outputs distributed.
func (c *core) run(ctx context.Context) error {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	// A search for a leader ends at a time of its own, and all wait for it: it need not wait for a tick.
	searched := time.NewTimer(tickInterval)
	defer searched.Stop()
	for {
		stop := false
		select {
		case <-ctx.Done():
			stop = true
		case <-c.more:
		case <-c.results.arrived:
		case <-ticker.C:
		case <-searched.C:
		}
		c.turn.Lock()
		if stop {
			c.batch = append(c.batch[:0], (*peer.Peer).Stop)
			c.work()
			c.over = true
		} else {
			c.drive(!c.outputs.diskFull())
		}
		over, err := c.over, c.fatal
		if at, looking := c.peer.SearchEnds(); looking {
			if left := at - c.clock.elapsed(); left < tickInterval {
				searched.Reset(max(left, 0))
			}
		}
		c.giveUpTurn()
		if over || err != nil {
			return err
		}
	}
}

// drive takes one turn: the disk's results, and if wanted the inputs that wait.
func (c *core) drive(inputs bool) {
	if c.over {
		return
	}
	c.batch = c.batch[:0]
	for _, result := range c.results.take() {
		c.batch = append(c.batch, func(p *peer.Peer) { p.DiskDone(result) })
	}
	for inputs && len(c.batch) < batchMax {
		select {
		case in := <-c.inputs:
			c.batch = append(c.batch, in)
		default:
			inputs = false
		}
	}
	c.work()
}

// work takes the batch, in as many steps as it needs, but one at least.
func (c *core) work() {
	for left := c.step(c.batch); len(left) > 0 && c.fatal == nil; {
		left = c.step(left)
	}
	clear(c.batch)
}

// step tells the peer the time and the inputs, and distributes what it then wants. It returns the inputs that
// it left for another step.
func (c *core) step(inputs []input) (left []input) {
	whole := false
	defer func() {
		if !whole && c.beforePanic != nil {
			c.beforePanic()
		}
	}()
	c.lock.Lock()
	c.peer.Tick(c.clock.now())
	for len(inputs) > 0 && c.peer.ClientBytes() < repliesMax {
		c.measures.taken(len(inputs) - 1)
		inputs[0](c.peer)
		inputs = inputs[1:]
	}
	ready := c.peer.Ready()
	c.outputs.clients(ready.Clients)
	if c.observed != nil {
		c.observed.observe(c.peer)
	}
	c.measures.stepDone(c.peer)
	c.lock.Unlock()
	if ready.Membership != nil {
		c.outputs.membership(*ready.Membership)
	}
	c.outputs.disk(ready.Disk)
	c.outputs.others(&ready)
	if ready.Fatal != nil {
		c.over, c.fatal = true, ready.Fatal
	}
	c.peer.Reuse(ready)
	whole = true
	return inputs
}
