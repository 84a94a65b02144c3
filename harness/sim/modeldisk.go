package sim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/tree"
)

// picture is a snapshot file.
type picture struct {
	zxid int64
	data []byte
}

// modelDisk is the model of one member's disk. Operations are carried out one after the other, each
// after its time; what was appended is on disk only after a Sync.
type modelDisk struct {
	world *World
	owner *member
	trouble

	log    []disk.Entry
	synced int // so many entries of the log are on disk
	// last is what the log goes on behind: a picture may be ahead of it.
	last     int64
	pictures []picture
	accepted int64
	current  int64
	// lost is that the disk was wiped, and has no leader's history yet.
	lost bool

	queue     []disk.Operation
	first     int // of those in the queue that wait
	working   bool
	underWay  disk.Operation // while working
	due       uint64         // the event that ends it
	done      func()         // complete
	snapshots int            // numbers the snapshots under way, to give one up
	index     uint64
}

func (d *modelDisk) troubles() *trouble { return &d.trouble }

func (d *modelDisk) epochs() (accepted, current int64) { return d.accepted, d.current }

// What bytes are written is beyond this model.
func (d *modelDisk) rot(fileKind, uint64) {}
func (d *modelDisk) restore()             {}
func (d *modelDisk) excuses(error) bool   { return false }
func (d *modelDisk) close()               {}

func (d *modelDisk) busy() bool { return d.working }

func (d *modelDisk) readBack() (*tree.Tree, error) {
	sure := modelDisk{world: d.world, log: d.log[:d.synced], pictures: d.pictures}
	return sure.state().Tree, nil
}

func newModelDisk(w *World, owner *member) *modelDisk {
	d := &modelDisk{world: w, owner: owner}
	d.clear()
	d.done = d.complete // once: a method value costs memory each time
	return d
}

// clear leaves an empty tree.
func (d *modelDisk) clear() {
	d.pictures = []picture{{zxid: 0, data: drain(tree.New(d.world.tree).Snapshot())}}
	d.log, d.synced, d.last, d.current = nil, 0, 0, 0
}

// wipe implements memberDisk.
func (d *modelDisk) wipe() {
	d.clear()
	d.accepted, d.lost = 0, true
}

func (d *modelDisk) lacks() bool { return d.lost }

// drain writes a whole picture at once.
func drain(snapshot *tree.Snapshotter) []byte {
	var data []byte
	for {
		chunk, done := snapshot.Next(1 << 20)
		data = append(data, chunk...)
		if done {
			return data
		}
	}
}

func readPicture(data []byte, options tree.Options, zxid int64) *tree.Tree {
	t, err := tree.ReadSnapshot(jute.NewDecoder(data), options)
	if err != nil {
		panic(fmt.Sprintf("sim: a snapshot cannot be read back: %v", err))
	}
	t.SetLastZxid(zxid)
	return t
}

func (d *modelDisk) newest() picture { return d.pictures[len(d.pictures)-1] }

// boot implements memberDisk. Who reads a log back syncs it first.
func (d *modelDisk) boot() (*disk.State, error) {
	d.failed, d.synced = false, len(d.log)
	if !d.lost {
		return d.state(), nil
	}
	d.clear() // half a copy is no state
	state := d.state()
	state.Tree.SetLastZxid(-1)
	return state, nil
}

// state is what the disk holds. It shares the log's memory, and is good until the next operation.
func (d *modelDisk) state() *disk.State {
	newest := d.newest()
	t := readPicture(newest.data, d.world.tree, newest.zxid)
	for _, entry := range d.log {
		if entry.Zxid <= newest.zxid {
			continue
		}
		t.Apply(d.world.transaction(entry))
	}
	return &disk.State{Tree: t, Committed: d.log, CurrentEpoch: d.current, AcceptedEpoch: d.accepted}
}

// reading is a transaction as it was read from its payload.
type reading struct {
	payload []byte
	header  jute.TxnHeader
	txn     jute.Txn
}

// transaction reads a logged transaction. Members log the same bytes, and read them back each time that they start:
// they are decoded once. A tree copies what it keeps of a transaction.
func (w *World) transaction(entry disk.Entry) (jute.TxnHeader, jute.Txn) {
	read := w.readings[entry.Zxid]
	if !bytes.Equal(read.payload, entry.Payload) {
		header, txn, _, err := jute.DecodePayload(entry.Payload)
		if err != nil {
			panic(fmt.Sprintf("sim: a logged transaction cannot be read back: %v", err))
		}
		read = reading{entry.Payload, header, txn}
		w.readings[entry.Zxid] = read
	}
	return read.header, read.txn
}

// end is the last zxid that the disk was given, synced or not.
func (d *modelDisk) end() int64 { return d.last }

