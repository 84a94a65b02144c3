package tree

import (
	"testing"

	"ordeal/node/defect"
	"ordeal/node/jute"

	"github.com/stretchr/testify/require"
)

const session = int64(0x100000000000001)

// fixture has /p with the child /p/a, and one session.
func fixture() *leader {
	l := newLeader()
	l.propose(session, &jute.CreateSessionTxn{TimeOut: 4000}) // zxid 1
	l.propose(session, l.create("/p", "parent"))              // zxid 2
	l.propose(session, l.create("/p/a", "data"))              // zxid 3
	return l
}

func stored(t *testing.T, tree *Tree, path string) jute.StatPersisted {
	z, found := tree.Node(path)
	require.True(t, found, path)
	return z.Stat
}

// protocol.md 2.8, line by line.
func TestStats(t *testing.T) {
	t.Run("create", func(t *testing.T) {
		l := fixture()
		result := l.propose(session, l.create("/p/b", "xyz"))
		require.Equal(t, jute.Ok, result.Err)
		require.Equal(t, jute.StatPersisted{Czxid: 4, Mzxid: 4, Pzxid: 4, Ctime: 1004, Mtime: 1004}, stored(t, l.tree, "/p/b"))
		require.Equal(t, jute.Stat{Czxid: 4, Mzxid: 4, Pzxid: 4, Ctime: 1004, Mtime: 1004, DataLength: 3}, result.Stat)
		parent := stored(t, l.tree, "/p")
		require.Equal(t, int32(2), parent.Cversion)
		require.Equal(t, int64(4), parent.Pzxid)
		require.Equal(t, int64(2), parent.Mzxid)
	})
	t.Run("create of a log without the parent's cversion", func(t *testing.T) {
		l := fixture()
		l.propose(session, &jute.CreateTxn{Path: "/p/b", ParentCVersion: -1})
		require.Equal(t, int32(2), stored(t, l.tree, "/p").Cversion)
	})
	t.Run("create that the parent knows of already leaves its pzxid", func(t *testing.T) {
		l := fixture()
		l.propose(session, &jute.CreateTxn{Path: "/p/b", ParentCVersion: 1})
		require.Equal(t, int32(1), stored(t, l.tree, "/p").Cversion)
		require.Equal(t, int64(3), stored(t, l.tree, "/p").Pzxid)
	})
	t.Run("delete", func(t *testing.T) {
		l := fixture()
		require.Equal(t, jute.Ok, l.propose(session, &jute.DeleteTxn{Path: "/p/a"}).Err)
		parent := stored(t, l.tree, "/p")
		require.Equal(t, int32(1), parent.Cversion, "counts creations only")
		require.Equal(t, int64(4), parent.Pzxid)
		stat, _ := l.tree.Stat("/p")
		require.Equal(t, int32(2), stat.Cversion, "a client sees the creation and the deletion")
		require.Zero(t, stat.NumChildren)
	})
	t.Run("setData", func(t *testing.T) {
		l := fixture()
		result := l.propose(session, &jute.SetDataTxn{Path: "/p/a", Data: nil, Version: 7})
		require.Equal(t, jute.StatPersisted{Czxid: 3, Mzxid: 4, Pzxid: 3, Ctime: 1003, Mtime: 1004, Version: 7}, stored(t, l.tree, "/p/a"))
		require.Equal(t, int32(7), result.Stat.Version)
		require.Zero(t, result.Stat.DataLength)
	})
	t.Run("setACL", func(t *testing.T) {
		l := fixture()
		before := stored(t, l.tree, "/p/a")
		result := l.propose(session, &jute.SetACLTxn{Path: "/p/a", ACL: testACLs[2], Version: 9})
		before.Aversion = 9
		require.Equal(t, before, stored(t, l.tree, "/p/a"))
		require.Equal(t, int32(9), result.Stat.Aversion)
		require.Equal(t, testACLs[2], first(l.tree.ACL("/p/a")))
	})
	t.Run("client's cversion counts both ways", func(t *testing.T) {
		l := fixture()
		l.propose(session, l.create("/p/b", ""))
		l.propose(session, l.create("/p/c", ""))
		l.propose(session, &jute.DeleteTxn{Path: "/p/b"})
		stat, _ := l.tree.Stat("/p")
		require.Equal(t, int32(4), stat.Cversion)
		require.Equal(t, int32(2), stat.NumChildren)
	})
}

