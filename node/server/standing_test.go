package server

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

func TestEveryLogLineSaysWhereTheServerStands(t *testing.T) {
	at := &position{}
	at.epoch.Store(3)
	at.zxid.Store(0x300000007)
	buffer := &logBuffer{}
	log := slog.New(positioned{slog.NewTextHandler(buffer, nil), at}).With("member", 2)
	log.Info("first")
	log.WithGroup("group").Info("second", "zxid", "0x1")
	log.Info("third", "epoch", 9)
	require.Regexp(t, regexp.MustCompile(`(?s)msg=first member=2 epoch=3 zxid=0x300000007
.*msg=second member=2 group.zxid=0x1 group.epoch=3
.*msg=third member=2 epoch=9 zxid=0x300000007
$`), buffer.String())
}

func TestMetricsOfAMember(t *testing.T) {
	t.Parallel()
	var members []*running
	for _, config := range ensembleConfigs(t, 3, "observer") {
		members = append(members, start(t, config))
	}
	for _, r := range members {
		r.eventually(func() bool { return slices.Contains([]string{"leader", "follower", "observer"}, r.mode()) }, "a role")
	}
	for i, r := range members { // each has writes of its own and of others
		c := client(t, r)
		for k := range 5 {
			retry(t, func() error {
				_, err := c.Create(fmt.Sprintf("/%d", 5*i+k), nil, 0, open)
				return err
			})
		}
	}
	const some = `[1-9]\d*\n`
	for _, r := range members {
		r.eventually(func() bool { return regexp.MustCompile("zk_znode_count\t25\n").MatchString(r.word("mntr")) }, "all writes")
		mntr := r.word("mntr")
		require.Regexp(t, "zk_looking_count\t"+some, mntr)
		require.Regexp(t, "zk_cnt_election_time\t"+some, mntr)
		require.Regexp(t, "zk_cnt_unavailable_time\t"+some, mntr)
		require.Regexp(t, "zk_cnt_dbinittime\t1\n", mntr)
		require.Regexp(t, "zk_cnt_fsynctime\t"+some, mntr)
		require.Regexp(t, "zk_cnt_sync_processor_queue_and_flush_time_ms\t"+some, mntr)
		require.Regexp(t, "zk_digest_mismatches_count\t0\n", mntr)
		require.Regexp(t, "zk_cnt_propagation_latency\t"+some, mntr)
		require.Regexp(t, "zk_request_commit_queued\t"+some, mntr)
		for _, name := range []string{
			"commit_commit_proc_req_queued", "commit_process_time", "read_commit_proc_issued",
			"read_commit_proc_req_queued", "write_batch_time_in_commit_processor", "write_commit_proc_issued",
			"write_commit_proc_req_queued", "write_final_proc_time_ms",
		} {
			require.Regexp(t, "zk_cnt_"+name+"\t"+some, mntr)
		}
		switch r.mode() {
		case "leader":
			for _, name := range []string{
				"inflight_diff_count", "local_write_committed_time_ms", "pending_session_queue_size", "prep_process_time",
				"proposal_ack_creation_latency", "requests_in_session_queue", "session_queues_drained", "write_commitproc_time_ms",
			} {
				require.Regexp(t, "zk_cnt_"+name+"\t"+some, mntr)
			}
			require.Regexp(t, "zk_proposal_count\t2[1-9]\n", mntr)
			require.Regexp(t, "zk_commit_count\t2[1-9]\n", mntr)
			require.Regexp(t, "zk_cnt_leader_unavailable_time\t1\n", mntr)
			require.Regexp(t, "zk_cnt_quorum_ack_latency\t2[1-9]\n", mntr)
			require.Regexp(t, "zk_prep_processor_request_queued\t2[1-9]\n", mntr)
		case "observer":
			require.Regexp(t, "zk_cnt_observer_sync_time\t1\n", mntr)
			require.Regexp(t, "zk_cnt_follower_sync_time\t0\n", mntr)
			require.Regexp(t, "zk_cnt_commit_propagation_latency\t"+some, mntr)
			require.Regexp(t, "zk_cnt_server_write_committed_time_ms\t"+some, mntr)
		default:
			for _, name := range []string{"proposal_latency", "commit_propagation_latency", "proposal_ack_creation_latency"} {
				require.Regexp(t, "zk_cnt_"+name+"\t"+some, mntr)
			}
			require.Regexp(t, "zk_cnt_follower_sync_time\t"+some, mntr)
			require.Regexp(t, "zk_learner_proposal_received_count\t"+some, mntr)
			require.Regexp(t, "zk_learner_commit_received_count\t"+some, mntr)
		}
	}
}

func TestExpiredSessionsAreCounted(t *testing.T) {
	r := start(t, standaloneConfig(t, "", nil))
	tcp := r.dial(r.clientAddress())
	write(t, tcp, connectRequest(400))
	readFrame(t, tcp)
	write(t, tcp, ask(1, jute.OpCreate, createRequest("/mine", ephemeral)))
	readFrame(t, tcp)
	tcp.Close()
	r.eventually(func() bool { return regexp.MustCompile("zk_stale_sessions_expired\t1\n").MatchString(r.word("mntr")) }, "the session expires")
	r.eventually(func() bool { return regexp.MustCompile("zk_ephemerals_count\t0\n").MatchString(r.word("mntr")) }, "its znode goes with it")
}

// TestClientsThatNobodyServesAreCounted: a member without a quorum closes the door on them, and tells once it serves.
func TestClientsThatNobodyServesAreCounted(t *testing.T) {
	configs := ensembleConfigs(t, 3)
	r := start(t, configs[0])
	for range 2 {
		tcp := r.dial(r.clientAddress())
		write(t, tcp, connectRequest(400))
		requireClosed(t, tcp)
	}
	start(t, configs[1])
	r.eventually(func() bool { return strings.Contains(r.word("mntr"), "zk_server_state") }, "a role")
	require.Regexp(t, "zk_cnxn_closed_without_zk_server_running\t2\n", r.word("mntr"))
}
