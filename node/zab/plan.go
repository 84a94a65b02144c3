package zab

import (
	"ordeal/node/disk"
	"ordeal/node/jute"
)

// syncPlan is how a learner gets the leader's history: the packet that opens it (DIFF, TRUNC or SNAP)
// with its zxid, and the committed entries that follow. A SNAP has neither.
type syncPlan struct {
	op      int32
	zxid    int64
	entries []disk.Entry
}

// snapPlan is the way that always works.
var snapPlan = syncPlan{op: jute.PacketSnap}

// syncBounds say when a snapshot is better than a DIFF.
type syncBounds struct {
	// factor is zookeeper.snapshotSizeFactor: how large the entries from the log may be, compared with the
	// newest snapshot.
	factor float64
	// diffMax is the most that a DIFF may be, in bytes as it is sent; 0 for no bound.
	diffMax int64
}

// entryOverhead is what PROPOSAL and COMMIT add to an entry's payload, in bytes: twice a type, a zxid,
// the data's length and the number of identities.
const entryOverhead = 2 * (4 + 8 + 4 + 4)

// size is how many bytes the entries are when they are sent.
func (p syncPlan) size() int64 {
	size := int64(0)
	for _, entry := range p.entries {
		size += int64(len(entry.Payload)) + entryOverhead
	}
	return size
}

// lacksMore tells whether a learner whose log ends at peer lacks more than history holds: rule 5 of
// protocol.md 5.2. The log may have the rest.
func lacksMore(peer int64, history *History) bool {
	return peer < history.Min() && peer != history.Last()
}

// logMax is how much may be read from the log for a learner, in bytes; 0 for no bound, ok is false if nothing may.
func (b syncBounds) logMax(reader disk.Reader) (sizeMax int64, ok bool) {
	if b.factor < 0 || reader == nil {
		return 0, false
	}
	sizeMax = int64(b.factor * float64(reader.SnapshotSize()))
	if b.diffMax > 0 && (sizeMax == 0 || sizeMax > b.diffMax) {
		sizeMax = b.diffMax
	}
	return sizeMax, true
}

// planSync decides how to bring a learner whose log ends at peer to the end of history. Logged is what was
// read from the log from peer on, if that was needed. A DIFF is handed to the runner as a whole and a
// snapshot piece by piece: so one that the learner's queue could not hold is never chosen.
func planSync(peer int64, history *History, logged []disk.Entry, bounds syncBounds) syncPlan {
	plan := planByRules(peer, history, logged)
	if bounds.diffMax > 0 && plan.size() > bounds.diffMax {
		return snapPlan
	}
	return plan
}

// planByRules follows the rules of protocol.md 5.2, numbered as there.
func planByRules(peer int64, history *History, logged []disk.Entry) syncPlan {
	oldest, newest := history.Min(), history.Last()
	switch {
	case peer == newest: // rule 2
		return syncPlan{op: jute.PacketDiff, zxid: peer}
	case peer > newest && Counter(peer) != 0: // rule 3
		if Counter(newest) == 0 {
			// No transaction has the start of an epoch as its zxid: a leader stands there that got a snapshot.
			// Apache's learners keep the transaction after a cut that they do not find, and yet say
			// that they stand at it (FileTxnLog.truncate).
			return snapPlan
		}
		return syncPlan{op: jute.PacketTrunc, zxid: newest}
	case oldest <= peer && peer <= newest: // rule 4
		return planFrom(peer, history.After(oldest-1), newest)
	case lacksMore(peer, history): // rule 5
		return planFrom(peer, withLogged(peer, history, logged), newest)
	default: // rule 6
		return snapPlan
	}
}

// planFrom opens the stream of entries for a learner at peer. The oldest entry is at or before peer.
func planFrom(peer int64, entries []disk.Entry, newest int64) syncPlan {
	before := 0 // entries that the learner's log should have
	for before < len(entries) && entries[before].Zxid <= peer {
		before++
	}
	rest := entries[before:]
	switch {
	case before > 0 && entries[before-1].Zxid == peer:
		return syncPlan{op: jute.PacketDiff, zxid: newest, entries: rest}
	case before > 0 && Counter(peer) == 0:
		// A leader's tree stands at the start of its epoch, which is no transaction's zxid: it has
		// all that came before.
		return syncPlan{op: jute.PacketDiff, zxid: newest, entries: rest}
	default:
		// The learner has something that nobody else has, and this history, without holes as it is,
		// went on in a later epoch: Apache's learners cannot truncate across that.
		return snapPlan
	}
}

// withLogged joins what was read from the log from peer on with the history in memory. It returns nothing
// if the log does not reach back to peer or up to the history, or has a hole.
func withLogged(peer int64, history *History, logged []disk.Entry) []disk.Entry {
	if len(logged) == 0 || logged[0].Zxid > peer {
		return nil
	}
	var entries []disk.Entry
	for _, entry := range logged {
		if entry.Zxid > history.Last() || (history.Len() > 0 && entry.Zxid >= history.Min()) {
			break
		}
		entries = append(entries, entry)
	}
	entries = append(entries, history.After(history.Min()-1)...)
	if len(entries) == 0 || entries[len(entries)-1].Zxid != history.Last() {
		return nil
	}
	for i := 1; i < len(entries); i++ {
		if !Follows(entries[i].Zxid, entries[i-1].Zxid) {
			return nil
		}
	}
	return entries
}
