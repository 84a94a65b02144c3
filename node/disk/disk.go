// Package disk says what the deterministic core asks of a disk and what a disk answers, and nothing
// of how a disk does it. The core hands out operations in its outputs; whoever runs the core (the
// server with real files, a simulator with a model) carries them out and reports each ticket back.
//
// Operations are carried out in the order in which they were asked for, with two exceptions:
// TakeSnapshot and ReadLog run beside the others. "Appended" and "on disk" are different things: an entry is on
// disk once a Sync asked for after it is done, and only then may it be acknowledged.
//
// The package must not know files, nor what an entry means.
package disk

import (
	"errors"

	"ordeal/node/tree"
)

// ErrNothingBefore is the result of a Truncate to a zxid that neither a snapshot nor the log reaches
// back to without a hole. Nothing was changed then.
var ErrNothingBefore = errors.New("disk: there is no snapshot and log to go back to")

// Entry is one logged transaction.
type Entry struct {
	Zxid int64
	// Payload is the transaction as it stands in the log and on the wire: header, body and the
	// digest trailer if there is one. It is kept verbatim and never changed after it was handed out.
	Payload []byte
}

// Ticket names an operation whose completion the core wants to hear of. Zero asks for silence.
type Ticket uint64

// Kind tells operations apart.
type Kind uint8

// The operations. All but TakeSnapshot and ReadLog happen in the order in which they were asked for.
const (
	// Append puts Entry behind the log. It is not on disk before the next Sync is done.
	Append Kind = iota + 1
	// Sync forces everything that was appended so far to the disk.
	Sync
	// WriteAcceptedEpoch replaces the file acceptedEpoch with Epoch, durably.
	WriteAcceptedEpoch
	// WriteCurrentEpoch replaces the file currentEpoch with Epoch, durably.
	WriteCurrentEpoch
	// TakeSnapshot writes Snapshot, a fuzzy picture of the living tree, beside other operations, and
	// starts a new log file. A failure costs nothing but the log's length.
	TakeSnapshot
	// InstallSnapshot writes Snapshot durably (temporary file, fsync, rename) and removes logged
	// entries beyond its zxid, which are of a history that was given up. Between the log before and
	// what is appended afterwards there may be a hole: neither State.Committed nor ReadFrom may ever
	// reach across it.
	InstallSnapshot
	// Truncate removes all entries after Zxid from the log, and all snapshots that are newer, and
	// answers with the State that is left (ZOOKEEPER-4837: a newer snapshot must not survive), or
	// with ErrNothingBefore.
	Truncate
	// AbortSnapshot gives up a TakeSnapshot that is under way and removes what it wrote.
	AbortSnapshot
	// ReadLog reads the log back, beside other operations, as Reader.ReadFrom does from Zxid on, at most
	// SizeMax bytes, and answers with the Entries.
	ReadLog
)

// Operation is one request to the disk.
type Operation struct {
	Kind     Kind
	Ticket   Ticket
	Entry    Entry             // Append
	Epoch    int64             // WriteAcceptedEpoch, WriteCurrentEpoch
	Zxid     int64             // Truncate, ReadLog
	SizeMax  int64             // ReadLog, in bytes; 0: no bound
	Snapshot *tree.Snapshotter // TakeSnapshot, InstallSnapshot
}

// Result reports that the operation with this ticket is done, or why it failed.
type Result struct {
	Ticket Ticket
	Err    error
	State  *State // after Truncate
	// Entries are what ReadLog found; none if the log does not reach back that far.
	Entries []Entry
}

// State is what a disk holds: what a server knows when it starts.
type State struct {
	// Tree is the newest snapshot with the log after it applied.
	Tree *tree.Tree
	// Committed are the newest entries of the log, oldest first, at most the commitLogCount that the
	// disk was opened with.
	Committed []Entry
	// CurrentEpoch and AcceptedEpoch are the epoch files' values; a missing file counts as the epoch
	// of the last zxid.
	CurrentEpoch, AcceptedEpoch int64
}

// Reader reads the log back, for learners that lag too far behind for the entries in memory.
type Reader interface {
	// ReadFrom returns the logged entries from the one with the greatest zxid <= from onward, oldest
	// first, or nil if the log does not reach back that far or holds more than sizeMax bytes
	// (0: no bound).
	ReadFrom(from int64, sizeMax int64) ([]Entry, error)
	// SnapshotSize is the size of the newest snapshot in bytes (protocol.md 5.2 rule 5).
	SnapshotSize() int64
}
