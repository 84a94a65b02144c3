package sim

import (
	"bytes"
	"slices"
	"time"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/quorum"
	"ordeal/node/zab"
)

// The guarantees that are checked at every event, from the members' borders and their disks, never
// from inside a peer.
var insideGuarantees = map[string]string{
	"one-leader":        "An epoch has one leader at most.",
	"one-log":           "A transaction stands behind the same one, with the same contents, in every log.",
	"committed-agree":   "Of two committed transactions one leads to the other.",
	"committed-durable": "What is committed is on the disks of a quorum.",
	"ack-on-disk":       "A member never acknowledges, or announces, what is not on its disk.",
	"epochs-rise":       "Accepted and current epochs never go back.",
	"zxids-rise":        "The zxids of a log rise.",
	"same-tree":         "The tree, and so its digest, is a function of the log.",
	"assertion":         "No assertion of the server fails.",
	"fatal":             "A member ends by itself only if its disk fails.",
	"no-livelock":       "An ensemble comes to rest: events do not follow one another without end.",
	"serves-history":    "A member serves once it has applied all that its leader's epoch began with.",
	"epoch-has-history": "Who joins an epoch on disk has all that it began with on disk.",
	"synced-survives":   "What a member's store has reported as done is there when it starts again.",
	"recovers":          "A member starts with whatever a crash has left on its disk, unless something rotted there.",
	"elected":           "Who begins to lead has the votes of a quorum.",
	"no-usurper":        "A member that comes back to an ensemble with a leader follows it.",
	"leader-starts":     "A leader whose NEWLEADER a quorum has acknowledged leads.",
	"start":             "Members that are left alone elect a leader and serve.",
	"quorum-serves":     "A healed quorum elects, synchronises and serves within a bound of time.",
	"all-serve":         "Once everything is healed all members serve, with the same history, within a bound of time.",
	"clients-served":    "Clients of a healed ensemble are answered.",
}

// invariants is what is known of all that has ever happened.
type invariants struct {
	// leaders is who has led each epoch.
	leaders map[int64]int
	// beginnings are the ends of the leaders' histories when they began to lead, by epoch.
	beginnings map[int64]int64
	// logged is every transaction that was ever logged anywhere.
	logged map[int64]logged
	// committed is the newest transaction that some member has served.
	committed int64
	// newLeaderAcks are those who have acknowledged the NEWLEADER of an epoch to its leader.
	newLeaderAcks map[int64]quorum.Set
	// digests are the trees' digests by last transaction.
	digests map[int64]int64
}

// logged is a transaction's contents and the one that it stands behind; known says whether that one is
// known.
type logged struct {
	payload []byte
	before  int64
	known   bool
}

func newInvariants() invariants {
	return invariants{beginnings: map[int64]int64{}, newLeaderAcks: map[int64]quorum.Set{}, leaders: map[int64]int{}, logged: map[int64]logged{}, digests: map[int64]int64{}}
}

// appending sees an entry that is about to be logged.
func (c *invariants) appending(w *World, m *member, entry disk.Entry) {
	end := m.disk.end()
	if entry.Zxid <= end {
		w.broken("zxids-rise", "member %d logs %s after %s", m.id, zxidWord(entry.Zxid), zxidWord(end))
		return
	}
	// Behind a leader's snapshot at the start of its epoch the transaction before is not known.
	before := logged{payload: entry.Payload, before: end, known: zab.Counter(end) != 0 || end == 0}
	seen, again := c.logged[entry.Zxid]
	if !again {
		c.logged[entry.Zxid] = before
		return
	}
	if !bytes.Equal(seen.payload, entry.Payload) {
		w.broken("one-log", "transaction %s has other contents at member %d than elsewhere", zxidWord(entry.Zxid), m.id)
	}
	switch {
	case !before.known:
	case !seen.known:
		c.logged[entry.Zxid] = before
	case seen.before != end:
		w.broken("one-log", "transaction %s stands behind %s at member %d, and behind %s elsewhere", zxidWord(entry.Zxid), zxidWord(end), m.id, zxidWord(seen.before))
	}
}

// recovered looks at what a member's store has read back: nothing but what was logged under its zxid. The
// tree is looked at when it serves: one that came from a leader may hold effects of what the leader applied
// while it was sent, until the log has come as far.
func (c *invariants) recovered(w *World, m *member, state *disk.State) {
	for _, entry := range state.Committed {
		if seen, known := c.logged[entry.Zxid]; !known || !bytes.Equal(seen.payload, entry.Payload) {
			w.broken("one-log", "member %d starts with a transaction %s that was never logged so", m.id, zxidWord(entry.Zxid))
		}
	}
}

