package server

import (
	"encoding/binary"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// TestWhatClientsDoIsMeasured: each thing that a client may do shows in mntr.
func TestWhatClientsDoIsMeasured(t *testing.T) {
	r := start(t, standaloneConfig(t, "request_throttle_max_requests=1\n", nil))
	tcp := r.dial(r.clientAddress())
	write(t, tcp, connectRequest(30_000))
	session := readFrame(t, tcp)
	creation := func(path string) []byte { return createRequest(path, 0) }
	for i, request := range []struct {
		op   jute.OpCode
		body []byte
	}{
		{jute.OpExists, pathAndWatch("/a", 1)},
		{jute.OpCreate, creation("/a")},
		{jute.OpGetData, pathAndWatch("/a", 1)},
		{jute.OpSetData, jute.Marshal(&jute.SetDataRequest{Path: "/a", Version: -1})},
		{jute.OpGetChildren, pathAndWatch("/a", 1)},
		{jute.OpCreate, creation("/a/b")},
		{jute.OpGetData, pathAndWatch("/a/b", 1)},
		{jute.OpDelete, jute.Marshal(&jute.DeleteRequest{Path: "/a/b", Version: -1})},
	} {
		write(t, tcp, ask(int32(i+1), request.op, request.body))
		for reply := readFrame(t, tcp); int32(binary.BigEndian.Uint32(reply)) == jute.XidNotification; reply = readFrame(t, tcp) {
		}
	}
	again := r.dial(r.clientAddress())
	write(t, again, frame(jute.Marshal(&jute.ConnectRequest{
		TimeOut: 30_000, SessionID: int64(binary.BigEndian.Uint64(session[8:])), Passwd: session[20:36],
	})))
	readFrame(t, again)
	write(t, again, ask(-4, jute.OpAuth, jute.Marshal(&jute.AuthPacket{Scheme: "nonsense"})))
	readFrame(t, again)
	require.NoError(t, again.Close())
	dropped := regexp.MustCompile(`zk_connection_drop_count\t[1-9]`)
	r.eventually(func() bool { return dropped.MatchString(r.word("mntr")) }, "the end of a connection in mntr")
	crowd := connect(t, r)
	write(t, crowd, concat(ask(1, jute.OpCreate, creation("/c")), ask(2, jute.OpCreate, creation("/d")), ask(3, jute.OpCreate, creation("/e"))))
	for range 3 {
		readFrame(t, crowd)
	}

	mntr := r.word("mntr")
	for _, name := range []string{
		"auth_failed_count", "bytes_received_count", "connection_request_count", "connection_revalidate_count",
		"prep_processor_request_queued", "request_throttle_wait_count", "response_bytes", "sync_processor_request_queued", "watch_bytes",
		"cnt_dbinittime", "cnt_fsynctime", "cnt_node_changed_watch_count", "cnt_node_children_watch_count",
		"cnt_node_created_watch_count", "cnt_node_deleted_watch_count", "cnt_propagation_latency", "cnt_readlatency",
		"cnt_request_throttle_queue_time_ms", "cnt_sync_processor_batch_size", "cnt_sync_processor_queue_and_flush_time_ms",
		"cnt_unavailable_time", "cnt_updatelatency",
		"outstanding_changes_queued", "outstanding_changes_removed", "cnt_connection_token_deficit", "cnt_prep_process_time",
		"cnt_prep_processor_queue_size", "cnt_prep_processor_queue_time_ms", "cnt_proposal_process_time", "cnt_startup_snap_load_time",
		"cnt_startup_txns_load_time", "cnt_startup_txns_loaded", "cnt_sync_process_time", "cnt_sync_processor_queue_flush_time_ms",
		"cnt_sync_processor_queue_size", "cnt_sync_processor_queue_time_ms",
	} {
		require.Regexp(t, "zk_"+name+`\t[1-9]\d*\n`, mntr)
	}
}
