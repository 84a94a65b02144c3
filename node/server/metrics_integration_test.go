//go:build integration

package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"ordeal/node/internal/duel"
)

// zeroHere are metrics that Apache's servers count where this one has nothing to count, or only chance to thank for it, and
// why.
var zeroHere = map[string]string{
	"response_packet_cache_misses":                        "replies are not cached",
	"response_packet_get_children_cache_misses":           "nor lists of children",
	"time_waiting_empty_pool_in_commit_processor_read_ms": "there is no pool of workers",
	"concurrent_request_processing_in_commit_processor":   "nor do any work beside one another",
	"snap_count": "when a learner comes decides how it is synchronised", "inflight_snap_count": "the same",
	"diff_count": "the same", "inflight_diff_count": "the same",
	"connection_drop_count": "who of client and server closes first is chance",
	"snapshottime":          "nothing is written when a server starts with data, or for an election",
	"avg_latency":           "less than half a millisecond is none", "max_latency": "the same", "min_latency": "the same",
}

// nonzero are the counters of mntr that are not zero, and the summaries to which something was added.
func nonzero(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
		of := ""
		for _, prefix := range []string{"avg_", "min_", "max_", "sum_", "p50_", "p95_", "p99_", "p999_"} {
			if rest, cut := strings.CutPrefix(name, "zk_"+prefix); cut && strings.Contains(text, "zk_cnt_"+rest+"\t") {
				of = rest
			}
		}
		if of == "" && value != "0" && value != "0.0" {
			names = append(names, name)
		}
	}
	return names
}

// littleLoad does something of everything that is measured: writes, watches, a session that a client comes back to, and
// reads right behind writes.
func (s side) littleLoad(t *testing.T, path string) {
	t.Helper()
	s.occupy(t, path)
	c, _, err := zk.Connect([]string{s.address}, unpinged, zk.WithLogger(silent{}))
	require.NoError(t, err)
	_, err = c.Create(path+"/more", nil, 0, open)
	require.NoError(t, err)
	for range 20 {
		writing := make(chan error)
		go func() {
			_, err := c.Set(path+"/more", []byte("y"), -1)
			writing <- err
		}()
		_, _, err = c.Get(path + "/more")
		require.NoError(t, err)
		require.NoError(t, <-writing)
	}
	_, err = c.Sync(path)
	require.NoError(t, err)
	c.Close()
}

// sameCounted finds what is zero here and not there.
func sameCounted(t *testing.T, apache, ours side) {
	t.Helper()
	mine := map[string]bool{}
	for _, name := range nonzero(ours.word(t, "mntr")) {
		mine[name] = true
	}
	var missing []string
	for _, name := range nonzero(apache.word(t, "mntr")) {
		key := strings.TrimPrefix(strings.TrimPrefix(name, "zk_"), "cnt_")
		if zeroHere[key] == "" && !mine[name] && !strings.Contains(name, "_per_namespace") && !strings.Contains(name, "_learner_handler_qp_") {
			missing = append(missing, name)
		}
	}
	require.Empty(t, missing)
}

func TestIntegrationWhatApacheMeasuresIsMeasured(t *testing.T) {
	t.Run("standalone", func(t *testing.T) {
		apache, ours := side{address: duel.StartApache(t).Address}, side{}
		config := standaloneConfig(t, "", nil)
		config.SessionTimeoutMax = unpinged
		ours.address = start(t, config).clientAddress()
		apache.littleLoad(t, "/a")
		ours.littleLoad(t, "/a")
		sameCounted(t, apache, ours)
	})
	t.Run("ensemble", func(t *testing.T) {
		followers, leader := duel.StartApacheEnsemble(t)
		apaches := map[string]side{"follower": {address: followers[0].Address}, "leader": {address: leader.Address}}
		ours := map[string]side{}
		for _, r := range startTwins(t) {
			ours[r.mode()] = side{address: r.clientAddress()}
		}
		for i, role := range []string{"leader", "follower"} {
			path := fmt.Sprintf("/%d", i)
			apaches[role].littleLoad(t, path)
			ours[role].littleLoad(t, path)
		}
		for _, role := range []string{"leader", "follower"} {
			t.Run(role, func(t *testing.T) { sameCounted(t, apaches[role], ours[role]) })
		}
	})
}
