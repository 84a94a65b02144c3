package zab

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ordeal/node/disk"
	"ordeal/node/jute"
)

// logReader is a log that is read back.
type logReader struct {
	entries  []disk.Entry
	snapshot int64
	err      error
	// sizeMax is what was asked for last.
	sizeMax int64
}

func (r *logReader) SnapshotSize() int64 { return r.snapshot }

func (r *logReader) ReadFrom(from, sizeMax int64) ([]disk.Entry, error) {
	r.sizeMax = sizeMax
	first := len(r.entries) - 1
	for first >= 0 && r.entries[first].Zxid > from {
		first--
	}
	if r.err != nil || first < 0 {
		return nil, r.err
	}
	return r.entries[first:], nil
}

// planWith reads the log if the plan takes that, as a leader does.
func planWith(reader disk.Reader, peer int64, history *History, bounds syncBounds) syncPlan {
	var logged []disk.Entry
	if sizeMax, readable := bounds.logMax(reader); readable && lacksMore(peer, history) {
		logged, _ = reader.ReadFrom(peer, sizeMax)
	}
	return planSync(peer, history, logged, bounds)
}

func (p syncPlan) text() string {
	words := []string{jute.PacketName(p.op)}
	if p.op != jute.PacketSnap {
		words = append(words, zxidText(p.zxid))
	}
	for _, entry := range p.entries {
		words = append(words, zxidText(entry.Zxid))
	}
	return strings.Join(words, " ")
}

func TestPlanSync(t *testing.T) {
	for _, test := range []struct {
		name    string
		history string // in memory
		end     string // of a history without entries
		log     string // on disk
		peer    string
		want    string
	}{
		{name: "rule 2: nothing is missing", history: "1.1-1.3", peer: "1.3", want: "DIFF 1.3"},
		{name: "rule 2: nothing was ever written", end: "0.0", peer: "0.0", want: "DIFF 0.0"},
		{name: "rule 3: more than anyone has", history: "1.1-1.3", peer: "1.5", want: "TRUNC 1.3"},
		{name: "rule 3: of a later epoch", history: "1.1-1.3", peer: "2.1", want: "TRUNC 1.3"},
		{name: "rule 3: the start of an epoch cannot be cut off", history: "1.1-1.3", peer: "2.0", want: "SNAP"},
		{name: "rule 3: no log can be cut to the start of an epoch", end: "2.0", peer: "2.1", want: "SNAP"},
		{name: "rule 4: some are missing", history: "1.1-1.3,2.1", peer: "1.2", want: "DIFF 2.1 1.3 2.1"},
		{name: "rule 4: the oldest is just there", history: "1.4-1.6", peer: "1.4", want: "DIFF 1.6 1.5 1.6"},
		{name: "rule 4: the start of an epoch", history: "1.1-1.3,2.1-2.2", peer: "2.0", want: "DIFF 2.2 2.1 2.2"},
		{name: "rule 4: it went on in an older epoch", history: "1.1-1.3,2.1-2.2", peer: "1.4", want: "SNAP"},
		{name: "rule 5: the log reaches back", history: "1.4-1.6", log: "1.1-1.6", peer: "1.2", want: "DIFF 1.6 1.3 1.4 1.5 1.6"},
		{name: "rule 5: the log alone", end: "1.3", log: "1.1-1.3", peer: "1.1", want: "DIFF 1.3 1.2 1.3"},
		{name: "rule 5: the log has more than is committed", history: "1.4-1.5", log: "1.1-1.7", peer: "1.3", want: "DIFF 1.5 1.4 1.5"},
		{name: "rule 5: the log does not reach back", history: "1.4-1.6", log: "1.3-1.6", peer: "1.2", want: "SNAP"},
		{name: "rule 5: the log does not reach the memory", history: "1.5-1.6", log: "1.1-1.3", peer: "1.2", want: "SNAP"},
		{name: "rule 5: the log has a hole", history: "1.9", log: "1.1-1.3,1.6-1.9", peer: "1.2", want: "SNAP"},
		{name: "rule 5: a later epoch does not begin at its start", history: "2.4", log: "1.1-1.3,2.3-2.4", peer: "1.2", want: "SNAP"},
		{name: "rule 5: it went on in an older epoch", history: "2.2-2.3", log: "1.1-1.3,2.1-2.3", peer: "1.4", want: "SNAP"},
		{name: "rule 6: no log", history: "1.4-1.6", peer: "1.2", want: "SNAP"},
	} {
		t.Run(test.name, func(t *testing.T) {
			entries := entriesOf(t, test.history)
			var last int64
			if len(entries) > 0 {
				last = entries[len(entries)-1].Zxid
			} else {
				last = zxidOf(t, test.end)
			}
			reader := &logReader{entries: entriesOf(t, test.log)}
			plan := planWith(reader, zxidOf(t, test.peer), NewHistory(100, entries, last), syncBounds{factor: 0.33})
			require.Equal(t, test.want, plan.text())
		})
	}
}