// accepts and joins see an epoch that has got onto a member's disk.
func (c *invariants) accepts(w *World, m *member, epoch int64) {
	if accepted, _ := m.disk.epochs(); epoch <= accepted {
		w.broken("epochs-rise", "member %d accepts epoch %d after %d", m.id, epoch, accepted)
	}
}

func (c *invariants) joins(w *World, m *member, epoch int64) {
	if _, current := m.disk.epochs(); epoch < current {
		w.broken("epochs-rise", "member %d joins epoch %d after %d", m.id, epoch, current)
	}
	if began, known := c.beginnings[epoch]; known && !m.disk.holds(began) {
		w.broken("epoch-has-history", "member %d joins epoch %d, which began with %s, and that is not on its disk", m.id, epoch, zxidWord(began))
	}
}

// acknowledged sees that an ACK has reached a leader, which has dealt with it.
func (c *invariants) acknowledged(w *World, leader, learner *member, packet *jute.QuorumPacket) {
	epoch := zab.Epoch(packet.Zxid)
	if packet.Type != jute.PacketAck || zab.Counter(packet.Zxid) != 0 || leader.standing.Role != roleLeading {
		return
	}
	if _, current := leader.disk.epochs(); current != epoch {
		return
	}
	acks := c.newLeaderAcks[epoch]
	if acks == nil {
		acks = quorum.Set{int64(leader.id)}
	}
	acks.Add(int64(learner.id))
	c.newLeaderAcks[epoch] = acks
	if leader.standing.Phase != phaseBroadcast && w.verifier.ContainsQuorum(acks) {
		w.broken("leader-starts", "members %v have acknowledged the NEWLEADER of epoch %d, but member %d does not lead yet", slices.Sorted(slices.Values(acks)), epoch, leader.id)
	}
}

// leads sees that a member begins to lead, before anybody follows it. If no fault has been on since it
// booted, and a leader with a quorum behind it has been there all that time, it should have followed
// that one.
func (c *invariants) leads(w *World, m *member) {
	m.votes.Add(int64(m.id))
	if !w.verifier.ContainsQuorum(m.votes) {
		w.broken("elected", "member %d leads with the votes of members %v", m.id, slices.Sorted(slices.Values(m.votes)))
	}
	if w.active > 0 || m.booted < w.quiet {
		return
	}
	behind := 0
	for _, other := range w.members {
		if other.up && !other.paused && other != m && other.standing.Phase == phaseBroadcast && other.servesSince < m.booted && other.id <= w.config.Voters {
			behind++
		}
	}
	if leader := w.leader(); leader != nil && leader != m && leader.servesSince < m.booted && behind > w.config.Voters/2 {
		w.broken("no-usurper", "member %d leads, although member %d has led a quorum since before it came back", m.id, leader.id)
	}
}

// member looks at a member after each of its inputs.
func (c *invariants) member(w *World, m *member) {
	s := &m.standing
	switch {
	case s.Role == roleLooking && m.role != roleLooking:
		m.votes = m.votes[:0]
	case s.Role == roleLeading && m.role != roleLeading:
		c.leads(w, m)
	}
	m.role = s.Role
	if s.Phase != phaseBroadcast {
		m.servesSince = never
	} else if m.servesSince == never {
		m.servesSince = w.now
	}
	if s.Phase != phaseBroadcast || s.Role == roleStandalone {
		return
	}
	if s.Role == roleLeading {
		leader, known := c.leaders[s.Epoch]
		switch {
		case known && leader != m.id:
			w.broken("one-leader", "members %d and %d both lead epoch %d", leader, m.id, s.Epoch)
		case !known:
			c.leaders[s.Epoch] = m.id
			c.beginnings[s.Epoch] = m.disk.end()
			// A quorum has acknowledged NEWLEADER: this leader's whole history counts as committed.
			c.commit(w, m.disk.end())
		}
	}
	if !s.Serving && s.Role != roleLeading {
		return
	}
	if beginning := c.beginnings[s.Epoch]; s.LastZxid < beginning {
		w.broken("serves-history", "member %d serves epoch %d and has applied %s, but the epoch began with all up to %s", m.id, s.Epoch, zxidWord(s.LastZxid), zxidWord(beginning))
	}
	if s.LastZxid != c.committed {
		c.commit(w, s.LastZxid)
	}
	if m.turns.stages[peer.StageCommit].until >= w.now {
		return // what makes a tree whole that a leader sent may wait for its turn
	}
	if digest, known := c.digests[s.LastZxid]; !known {
		c.digests[s.LastZxid] = s.Digest
	} else if digest != s.Digest {
		w.broken("same-tree", "after transaction %s the tree of member %d is another than that of other members", zxidWord(s.LastZxid), m.id)
	}
}