func TestWhatReplayMayMeet3125And3249And3145(t *testing.T) {
	for _, c := range []struct {
		name string
		txn  jute.Txn
		want jute.Code
		// what the parent /p is after zxid 4
		cversion int32
		pzxid    int64
	}{
		{"create of what exists, parent behind", &jute.CreateTxn{Path: "/p/a", ParentCVersion: 5}, jute.NodeExists, 5, 4},
		{"create of what exists, parent ahead", &jute.CreateTxn{Path: "/p/a", ParentCVersion: 1}, jute.NodeExists, 1, 3},
		{"container that exists", &jute.CreateContainerTxn{Path: "/p/a", ParentCVersion: 5}, jute.NodeExists, 5, 4},
		{"TTL that exists", &jute.CreateTTLTxn{Path: "/p/a", ParentCVersion: 5, TTL: 1}, jute.NodeExists, 5, 4},
		{"delete of what is gone (ZOOKEEPER-3145)", &jute.DeleteTxn{Path: "/p/gone"}, jute.NoNode, 1, 4},
		{"closeSession with paths that are gone", &jute.CloseSessionTxn{Paths2Delete: []string{"/p/gone"}}, jute.Ok, 1, 4},
		{"create without parent", &jute.CreateTxn{Path: "/q/a"}, jute.NoNode, 1, 3},
		{"delete without parent", &jute.DeleteTxn{Path: "/q/a"}, jute.NoNode, 1, 3},
		{"setData of what is gone", &jute.SetDataTxn{Path: "/q"}, jute.NoNode, 1, 3},
		{"setACL of what is gone", &jute.SetACLTxn{Path: "/q"}, jute.NoNode, 1, 3},
		{"create of the root", &jute.CreateTxn{Path: "/"}, jute.NodeExists, 1, 3},
		{"delete of the root", &jute.DeleteTxn{Path: "/"}, jute.BadArguments, 1, 3},
		{"path that is none", &jute.CreateTxn{Path: "p"}, jute.BadArguments, 1, 3},
		{"no path", &jute.DeleteTxn{}, jute.BadArguments, 1, 3},
		{"error", &jute.ErrorTxn{Err: jute.NotEmpty}, jute.NotEmpty, 1, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := fixture()
			require.Equal(t, c.want, l.propose(session, c.txn).Err)
			parent := stored(t, l.tree, "/p")
			require.Equal(t, c.cversion, parent.Cversion, "cversion")
			require.Equal(t, c.pzxid, parent.Pzxid, "pzxid")
			require.Equal(t, int64(4), l.tree.LastZxid(), "every transaction counts")
			requireSound(t, l.tree)
		})
	}
}

// A fuzzy snapshot may hold a child of a later life of its parent. The replayed end of the earlier
// life leaves it without a parent until it is created.
func TestReplayMeetsAnOrphan1573(t *testing.T) {
	l := fixture()
	quotaOn(l, "count=9,bytes=-1")
	s := newApacheSnapshotter(l.tree)
	head, _ := s.Next(1) // the root
	l.propose(session, &jute.DeleteTxn{Path: "/p/a"})
	l.propose(session, &jute.DeleteTxn{Path: "/p"})
	l.propose(session, l.create("/p", "second life"))
	orphan := l.ephemeral("/p/b")
	orphan.Data = []byte("xyz")
	orphan.ACL = testACLs[2]
	l.propose(session, orphan)
	rest, done := s.Next(100)
	require.True(t, done)
	back := readBack(t, append(head, rest...), s.Zxid())
	require.NoError(t, back.ExpectDigest(s.Trailer()))
	replay(t, back, l.log)
	require.Equal(t, dump(l.tree), dump(back))
	back.Apply(jute.TxnHeader{Zxid: 100, Type: jute.OpDelete}, &jute.DeleteTxn{Path: "/p/b"})
	requireSound(t, back)
}

