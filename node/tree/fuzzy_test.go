package tree

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// beside writes a snapshot of a tree while transactions change it, once for each number of znodes that are written before
// they come, and requires that the log leads from each snapshot to the same tree.
func beside(t *testing.T, prepare, change func(l *leader)) {
	t.Helper()
	for _, start := range []func(*Tree) walker{
		func(t *Tree) walker { return t.Snapshot() },
		func(t *Tree) walker { return newApacheSnapshotter(t) },
	} {
		for written, complete := 0, false; !complete; written++ {
			l := newLeader()
			prepare(l)
			s := start(l.tree)
			head, done := s.Next(written)
			complete = done
			change(l)
			for !done {
				var chunk []byte
				chunk, done = s.Next(1)
				head = append(head, chunk...)
			}
			back := readBack(t, head, s.Zxid())
			require.NoError(t, back.ExpectDigest(s.Trailer()))
			replay(t, back, l.log)
			require.Equal(t, dump(l.tree), dump(back), "%d znodes were written before", written)
			require.Equal(t, l.tree.EphemeralOwners(), back.EphemeralOwners())
			require.Equal(t, l.tree.SessionCount(), back.SessionCount())
			requireSound(t, back)
		}
	}
}

// Test3144: sessions come and go, with their ephemerals, while the snapshot is written: its sessions fit its znodes in the
// end.
func Test3144(t *testing.T) {
	beside(t, func(l *leader) {
		l.propose(1, &jute.CreateSessionTxn{TimeOut: 4000})
		l.propose(1, l.ephemeral("/a"))
		l.propose(1, l.create("/p", ""))
	}, func(l *leader) {
		l.propose(2, &jute.CreateSessionTxn{TimeOut: 5000})
		l.propose(2, l.ephemeral("/b"))
		l.propose(1, l.ephemeral("/c"))
		l.propose(1, &jute.CloseSessionTxn{Paths2Delete: []string{"/a", "/c"}})
		require.Equal(t, []int64{2}, l.tree.EphemeralOwners())
	})
}

// Test3127: a multi changes what is written already and what is not. In the end all of it has happened.
func Test3127(t *testing.T) {
	beside(t, func(l *leader) {
		for _, path := range []string{"/a", "/m", "/m/x", "/z"} {
			l.propose(1, l.create(path, "before"))
		}
	}, func(l *leader) {
		l.propose(1, multi(
			&jute.SetDataTxn{Path: "/a", Data: []byte("after"), Version: 1}, l.create("/a/new", ""),
			&jute.DeleteTxn{Path: "/m/x"}, &jute.DeleteTxn{Path: "/m"},
			&jute.SetDataTxn{Path: "/z", Data: []byte("after"), Version: 1},
		))
	})
}

// Test3306And2808: znodes that share an ACL still do in a tree that was read from a snapshot: when one of them goes, the
// other is as accessible as before.
func Test3306And2808(t *testing.T) {
	l := newLeader()
	for _, path := range []string{"/a", "/b"} {
		txn := l.create(path, "")
		txn.ACL = testACLs[2]
		l.propose(1, txn)
	}
	s := l.tree.Snapshot()
	data, done := s.Next(100)
	require.True(t, done)
	back := readBack(t, data, s.Zxid())
	for i, path := range []string{"/a", "/b"} {
		require.Len(t, back.acls.entries, len(l.tree.acls.entries))
		acl, _, found := back.ACL("/b")
		require.True(t, found)
		require.Equal(t, testACLs[2], acl)
		back.Apply(jute.TxnHeader{Zxid: s.Zxid() + int64(i) + 1, Type: jute.OpDelete}, &jute.DeleteTxn{Path: path})
	}
	require.Len(t, back.acls.entries, len(l.tree.acls.entries)-1, "and goes with the last")
	requireSound(t, back)
}
