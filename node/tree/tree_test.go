package tree

import (
	"testing"

	"ordeal/node/jute"

	"github.com/stretchr/testify/require"
)

func TestFreshTreeIsApaches(t *testing.T) {
	tree := New(testOptions)
	var paths []string
	tree.Walk(func(path string, z Znode) bool {
		paths = append(paths, path)
		require.NotNil(t, z.Data)
		if path == ConfigPath {
			require.Equal(t, jute.StatPersisted{Aversion: -1}, z.Stat)
			require.Equal(t, testACLs[1], z.ACL, "anyone may read")
		} else {
			require.Equal(t, jute.StatPersisted{}, z.Stat)
			require.Equal(t, jute.OpenACL(), z.ACL)
		}
		return true
	})
	require.Equal(t, []string{"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"}, paths)
	require.Equal(t, int64(1), tree.nodes[ConfigPath].acl, "the first number of the ACL table")
	// What Apache's words srvr and mntr show of a fresh server.
	require.Equal(t, 5, tree.NodeCount())
	require.Equal(t, int64(44), tree.DataSize())
	// Computed by Apache's server and by an independent reader of its snapshot.0 (protocol.md 3.1).
	require.Equal(t, int64(1371985504), tree.Digest())
	requireSound(t, tree)
}

func TestRootIsReachedBySlash(t *testing.T) {
	l := newLeader()
	l.propose(1, &jute.SetDataTxn{Path: "/", Data: []byte("x"), Version: 1})
	l.propose(1, &jute.SetACLTxn{Path: "/", ACL: testACLs[1], Version: 1})
	data, stat, found := l.tree.GetData("/")
	require.True(t, found)
	require.Equal(t, "x", string(data))
	require.Equal(t, int32(1), stat.Version)
	require.Equal(t, int32(1), stat.Aversion)
	require.Equal(t, int32(1), stat.NumChildren)
	require.Equal(t, []string{"zookeeper"}, first(l.tree.Children("/")))
	require.Equal(t, 3, l.tree.AllChildrenNumber("/"))
	require.Equal(t, 2, l.tree.AllChildrenNumber(zookeeperPath))
	require.Equal(t, 0, l.tree.AllChildrenNumber("/missing"))
	requireSound(t, l.tree)
}

func TestReadsOfWhatIsNotThere(t *testing.T) {
	tree := New(testOptions)
	_, found := tree.Node("/no")
	require.False(t, found)
	_, found = tree.Stat("/no")
	require.False(t, found)
	_, _, found = tree.GetData("/no")
	require.False(t, found)
	_, _, found = tree.Children("/no")
	require.False(t, found)
	_, _, found = tree.ACL("/no")
	require.False(t, found)
	require.Empty(t, tree.Ephemerals(7))
	require.False(t, tree.HasSession(7))
}

func TestWalkStopsWhenTold(t *testing.T) {
	visits := 0
	New(testOptions).Walk(func(string, Znode) bool { visits++; return visits < 2 })
	require.Equal(t, 2, visits)
}

func TestConfigIsSetOutsideOfTransactions(t *testing.T) {
	tree := New(testOptions)
	digest := tree.Digest()
	tree.WatchData(ConfigPath, 1)
	tree.SetConfig([]byte("server.1=…"), 0x100000000, 5)
	data, stat, _ := tree.GetData(ConfigPath)
	require.Equal(t, "server.1=…", string(data))
	require.Equal(t, int32(-1), stat.Version)
	require.Equal(t, int64(0x100000000), stat.Mzxid)
	require.Equal(t, digest, tree.Digest())
	require.Zero(t, tree.LastZxid())
	require.Equal(t, 1, tree.WatchCount())

	old := empty(testOptions) // of a server before 3.5
	old.insert(rootKey, &node{acl: openACLID})
	old.insert(zookeeperPath, &node{acl: openACLID})
	old.SetConfig([]byte("x"), 0, 0)
	require.Equal(t, testACLs[1], first(old.ACL(ConfigPath)))
}

func TestKindsOfOwners(t *testing.T) {
	extended, plain := New(Options{ExtendedTypes: true}), New(Options{})
	for _, c := range []struct {
		name               string
		owner              int64
		extended, ordinary ownerKind
	}{
		{"nobody", 0, ownedByNobody, ownedByNobody},
		{"session", 0x1000abcdef12345, ownedBySession, ownedBySession},
		{"container", ContainerOwner, ownerContainer, ownerContainer},
		{"5 s to live", TTLOwner(5000), ownerTTL, ownedBySession},
		{"longest life", TTLOwner(TTLMax), ownerTTL, ownedBySession},
		{"unknown feature", -1, ownedBySession, ownedBySession},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.extended, extended.options.kindOf(c.owner))
			require.Equal(t, c.ordinary, plain.options.kindOf(c.owner))
		})
	}
	require.Equal(t, uint64(0xff00000000001388), uint64(TTLOwner(5000)))
	ttl, ok := extended.TTL(TTLOwner(5000))
	require.True(t, ok)
	require.Equal(t, int64(5000), ttl)
	_, ok = extended.TTL(7)
	require.False(t, ok)
	require.True(t, extended.IsEphemeral(7))
}
