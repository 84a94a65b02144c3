package pipeline

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/rare"
)

func emptyTxn(zxid int64) disk.Entry {
	return disk.Entry{Zxid: zxid, Payload: jute.EncodePayload(jute.TxnHeader{Zxid: zxid, Type: jute.OpError}, &jute.ErrorTxn{}, nil)}
}

// What a sync has made durable may be acknowledged with the next one, but never before it is durable.
func TestAcksMayWaitForTheNextSync(t *testing.T) {
	hold := true
	w := newWorld(t, withRole(Follower), func(c *Config) {
		c.Rare = func(place rare.Place) bool { return place == rare.HoldAcks && hold }
	})
	w.slowDisk = true
	require.NoError(t, w.server.Proposal(emptyTxn(5)))
	require.NoError(t, w.server.Proposal(emptyTxn(6)))
	require.Len(t, w.tickets, 1)
	w.server.Synced(w.tickets[0])
	require.Empty(t, w.acked, "6 waits for its sync, and 5 with it")
	hold = false
	w.server.Synced(w.tickets[1])
	require.Equal(t, []int64{5, 6}, w.acked)
}

// A sync may be asked for although more is queued.
func TestBatchesMayBeSmall(t *testing.T) {
	for small, tickets := range map[bool]int{false: 0, true: 1} {
		p := &syncRequestProcessor{log: newWorld(t), unapplied: &fifo[*request]{}, rare: func(rare.Place) bool { return small }}
		for zxid := int64(1); zxid < 3; zxid++ {
			p.processRequest(&request{isTxn: true, entry: emptyTxn(zxid)})
		}
		p.step()
		require.Len(t, p.log.(*world).tickets, tickets)
	}
}

func TestSessionsMayExpireLater(t *testing.T) {
	later := true
	tracker := newSessionTracker(2000, 0, jute.SessionExpired)
	tracker.rare = func(rare.Place) bool { return later }
	tracker.track(1, 4000)
	require.Empty(t, tracker.expire(6000))
	require.True(t, tracker.touch(1, 4000), "nobody has ended it")
	later = false
	require.Empty(t, tracker.expire(11_999))
	require.Equal(t, []int64{1}, tracker.expire(12_000))
}
