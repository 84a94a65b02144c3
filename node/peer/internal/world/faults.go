package world

import "time"

// faultLength is how long a fault lasts at most; then it is mended.
const faultLength = 1500 * time.Millisecond

// ambushPoints are the moments at which an end hurts most: the names of packets that arrive, and of
// disk operations that are done but not reported yet.
var ambushPoints = []string{
	"Sync", "WriteAcceptedEpoch", "WriteCurrentEpoch", "InstallSnapshot", "Truncate",
	"FOLLOWERINFO", "LEADERINFO", "ACKEPOCH", "DIFF", "TRUNC", "SNAP", "NEWLEADER", "UPTODATE",
	"PROPOSAL", "PROPOSAL", "ACK", "ACK", "COMMIT", "PING",
}

// ambush waits for the next time that something happens.
type ambush struct {
	point string
	of    *Member // nil: whoever it happens to
	do    func(victim *Member)
}

// Ambush lets something happen the next time that a packet of this name has arrived, or a disk
// operation of this name is done and not yet reported.
func (w *World) Ambush(point string, do func()) {
	w.ambushes = append(w.ambushes, ambush{point: point, do: func(*Member) { do() }})
}

// AmbushOf is Ambush for one member's packets, sent or received, and its disk.
func (w *World) AmbushOf(m *Member, point string, do func()) {
	w.ambushes = append(w.ambushes, ambush{point: point, of: m, do: func(*Member) { do() }})
}

// spring lets the ambushes at a point strike the sender or the receiver of a packet, or the owner of
// a disk.
func (w *World) spring(point string, from, to *Member) {
	for i, a := range w.ambushes {
		if a.point != point || a.of != nil && a.of != from && a.of != to {
			continue
		}
		w.ambushes = append(w.ambushes[:i:i], w.ambushes[i+1:]...)
		victim := to
		if w.random.IntN(2) == 0 {
			victim = from
		}
		w.trace("ambush at %s: %d", point, victim.ID)
		a.do(victim)
		return
	}
}

// Torment lets faults befall the members for span.
func (w *World) Torment(span time.Duration) {
	w.tormentEnd = w.now + span
	// Some worlds are calm for a while between faults, others hardly come to rest.
	every := 300*time.Millisecond + w.upTo(1500*time.Millisecond)
	var next func()
	next = func() {
		w.later(w.upTo(2*every), func() {
			w.fault()
			next()
		})
	}
	next()
	w.RunFor(span)
	w.ambushes = nil
}

func (w *World) anyMember() *Member { return w.Members[w.random.IntN(len(w.Members))] }

// target is a member, often the one that leads: that is where things break.
func (w *World) target() *Member {
	if leader := w.Leader(); leader != nil && w.random.IntN(3) == 0 {
		return leader
	}
	return w.anyMember()
}

func (w *World) fault() {
	m := w.target()
	length := w.upTo(faultLength)
	switch w.random.IntN(19) {
	case 0, 1:
		w.crashFor(m, w.random.IntN(2) == 0, length)
	case 2:
		// All at once, as when the power of a room fails.
		for _, each := range w.Members {
			w.crashFor(each, true, w.upTo(faultLength))
		}
	case 3:
		m.Pause()
		w.After(length, m.Resume)
	case 4, 5:
		w.isolate(m, length)
	case 6:
		if other := w.anyMember(); other != m {
			w.cutFor(m, other, length)
		}
	case 7:
		w.resetAll(m)
	case 8:
		m.disk.SyncTime = 400 * time.Millisecond
		w.After(length, func() { m.disk.SyncTime = 10 * time.Millisecond })
	case 9:
		w.Abandon(m)
		w.After(length, w.HealAll)
	case 10:
		w.slowAllBut(m, length)
	case 11:
		w.relay()
	default:
		w.layAmbush()
	}
}

// slowAllBut makes one member the fastest to acknowledge, and breaks its links again and again.
func (w *World) slowAllBut(m *Member, length time.Duration) {
	for _, other := range w.Members {
		if other != m {
			other.disk.SyncTime = 400 * time.Millisecond
			w.After(length, func() { other.disk.SyncTime = 10 * time.Millisecond })
		}
	}
	for i := 0; i < 4; i++ {
		w.later(w.upTo(length), func() { w.resetAll(m) })
	}
}

