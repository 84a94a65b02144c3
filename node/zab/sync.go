package zab

import (
	"ordeal/node/internal/queue"
	"ordeal/node/jute"
)

// pendingSync is a sync whose moment has not come: everything proposed before it must be committed,
// and with SyncByQuorum a quorum must have answered the pings of its round.
type pendingSync struct {
	ticket uint64
	zxid   int64
	round  uint64
}

// syncState is the syncs that wait, and the rounds of pings that confirm leadership for them. A
// follower answers pings only while it follows, so a quorum of answers to pings that were sent after
// the sync came means that no other leader was established before it (ZOOKEEPER-1675). At most one
// round is under way; syncs that come in the meantime share the next one.
type syncState struct {
	waiting            []pendingSync // oldest first
	started, confirmed uint64        // rounds
	// wanted is the number of answered pings that confirms the round under way, by link. A follower
	// that joins later is asked with its next ping.
	wanted map[int64]uint64
}

// Sync asks for LeaderHost.SyncDone once everything that was proposed so far is committed and, with
// SyncByQuorum, leadership is confirmed.
func (l *Leader) Sync(ticket uint64) {
	if l.phase != broadcasting {
		return
	}
	pending := pendingSync{ticket: ticket, zxid: l.broadcast.lastProposed}
	if l.config.SyncByQuorum {
		pending.round = l.syncs.started + 1
	}
	l.syncs.waiting = append(l.syncs.waiting, pending)
	l.confirmSyncs()
	l.releaseSyncs()
}

// confirmSyncs ends the round under way if a quorum has answered, and starts the next one if a sync
// waits for it.
func (l *Leader) confirmSyncs() {
	s := &l.syncs
	for l.phase == broadcasting {
		if s.started > s.confirmed {
			if !l.roundConfirmed() {
				return
			}
			s.confirmed = s.started
			l.releaseSyncs()
		}
		if n := len(s.waiting); n == 0 || s.waiting[n-1].round <= s.started {
			return
		}
		s.started++
		s.wanted = map[int64]uint64{}
		for _, h := range l.handlers {
			if h.state == following && !h.observer {
				l.ping(h)
			}
		}
	}
}

func (l *Leader) roundConfirmed() bool {
	l.counted = append(l.counted[:0], l.config.MyID)
	for _, h := range l.handlers {
		if wanted, asked := l.syncs.wanted[h.link]; asked && h.pingsAnswered >= wanted {
			l.counted.Add(h.sid)
		}
	}
	return l.verifier.ContainsQuorum(l.counted)
}

// releaseSyncs completes the oldest syncs whose conditions hold.
func (l *Leader) releaseSyncs() {
	s := &l.syncs
	for l.phase == broadcasting && len(s.waiting) > 0 {
		oldest := s.waiting[0]
		if oldest.zxid > l.broadcast.lastCommitted || oldest.round > s.confirmed {
			return
		}
		s.waiting = queue.Popped(s.waiting)
		l.host.SyncDone(oldest.ticket)
	}
}

// SendSync answers a learner's oldest outstanding sync.
func (l *Leader) SendSync(link int64) {
	if h := l.byLink[link]; h != nil {
		l.send(h, l.packet(jute.PacketSync, 0, nil))
	}
}
