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

// planSync decides how to bring a learner whose log ends at peer to the end of history. A DIFF is handed
// to the runner as a whole and a snapshot piece by piece: so one that the learner's queue could not hold
// is never chosen.
func planSync(peer int64, history *History, reader disk.Reader, bounds syncBounds) syncPlan {
	plan := planByRules(peer, history, reader, bounds)
	if bounds.diffMax > 0 && plan.size() > bounds.diffMax {
		return snapPlan
	}
	return plan
}

// planByRules follows the rules of protocol.md 5.2, numbered as there.
func planByRules(peer int64, history *History, reader disk.Reader, bounds syncBounds) syncPlan {
	oldest, newest := history.Min(), history.Last()
	switch {
	case peer == newest: // rule 2
		return syncPlan{op: jute.PacketDiff, zxid: peer}
	case peer > newest && Counter(peer) != 0: // rule 3
		return syncPlan{op: jute.PacketTrunc, zxid: newest}
	case oldest <= peer && peer <= newest: // rule 4
		return planFrom(peer, history.After(oldest-1), newest)
	case peer < oldest && bounds.factor >= 0 && reader != nil: // rule 5
		return planFrom(peer, entriesFromLog(peer, history, reader, bounds), newest)
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

// entriesFromLog reads the log from peer up to where the history in memory begins, and joins both.
// It returns nothing if the log does not reach back to peer, has a hole, or is so long that a
// snapshot is cheaper.
func entriesFromLog(peer int64, history *History, reader disk.Reader, bounds syncBounds) []disk.Entry {
	sizeMax := int64(bounds.factor * float64(reader.SnapshotSize()))
	if bounds.diffMax > 0 && (sizeMax == 0 || sizeMax > bounds.diffMax) {
		sizeMax = bounds.diffMax
	}
	logged, err := reader.ReadFrom(peer, sizeMax)
	if err != nil || len(logged) == 0 || logged[0].Zxid > peer {
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
