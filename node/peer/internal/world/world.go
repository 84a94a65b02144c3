package world

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"ordeal/node/defect"
	"ordeal/node/election"
	"ordeal/node/peer"
	"ordeal/node/quorum"
	"ordeal/node/tree"
)

// The times of the ensembles in a world: short, so that much happens in little virtual time.
const (
	TickTime   = 100 * time.Millisecond
	initLimit  = 10
	syncLimit  = 5
	tickEvery  = 25 * time.Millisecond // how often a peer is told the time
	wallAtZero = 1_700_000_000_000     // ms
)

// Options say what a world is made of.
type Options struct {
	Seed      uint64
	Voters    int
	Observers int
	Clients   int
	// Joining members run without being in the ensemble's membership. With Reconfig clients change that
	// now and then.
	Joining  int
	Reconfig bool
	// FirstCounter is where epochs begin to number transactions.
	FirstCounter int64
	// Groups is text for the membership that divides it into groups.
	Groups  string
	Defects defect.Set
	// SnapCount and CommitLogCount are small by default, so that snapshots and every way of
	// synchronisation come up.
	SnapCount, CommitLogCount int
	Tree                      tree.Options
	// Hashed keeps Hash up to date.
	Hashed bool
	// LogTo, if not nil, gets a line for every event.
	LogTo func(line string)
}

// World is a virtual machine room.
type World struct {
	options  Options
	random   *rand.Rand
	now      time.Duration
	events   events
	sequence uint64
	digest   hash.Hash64

	Members []*Member
	Clients []*Client

	lastLink peer.Link
	lastConn peer.Conn
	cut      map[[2]int64]bool
	pipes    []*pipe // between members
	arrivals map[[2]int64]time.Duration

	// Filter, if not nil, sees every packet before it is delivered to the other member. Returning
	// false holds the packet and all behind it until Nudge is called.
	Filter func(from, to *Member, message peer.LearnerMessage) bool

	ambushes   []ambush
	tormentEnd time.Duration

	membership *quorum.Config
	verifier   quorum.Verifier
	checks     checks
	violation  error
}

// New makes a world whose members are all down.
func New(options Options) *World {
	if options.SnapCount == 0 {
		options.SnapCount = 16
	}
	if options.CommitLogCount == 0 {
		options.CommitLogCount = 8
	}
	options.Tree.DigestEnabled = true
	options.Tree.Defects = options.Defects
	w := &World{
		options: options, random: rand.New(rand.NewPCG(options.Seed, 0)), digest: fnv.New64a(),
		cut: map[[2]int64]bool{}, arrivals: map[[2]int64]time.Duration{},
	}
	w.checks.init()
	text := ""
	for id := 1; id <= options.Voters+options.Observers; id++ {
		role := "participant"
		if id > options.Voters {
			role = "observer"
		}
		text += ServerLine(int64(id), role) + "\n"
	}
	w.membership = parse(text + options.Groups)
	w.verifier = w.membership.Verifier()
	for id := int64(1); id <= int64(options.Voters+options.Observers+options.Joining); id++ {
		m := &Member{ID: id, world: w, membership: w.membership}
		if _, belongs := w.membership.Server(id); !belongs {
			m.membership = parse(text + ServerLine(id, "participant"))
		}
		m.disk = newDisk(w, m)
		w.Members = append(w.Members, m)
	}
	for i := 0; i < options.Clients; i++ {
		w.Clients = append(w.Clients, newClient(w, i))
	}
	return w
}

// ServerLine is the line of a member in a membership.
func ServerLine(id int64, role string) string {
	return fmt.Sprintf("server.%d=member%d:2888:3888:%s;2181", id, id, role)
}

func parse(text string) *quorum.Config {
	membership, err := quorum.Parse(text)
	if err != nil {
		panic(err)
	}
	return membership
}

// Membership is the latest that any member goes by.
func (w *World) Membership() *quorum.Config { return w.membership }

// Start boots all members, and the clients begin their work.
func (w *World) Start() {
	w.Boot(w.Members...)
	for _, c := range w.Clients {
		c.start()
	}
}

// Boot starts members.
func (w *World) Boot(members ...*Member) {
	for _, m := range members {
		m.Boot()
	}
}

// CrashAll ends all members at once.
func (w *World) CrashAll(powerLoss bool) {
	for _, m := range w.Members {
		m.Crash(powerLoss)
	}
}

// Member returns the member with this id.
func (w *World) Member(id int64) *Member { return w.Members[id-1] }

// Now is the virtual time.
func (w *World) Now() time.Duration { return w.now }

// Violation is the first broken promise, or nil.
func (w *World) Violation() error { return w.violation }

// Hash sums up everything that has happened, with Options.Hashed.
func (w *World) Hash() uint64 { return w.digest.Sum64() }

func (w *World) upTo(span time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(span) + 1))
}

// trace puts an event into the hash, and into the log if there is one.
func (w *World) trace(format string, args ...any) {
	if !w.options.Hashed && w.options.LogTo == nil {
		return
	}
	line := fmt.Sprintf(format, args...)
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(w.now))
	w.digest.Write(at[:])
	w.digest.Write([]byte(line))
	if w.options.LogTo != nil {
		w.options.LogTo(fmt.Sprintf("%12v %s", w.now, line))
	}
}

// check records a broken promise unless the condition holds.
func (w *World) check(holds bool, format string, args ...any) {
	if holds || w.violation != nil {
		return
	}
	w.violation = fmt.Errorf("seed %d at %v: %s", w.options.Seed, w.now, fmt.Sprintf(format, args...))
	w.trace("VIOLATION %v", w.violation)
}

// notify carries an election message: in order, but for those that are lost on the way.
func (w *World) notify(from, to *Member, message election.Notification) {
	way := [2]int64{from.ID, to.ID}
	if w.cut[way] {
		return
	}
	w.arrivals[way] = max(w.arrivals[way], w.now+w.latency())
	incarnation := to.incarnation
	w.After(w.arrivals[way]-w.now, func() {
		if w.cut[way] || to.incarnation != incarnation {
			return
		}
		w.trace("%d>%d %v leader %d zxid %x round %d", from.ID, to.ID, message.State, message.Leader, message.Zxid, message.ElectionEpoch)
		to.input("notification", func() { to.peer.ReceiveNotification(from.ID, message) })
	})
}

// latency is a packet's time on its way: mostly short, now and then long.
func (w *World) latency() time.Duration {
	if w.random.IntN(50) == 0 {
		return w.upTo(100 * time.Millisecond)
	}
	return time.Millisecond/5 + w.upTo(5*time.Millisecond)
}

// Leader returns the member that leads and serves, or nil.
func (w *World) Leader() *Member {
	for _, m := range w.Members {
		if m.up && m.state.Role == "leading" && m.state.Serving {
			return m
		}
	}
	return nil
}

// Abandon cuts a member off while the others, and only they, notice at once: a leader believes in its
// office for as long as it can.
func (w *World) Abandon(m *Member) {
	for _, other := range w.Members {
		if other != m {
			w.Cut(m.ID, other.ID)
			w.Cut(other.ID, m.ID)
		}
	}
	for _, l := range m.links {
		l.toLearner.broken = true
		l.learnerHears()
	}
}

// AllServe tells whether every member is up and serves, and all have the same transactions.
func (w *World) AllServe() bool {
	end := w.Members[0].disk.End()
	for _, m := range w.Members {
		if !m.up || m.paused || !m.state.Serving || m.disk.End() != end {
			return false
		}
	}
	return true
}
