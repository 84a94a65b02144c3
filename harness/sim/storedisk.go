package sim

import (
	"errors"
	"iter"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"ordeal/node/disk"
	"ordeal/node/store"
	"ordeal/node/tree"
)

// Where a member's files lie, and how fine the steps are in which they are written.
const (
	dataDir       = "/data"
	filesDir      = dataDir + "/version-2"
	preallocation = 8 << 10
	snapshotNodes = 4
	// quickShare is what part of a sync's time an operation takes that only changes memory.
	quickShare = 16
)

var errEnded = errors.New("sim: the process has ended")

// storeDisk is the server's real store over a file system of its own. The store's two lines of work stand
// still at every change of a file, which is an event: what is between two of them happens at once.
type storeDisk struct {
	world *World
	owner *member
	trouble

	files *fileSystem
	store *store.Store // nil while the member is down
	queue []disk.Operation
	// given and carried count the operations that were asked for and that are done.
	given, carried int
	asked          map[disk.Ticket]disk.Operation
	// results are those that the member has not heard of yet.
	results []disk.Result

	// nudged says that the store has something to do though nothing is asked for.
	nudged  bool
	worker  *thread
	besides []*thread // that write a snapshot or read the log, beside the worker
	running *thread   // whose code runs now; nil for that of the world
	ended   bool      // the process: nothing of it reaches the disk any more
	opening bool      // the store recovers: this is one event, but it may end at any change of a file
	purging bool      // so are purges
	toPurge bool      // old files, once the worker has nothing else to do
	index   uint64
	losses  uint64 // of power

	ledger
	// rotted is what has changed since the store was open; wasRotted excuses for good what it cannot read.
	rotted    []damage
	wasRotted bool
	wiped     bool // and since then started as a store's advice says
}

// ledger is what the disk must hold, by what its store has reported.
type ledger struct {
	base     int64 // all up to here is in a snapshot
	log      []int64
	synced   int
	accepted int64
	current  int64
	// lost is that the disk was wiped, and has no leader's history yet.
	lost bool
	// cut is, while a truncation or an installation is under way, what it goes back to.
	cut     int64
	cutting bool
}

// thread is a line of work that yields before each change of a file.
type thread struct {
	next    func() (pending, bool)
	stop    func()
	yield   func(pending) bool
	hurried bool // it does not stand still any more
	planned bool // its next step
	idle    bool
	over    bool
	doing   pending
	behind  int  // so many operations must be carried out before it goes on; 0 for none
	waits   bool // for them
}

// pending is what a thread is about to do, and after what time.
type pending struct {
	after     time.Duration
	operation fileOperation
	idle      bool
}

func newStoreDisk(w *World, owner *member) *storeDisk {
	d := &storeDisk{world: w, owner: owner, files: newFileSystem(), asked: map[disk.Ticket]disk.Operation{}}
	d.files.before = d.before
	return d
}

func (d *storeDisk) troubles() *trouble { return &d.trouble }

func (d *storeDisk) epochs() (accepted, current int64) { return d.accepted, d.current }

func (d *storeDisk) end() int64 {
	if n := len(d.log); n > 0 {
		return max(d.log[n-1], d.base)
	}
	return d.base
}

func (l *ledger) holds(zxid int64) bool {
	i := sort.Search(l.synced, func(i int) bool { return l.log[i] >= zxid })
	return l.base >= zxid || i < l.synced && l.log[i] == zxid
}

// sure is the last zxid that a start must find again.
func (l *ledger) sure() int64 {
	sure := l.base
	if l.synced > 0 {
		sure = max(sure, l.log[l.synced-1])
	}
	if l.cutting {
		sure = min(sure, l.cut)
	}
	return sure
}

func (d *storeDisk) options(files *fileSystem) store.Options {
	return store.Options{
		DataDir: dataDir, FS: files, Tree: d.world.tree, CommitLogCount: d.world.config.CommitLog, Preallocate: preallocation,
		RequireInitialize: d.wiped, SnapshotNodes: snapshotNodes, Guard: d.guard, Beside: d.beside, Defects: d.world.defects,
	}
}

// boot implements memberDisk.
func (d *storeDisk) boot() (*disk.State, error) {
	d.ended, d.failed, d.opening = false, false, true
	opened, state, err := store.Open(d.options(d.files))
	d.opening = false
	if err != nil {
		d.ended = true
		return nil, err
	}
	d.rotted = nil // it did not matter
	d.store = opened
	if d.lost { // half a copy is no state
		d.ledger = ledger{lost: true, accepted: d.accepted}
	}
	d.judge(state)
	d.ledger = ledger{base: max(state.Tree.LastZxid(), 0), accepted: state.AcceptedEpoch, current: state.CurrentEpoch, lost: state.Tree.LastZxid() == -1}
	if n := len(state.Committed); n > 0 {
		d.base = min(d.base, state.Committed[0].Zxid-1)
	}
	for _, entry := range state.Committed {
		d.log = append(d.log, entry.Zxid)
	}
	d.synced = len(d.log)
	d.worker = d.newThread(d.work)
	d.worker.idle = true
	return state, nil
}