// found is what a start finds to be the end.
func (d *modelDisk) found() int64 {
	end := d.newest().zxid
	if n := len(d.log); n > 0 {
		end = max(end, d.log[n-1].Zxid)
	}
	return end
}

// holds tells whether a transaction survives a loss of power now.
func (d *modelDisk) holds(zxid int64) bool {
	if d.newest().zxid >= zxid {
		return true
	}
	i := sort.Search(d.synced, func(i int) bool { return d.log[i].Zxid >= zxid })
	return i < d.synced && d.log[i].Zxid == zxid
}

// ReadFrom implements disk.Reader.
func (d *modelDisk) ReadFrom(from int64, sizeMax int64) ([]disk.Entry, error) {
	first := len(d.log) - 1
	for first >= 0 && d.log[first].Zxid > from {
		first--
	}
	if first < 0 {
		return nil, nil
	}
	size := int64(0)
	for _, entry := range d.log[first:] {
		size += int64(len(entry.Payload))
	}
	if sizeMax > 0 && size > sizeMax {
		return nil, nil
	}
	return append([]disk.Entry(nil), d.log[first:]...), nil
}

// SnapshotSize implements disk.Reader.
func (d *modelDisk) SnapshotSize() int64 { return int64(len(d.newest().data)) }

// ask queues operations.
func (d *modelDisk) ask(operations []disk.Operation) {
	if d.first == len(d.queue) {
		d.queue, d.first = d.queue[:0], 0
	}
	d.queue = append(d.queue, operations...)
	d.next()
}

// release ends one fault that held the disk.
func (d *modelDisk) release() {
	d.stuck--
	d.next()
}

// next begins operations until one takes time.
func (d *modelDisk) next() {
	for !d.working && d.stuck == 0 && d.first < len(d.queue) {
		operation := d.queue[d.first]
		d.queue[d.first] = disk.Operation{}
		d.first++
		switch operation.Kind {
		case disk.TakeSnapshot:
			d.snapshots++
			d.takeSnapshot(operation, d.snapshots, nil)
		case disk.Append, disk.AbortSnapshot: // into the page cache: no time at all
			d.carryOut(operation)
		default:
			d.begin(operation)
		}
	}
}

func (d *modelDisk) begin(operation disk.Operation) {
	w := d.world
	d.working, d.underWay = true, operation
	index := d.index
	d.index++
	d.due = w.after(w.config.Fsync+d.slow+w.source.slowSync(w, d.owner.id, index), d.done)
}

// complete ends the operation under way, unless its member has ended meanwhile.
func (d *modelDisk) complete() {
	w := d.world
	if w.happening != d.due {
		return
	}
	incarnation, operation := d.owner.incarnation, d.underWay
	d.working = false
	result := d.carryOut(operation)
	w.note(hashDisk, d.owner.id, int64(operation.Kind), d.end(), d.accepted, d.current)
	if w.trace != nil {
		w.tell("disk %d  %s", d.owner.id, describe(operation, result, d.end(), d.newest().zxid))
	}
	if len(w.ambushes) > 0 {
		if w.spring(0, diskNames[operation.Kind], d.owner, d.owner); d.owner.incarnation != incarnation {
			return // it ended between the deed and its report
		}
	}
	if operation.Ticket != 0 {
		result.Ticket = operation.Ticket
		d.owner.give(&input{disk: result})
	}
	if d.owner.incarnation == incarnation {
		d.next()
	}
}

// finish carries out at once what was asked for, but for pictures of a tree that nobody will read.
func (d *modelDisk) finish() {
	if d.working {
		d.carryOut(d.underWay)
	}
	for _, operation := range d.queue[d.first:] {
		if operation.Kind != disk.TakeSnapshot {
			d.carryOut(operation)
		}
	}
	d.queue, d.first = nil, 0
}

// fails tells whether a fault makes an operation fail.
func (d *modelDisk) fails(kind disk.Kind) error {
	switch kind {
	case disk.AbortSnapshot, disk.ReadLog:
		return nil
	case disk.Append:
		return d.failure(logFiles, true, false)
	case disk.Sync, disk.Truncate:
		return d.failure(logFiles, false, true)
	case disk.WriteAcceptedEpoch, disk.WriteCurrentEpoch:
		return d.failure(epochFiles, true, true)
	default:
		return d.failure(snapshotFiles, true, true)
	}
}