// commit sees a transaction that a member serves: it must belong to the one history, and survive the
// loss of any minority.
func (c *invariants) commit(w *World, zxid int64) {
	if zab.Counter(zxid) == 0 || zxid == c.committed {
		return
	}
	newer, older := max(zxid, c.committed), min(zxid, c.committed)
	at := newer
	for at > older {
		entry, seen := c.logged[at]
		if !seen || !entry.known {
			at = older // it came with a snapshot
			break
		}
		at = entry.before
	}
	if at != older {
		w.broken("committed-agree", "%s and %s are both committed, but one does not lead to the other", zxidWord(older), zxidWord(newer))
	}
	if zxid > c.committed {
		c.committed = zxid
		c.durabilityMayHaveShrunk(w)
	}
}

// booted looks at what a member starts with. A single server gives the zxids of what it lost, and nobody
// was told of, to other transactions: it has no epochs to tell them apart.
func (c *invariants) booted(w *World, end int64) {
	c.durabilityMayHaveShrunk(w)
	if len(w.members) > 1 {
		return
	}
	for zxid := range c.logged { // any order: each is forgotten or not by itself
		if zxid > end {
			delete(c.logged, zxid)
		}
	}
}

// durabilityMayHaveShrunk wants the newest committed transaction on the disks of a quorum. Logs have
// no holes, so all before it are there too. Members whose disks were wiped count as if they held it: what matters
// is that no quorum can be found without it, and they take no part in any.
func (c *invariants) durabilityMayHaveShrunk(w *World) {
	if c.committed == 0 {
		return
	}
	holders := w.scratch[:0]
	for _, m := range w.members {
		if m.disk.holds(c.committed) || m.disk.lacks() {
			holders.Add(int64(m.id))
		}
	}
	w.scratch = holders
	if !w.verifier.ContainsQuorum(holders) {
		w.broken("committed-durable", "%s is committed, but only the disks of %d members hold it", zxidWord(c.committed), len(holders))
	}
}

// learnerSends sees a packet that a learner is about to send: it must promise only what is on disk.
func (c *invariants) learnerSends(w *World, m *member, packet *jute.QuorumPacket) {
	accepted, current := m.disk.epochs()
	switch {
	case packet.Type == jute.PacketAckEpoch:
		if accepted < current {
			w.broken("ack-on-disk", "member %d accepts an epoch with %d accepted and %d joined on disk", m.id, accepted, current)
		}
	case packet.Type != jute.PacketAck:
	case zab.Counter(packet.Zxid) == 0:
		if current != zab.Epoch(packet.Zxid) {
			w.broken("ack-on-disk", "member %d acknowledges epoch %d with %d on disk", m.id, zab.Epoch(packet.Zxid), current)
		}
	case !m.disk.holds(packet.Zxid):
		w.broken("ack-on-disk", "member %d acknowledges %s, which is not on its disk", m.id, zxidWord(packet.Zxid))
	}
}

// leaderSends sees a packet that a leader is about to send.
func (c *invariants) leaderSends(w *World, m *member, packet *jute.QuorumPacket) {
	accepted, current := m.disk.epochs()
	switch packet.Type {
	case jute.PacketLeaderInfo:
		if accepted != zab.Epoch(packet.Zxid) {
			w.broken("ack-on-disk", "member %d announces epoch %d with %d accepted on disk", m.id, zab.Epoch(packet.Zxid), accepted)
		}
	case jute.PacketNewLeader:
		if current != zab.Epoch(packet.Zxid) {
			w.broken("ack-on-disk", "member %d leads epoch %d with %d on disk", m.id, zab.Epoch(packet.Zxid), current)
		}
	}
}

// Promise is a guarantee of the inside in a sentence; empty if it is a checker's.
func Promise(guarantee string) string { return insideGuarantees[guarantee] }

// never is a moment that does not come.
const never = time.Duration(1<<63 - 1)
