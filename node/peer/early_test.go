package peer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/election"
	"ordeal/node/peer"
)

// Server 1 leads, and server 2, whose vote is better, has given up following it. Whenever server 1 hears that, it need not be told
// again once it looks itself, unless that is so much later that the vote may be none any more.
func TestVotesThatComeEarlyCount(t *testing.T) {
	vote := election.Notification{Leader: 2, Zxid: 1, ElectionEpoch: 2, Version: election.NotificationVersion}
	settled := vote
	settled.State = election.Following
	tell := func(b *bench, from int64, message election.Notification) {
		b.peer.ReceiveNotification(from, message)
		b.take()
	}
	giveUp := func(b *bench) {
		b.pass(2 * time.Second)
		require.NotEmpty(t, b.disk, "the end of the log is not settled")
	}
	for _, c := range []struct {
		name   string
		before func(b *bench)
		follow bool
	}{
		{"while it gives up", func(b *bench) { giveUp(b); tell(b, 2, vote) }, true},
		{"before it gives up", func(b *bench) { b.pass(900 * time.Millisecond); tell(b, 2, vote); b.pass(150 * time.Millisecond) }, true},
		{"long before", func(b *bench) { tell(b, 2, vote); giveUp(b) }, false},
		{"and is taken back", func(b *bench) { giveUp(b); tell(b, 2, vote); tell(b, 2, settled) }, false},
		{"from a stranger", func(b *bench) { giveUp(b); tell(b, 4, vote) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, func(*peer.Config) {})
			b.elect()
			b.settle()
			require.Equal(t, "leading", b.peer.State().Role)
			c.before(b)
			b.settle()
			require.Equal(t, "looking", b.peer.State().Role)
			b.pass(election.FinalizeWait)
			if c.follow {
				require.Equal(t, "following", b.peer.State().Role)
				require.EqualValues(t, 2, b.peer.State().LeaderID)
			} else {
				require.Equal(t, "looking", b.peer.State().Role)
			}
		})
	}
}

func TestASearchTellsWhenItEnds(t *testing.T) {
	b := newBench(t, func(*peer.Config) {})
	at, looking := b.peer.SearchEnds()
	require.True(t, looking)
	require.Equal(t, election.NotificationIntervalMin, at, "by a repetition, if nobody answers")
	b.pass(100 * time.Millisecond)
	vote := b.ready.Notifications[0].Message
	vote.Leader = 1
	b.peer.ReceiveNotification(2, vote)
	b.take()
	b.pass(150 * time.Millisecond) // which is past that repetition
	at, looking = b.peer.SearchEnds()
	require.True(t, looking)
	require.Equal(t, 100*time.Millisecond+election.FinalizeWait, at)
	b.pass(at - b.now.Elapsed)
	_, looking = b.peer.SearchEnds()
	require.False(t, looking)
}
