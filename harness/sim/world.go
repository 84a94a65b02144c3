package sim

import (
	"encoding/binary"
	"fmt"
	"time"

	"ordeal/harness/client"
	"ordeal/nemesis"
	"ordeal/node/defect"
	"ordeal/node/peer"
	"ordeal/node/quorum"
	"ordeal/node/tree"
	"ordeal/results/history"
)

// wallAtZero is what clocks on walls show when the world begins, in milliseconds since 1970.
const wallAtZero = 1_700_000_000_000

// World is a virtual machine room, its clients, and its clock.
type World struct {
	config     Config
	tree       tree.Options
	defects    defect.Set
	membership *quorum.Config
	verifier   quorum.Verifier

	now      time.Duration
	queue    eventQueue
	sequence uint64
	// happening is the number of the present event.
	happening uint64
	events    int
	pace      pace
	hash      uint64
	notes     int    // events that were mixed into the hash
	words     []byte // scratch for what is mixed into the hash

	source   *source
	ways     [][]*way // by member from and to; 0 stands for all clients
	pipes    []*pipe  // between members
	members  []*member
	clients  []*driver
	numbers  client.Numbers
	ambushes []*ambush
	shares   []Share // the workloads and their clients
	nemeses  []Turn  // of a planned run
	injected []injected
	// injectedAt is when the newest of them came on.
	injectedAt            time.Duration
	hushAfter, hushBeyond time.Duration
	progress              func(phase string, load time.Duration, view nemesis.View)
	stop                  func() Stop
	interrupted           bool          // the load is to end early
	cutShort              bool          // the run ended earlier than planned
	active                int           // faults that are on
	quiet                 time.Duration // since when none is
	faultsOn              bool          // between the beginning and the end of the load
	loadStart             time.Duration
	loadEnd               time.Duration
	lastLink              peer.Link
	lastConn              peer.Conn
	lastFault             int

	inside    invariants
	violation *Violation

	recorder history.Recorder
	coverage Coverage
	trace    func(at time.Duration, line string)
	scratch  quorum.Set // for one count
	// readings are the transactions that were read from model disks, by zxid.
	readings map[int64]reading
}

// event is something that happens at a moment.
type event struct {
	at       time.Duration
	sequence uint64 // events of one moment happen in the order in which they were planned
	do       func()
}

// eventQueue is a binary heap of what will happen.
type eventQueue []event

func (e event) before(other event) bool {
	return e.at < other.at || e.at == other.at && e.sequence < other.sequence
}

func (q *eventQueue) push(e event) {
	*q = append(*q, e)
	list := *q
	at := len(list) - 1
	for at > 0 {
		above := (at - 1) / 2
		if !e.before(list[above]) {
			break
		}
		list[at] = list[above]
		at = above
	}
	list[at] = e
}

func (q *eventQueue) pop() event {
	list := *q
	first := list[0]
	last := list[len(list)-1]
	list[len(list)-1] = event{}
	list = list[:len(list)-1]
	*q = list
	if len(list) == 0 {
		return first
	}
	at := 0
	for {
		below := 2*at + 1
		if below >= len(list) {
			break
		}
		if below+1 < len(list) && list[below+1].before(list[below]) {
			below++
		}
		if !list[below].before(last) {
			break
		}
		list[at] = list[below]
		at = below
	}
	list[at] = last
	return first
}

// after plans something, and returns the number of the event: it is what is happening then.
func (w *World) after(delay time.Duration, do func()) uint64 {
	w.sequence++
	w.queue.push(event{at: w.now + max(delay, 0), sequence: w.sequence, do: do})
	return w.sequence
}

// step lets the next event happen. It is false if there is none up to end.
func (w *World) step(end time.Duration) bool {
	if len(w.queue) == 0 || w.queue[0].at > end {
		return false
	}
	next := w.queue.pop()
	w.now, w.happening = next.at, next.sequence
	w.events++
	w.watchPace()
	w.lookStop()
	next.do()
	return true
}