func TestKindsOfZnodes(t *testing.T) {
	l := fixture()
	l.propose(session, l.ephemeral("/p/e"))
	l.propose(session, &jute.CreateContainerTxn{Path: "/p/c", ParentCVersion: 3})
	result := l.propose(session, &jute.CreateTTLTxn{Path: "/p/t", ParentCVersion: 4, TTL: 77})
	require.Zero(t, result.Stat.EphemeralOwner)

	stat, _ := l.tree.Stat("/p/e")
	require.Equal(t, session, stat.EphemeralOwner)
	stat, _ = l.tree.Stat("/p/c")
	require.Zero(t, stat.EphemeralOwner, "clients do not see how a container is marked")
	require.Equal(t, ContainerOwner, stored(t, l.tree, "/p/c").EphemeralOwner)
	require.Equal(t, TTLOwner(77), stored(t, l.tree, "/p/t").EphemeralOwner)
	require.Equal(t, []string{"/p/c"}, l.tree.Containers())
	require.Equal(t, []string{"/p/t"}, l.tree.TTLs())
	require.Equal(t, []string{"/p/e"}, l.tree.Ephemerals(session))
	require.Equal(t, 1, l.tree.EphemeralCount())

	for _, path := range []string{"/p/c", "/p/t", "/p/e"} {
		l.propose(session, &jute.DeleteTxn{Path: path})
	}
	require.Empty(t, l.tree.Containers())
	require.Empty(t, l.tree.TTLs())
	require.Empty(t, l.tree.EphemeralOwners())
	requireSound(t, l.tree)
}

func TestSessions(t *testing.T) {
	l := fixture()
	require.Equal(t, []jute.SessionTimeout{{SessionID: session, TimeOut: 4000}}, l.tree.Sessions())
	l.propose(session, l.ephemeral("/p/e2"))
	l.propose(session, l.ephemeral("/p/e1"))
	l.propose(session+1, &jute.CreateSessionTxn{TimeOut: 5})
	l.propose(session+1, l.ephemeral("/p/other"))
	require.Equal(t, []jute.SessionTimeout{{SessionID: session, TimeOut: 4000}, {SessionID: session + 1, TimeOut: 5}}, l.tree.Sessions())

	t.Run("closeSession deletes what is listed and what is left over", func(t *testing.T) {
		l.tree.WatchChildren("/p", 1)
		l.tree.WatchData("/p/e1", 1)
		l.tree.WatchData("/p/e2", 1)
		result := l.propose(session, &jute.CloseSessionTxn{Paths2Delete: []string{"/p/e2", "/p/gone"}})
		require.Equal(t, jute.Ok, result.Err)
		require.Equal(t, []string{"/p/e2", "/p", "/p/e1"}, paths(result.Events), "the list comes first")
		require.False(t, l.tree.HasSession(session))
		require.Equal(t, []string{"a", "other"}, first(l.tree.Children("/p")))
		require.Equal(t, []int64{session + 1}, l.tree.EphemeralOwners())
	})
	requireSound(t, l.tree)
}

func paths(events []Event) []string {
	var list []string
	for _, e := range events {
		list = append(list, e.Path)
	}
	return list
}

func TestKeepEphemeralsDefect(t *testing.T) {
	for _, bad := range []bool{false, true} {
		tree := New(Options{Defects: defect.Set{defect.KeepEphemerals: bad}})
		tree.Apply(jute.TxnHeader{ClientID: 1, Zxid: 1, Type: jute.OpCreate}, &jute.CreateTxn{Path: "/e", Ephemeral: true})
		tree.Apply(jute.TxnHeader{ClientID: 1, Zxid: 2, Type: jute.OpCloseSession}, &jute.CloseSessionTxn{Paths2Delete: []string{"/e"}})
		_, found := tree.Stat("/e")
		require.Equal(t, bad, found)
	}
}

func TestMulti(t *testing.T) {
	l := fixture()
	l.tree.WatchData("/p/a", 7)
	l.tree.WatchChildren("/p", 7)
	result := l.propose(session, multi(
		&jute.CheckVersionTxn{Path: "/p"},
		l.create("/p/b", "b"),
		&jute.SetDataTxn{Path: "/p/a", Data: []byte("new"), Version: 1},
		&jute.DeleteTxn{Path: "/p/b"},
	))
	require.Equal(t, jute.Ok, result.Err)
	require.Len(t, result.Multi, 4)
	require.Equal(t, []jute.OpCode{jute.OpCheck, jute.OpCreate, jute.OpSetData, jute.OpDelete},
		[]jute.OpCode{result.Multi[0].Type, result.Multi[1].Type, result.Multi[2].Type, result.Multi[3].Type})
	require.Equal(t, "/p/b", result.Multi[1].Path)
	require.Equal(t, int32(1), result.Multi[2].Stat.Version)
	require.Equal(t, []string{"/p", "/p/a"}, paths(result.Events), "all parts' events, in order")
	require.Equal(t, []string{"a"}, first(l.tree.Children("/p")))
}

