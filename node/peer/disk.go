package peer

import (
	"errors"
	"fmt"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/rare"
	"ordeal/node/tree"
	"ordeal/node/zab"
)

// diskState is what a peer waits for from its disk, and when it takes the next snapshot.
type diskState struct {
	lastTicket disk.Ticket
	callbacks  map[disk.Ticket]callback

	snapshotting  bool
	sinceSnapshot int   // entries
	bytesSince    int64 // of their payloads
	snapshotAt    int   // entries
	snapshotBytes int64 // 0: no bound
}

// chooseSnapshotAt draws when the next snapshot is due, so that the servers of an ensemble do not all
// take it at the same time (protocol.md 4.2).
func (d *diskState) chooseSnapshotAt(config Config) {
	d.sinceSnapshot, d.bytesSince = 0, 0
	count := max(config.SnapCount, 2)
	d.snapshotAt = count/2 + 1 + config.Random.IntN(count/2)
	d.snapshotBytes = 0
	if half := config.SnapSizeBytes / 2; half > 0 {
		d.snapshotBytes = half + config.Random.Int64N(half)
	}
}

// callback is who waits for a disk operation: done is called when it is carried out. What must not fail is
// named by what.
type callback struct {
	done func(disk.Result)
	what string
}

// order asks for a disk operation that may fail.
func (p *Peer) order(operation disk.Operation, done func(disk.Result)) {
	p.request(operation, callback{done: done})
}

func (p *Peer) request(operation disk.Operation, waiting callback) {
	p.disk.lastTicket++
	operation.Ticket = p.disk.lastTicket
	p.disk.callbacks[operation.Ticket] = waiting
	p.ready.Disk = append(p.ready.Disk, operation)
}

// DiskDone reports a disk operation that carried a ticket.
func (p *Peer) DiskDone(result disk.Result) {
	if p.role == stopped {
		return
	}
	waiting, known := p.disk.callbacks[result.Ticket]
	if !known {
		panic(fmt.Sprintf("peer: the disk reports ticket %d, which is not waited for", result.Ticket))
	}
	delete(p.disk.callbacks, result.Ticket)
	if result.Err == nil || waiting.what == "" || p.goOnAfter(waiting.what, result.Err) {
		waiting.done(result)
	}
	p.settle()
}

// orderOrFail is order for operations that must not fail: a failure of the disk is the end of this server, since
// memory and disk no longer agree (ZOOKEEPER-2247, 4882).
func (p *Peer) orderOrFail(operation disk.Operation, what string, done func(disk.Result)) {
	p.request(operation, callback{done: done, what: what})
}

// goOnAfter takes a failure of what must not fail. It tells whether whoever asked is to be told as if it had not,
// which is a planted mistake.
func (p *Peer) goOnAfter(what string, err error) bool {
	// A standalone server has no leader to join again.
	switch {
	case p.config.Standalone || !p.defective(defect.GoOnAfterDiskError):
		p.fail(fmt.Errorf("peer: %s failed, the disk can no longer be trusted: %w", what, err))
	case p.role == leaving:
		return true
	default:
		p.leaveReason = what + " failed"
	}
	return false
}

// append puts an entry behind the log.
func (p *Peer) append(entry disk.Entry) {
	if !zab.Follows(entry.Zxid, p.logEnd) && !p.strays() {
		panic(fmt.Sprintf("peer: transaction %#x cannot follow %#x in the log", entry.Zxid, p.logEnd))
	}
	p.logEnd = entry.Zxid
	if entry.Zxid > p.appliedEnd || p.defective(defect.SkipTrunc) {
		p.logged = append(p.logged, entry)
	}
	p.ready.Disk = append(p.ready.Disk, disk.Operation{Kind: disk.Append, Entry: entry})
	p.disk.sinceSnapshot++
	p.disk.bytesSince += int64(len(entry.Payload))
}

// snapshotIfDue writes the tree down when the log behind the last snapshot has grown long. Only a
// server that serves does so: what its tree holds is committed, and what a TRUNC may take back never
// gets into a snapshot (ZOOKEEPER-1549, 4837).
func (p *Peer) snapshotIfDue() {
	d := &p.disk
	due := d.sinceSnapshot >= d.snapshotAt || (d.snapshotBytes > 0 && d.bytesSince >= d.snapshotBytes)
	if d.snapshotting || !due && !p.config.Rare.Take(rare.SnapshotNow) {
		return
	}
	p.takeSnapshot()
}

