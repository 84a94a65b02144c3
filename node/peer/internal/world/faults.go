package world

import "time"

// Faults are drawn from the seed: each lasts a while and is then mended by itself.
const (
	faultEvery  = 300 * time.Millisecond // on average
	faultLength = 3 * time.Second        // at most, but for the slow disk
)

// Torment lets faults befall the members for span.
func (w *World) Torment(span time.Duration) {
	end := w.now + span
	var next func()
	next = func() {
		w.After(w.upTo(2*faultEvery), func() {
			if w.now < end {
				w.fault()
				next()
			}
		})
	}
	next()
	w.RunFor(span)
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
	switch w.random.IntN(10) {
	case 0, 1:
		m.Crash(w.random.IntN(2) == 0)
		w.After(length, m.Boot)
	case 2:
		// All at once, as when the power of a room fails.
		for _, each := range w.Members {
			each.Crash(true)
			w.After(w.upTo(faultLength), each.Boot)
		}
	case 3:
		m.Pause()
		w.After(length, m.Resume)
	case 4, 5:
		w.isolate(m, length)
	case 6:
		other := w.anyMember()
		if other != m {
			w.cutFor(m, other, length)
		}
	case 7:
		if other := w.anyMember(); other != m {
			w.Reset(m.ID, other.ID)
		}
	case 8:
		m.disk.SyncTime = 400 * time.Millisecond
		w.After(length, func() { m.disk.SyncTime = 10 * time.Millisecond })
	case 9:
		for _, other := range w.Members {
			if other != m {
				w.Reset(m.ID, other.ID)
			}
		}
	}
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

// allApplied tells whether all trees stand at the same transaction.
func (w *World) allApplied() bool {
	for _, m := range w.Members {
		if m.state.LastZxid != w.Members[0].state.LastZxid {
			return false
		}
	}
	return true
}
