package tree

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// quotaOn puts a quota on /p.
func quotaOn(l *leader, limits string) {
	l.propose(1, l.create("/zookeeper/quota/p", ""))
	l.propose(1, l.create("/zookeeper/quota/p/zookeeper_limits", limits))
	l.propose(1, l.create("/zookeeper/quota/p/zookeeper_stats", "count=0,bytes=0"))
}

func quotaStatsOf(t *testing.T, l *leader) string {
	data, stat, found := l.tree.GetData("/zookeeper/quota/p/zookeeper_stats")
	require.True(t, found)
	require.Zero(t, stat.Version, "counting changes no version")
	return string(data)
}

func TestQuotasAreCounted(t *testing.T) {
	l := fixture() // /p has 6 bytes, /p/a 4
	quotaOn(l, "count=100,bytes=-1")
	require.Equal(t, "count=2,bytes=10", quotaStatsOf(t, l), "the quota's root counts")
	digest := l.tree.Digest()
	l.tree.WatchData("/zookeeper/quota/p/zookeeper_stats", 1)

	l.propose(1, l.create("/p/b", "xyz"))
	require.Equal(t, "count=3,bytes=13", quotaStatsOf(t, l))
	l.propose(1, &jute.SetDataTxn{Path: "/p/a", Data: []byte("longer"), Version: 1})
	require.Equal(t, "count=3,bytes=15", quotaStatsOf(t, l))
	l.propose(1, &jute.SetDataTxn{Path: "/p/a", Version: 2})
	require.Equal(t, "count=3,bytes=9", quotaStatsOf(t, l))
	l.propose(1, &jute.DeleteTxn{Path: "/p/b"})
	require.Equal(t, "count=2,bytes=6", quotaStatsOf(t, l))
	l.propose(1, l.create("/pp", "not below"))
	require.Equal(t, "count=2,bytes=6", quotaStatsOf(t, l))
	require.NotEqual(t, digest, l.tree.Digest())
	requireSound(t, l.tree)
	require.Equal(t, 1, l.tree.WatchCount(), "counting fires no watch")

	l.propose(1, &jute.DeleteTxn{Path: "/zookeeper/quota/p/zookeeper_limits"})
	l.propose(1, l.create("/p/c", "xyz"))
	require.Equal(t, "count=2,bytes=6", quotaStatsOf(t, l), "no limits, no counting")
	l.propose(1, l.create("/zookeeper/quota/p/zookeeper_limits", "count=1"))
	require.Equal(t, "count=3,bytes=9", quotaStatsOf(t, l), "counted anew")
}

func TestDeepestQuotaCounts(t *testing.T) {
	l := fixture()
	l.propose(1, l.create("/zookeeper/quota/p", ""))
	l.propose(1, l.create("/zookeeper/quota/p/zookeeper_limits", ""))
	l.propose(1, l.create("/zookeeper/quota/p/zookeeper_stats", ""))
	l.propose(1, l.create("/zookeeper/quota/p/a", ""))
	l.propose(1, l.create("/zookeeper/quota/p/a/zookeeper_limits", ""))
	l.propose(1, l.create("/zookeeper/quota/p/a/zookeeper_stats", ""))
	l.propose(1, l.create("/p/a/x", "123"))
	require.Equal(t, "count=2,bytes=10", quotaStatsOf(t, l))
	data, _, _ := l.tree.GetData("/zookeeper/quota/p/a/zookeeper_stats")
	require.Equal(t, "count=2,bytes=7", string(data))
}

func TestQuotasComeBackWithASnapshot(t *testing.T) {
	l := fixture()
	quotaOn(l, "count=100,bytes=-1")
	l.tree.nodes["/zookeeper/quota/p/zookeeper_stats"].data = []byte("count=77,bytes=77")
	back := &leader{tree: readBack(t, snapshotBytes(l.tree), l.tree.LastZxid())}
	require.Equal(t, "count=2,bytes=10", quotaStatsOf(t, back), "counted anew")
	back.propose(1, back.create("/p/b", "x"))
	require.Equal(t, "count=3,bytes=11", quotaStatsOf(t, back))
}

func TestCheckQuota(t *testing.T) {
	for _, c := range []struct {
		name         string
		limits       string
		path         string
		bytes, count int64
		want         QuotaExcess
	}{
		{"no quota there", "count=0,bytes=0", "/q", 99, 99, WithinQuota},
		{"beyond a soft limit for bytes", "count=-1,bytes=10", "/p/b", 1, 1, OverSoftLimit},
		{"beyond a soft limit for the count", "count=2,bytes=-1", "/p/b", 0, 1, OverSoftLimit},
		{"beyond both kinds of limit", "count=1,bytes=1=;countHardLimit=2", "/p/b", 99, 1, OverHardLimit},
		{"count to the limit", "count=-1,bytes=-1=;countHardLimit=3", "/p/b", 0, 1, WithinQuota},
		{"count beyond", "count=-1,bytes=-1=;countHardLimit=2", "/p/b", 0, 1, OverHardLimit},
		{"bytes to the limit", "count=-1,bytes=-1=;byteHardLimit=12;countHardLimit=-1", "/p/b", 2, 1, WithinQuota},
		{"bytes beyond", "count=-1,bytes=-1=;byteHardLimit=12;countHardLimit=-1", "/p/b", 3, 1, OverHardLimit},
		{"nothing more of what is too much already", "count=-1,bytes=-1=;countHardLimit=1", "/p/a", 5, 0, WithinQuota},
		{"text that makes no sense", "count,=,bytes=x;;countHardLimit=2", "/p/b", 0, 1, OverHardLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := fixture()
			quotaOn(l, c.limits)
			excess, quota := l.tree.CheckQuota(c.path, c.bytes, c.count)
			require.Equal(t, c.want, excess)
			if excess != WithinQuota {
				require.Equal(t, "/p", quota)
			}
		})
	}
}
