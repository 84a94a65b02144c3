package store

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is what operations get that the store can no longer carry out, because Run has ended.
	ErrClosed = errors.New("store: closed")
	// ErrAborted is the result of a TakeSnapshot that was given up.
	ErrAborted = errors.New("store: snapshot given up")
	// ErrSnapshotBusy is the result of a TakeSnapshot while another one is under way.
	ErrSnapshotBusy = errors.New("store: another snapshot is still being written")
)

// startAfresh is the way out of every damage, as long as it hits few servers at a time. A server that voted with
// an empty disk, as a new one does, could help to elect a leader without what it had acknowledged itself.
const startAfresh = "put back an undamaged copy of the file, or, if the sound servers alone are a majority of all, " +
	"move this server's version-2 folders away and start it with zookeeper.db.autocreate=false: " +
	"it will take no part in an election before it has copied the state from their leader"

// CorruptError says that a file does not hold what was once written to it.
type CorruptError struct {
	File   string
	Offset int64 // in bytes
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %s; %s", e.File, e.Offset, e.Reason, startAfresh)
}

// LostError says that files are whole but that transactions are missing between or behind them.
type LostError struct {
	Reason string
}

func (e *LostError) Error() string { return e.Reason + "; " + startAfresh }

// DisorderError says that a transaction stands in the log where it does not belong. Apache ZooKeeper
// 3.8.0 leaves such logs when it loses its leader while entries wait for the disk (ZOOKEEPER-4712).
type DisorderError struct {
	File string
	// Zxid stands behind Behind.
	Zxid, Behind int64
	// Repeated is true if the very same transaction stands at its own place too: it was skipped.
	Repeated bool
}

func (e *DisorderError) Error() string {
	place := fmt.Sprintf("%s: transaction %#x stands behind %#x", e.File, e.Zxid, e.Behind)
	if e.Repeated {
		return place + ": it is a repetition and was skipped"
	}
	return place + ": transactions between them are missing or out of order; " + startAfresh
}

// DigestError says that the tree that came out of a snapshot and the log is not the tree that the
// server had which wrote them: its digest differs.
type DigestError struct {
	// Zxid is how far the tree is.
	Zxid int64
	Err  error
}

func (e *DigestError) Error() string {
	return e.Err.Error() + ": this server's state differs from the one that was recorded"
}

func (e *DigestError) Unwrap() error { return e.Err }