// runUntil lets time pass until a condition holds, or until the given moment, or until a promise is
// broken. It tells whether the condition holds. The condition is looked at every interval only: it
// need not be cheap. These moments do not depend on events: clients that think it over make some that
// a script, which knows the result, has not.
func (w *World) runUntil(end, interval time.Duration, condition func() bool) bool {
	for w.violation == nil {
		if condition() {
			return true
		}
		if w.now >= end {
			return false
		}
		w.runTo(min(w.now+interval, end))
	}
	return false
}

// runTo lets time pass up to a moment, or until a promise is broken.
func (w *World) runTo(end time.Duration) {
	for w.violation == nil && w.step(end) {
	}
	if w.violation == nil {
		w.now = max(w.now, end)
	}
}

// The primes of FNV-1a, by which events are mixed into the hash.
const (
	hashStart = 14695981039346656037
	hashPrime = 1099511628211
)

// The kinds of events that the hash tells apart.
const (
	hashBoot = iota + 1
	hashCrash
	hashNotification
	hashPacket
	hashFrame
	hashReply
	hashDisk
	hashFault
	hashClose
	hashRecord
	hashFile
	hashRare
	hashStage
)

// note mixes an event into the hash.
func (w *World) note(kind, who int, values ...int64) {
	h := w.hash
	h = (h ^ uint64(w.now)) * hashPrime
	h = (h ^ uint64(kind)) * hashPrime
	h = (h ^ uint64(who)) * hashPrime
	for _, v := range values {
		h = (h ^ uint64(v)) * hashPrime
		h ^= h >> 29
	}
	w.hash = h
	w.notes++
}

// noteBytes mixes the contents of the event that was just noted into the hash.
func (w *World) noteBytes(data []byte) {
	h := (w.hash ^ uint64(len(data))) * hashPrime
	for len(data) >= 8 {
		h = (h ^ binary.LittleEndian.Uint64(data)) * hashPrime
		h ^= h >> 29
		data = data[8:]
	}
	for _, b := range data {
		h = (h ^ uint64(b)) * hashPrime
	}
	w.hash = h ^ h>>29
}

// tell writes a line of the transcript, if there is one. Callers test w.trace first where making the
// arguments costs something.
func (w *World) tell(format string, args ...any) {
	if w.trace != nil {
		w.trace(w.now, fmt.Sprintf(format, args...))
	}
}

// record writes an event into the history of the run.
func (w *World) record(e history.Event) {
	e.Time = w.now
	w.note(hashRecord, e.Client, int64(e.Member), e.Operation)
	w.words = append(append(append(append(w.words[:0], e.Kind...), e.State...), e.SessionID...), e.Text...)
	w.noteBytes(w.words)
	w.recorder.Record(e)
}

// Violation is a broken promise.
type Violation struct {
	// Guarantee is the name of the checker or of the invariant that was broken.
	Guarantee string        `json:"guarantee"`
	At        time.Duration `json:"at"`
	Text      string        `json:"text"`
}

func (v *Violation) String() string {
	return fmt.Sprintf("%s at %v: %s", v.Guarantee, v.At, v.Text)
}

// broken records the first broken promise; the world stops then.
func (w *World) broken(guarantee, format string, args ...any) {
	if w.violation != nil {
		return
	}
	w.violation = &Violation{Guarantee: guarantee, At: w.now, Text: fmt.Sprintf(format, args...)}
	w.tell("VIOLATION of %s: %s", guarantee, w.violation.Text)
}

// leader returns the member that leads the greatest epoch and serves, or nil.
func (w *World) leader() *member {
	var found *member
	for _, m := range w.members {
		if m.up && m.standing.Role == roleLeading && m.standing.Phase == phaseBroadcast && (found == nil || m.standing.Epoch > found.standing.Epoch) {
			found = m
		}
	}
	return found
}

// The words of peer.Standing that the world asks for.
const (
	roleLooking    = "looking"
	roleLeading    = "leading"
	roleStandalone = "standalone"
	phaseBroadcast = "broadcast"
)
