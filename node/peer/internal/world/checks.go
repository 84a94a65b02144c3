package world

import (
	"bytes"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/quorum"
	"ordeal/node/zab"
)

// checks is what the world knows of all that has ever happened.
type checks struct {
	// leaders is who has led each epoch.
	leaders map[int64]int64
	// payloads and before are, for every transaction that was ever logged anywhere, its bytes and the
	// transaction that it stands behind. Before is the same in every log: one history.
	payloads map[int64][]byte
	before   map[int64]int64
	// committed is the newest transaction that some member has served.
	committed int64
	// newest is, by path, the zxid of the newest write that was acknowledged to a client.
	newest map[string]int64
}

func (c *checks) init() {
	c.leaders = map[int64]int64{}
	c.payloads = map[int64][]byte{}
	c.before = map[int64]int64{}
	c.newest = map[string]int64{}
}

// checkAppend sees an entry that is about to be logged.
func (w *World) checkAppend(d *Disk, entry disk.Entry) {
	end := d.End()
	w.check(entry.Zxid > end, "member %d logs %#x after %#x", d.owner.ID, entry.Zxid, end)
	if payload, known := w.checks.payloads[entry.Zxid]; known {
		w.check(bytes.Equal(payload, entry.Payload), "transaction %#x has different contents at member %d", entry.Zxid, d.owner.ID)
	}
	w.checks.payloads[entry.Zxid] = entry.Payload
	if zab.Counter(end) == 0 && end != 0 {
		return // a leader's snapshot at the start of its epoch: the transaction before is not known
	}
	if before, known := w.checks.before[entry.Zxid]; known {
		w.check(before == end, "transaction %#x stands behind %#x at member %d and behind %#x elsewhere", entry.Zxid, end, d.owner.ID, before)
	}
	w.checks.before[entry.Zxid] = end
}

// checkMember looks at a member after each of its inputs.
func (w *World) checkMember(m *Member) {
	state := m.state
	if state.Phase != "broadcast" || !state.Serving {
		return
	}
	if state.Role == "leading" {
		leader, known := w.checks.leaders[state.Epoch]
		w.check(!known || leader == m.ID, "members %d and %d both lead epoch %d", leader, m.ID, state.Epoch)
		if !known {
			w.checks.leaders[state.Epoch] = m.ID
			// A quorum has acknowledged NEWLEADER: this leader's whole history counts as committed.
			w.checkCommitted(m.disk.End())
		}
	}
	w.checkCommitted(state.LastZxid)
}

// checkCommitted sees a transaction that a member serves: it must belong to the one history, and
// survive the loss of any minority.
func (w *World) checkCommitted(zxid int64) {
	c := &w.checks
	if zab.Counter(zxid) == 0 || zxid == c.committed {
		return
	}
	newer, older := max(zxid, c.committed), min(zxid, c.committed)
	at := newer
	for at > older {
		before, known := c.before[at]
		if !known {
			return // it came with a snapshot
		}
		at = before
	}
	w.check(at == older, "%#x and %#x are both committed, but one does not lead to the other", older, newer)
	if zxid > c.committed {
		c.committed = zxid
		w.checkCommittedIsDurable()
	}
}

// checkCommittedIsDurable wants the newest committed transaction on the disks of a quorum. Logs have
// no holes, so all before it are there too.
func (w *World) checkCommittedIsDurable() {
	if w.checks.committed == 0 {
		return
	}
	var holders quorum.Set
	for _, m := range w.Members {
		if m.disk.Holds(w.checks.committed) {
			holders.Add(m.ID)
		}
	}
	w.check(w.verifier.ContainsQuorum(holders), "%#x is committed, but only the disks of %d members hold it", w.checks.committed, len(holders))
}

// checkUp sees a packet that a learner is about to send: it must promise only what is on disk.
func (w *World) checkUp(m *Member, packet *jute.QuorumPacket) {
	d := m.disk
	switch {
	case packet.Type == jute.PacketAckEpoch:
		w.check(d.accepted >= d.current, "member %d accepts an epoch before %d, which it has joined", m.ID, d.current)
	case packet.Type == jute.PacketAck && zab.Counter(packet.Zxid) == 0:
		w.check(d.current == zab.Epoch(packet.Zxid), "member %d acknowledges epoch %d with %d on disk", m.ID, zab.Epoch(packet.Zxid), d.current)
	case packet.Type == jute.PacketAck:
		w.check(d.Holds(packet.Zxid), "member %d acknowledges %#x, which is not on its disk", m.ID, packet.Zxid)
	}
}

// checkDown sees a packet that a leader is about to send.
func (w *World) checkDown(m *Member, packet *jute.QuorumPacket) {
	d := m.disk
	switch packet.Type {
	case jute.PacketLeaderInfo:
		w.check(d.accepted == zab.Epoch(packet.Zxid), "member %d announces epoch %d with %d accepted on disk", m.ID, zab.Epoch(packet.Zxid), d.accepted)
	case jute.PacketNewLeader:
		w.check(d.current == zab.Epoch(packet.Zxid), "member %d leads epoch %d with %d on disk", m.ID, zab.Epoch(packet.Zxid), d.current)
	}
}

// CheckConverged wants all members to hold the same.
func (w *World) CheckConverged() {
	first := w.Members[0]
	for _, m := range w.Members {
		w.check(m.state.Digest == first.state.Digest, "the trees of %v and %v differ", first, m)
	}
}
