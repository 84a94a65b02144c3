package world

import (
	"fmt"
	"sort"
	"time"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/tree"
)

// diskNames name the operations at which an ambush may wait.
var diskNames = map[disk.Kind]string{
	disk.Sync: "Sync", disk.WriteAcceptedEpoch: "WriteAcceptedEpoch", disk.WriteCurrentEpoch: "WriteCurrentEpoch",
	disk.InstallSnapshot: "InstallSnapshot", disk.Truncate: "Truncate", disk.ReadLog: "ReadLog",
}

// picture is a snapshot file.
type picture struct {
	zxid int64
	data []byte
}

// Disk is the model of one member's disk. Operations are carried out one after the other, each
// after its time; what was appended is on disk only after a Sync.
type Disk struct {
	world *World
	owner *Member

	log       []disk.Entry
	synced    int // so many entries of the log are on disk
	pictures  []picture
	accepted  int64
	current   int64
	queue     []disk.Operation
	busy      bool
	snapshots int // numbers the snapshots under way, to give one up

	// SyncTime bounds how long a Sync takes; it is drawn anew for each.
	SyncTime time.Duration
	// Held keeps the disk from beginning another operation.
	Held bool
	// Broken, if not nil, is why every operation fails: the disk is full, or worse. Nothing is written then.
	Broken error
	// failed is set once an operation has failed. As the real store does, the disk then refuses whatever else is asked
	// of it, though it be well again, until its member starts anew.
	failed error
}

func newDisk(w *World, owner *Member) *Disk {
	empty := tree.New(w.options.Tree)
	d := &Disk{world: w, owner: owner, SyncTime: 10 * time.Millisecond}
	d.pictures = []picture{{zxid: 0, data: drain(empty.Snapshot())}}
	return d
}

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
		panic(fmt.Sprintf("world: a snapshot cannot be read back: %v", err))
	}
	t.SetLastZxid(zxid)
	return t
}

// State recovers what the disk holds, as a server does when it starts.
func (d *Disk) State() *disk.State {
	newest := d.pictures[len(d.pictures)-1]
	t := readPicture(newest.data, d.world.options.Tree, newest.zxid)
	for _, entry := range d.log {
		if entry.Zxid <= newest.zxid {
			continue
		}
		header, txn, _, err := jute.DecodePayload(entry.Payload)
		if err != nil {
			panic(fmt.Sprintf("world: a logged transaction cannot be read back: %v", err))
		}
		t.Apply(header, txn)
	}
	return &disk.State{
		Tree: t, Committed: append([]disk.Entry(nil), d.log...), CurrentEpoch: d.current, AcceptedEpoch: d.accepted,
	}
}

// End is the last zxid that the disk was given, synced or not.
func (d *Disk) End() int64 {
	end := d.pictures[len(d.pictures)-1].zxid
	if n := len(d.log); n > 0 {
		end = max(end, d.log[n-1].Zxid)
	}
	return end
}

// Holds tells whether a transaction survives a power loss now.
func (d *Disk) Holds(zxid int64) bool {
	if d.pictures[len(d.pictures)-1].zxid >= zxid {
		return true
	}
	i := sort.Search(d.synced, func(i int) bool { return d.log[i].Zxid >= zxid })
	return i < d.synced && d.log[i].Zxid == zxid
}

// Snapshots is how many snapshots it holds.
func (d *Disk) Snapshots() int { return len(d.pictures) }

// Epochs are the accepted and the current epoch that it holds.
func (d *Disk) Epochs() (accepted, current int64) { return d.accepted, d.current }