// takeSnapshot writes the tree down beside everything else.
func (p *Peer) takeSnapshot() {
	d := &p.disk
	d.snapshotting = true
	d.chooseSnapshotAt(p.config)
	p.order(disk.Operation{Kind: disk.TakeSnapshot, Snapshot: p.tree.Snapshot()}, func(result disk.Result) {
		d.snapshotting = false
		if result.Err != nil {
			p.log.Warn("no snapshot could be taken; the log stays longer than it should", "error", result.Err)
		}
	})
}

// abortSnapshot gives up a snapshot that is under way: the fast-forward is about to put transactions
// into the tree that are not committed.
func (p *Peer) abortSnapshot() {
	if p.disk.snapshotting {
		p.ready.Disk = append(p.ready.Disk, disk.Operation{Kind: disk.AbortSnapshot})
	}
}

// truncate removes everything after zxid from disk and memory.
func (p *Peer) truncate(zxid int64, done func(possible bool)) {
	p.logEnd, p.appliedEnd = zxid, zxid
	p.logged = nil
	p.order(disk.Operation{Kind: disk.Truncate, Zxid: zxid}, func(result disk.Result) {
		switch {
		case errors.Is(result.Err, disk.ErrNothingBefore):
			p.logEnd, p.appliedEnd = p.history.Last(), p.history.Last()
			done(false)
		case result.Err != nil:
			p.fail(fmt.Errorf("peer: truncating the log to %#x failed: %w", zxid, result.Err))
		default:
			end := p.logEnd // what was appended in the meantime stands behind the cut
			p.adopt(result.State)
			if p.defective(defect.SnapshotUncommitted) {
				p.claim(p.tree, zxid) // it may have come from a newer snapshot
			}
			if p.history.Last() != zxid {
				p.fail(fmt.Errorf("peer: the log ends at %#x after it was truncated to %#x", p.history.Last(), zxid))
				return
			}
			p.logEnd = end
			done(true)
		}
	})
}

// install replaces disk and memory by a leader's tree.
func (p *Peer) install(incoming *tree.Tree, done func()) {
	p.logEnd, p.appliedEnd = incoming.LastZxid(), incoming.LastZxid()
	p.logged = nil
	incoming.DistrustDigests()
	operation := disk.Operation{Kind: disk.InstallSnapshot, Snapshot: incoming.Snapshot()}
	p.orderOrFail(operation, "installing the leader's snapshot", func(disk.Result) {
		p.tree = incoming
		p.history = zab.NewHistory(p.config.CommitLogCount, nil, incoming.LastZxid())
		p.snapshotNeeded = false
		p.disk.chooseSnapshotAt(p.config)
		done()
	})
}

// claim makes memory end with a tree at zxid, whatever the disk holds: a planted mistake.
func (p *Peer) claim(t *tree.Tree, zxid int64) {
	t.SetLastZxid(zxid)
	p.tree = t
	p.history = zab.NewHistory(p.config.CommitLogCount, nil, zxid)
	p.logged, p.logEnd, p.appliedEnd = nil, zxid, zxid
}

// saveAcceptedEpoch and saveCurrentEpoch write an epoch file.

func (p *Peer) saveAcceptedEpoch(epoch int64, done func()) {
	if epoch <= p.acceptedEpoch {
		panic(fmt.Sprintf("peer: epoch %d would be accepted after %d", epoch, p.acceptedEpoch))
	}
	operation := disk.Operation{Kind: disk.WriteAcceptedEpoch, Epoch: epoch}
	p.orderOrFail(operation, "writing acceptedEpoch", func(disk.Result) {
		p.acceptedEpoch = epoch
		done()
	})
}

func (p *Peer) saveCurrentEpoch(epoch int64, done func()) {
	if epoch < p.currentEpoch || epoch > p.acceptedEpoch {
		panic(fmt.Sprintf("peer: epoch %d would be joined in epoch %d with %d accepted", epoch, p.currentEpoch, p.acceptedEpoch))
	}
	operation := disk.Operation{Kind: disk.WriteCurrentEpoch, Epoch: epoch}
	p.orderOrFail(operation, "writing currentEpoch", func(disk.Result) {
		p.currentEpoch = epoch
		done()
	})
}