// judge holds what was recovered against what was reported as done.
func (d *storeDisk) judge(state *disk.State) {
	w := d.world
	last := state.Tree.LastZxid()
	if sure := d.sure(); last < sure && !d.lost {
		w.broken("synced-survives", "member %d starts with the log to %s, but %s was on its disk", d.owner.id, zxidWord(last), zxidWord(sure))
	}
	if state.AcceptedEpoch < d.accepted || state.CurrentEpoch < d.current {
		w.broken("synced-survives", "member %d starts with epochs %d and %d, but %d was accepted and %d joined on its disk", d.owner.id, state.AcceptedEpoch, state.CurrentEpoch, d.accepted, d.current)
	}
	w.inside.recovered(w, d.owner, state)
}

// newThread begins a line of work, which stands still before its first step.
func (d *storeDisk) newThread(body func()) *thread {
	t := &thread{}
	t.next, t.stop = iter.Pull(func(yield func(pending) bool) {
		t.yield = yield
		body()
	})
	return t
}

// work carries out what was asked for, as much at a time as may share a sync.
func (d *storeDisk) work() {
	for !d.ended {
		d.nudged = false
		batch := d.batch()
		d.store.CarryOut(batch, d.done)
		d.carried += len(batch)
		for _, t := range d.besides {
			if t.waits && d.carried >= t.behind {
				t.waits = false
				d.plan(t, 0)
			}
		}
		if len(d.queue) == 0 && !d.nudged && !d.worker.yield(pending{idle: true}) {
			return
		}
	}
}

func (d *storeDisk) batch() []disk.Operation {
	n := 0
	for n < len(d.queue) && (d.queue[n].Kind == disk.Append || d.queue[n].Kind == disk.Sync) {
		n++
	}
	if n == 0 {
		n = min(1, len(d.queue))
	}
	batch := d.queue[:n:n]
	d.queue = d.queue[n:]
	for _, operation := range batch {
		if operation.Ticket != 0 {
			d.asked[operation.Ticket] = operation
		}
		switch {
		case d.failed: // nothing comes of it any more
		case operation.Kind == disk.Append:
			d.world.inside.appending(d.world, d.owner, operation.Entry)
			d.log = append(d.log, operation.Entry.Zxid)
		case operation.Kind == disk.Truncate:
			d.cut, d.cutting = operation.Zxid, true
		case operation.Kind == disk.InstallSnapshot:
			d.cut, d.cutting = operation.Snapshot.Zxid(), true
		}
	}
	return batch
}

// done takes what the store reports: it must be true of the files.
func (d *storeDisk) done(result disk.Result) {
	if d.ended {
		return
	}
	operation := d.asked[result.Ticket]
	if result.Err == nil {
		d.enter(operation, result)
	} else if operation.Kind != disk.TakeSnapshot && operation.Kind != disk.ReadLog && !errors.Is(result.Err, disk.ErrNothingBefore) {
		d.failed = true
	}
	if operation.Kind == disk.Truncate || operation.Kind == disk.InstallSnapshot {
		d.cutting = result.Err != nil && d.failed
	}
	d.results = append(d.results, result)
}

func (d *storeDisk) enter(operation disk.Operation, result disk.Result) {
	w := d.world
	switch operation.Kind {
	case disk.Sync:
		d.synced = len(d.log)
		d.mustBeSynced("a sync of the log", logFiles)
	case disk.WriteAcceptedEpoch:
		w.inside.accepts(w, d.owner, operation.Epoch)
		d.accepted = operation.Epoch
		d.mustHoldEpoch("acceptedEpoch", operation.Epoch)
	case disk.WriteCurrentEpoch:
		w.inside.joins(w, d.owner, operation.Epoch)
		d.current, d.lost = operation.Epoch, false
		d.mustHoldEpoch("currentEpoch", operation.Epoch)
	case disk.TakeSnapshot:
		w.coverage.hit("snapshot")
		d.toPurge = w.config.Purge
		d.mustBeSynced("a snapshot", logFiles)
		d.mustBeSynced("a snapshot", snapshotFiles)
	case disk.InstallSnapshot:
		d.base, d.log, d.synced = operation.Snapshot.Zxid(), nil, 0
		d.mustBeSynced("an installed snapshot", snapshotFiles)
		w.inside.durabilityMayHaveShrunk(w)
	case disk.Truncate:
		d.base = min(d.base, operation.Zxid)
		d.log = d.log[:sort.Search(len(d.log), func(i int) bool { return d.log[i] > operation.Zxid })]
		d.synced = len(d.log)
		d.mustBeSynced("a truncation", logFiles)
		w.inside.durabilityMayHaveShrunk(w)
	}
}