// ReadFrom implements disk.Reader.
func (d *Disk) ReadFrom(from int64, sizeMax int64) ([]disk.Entry, error) {
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
func (d *Disk) SnapshotSize() int64 { return int64(len(d.pictures[len(d.pictures)-1].data)) }

// ask queues operations.
func (d *Disk) ask(operations []disk.Operation) {
	d.queue = append(d.queue, operations...)
	d.next()
}

// Release lets a held disk go on.
func (d *Disk) Release() {
	d.Held = false
	d.next()
}

func (d *Disk) next() {
	if d.busy || d.Held || len(d.queue) == 0 {
		return
	}
	operation := d.queue[0]
	d.queue = d.queue[1:]
	if operation.Kind == disk.TakeSnapshot {
		d.snapshots++
		d.takeSnapshot(operation, d.snapshots, nil)
		d.next()
		return
	}
	if operation.Kind == disk.Append {
		d.carryOut(operation) // into the page cache: no time at all
		d.next()
		return
	}
	d.busy = true
	incarnation := d.owner.incarnation
	d.world.After(d.duration(operation.Kind), func() {
		if d.owner.incarnation != incarnation {
			return
		}
		d.busy = false
		result := d.carryOut(operation)
		if d.world.spring(diskNames[operation.Kind], d.owner, d.owner); d.owner.incarnation != incarnation {
			return // it ended between the deed and its report
		}
		if operation.Ticket != 0 {
			result.Ticket = operation.Ticket
			d.owner.input("disk", func() { d.owner.peer.DiskDone(result) })
		}
		d.next()
	})
}

func (d *Disk) duration(kind disk.Kind) time.Duration {
	if kind == disk.AbortSnapshot {
		return 0
	}
	return time.Millisecond/10 + d.world.upTo(d.SyncTime)
}

// carryOut makes an operation's effect.
func (d *Disk) carryOut(operation disk.Operation) disk.Result {
	if err := d.failure(operation.Kind); err != nil {
		return disk.Result{Err: err}
	}
	var result disk.Result
	switch operation.Kind {
	case disk.Append:
		d.world.checkAppend(d, operation.Entry)
		d.log = append(d.log, operation.Entry)
	case disk.Sync:
		d.synced = len(d.log)
	case disk.WriteAcceptedEpoch:
		d.world.check(operation.Epoch > d.accepted, "member %d accepts epoch %d after %d", d.owner.ID, operation.Epoch, d.accepted)
		d.accepted = operation.Epoch
	case disk.WriteCurrentEpoch:
		d.world.check(operation.Epoch >= d.current, "member %d joins epoch %d after %d", d.owner.ID, operation.Epoch, d.current)
		d.current = operation.Epoch
	case disk.InstallSnapshot:
		snapshot := operation.Snapshot
		d.pictures = []picture{{zxid: snapshot.Zxid(), data: drain(snapshot)}}
		d.log, d.synced = nil, 0
	case disk.Truncate:
		result = d.truncate(operation.Zxid)
	case disk.AbortSnapshot:
		d.snapshots++
	case disk.ReadLog:
		result.Entries, result.Err = d.ReadFrom(operation.Zxid, operation.SizeMax)
	default:
		panic(fmt.Sprintf("world: unknown disk operation %d", operation.Kind))
	}
	d.world.checkCommittedIsDurable()
	return result
}

// failure tells why an operation fails, or nil.
func (d *Disk) failure(kind disk.Kind) error {
	if kind == disk.AbortSnapshot {
		return nil
	}
	if d.Broken != nil {
		d.failed = d.Broken
	}
	if d.Broken == nil && d.world.options.Defects.On(defect.GoOnAfterDiskError) {
		return nil
	}
	return d.failed
}

// truncate removes what is newer than zxid, if what is left ends there.
func (d *Disk) truncate(zxid int64) disk.Result {
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
	d.synced = len(d.log)
	if d.world.options.Defects.On(defect.SnapshotUncommitted) {
		d.pictures = append(d.pictures, newer...)
	}
	return disk.Result{State: d.State()}
}

// takeSnapshot writes a fuzzy picture a few znodes at a time.
func (d *Disk) takeSnapshot(operation disk.Operation, number int, data []byte) {
	incarnation := d.owner.incarnation
	d.world.After(d.world.upTo(5*time.Millisecond), func() {
		if d.owner.incarnation != incarnation {
			return
		}
		result := disk.Result{Ticket: operation.Ticket}
		chunk, done := []byte(nil), true
		if d.snapshots == number {
			chunk, done = operation.Snapshot.Next(2)
		} else {
			result.Err = fmt.Errorf("world: given up")
		}
		if d.Broken != nil {
			result.Err = d.Broken // a snapshot that fails costs nothing but the log's length
		}
		if !done {
			d.takeSnapshot(operation, number, append(data, chunk...))
			return
		}
		if result.Err == nil {
			d.keepPicture(picture{zxid: operation.Snapshot.Zxid(), data: append(data, chunk...)})
		}
		d.owner.input("snapshot", func() { d.owner.peer.DiskDone(result) })
	})
}

// keepPicture keeps the newest two snapshots, and of the log what comes after the older one.
func (d *Disk) keepPicture(p picture) {
	if n := len(d.pictures); n > 0 && d.pictures[n-1].zxid >= p.zxid {
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

// crash ends what is under way. Without power what was not synced is lost, but for some of it that
// happened to be written.
func (d *Disk) crash(powerLoss bool) {
	d.queue, d.busy, d.Held, d.failed = nil, false, false, nil
	d.snapshots++
	if powerLoss {
		d.log = d.log[:d.synced+d.world.random.IntN(len(d.log)-d.synced+1)]
	}
	d.synced = len(d.log) // whoever reads it back syncs it first
}
