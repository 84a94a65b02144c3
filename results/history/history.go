// Package history is the record of a run: what clients called and what came back, which faults were
// on, which member led, what the members held at the end. All on one monotonic clock.
//
// It is the leaf that workloads, nemeses, checkers and the harness share. It knows no driver, no
// checker and no wire.
package history

import "time"

// EventKind tells the lines of a history apart.
type EventKind string

// The kinds of events.
const (
	Call       EventKind = "call"    // a client sent an operation
	Return     EventKind = "return"  // its outcome, known or not
	WatchFired EventKind = "watch"   // a client got a watch event
	Session    EventKind = "session" // a client's session changed state
	FaultOn    EventKind = "fault"   // a fault is on: written when its injection is done, see Began
	FaultOff   EventKind = "heal"    // it is off: written when its healing is done, see Began
	Member     EventKind = "member"  // something happened to a member
	Phase      EventKind = "phase"   // the run entered a phase: setup, load, heal, final, end
	Znode      EventKind = "znode"   // one znode of one member's final tree
	Final      EventKind = "final"   // a member's final tree is complete: zxid, count, digest
	Note       EventKind = "note"    // words for the reader, for instance a skipped fault
)

// Event is one line of a history. Only the fields that its kind uses are set.
type Event struct {
	// Time is nanoseconds since the run began. Of a call: just before its bytes were handed to the
	// connection; of a return: just after the reply was decoded.
	Time time.Duration `json:"t"`
	Kind EventKind     `json:"e"`
	// Began is when the injection or the healing of a fault began, on the clock of Time; 0 where that is
	// not known, or where either takes no time. Members may feel the fault from then on.
	Began time.Duration `json:"began,omitempty"`

	// Operation numbers calls and joins a return to its call; it is never 0.
	Operation int64  `json:"op,omitempty"`
	Client    int    `json:"client,omitempty"` // from 1
	Workload  string `json:"workload,omitempty"`
	Member    int    `json:"member,omitempty"`  // from 1; of call and return: the member asked
	SessionID string `json:"session,omitempty"` // 0x… as ZooKeeper prints it

	Request *Request `json:"request,omitempty"` // of a call
	Result  *Result  `json:"result,omitempty"`  // of a return
	Watch   *Watch   `json:"watch,omitempty"`
	Fault   *Fault   `json:"fault,omitempty"`
	Node    *Node    `json:"node,omitempty"`
	State   State    `json:"state,omitempty"` // of session and member events
	Epoch   int64    `json:"epoch,omitempty"`
	// Zxid is, of a final event, that of the last transaction on the member's disk.
	Zxid int64 `json:"zxid,omitempty"`
	// Served is, of a final event, the zxid up to which the member served its tree: it must be on its disk
	// too. 0 if not known, as in histories that were recorded before there was this field.
	Served int64  `json:"served,omitempty"`
	Digest string `json:"digest,omitempty"` // of a final event: the tree's digest, from its disk
	Count  int    `json:"count,omitempty"`
	Text   string `json:"text,omitempty"`
}

// From is when what the event tells began: Began where it is known, as older histories do not, else Time.
func (e Event) From() time.Duration {
	if e.Began != 0 {
		return e.Began
	}
	return e.Time
}

// State is what a session or a member became.
type State string

// States of sessions.
const (
	Connected    State = "connected"    // a new session
	Resumed      State = "resumed"      // the same session on a new connection
	Disconnected State = "disconnected" // connection lost, session perhaps alive
	Expired      State = "expired"      // the ensemble said that the session is gone
	Closed       State = "closed"       // closed by the client, confirmed
	Abandoned    State = "abandoned"    // given up by the client without a word
)

// Ended tells whether a client has no such session any more.
func (s State) Ended() bool { return s == Expired || s == Closed || s == Abandoned }

// States of members.
const (
	Started State = "started"
	Serving State = "serving" // answers clients
	Leading State = "leading" // Epoch says since which epoch
	Exited  State = "exited"  // ended as a fault or the harness asked
	Crashed State = "crashed" // ended by itself: Text says how
)

// OpKind is what a client asks.
type OpKind string

// The operations that workloads use.
const (
	Create   OpKind = "create"
	Delete   OpKind = "delete"
	Exists   OpKind = "exists"
	Get      OpKind = "get"
	Set      OpKind = "set"
	Children OpKind = "children"
	Sync     OpKind = "sync"
	Check    OpKind = "check" // only within multi
	Multi    OpKind = "multi"
	// SyncGet and SyncChildren are a sync and a read sent together, in this order, on one connection.
	// They fail, without effect, if the connection changes between the two.
	SyncGet      OpKind = "sync-get"
	SyncChildren OpKind = "sync-children"
	// CloseSession ends the session; the client's next operation runs in a new one.
	CloseSession OpKind = "close-session"
	// AbandonSession ends it without a word, as a client does that crashes: the ensemble is not asked, and
	// finds out when the session's time is over. The client's next operation runs in a new session.
	AbandonSession OpKind = "abandon-session"
)

// AnyVersion makes set, delete and check unconditional.
const AnyVersion = -1

// Request is one operation as the workload asked for it.
type Request struct {
	Kind       OpKind    `json:"kind"`
	Path       string    `json:"path,omitempty"`
	Value      string    `json:"value,omitempty"`
	Version    int32     `json:"version,omitempty"` // expected version; AnyVersion for any
	Ephemeral  bool      `json:"ephemeral,omitempty"`
	Sequential bool      `json:"sequential,omitempty"`
	Watch      bool      `json:"watch,omitempty"` // leave a one-shot watch
	Parts      []Request `json:"parts,omitempty"` // of a multi
}

// Outcome is what is known of an operation's effect.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"      // took effect, or read
	Failed  Outcome = "failed"  // certainly had no effect; Error says why
	Unknown Outcome = "unknown" // may have taken effect, may take effect later, or never
)

// Result is what came back.
type Result struct {
	Outcome Outcome `json:"outcome"`
	// Error is ZooKeeper's name for the error (BadVersion, NoNode, NodeExists, NotEmpty,
	// SessionExpired, ConnectionLoss, …), empty for OK.
	Error string `json:"error,omitempty"`
	// Answered is true if the ensemble answered, with or without an error: Zxid is then the reply's.
	Answered bool     `json:"answered,omitempty"`
	Zxid     int64    `json:"zxid,omitempty"`
	Xid      int32    `json:"xid,omitempty"`  // the request's number on its connection
	Path     string   `json:"path,omitempty"` // the path that a create made
	Value    string   `json:"value,omitempty"`
	Stat     *Stat    `json:"stat,omitempty"`
	Children []string `json:"children,omitempty"`
	Parts    []Result `json:"parts,omitempty"` // of a multi, in the order of its parts
}

// Stat is the part of ZooKeeper's stat that checkers use.
type Stat struct {
	Czxid          int64 `json:"czxid"`
	Mzxid          int64 `json:"mzxid"`
	Pzxid          int64 `json:"pzxid"`
	Version        int32 `json:"version"`
	Cversion       int32 `json:"cversion"`
	EphemeralOwner int64 `json:"owner,omitempty"`
	NumChildren    int32 `json:"children,omitempty"`
}

// Watch is a watch event as a client got it.
type Watch struct {
	// Type is created, deleted, changed or children.
	Type string `json:"type"`
	Path string `json:"path"`
}

// Node is one znode of a member's final tree.
type Node struct {
	Path  string `json:"path"`
	Value string `json:"value"`
	Stat  Stat   `json:"stat"`
}