// carryOut makes an operation's effect.
func (d *modelDisk) carryOut(operation disk.Operation) disk.Result {
	w := d.world
	if err := d.fails(operation.Kind); err != nil {
		// A store that failed does not go on, except under the defect that is about just that.
		d.failed = !w.defects.On(defect.GoOnAfterDiskError)
		return disk.Result{Err: err}
	}
	if d.failed {
		return disk.Result{Err: errDisk}
	}
	var result disk.Result
	switch operation.Kind {
	case disk.Append:
		w.inside.appending(w, d.owner, operation.Entry)
		d.log, d.last = append(d.log, operation.Entry), operation.Entry.Zxid
	case disk.Sync:
		d.synced = len(d.log)
	case disk.WriteAcceptedEpoch:
		w.inside.accepts(w, d.owner, operation.Epoch)
		d.accepted = operation.Epoch
	case disk.WriteCurrentEpoch:
		w.inside.joins(w, d.owner, operation.Epoch)
		d.current, d.lost = operation.Epoch, false
	case disk.InstallSnapshot:
		snapshot := operation.Snapshot
		d.pictures = append(d.pictures[:0:0], picture{zxid: snapshot.Zxid(), data: drain(snapshot)})
		d.log, d.synced, d.last = nil, 0, snapshot.Zxid()
		w.inside.durabilityMayHaveShrunk(w)
	case disk.Truncate:
		result = d.truncate(operation.Zxid)
		w.inside.durabilityMayHaveShrunk(w)
	case disk.AbortSnapshot:
		d.snapshots++
	case disk.ReadLog:
		result.Entries, result.Err = d.ReadFrom(operation.Zxid, operation.SizeMax)
	default:
		panic(fmt.Sprintf("sim: unknown disk operation %d", operation.Kind))
	}
	return result
}

// truncate removes what is newer than zxid, if what is left ends there.
func (d *modelDisk) truncate(zxid int64) disk.Result {
	keep := 0
	for keep < len(d.pictures) && d.pictures[keep].zxid <= zxid {
		keep++
	}
	entries := sort.Search(len(d.log), func(i int) bool { return d.log[i].Zxid > zxid })
	if keep == 0 || (d.pictures[keep-1].zxid != zxid && (entries == 0 || d.log[entries-1].Zxid != zxid)) {
		return disk.Result{Err: disk.ErrNothingBefore}
	}
	newer := d.pictures[keep:]
	d.pictures, d.log = d.pictures[:keep], d.log[:entries]
	d.synced, d.last = len(d.log), d.found()
	state := d.state()
	state.Committed = slices.Clone(state.Committed) // its owner may be told later
	if d.world.defects.On(defect.SnapshotUncommitted) {
		d.pictures = append(d.pictures, newer...)
	}
	return disk.Result{State: state}
}

// The pace at which a fuzzy picture is written.
const (
	snapshotChunk = 4 // znodes
	snapshotPause = time.Millisecond
)

// takeSnapshot writes a fuzzy picture a few znodes at a time.
func (d *modelDisk) takeSnapshot(operation disk.Operation, number int, data []byte) {
	incarnation := d.owner.incarnation
	d.world.after(snapshotPause, func() {
		if d.owner.incarnation != incarnation {
			return
		}
		result := disk.Result{Ticket: operation.Ticket}
		chunk, done := []byte(nil), true
		switch {
		case d.snapshots != number:
			result.Err = errors.New("sim: given up")
		case d.fails(disk.TakeSnapshot) != nil:
			result.Err = d.fails(disk.TakeSnapshot)
		default:
			chunk, done = operation.Snapshot.Next(snapshotChunk)
		}
		data = append(data, chunk...)
		if !done {
			d.takeSnapshot(operation, number, data)
			return
		}
		if result.Err == nil {
			d.keepPicture(picture{zxid: operation.Snapshot.Zxid(), data: data})
			d.world.coverage.hit("snapshot")
		}
		d.owner.give(&input{disk: result})
	})
}

// keepPicture keeps the newest two snapshots, and of the log what comes after the older one.
func (d *modelDisk) keepPicture(p picture) {
	if d.newest().zxid >= p.zxid {
		return
	}
	d.pictures = append(d.pictures, p)
	if len(d.pictures) <= 2 {
		return
	}
	d.pictures = d.pictures[len(d.pictures)-2:]
	gone := 0
	for gone < d.synced && d.log[gone].Zxid <= d.pictures[0].zxid {
		gone++
	}
	d.log, d.synced = d.log[gone:], d.synced-gone
}

// crash ends what is under way. Without power what was not synced is lost, but for so many in a
// hundred that happened to be written.
func (d *modelDisk) crash(powerLoss bool, keep int) {
	d.queue, d.first, d.working, d.due = nil, 0, false, 0
	d.snapshots++
	if powerLoss {
		if lost := len(d.log) - d.synced; lost > 0 {
			d.world.coverage.hit("unsynced-lost")
		}
		d.log = d.log[:d.synced+(len(d.log)-d.synced)*keep/100]
		d.synced = len(d.log)
	}
	d.last = d.found()
}
