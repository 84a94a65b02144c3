package tree

import (
	"testing"

	"ordeal/node/jute"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestNodeDigest(t *testing.T) {
	// The two summands of a fresh tree's digest (protocol.md 3.1).
	require.Equal(t, int64(1371985504), NodeDigest("/", nil, jute.StatPersisted{})+NodeDigest("/zookeeper", []byte{}, jute.StatPersisted{}))
	require.ElementsMatch(t, []int64{68323592, 1303661912},
		[]int64{NodeDigest("/", nil, jute.StatPersisted{}), NodeDigest("/zookeeper", nil, jute.StatPersisted{})})
	require.Equal(t, NodeDigest("/", nil, jute.StatPersisted{}), NodeDigest("", nil, jute.StatPersisted{}))
	require.Zero(t, NodeDigest("/zookeeper/config", []byte("x"), jute.StatPersisted{Czxid: 1}))
	require.NotZero(t, NodeDigest("/zookeeperish", nil, jute.StatPersisted{}))
}

func TestDigestIsTheSumOverAllZnodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLeader()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			before := l.tree.LastZxid()
			l.step(t)
			if l.tree.LastZxid() != before {
				requireSound(t, l.tree)
			}
		}
	})
}

func TestDigestLogKeepsTheNewest(t *testing.T) {
	tree := New(testOptions)
	last := int64(digestLogInterval * (digestLogMax + 3))
	for zxid := int64(1); zxid <= last; zxid++ {
		tree.Apply(jute.TxnHeader{Zxid: zxid, Type: jute.OpError}, &jute.ErrorTxn{})
	}
	log := tree.DigestLog()
	require.Len(t, log, digestLogMax)
	require.Equal(t, ZxidDigest{Zxid: 4 * digestLogInterval, Digest: tree.Digest()}, log[0])
	require.Equal(t, last, log[len(log)-1].Zxid)
}

func TestDigestsAreCheckedAgainstTransactions(t *testing.T) {
	l := fixture()
	zxid := l.tree.LastZxid()
	require.NoError(t, l.tree.CheckDigest(zxid, nil))
	require.NoError(t, l.tree.CheckDigest(zxid, &jute.TxnDigest{Version: 1, TreeDigest: 5}), "another version says nothing")
	require.NoError(t, l.tree.CheckDigest(zxid, &jute.TxnDigest{Version: 2, TreeDigest: l.tree.Digest()}))
	require.EqualError(t, New(testOptions).CheckDigest(5, &jute.TxnDigest{Version: 2, TreeDigest: 7}),
		"tree digest after zxid 0x5: expected 7, found 1371985504")
	require.NoError(t, New(Options{}).CheckDigest(5, &jute.TxnDigest{Version: 2, TreeDigest: 7}), "switched off")
}

func TestDigestsMeanNothingUntilTheSnapshotIsCaughtUpWith(t *testing.T) {
	wrong := &jute.TxnDigest{Version: 2, TreeDigest: 7}
	start := func() *Tree {
		tree := New(testOptions)
		tree.SetLastZxid(126)
		return tree
	}
	t.Run("reached", func(t *testing.T) {
		tree := start()
		require.NoError(t, tree.ExpectDigest(129, tree.Digest()))
		for zxid := int64(127); zxid < 129; zxid++ {
			tree.Apply(jute.TxnHeader{Zxid: zxid, Type: jute.OpError}, &jute.ErrorTxn{})
			require.NoError(t, tree.CheckDigest(zxid, wrong))
		}
		require.Empty(t, tree.DigestLog(), "nor are they logged")
		require.NoError(t, tree.CheckDigest(129, wrong), "the snapshot's counts")
		require.Error(t, tree.CheckDigest(130, wrong))
	})
	t.Run("reached, but different", func(t *testing.T) {
		tree := start()
		require.NoError(t, tree.ExpectDigest(128, 7))
		require.ErrorContains(t, tree.CheckDigest(128, nil), "expected 7")
	})
	t.Run("passed over", func(t *testing.T) {
		tree := start()
		require.NoError(t, tree.ExpectDigest(128, 7))
		require.ErrorContains(t, tree.CheckDigest(130, nil), "passed over")
	})
	t.Run("not fuzzy at all", func(t *testing.T) {
		require.NoError(t, start().ExpectDigest(126, 1371985504))
		require.Error(t, start().ExpectDigest(126, 7))
	})
	t.Run("a picture without a trailer", func(t *testing.T) {
		tree := start()
		tree.DistrustDigests()
		require.NoError(t, tree.CheckDigest(127, wrong), "nobody knows yet how fuzzy it is")
		picture := tree.Snapshot()
		picture.Next(100)
		zxid, digest := picture.Trailer()
		require.Zero(t, zxid, "a copy of it has no trailer either")
		require.Zero(t, digest)
		tree.TrustDigestsAfter(129)
		require.NoError(t, tree.CheckDigest(128, wrong))
		require.Error(t, tree.CheckDigest(129, wrong))
		tree.TrustDigestsAfter(500)
		require.Error(t, tree.CheckDigest(130, wrong), "trust is not taken back")
	})
	t.Run("no digest in the snapshot", func(t *testing.T) {
		tree := New(testOptions)
		require.NoError(t, tree.ExpectDigest(0, 0))
		require.Nil(t, tree.expected)
	})
}

func TestDigestsCanBeSwitchedOff(t *testing.T) {
	tree := New(Options{})
	tree.Apply(jute.TxnHeader{Zxid: 128, Type: jute.OpCreate}, &jute.CreateTxn{Path: "/a"})
	require.Zero(t, tree.Digest())
	require.Empty(t, tree.DigestLog())
}