func (d *storeDisk) mustBeSynced(what string, kind fileKind) {
	if left := d.files.unsynced(kind); left != "" {
		d.world.broken("ack-on-disk", "member %d's store reports %s, but %s may still be lost", d.owner.id, what, left)
	}
}

func (d *storeDisk) mustHoldEpoch(name string, epoch int64) {
	if found := string(d.files.onDisk(path.Join(filesDir, name))); found != strconv.FormatInt(epoch, 10) {
		d.world.broken("ack-on-disk", "member %d's store reports %s %d, but the file holds %q on disk", d.owner.id, name, epoch, found)
	}
}

// before makes a change of a file wait for its event, and fail if a fault says so.
func (d *storeDisk) before(operation fileOperation) error {
	if d.ended {
		return errEnded
	}
	if w := d.world; len(w.ambushes) > 0 && d.opening {
		w.spring(0, pointOpening, d.owner, d.owner)
	} else if len(w.ambushes) > 0 && d.purging {
		w.spring(0, operation.word, d.owner, d.owner)
	}
	if t := d.running; t != nil && !d.ended && !t.hurried && !t.yield(pending{after: d.time(operation), operation: operation}) {
		return errEnded
	}
	if d.ended {
		return errEnded
	}
	syncs := operation.word == opSync || operation.word == opSyncNames
	room := operation.word == opWrite || operation.word == opCreate
	return d.failure(kindOfFile(operation.name), room, syncs)
}

// guard lets time pass before the next znodes are copied for a snapshot that is taken beside all else.
func (d *storeDisk) guard(next func()) {
	if t := d.running; t != nil && t != d.worker && !t.hurried && !d.ended {
		t.yield(pending{after: snapshotPause})
	}
	next()
}

// beside implements store.Options.Beside.
func (d *storeDisk) beside(work func()) (wait func()) {
	if d.ended { // the worker is being stopped, and all it does on its way out fails
		return sync.OnceFunc(work)
	}
	t := d.newThread(work)
	d.besides = append(d.besides, t)
	d.plan(t, 0)
	return func() {
		t.hurried = true
		for !t.over {
			d.run(t)
		}
	}
}

// time is how long a change of a file takes.
func (d *storeDisk) time(operation fileOperation) time.Duration {
	w := d.world
	index := d.index
	d.index++
	usual := w.config.Fsync
	if operation.word != opSync && operation.word != opSyncNames {
		usual /= quickShare
	} else {
		usual += d.slow
	}
	return usual + w.source.slowSync(w, d.owner.id, index)
}

// plan lets a thread go on after a time.
func (d *storeDisk) plan(t *thread, after time.Duration) {
	if t.planned || t.over {
		return
	}
	t.planned, t.idle = true, false
	incarnation := d.owner.incarnation
	d.world.after(after, func() {
		if d.owner.incarnation != incarnation {
			return
		}
		t.planned = false
		if t.over || d.stuck > 0 {
			return // release plans it again
		}
		d.goOn(t)
	})
}

// run lets a thread do what it stands before, up to where it stands again.
func (d *storeDisk) run(t *thread) {
	outer := d.running
	d.running = t
	doing, more := t.next()
	d.running = outer
	t.over = !more
	if !t.over {
		t.doing, t.idle = doing, doing.idle
	} else {
		d.besides = slices.DeleteFunc(d.besides, func(other *thread) bool { return other == t })
	}
}

// goOn is one event of a thread: a change of a file is made, and what the store makes of it is reported.
func (d *storeDisk) goOn(t *thread) {
	w, m := d.world, d.owner
	if d.mustWait(t) {
		return
	}
	incarnation := m.incarnation
	made := t.doing.operation
	d.run(t)
	if made.word != "" {
		w.note(hashFile, m.id, int64(len(made.word)), int64(made.size), int64(len(made.name)))
		if w.trace != nil {
			w.tell("disk %d  %s %s", m.id, made.word, strings.TrimPrefix(made.name, filesDir+"/"))
		}
		if len(w.ambushes) > 0 {
			if w.spring(0, made.word, m, m); m.incarnation != incarnation {
				return
			}
		}
	}
	results := d.results
	d.results = nil
	for _, result := range results {
		if d.report(result); m.incarnation != incarnation {
			return
		}
	}
	switch {
	case t.over:
		d.nudged = true // the snapshot is to get its name, what was read its reader
		d.wake()
	case !t.idle:
		d.plan(t, t.doing.after)
	case len(d.queue) > 0:
		d.wake()
	case d.toPurge:
		d.purge()
	}
}