func TestTheLogIsReadOnlyAsFarAsASnapshotWouldBeLarger(t *testing.T) {
	history := NewHistory(100, entriesOf(t, "1.4-1.6"), zxidOf(t, "1.6"))
	reader := &logReader{entries: entriesOf(t, "1.1-1.6"), snapshot: 3000}
	require.Equal(t, jute.PacketDiff, planWith(reader, zxidOf(t, "1.2"), history, syncBounds{factor: 0.5}).op)
	require.EqualValues(t, 1500, reader.sizeMax)
	require.Equal(t, jute.PacketSnap, planWith(reader, zxidOf(t, "1.2"), history, syncBounds{factor: -1}).op, "a negative factor turns the log off")
	reader.err = errors.New("EIO")
	require.Equal(t, jute.PacketSnap, planWith(reader, zxidOf(t, "1.2"), history, syncBounds{factor: 0.5}).op, "a log that cannot be read is no reason to fail")
}

// A learner whose DIFF would not fit into its queue could never join: it would be cut off each time.
func TestADiffFitsIntoTheQueue(t *testing.T) {
	entries := entriesOf(t, "1.1-1.9")
	sent := syncPlan{entries: entries[5:]}.size()
	inMemory := NewHistory(100, entries, zxidOf(t, "1.9"))
	onDisk := NewHistory(100, entries[8:], zxidOf(t, "1.9"))
	for name, history := range map[string]*History{"in memory": inMemory, "on disk": onDisk} {
		for _, factor := range []float64{0, 0.33} {
			reader := &logReader{entries: entries, snapshot: 1 << 30}
			bounds := syncBounds{factor: factor, diffMax: sent}
			require.Equal(t, jute.PacketDiff, planWith(reader, zxidOf(t, "1.5"), history, bounds).op, name)
			require.Equal(t, jute.PacketSnap, planWith(reader, zxidOf(t, "1.4"), history, bounds).op, name)
			if history == onDisk {
				require.Equal(t, sent, reader.sizeMax, "no more is read than could be sent")
			}
		}
	}
}

func TestHistoryTakesTheRunWithoutAHole(t *testing.T) {
	for _, test := range []struct{ entries, last, min string }{
		{"1.1-1.3", "1.3", "1.1"},
		{"1.1-1.3,2.1-2.2", "2.2", "1.1"},
		{"1.1-1.2,1.4-1.6", "1.6", "1.4"},
		{"1.1-1.3,2.2-2.3", "2.3", "2.2"},
		{"1.1-1.3", "2.0", "2.0"}, // a snapshot was installed behind the log
		{"", "1.3", "1.3"},
	} {
		h := NewHistory(100, entriesOf(t, test.entries), zxidOf(t, test.last))
		require.Equal(t, test.last, zxidText(h.Last()), test.entries)
		require.Equal(t, test.min, zxidText(h.Min()), test.entries)
	}
	require.Panics(t, func() { NewHistory(10, entriesOf(t, "1.1"), zxidOf(t, "1.1")).Add(entryFor(zxidOf(t, "1.3"))) })
}

// Whatever a learner has, it ends with the leader's history: a DIFF continues its log where that ends,
// a TRUNC where it is cut to, and both lead to the end.
func TestPlansLeadToTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var zxids []int64
		zxid := EpochStart(1)
		for i := rapid.IntRange(1, 40).Draw(t, "transactions"); i > 0; i-- {
			if rapid.IntRange(0, 9).Draw(t, "new epoch") == 0 {
				zxid = EpochStart(Epoch(zxid) + 1)
			}
			zxid++
			zxids = append(zxids, zxid)
		}
		var log []disk.Entry
		for _, zxid := range zxids {
			log = append(log, entryFor(zxid))
		}
		inMemory := log[rapid.IntRange(0, len(log)).Draw(t, "only on disk"):]
		onDisk := log[rapid.IntRange(0, len(log)-1).Draw(t, "purged"):]
		history := NewHistory(1000, inMemory, zxid)
		peer := zxids[rapid.IntRange(0, len(zxids)-1).Draw(t, "peer")]
		extra := rapid.IntRange(0, 2).Draw(t, "uncommitted") // of the learner, in the epoch of its end
		shared := peer
		peer += int64(extra)
		for _, known := range zxids {
			if known > shared && known <= peer {
				shared = known
			}
		}
		plan := planWith(&logReader{entries: onDisk}, peer, history, syncBounds{})
		end := shared
		switch plan.op {
		case jute.PacketSnap:
			return
		case jute.PacketTrunc:
			require.LessOrEqual(t, plan.zxid, peer)
			end = plan.zxid
		default:
			require.Equal(t, shared, peer, "a DIFF for a learner with something that nobody else has")
		}
		for _, entry := range plan.entries {
			require.True(t, Follows(entry.Zxid, end), "%x after %x", entry.Zxid, end)
			end = entry.Zxid
		}
		require.Equal(t, zxid, end)
	})
}
