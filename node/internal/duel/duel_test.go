package duel

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// Watches end with their connection, and other members know nothing of them.
func TestBooksAreThoseOfConnectionsThatThereAre(t *testing.T) {
	d := New(t, nil, nil)
	here, gone, elsewhere := watchBook{}, watchBook{}, watchBook{}
	here.add("/here", jute.WatcherData)
	gone.add("/gone", jute.WatcherData)
	elsewhere.add("/elsewhere", jute.WatcherData)
	d.clients = []*Client{{watches: here}, {watches: gone, dead: true}, {watches: elsewhere, home: 1}}
	require.Equal(t, []watchBook{here}, d.books(0))
	require.Equal(t, []watchBook{elsewhere}, d.books(1))
}

func TestWhatIsStoredHasTheTimesThatWereSeen(t *testing.T) {
	const owner, epoch = 0x1000, 7 << 32
	d := New(t, nil, nil)
	d.sessions[Ours][owner] = 3
	d.renamed[5] = 6
	seen := jute.Stat{Czxid: epoch | 4, Ctime: 2_000_004, Mzxid: epoch | 5, Mtime: 2_000_005, Pzxid: epoch | 4}
	shown := seen
	d.forget(Ours, &shown)
	stored := jute.StatPersisted{Czxid: seen.Czxid, Ctime: seen.Ctime, Mzxid: seen.Mzxid, Mtime: seen.Mtime, Pzxid: seen.Pzxid, EphemeralOwner: owner}

	found, err := d.Stored(Ours, stored, true)
	require.NoError(t, err)
	require.Equal(t, jute.StatPersisted{Czxid: 4, Mzxid: 6, Pzxid: 4, EphemeralOwner: 3}, found)
	require.NoError(t, d.TimesInOrder(Ours))

	other := stored
	other.Mtime++
	_, err = d.Stored(Ours, other, true)
	require.EqualError(t, err, "transaction 0x700000005 was at 2000005 before, and is at 2000006 now")
	_, err = d.Stored(OfApache, other, false)
	require.NoError(t, err, "the other server has its own times")

	unseen := jute.StatPersisted{Czxid: epoch | 3, Ctime: 2_000_005, Mzxid: epoch | 3, Mtime: 2_000_005}
	_, err = d.Stored(Ours, unseen, false)
	require.NoError(t, err, "it is older than the newest")
	require.EqualError(t, d.TimesInOrder(Ours), "transaction 0x700000004 is at 2000004, but the older one 0x700000003 was at 2000005")
}
