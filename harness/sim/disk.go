package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"ordeal/node/disk"
	"ordeal/node/tree"
)

// The disks that a world may have.
const (
	// modelDisks are quick: an operation happens at once and as a whole, after its time.
	modelDisks = "model"
	// fileDisks are the server's real store over a file system that forgets and fails.
	fileDisks = "files"
)

// diskNames name the operations at which an ambush may wait.
var diskNames = map[disk.Kind]string{
	disk.Sync: "Sync", disk.WriteAcceptedEpoch: "WriteAcceptedEpoch", disk.WriteCurrentEpoch: "WriteCurrentEpoch",
	disk.InstallSnapshot: "InstallSnapshot", disk.Truncate: "Truncate", disk.ReadLog: "ReadLog",
}

// memberDisk is one member's disk: it carries out what the member's peer asks for, and goes on when the
// member ends.
type memberDisk interface {
	disk.Reader
	// boot recovers what the disk holds, as a server does when it starts.
	boot() (*disk.State, error)
	// excuses tells whether faults explain why the disk does not boot.
	excuses(err error) bool
	ask(operations []disk.Operation)
	// crash ends what is under way. Without power what was not synced is lost, but for so many in a
	// hundred that happened to be written.
	crash(powerLoss bool, keep int)
	// finish carries out at once what was asked for, as a server does that ends in order.
	finish()
	// readBack is the tree that the disk holds for sure.
	readBack() (*tree.Tree, error)
	busy() bool
	// end is the last zxid that the disk was given, synced or not.
	end() int64
	// holds tells whether a transaction survives a loss of power now.
	holds(zxid int64) bool
	// epochs are those on the disk.
	epochs() (accepted, current int64)
	troubles() *trouble
	// rot damages a file of a kind at rest, and restore puts back what was damaged.
	rot(kind fileKind, chance uint64)
	restore()
	// wipe takes everything away, as somebody does who starts a member anew after a loss. The member is down. Until
	// it has copied a leader's history its disk lacks what it held: it must take no part in elections.
	wipe()
	lacks() bool
	// release ends one fault that held the disk.
	release()
	// close ends the disk with its world.
	close()
}

// newDisk returns an empty disk of the world's sort.
func (w *World) newDisk(owner *member) memberDisk {
	if w.config.Disk == fileDisks {
		return newStoreDisk(w, owner)
	}
	return newModelDisk(w, owner)
}

var (
	errDisk = errors.New("sim: input/output error")
	errFull = errors.New("sim: no space left on the device")
)

// trouble is what faults do to a disk.
type trouble struct {
	slow   time.Duration
	stuck  int // faults that hold it now
	faults []*Fault
	failed bool // something failed since the boot
}

// begin and end one fault that makes operations fail.
func (t *trouble) begin(f *Fault) { t.faults = append(t.faults, f) }

func (t *trouble) end(f *Fault) {
	if at := slices.Index(t.faults, f); at >= 0 {
		t.faults = slices.Delete(t.faults, at, at+1)
	}
}

// any tells whether something has failed, or may fail now.
func (t *trouble) any() bool { return t.failed || len(t.faults) > 0 }

// failure is the error of an operation on a kind of files that needs room, or syncs, or both.
func (t *trouble) failure(kind fileKind, room, sync bool) error {
	for _, f := range t.faults {
		switch {
		case f.Files != "" && f.Files != kind:
		case f.Kind == faultBrokenDisk, f.Kind == faultFailingSync && sync:
			return errDisk
		case f.Kind == faultFullDisk && room:
			return errFull
		}
	}
	return nil
}

// describe is an operation as people read it: end is that of the log behind it, base the snapshot under it.
func describe(operation disk.Operation, result disk.Result, end, base int64) string {
	text := diskNames[operation.Kind]
	switch operation.Kind {
	case disk.Sync:
		text += " up to " + zxidWord(end)
	case disk.WriteAcceptedEpoch, disk.WriteCurrentEpoch:
		text += fmt.Sprintf(" %d", operation.Epoch)
	case disk.Truncate:
		text += " to " + zxidWord(operation.Zxid)
	case disk.InstallSnapshot:
		text += " of " + zxidWord(base)
	}
	if result.Err != nil {
		text += ": " + result.Err.Error()
	}
	return text
}