// relay hands a power loss round: as one member comes back, the next one goes.
func (w *World) relay() {
	pause := 200*time.Millisecond + w.upTo(600*time.Millisecond)
	for i, n := range w.random.Perm(len(w.Members)) {
		w.later(time.Duration(i)*pause, func() { w.crashFor(w.Members[n], true, pause+w.upTo(pause)) })
	}
}

// later plans a fault that is forgotten if the torment ends before.
func (w *World) later(delay time.Duration, do func()) {
	w.After(delay, func() {
		if w.now < w.tormentEnd {
			do()
		}
	})
}

func (w *World) resetAll(m *Member) {
	for _, other := range w.Members {
		if other != m {
			w.Reset(m.ID, other.ID)
		}
	}
}

func (w *World) layAmbush() {
	if len(w.ambushes) >= 3 {
		return
	}
	deeds := []func(*Member){
		func(m *Member) { w.crashFor(m, true, w.upTo(faultLength)) },
		func(m *Member) { w.crashFor(m, false, w.upTo(faultLength)) },
		func(m *Member) {
			w.crashFor(m, true, w.upTo(faultLength))
			if leader := w.Leader(); leader != nil {
				w.crashFor(leader, true, 2*faultLength)
			}
		},
		func(m *Member) { w.isolate(m, w.upTo(faultLength)) },
		func(m *Member) {
			m.Pause()
			w.After(w.upTo(faultLength), m.Resume)
		},
	}
	w.ambushes = append(w.ambushes, ambush{
		point: ambushPoints[w.random.IntN(len(ambushPoints))], do: deeds[w.random.IntN(len(deeds))],
	})
}

func (w *World) crashFor(m *Member, powerLoss bool, length time.Duration) {
	m.Crash(powerLoss)
	w.After(length, m.Boot)
}

// isolate cuts a member off, in one direction or both.
func (w *World) isolate(m *Member, length time.Duration) {
	way := w.random.IntN(3)
	for _, other := range w.Members {
		if other == m {
			continue
		}
		if way != 0 {
			w.cutFor(m, other, length)
		}
		if way != 1 {
			w.cutFor(other, m, length)
		}
	}
}

func (w *World) cutFor(from, to *Member, length time.Duration) {
	w.Cut(from.ID, to.ID)
	w.After(length, func() { w.Heal(from.ID, to.ID) })
}

// Mend ends all faults: every member runs, every link passes.
func (w *World) Mend() {
	w.HealAll()
	for _, m := range w.Members {
		m.disk.SyncTime = 10 * time.Millisecond
		m.Resume()
		m.Boot()
	}
}

// Settle mends everything and wants the ensemble to serve, to take writes and to converge within
// settleTime.
func (w *World) Settle() {
	w.Mend()
	w.check(w.RunUntil(settleTime, w.AllServe), "no ensemble %v after the healing: %v", settleTime, w.Members)
	done := make([]int, len(w.Clients))
	for i, c := range w.Clients {
		done[i] = c.Done
	}
	answered := func() bool {
		for i, c := range w.Clients {
			if c.Done < done[i]+5 {
				return false
			}
		}
		return true
	}
	w.check(w.RunUntil(settleTime, answered), "clients get no answers %v after the healing", settleTime)
	for _, c := range w.Clients {
		c.Stopped = true
	}
	quiet := func() bool {
		for _, c := range w.Clients {
			if c.session == 0 {
				return false
			}
		}
		return w.AllServe() && w.allApplied()
	}
	w.RunFor(3 * time.Second) // sessions that lost their clients end
	w.check(w.RunUntil(settleTime, quiet), "members do not come to the same end: %v", w.Members)
	w.CheckConverged()
}

// allApplied tells whether all trees hold all that is logged. A leader's tree stands at the start of
// its epoch until the first transaction.
func (w *World) allApplied() bool {
	for _, m := range w.Members {
		if m.state.LastZxid < m.disk.End() {
			return false
		}
	}
	return true
}