// mustWait holds a snapshot back that is written, until all is carried out that was asked for by now: it is
// behind that in the store's queue, and may hold effects of it.
func (d *storeDisk) mustWait(t *thread) bool {
	if t == d.worker || t.doing.operation.word != opSync {
		return false
	}
	if t.behind == 0 {
		t.behind = d.given
	}
	t.waits = d.carried < t.behind
	return t.waits
}

// report tells the member of a result.
func (d *storeDisk) report(result disk.Result) {
	w, m := d.world, d.owner
	incarnation := m.incarnation
	operation := d.asked[result.Ticket]
	delete(d.asked, result.Ticket)
	w.note(hashDisk, m.id, int64(operation.Kind), d.end(), d.accepted, d.current)
	if w.trace != nil && operation.Kind != disk.TakeSnapshot {
		w.tell("disk %d  %s", m.id, describe(operation, result, d.end(), d.base))
	}
	if len(w.ambushes) > 0 {
		if w.spring(0, diskNames[operation.Kind], m, m); m.incarnation != incarnation {
			return // it ended between the deed and its report
		}
	}
	m.give(&input{disk: result})
}

// ask implements memberDisk.
func (d *storeDisk) ask(operations []disk.Operation) {
	d.queue = append(d.queue, operations...)
	d.given += len(operations)
	d.wake()
}

// wake lets the store see what there is to do.
func (d *storeDisk) wake() {
	if d.worker.idle && d.stuck == 0 {
		d.plan(d.worker, 0)
	}
}

func (d *storeDisk) release() {
	d.stuck--
	if d.stuck > 0 || d.store == nil {
		return
	}
	for _, t := range d.threads() {
		if !t.waits && (!t.idle || len(d.queue) > 0) {
			d.plan(t, t.doing.after)
		}
	}
}

// threads are the store's: those beside the worker, and it.
func (d *storeDisk) threads() []*thread {
	threads := slices.Clone(d.besides)
	if d.worker != nil {
		threads = append(threads, d.worker)
	}
	return threads
}

// busy implements memberDisk.
func (d *storeDisk) busy() bool {
	return d.store != nil && (!d.worker.idle || d.worker.planned || len(d.queue) > 0 || len(d.besides) > 0)
}

// finish implements memberDisk. A snapshot that is being written is left as it is.
func (d *storeDisk) finish() {
	d.worker.hurried = true
	for again := true; again && !d.worker.over; {
		again = !d.worker.idle || len(d.queue) > 0
		if again {
			d.run(d.worker)
		}
	}
	if err := d.store.Close(); err != nil && !d.any() {
		d.world.broken("fatal", "member %d's store does not close although its disk is sound: %v", d.owner.id, err)
	}
}

// crash implements memberDisk.
func (d *storeDisk) crash(powerLoss bool, keep int) {
	d.close()
	d.queue, d.results, d.toPurge = nil, nil, false
	d.given, d.carried = 0, 0
	clear(d.asked)
	d.files.locked = map[string]bool{}
	// What stands in the process's memory only is gone, and what does not is sure after a start only.
	d.log = d.log[:d.synced]
	if powerLoss {
		d.losses++
		if d.files.losePower(keep, mix(d.world.source.chance^uint64(d.owner.id)<<32^d.losses)) {
			d.world.coverage.hit("unsynced-lost")
		}
	}
}

// close implements memberDisk: it ends the process and its threads.
func (d *storeDisk) close() {
	d.ended = true
	for _, t := range d.threads() {
		if !t.over {
			t.over = true
			t.stop()
		}
	}
	d.worker, d.besides, d.store = nil, nil, nil
}

// readBack implements memberDisk.
func (d *storeDisk) readBack() (*tree.Tree, error) {
	state, err := store.Read(d.options(d.files.clone()))
	if err != nil {
		return nil, err
	}
	return state.Tree, nil
}

// ReadFrom implements disk.Reader.
func (d *storeDisk) ReadFrom(from, sizeMax int64) ([]disk.Entry, error) {
	return d.store.ReadFrom(from, sizeMax)
}

// SnapshotSize implements disk.Reader.
func (d *storeDisk) SnapshotSize() int64 { return d.store.SnapshotSize() }