func failedMulti(l *leader) *jute.MultiTxn {
	return multi(
		l.create("/p/b", "b"),
		&jute.SetDataTxn{Path: "/p/a", Data: []byte("new"), Version: 1},
		&jute.ErrorTxn{Err: jute.BadVersion},
		&jute.ErrorTxn{Err: jute.RuntimeInconsistency},
	)
}

func TestFailedMultiChangesNothing(t *testing.T) {
	l := fixture()
	l.tree.WatchData("/p/a", 7)
	before := l.tree.Digest()
	result := l.propose(session, failedMulti(l))
	require.Equal(t, jute.BadVersion, result.Err)
	require.Equal(t, []Result{
		{Type: jute.OpError}, {Type: jute.OpError},
		{Type: jute.OpError, Err: jute.BadVersion}, {Type: jute.OpError, Err: jute.RuntimeInconsistency},
	}, result.Multi)
	require.Empty(t, result.Events)
	require.Equal(t, before, l.tree.Digest())
	require.Equal(t, []string{"a"}, first(l.tree.Children("/p")))
	require.Equal(t, int64(4), l.tree.LastZxid(), "it consumes a zxid all the same")
}

func TestFailedMultiWithPartsLeftAsTheyWere(t *testing.T) {
	l := fixture()
	result := l.propose(session, multi(&jute.ErrorTxn{Err: jute.NoNode}, l.create("/p/b", "")))
	require.Equal(t, jute.RuntimeInconsistency, result.Multi[1].Err)
	require.Equal(t, []string{"a"}, first(l.tree.Children("/p")))
}

func TestPartialMultiDefect(t *testing.T) {
	l := fixture()
	l.tree.options.Defects = defect.Set{defect.PartialMulti: true}
	result := l.propose(session, failedMulti(l))
	require.Equal(t, jute.BadVersion, result.Err, "the client is told that it failed")
	require.Equal(t, []string{"a", "b"}, first(l.tree.Children("/p")))
	requireSound(t, l.tree)
}

func TestTransactionsDataIsCopied(t *testing.T) {
	l := newLeader()
	data := []byte("data")
	txn := l.create("/a", "")
	txn.Data = data
	l.propose(1, txn)
	data[0] = 'X'
	got, _, _ := l.tree.GetData("/a")
	require.Equal(t, "data", string(got))
}

func TestNullAndEmptyDataAreDistinct(t *testing.T) {
	l := newLeader()
	null := l.create("/null", "")
	null.Data = nil
	l.propose(1, null)
	l.propose(1, l.create("/empty", ""))
	data, _, _ := l.tree.GetData("/null")
	require.Nil(t, data)
	data, _, _ = l.tree.GetData("/empty")
	require.NotNil(t, data)
}

func TestACLsAreSharedAndForgotten(t *testing.T) {
	l := newLeader()
	for _, path := range []string{"/a", "/b"} {
		txn := l.create(path, "")
		txn.ACL = testACLs[2]
		l.propose(1, txn)
	}
	require.Len(t, l.tree.acls.entries, 2, "that of /zookeeper/config and this one")
	require.Equal(t, int64(2), l.tree.nodes["/b"].acl)
	l.propose(1, &jute.SetACLTxn{Path: "/a", ACL: jute.OpenACL(), Version: 1})
	require.Equal(t, int64(3), l.tree.nodes["/a"].acl, "an open list that is given has a number of its own")
	l.propose(1, &jute.DeleteTxn{Path: "/b"})
	require.Len(t, l.tree.acls.entries, 2)
	l.propose(1, &jute.SetACLTxn{Path: "/a", ACL: testACLs[2], Version: 2})
	require.Equal(t, int64(4), l.tree.nodes["/a"].acl, "numbers are not used again")
	requireSound(t, l.tree)
}
