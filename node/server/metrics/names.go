package metrics

// Apache's counters.
const (
	BytesReceived                 = "bytes_received_count"
	CommitCount                   = "commit_count"
	ConnectionDropCount           = "connection_drop_count"
	ConnectionRejected            = "connection_rejected"
	ConnectionRequestCount        = "connection_request_count"
	ConnectionRevalidateCount     = "connection_revalidate_count"
	DiffCount                     = "diff_count"
	DigestMismatchesCount         = "digest_mismatches_count"
	LargeRequestsRejected         = "large_requests_rejected"
	LearnerCommitReceivedCount    = "learner_commit_received_count"
	LearnerProposalReceivedCount  = "learner_proposal_received_count"
	LookingCount                  = "looking_count"
	ProposalCount                 = "proposal_count"
	ResponseBytes                 = "response_bytes"
	RevalidateCount               = "revalidate_count"
	SessionlessConnectionsExpired = "sessionless_connections_expired"
	SnapCount                     = "snap_count"
	StaleSessionsExpired          = "stale_sessions_expired"
	SyncProcessorQueued           = "sync_processor_request_queued"
	TLSHandshakeExceeded          = "tls_handshake_exceeded"
	UnrecoverableErrorCount       = "unrecoverable_error_count"
	UnsuccessfulHandshake         = "unsuccessful_handshake"
	WatchBytes                    = "watch_bytes"
	ConnectionNotServed           = "cnxn_closed_without_zk_server_running"
	PrepQueued                    = "prep_processor_request_queued"
	CommitQueued                  = "request_commit_queued"
	RequestThrottleWaits          = "request_throttle_wait_count"
	StaleRequestsDropped          = "stale_requests_dropped"
	ThrottledOps                  = "throttled_ops"
	OutstandingChangesQueued      = "outstanding_changes_queued"
	OutstandingChangesRemoved     = "outstanding_changes_removed"
	StaleReplies                  = "stale_replies"
	StaleRequests                 = "stale_requests"
)

// Apache's summaries. Times are in milliseconds.
const (
	DBInitTime               = "dbinittime"
	ElectionTime             = "election_time"
	FsyncTime                = "fsynctime"
	LeaderUnavailableTime    = "leader_unavailable_time"
	ReadLatency              = "readlatency"
	SnapshotTime             = "snapshottime"
	SyncBatchSize            = "sync_processor_batch_size"
	SyncQueueAndFlushTime    = "sync_processor_queue_and_flush_time_ms"
	UnavailableTime          = "unavailable_time"
	UpdateLatency            = "updatelatency"
	FollowerSyncTime         = "follower_sync_time"
	ObserverSyncTime         = "observer_sync_time"
	NodeChangedWatchCount    = "node_changed_watch_count"
	NodeChildrenWatchCount   = "node_children_watch_count"
	NodeCreatedWatchCount    = "node_created_watch_count"
	NodeDeletedWatchCount    = "node_deleted_watch_count"
	PropagationLatency       = "propagation_latency"
	QuorumAckLatency         = "quorum_ack_latency"
	RequestThrottleQueueTime = "request_throttle_queue_time_ms"
)

// Apache's summaries of the times and the queues of single processors.
const (
	CloseSessionPrepTime       = "close_session_prep_time"
	CommitProcCommitsQueued    = "commit_commit_proc_req_queued"
	CommitProcReadsIssued      = "read_commit_proc_issued"
	CommitProcReadsQueued      = "read_commit_proc_req_queued"
	CommitProcWritesIssued     = "write_commit_proc_issued"
	CommitProcWritesQueued     = "write_commit_proc_req_queued"
	CommitProcessTime          = "commit_process_time"
	CommitPropagationLatency   = "commit_propagation_latency"
	ConnectionTokenDeficit     = "connection_token_deficit"
	InflightDiffCount          = "inflight_diff_count"
	InflightSnapCount          = "inflight_snap_count"
	LearnerRequestQueueSize    = "learner_request_processor_queue_size"
	LocalWriteCommittedTime    = "local_write_committed_time_ms"
	PendingSessionQueueSize    = "pending_session_queue_size"
	PrepProcessTime            = "prep_process_time"
	PrepQueueSize              = "prep_processor_queue_size"
	PrepQueueTime              = "prep_processor_queue_time_ms"
	ProposalAckCreationLatency = "proposal_ack_creation_latency"
	ProposalLatency            = "proposal_latency"
	ProposalProcessTime        = "proposal_process_time"
	ReadCommitProcTime         = "read_commitproc_time_ms"
	ReadFinalProcTime          = "read_final_proc_time_ms"
	ReadsAfterWrite            = "reads_after_write_in_session_queue"
	ReadsFromSessionQueue      = "reads_issued_from_session_queue"
	RequestsInSessionQueue     = "requests_in_session_queue"
	ServerWriteCommittedTime   = "server_write_committed_time_ms"
	SessionQueuesDrained       = "session_queues_drained"
	SocketClosingTime          = "socket_closing_time"
	StartupSnapLoadTime        = "startup_snap_load_time"
	StartupTxnsLoadTime        = "startup_txns_load_time"
	StartupTxnsLoaded          = "startup_txns_loaded"
	SyncFlushTime              = "sync_processor_queue_flush_time_ms"
	SyncProcessTime            = "sync_process_time"
	SyncQueueSize              = "sync_processor_queue_size"
	SyncQueueTime              = "sync_processor_queue_time_ms"
	WriteBatchTime             = "write_batch_time_in_commit_processor"
	WriteCommitProcTime        = "write_commitproc_time_ms"
	WriteFinalProcTime         = "write_final_proc_time_ms"
)

var counterNames = []string{
	"add_dead_watcher_stall_time", BytesReceived, ConnectionNotServed, CommitCount,
	ConnectionDropCount, ConnectionRejected, ConnectionRequestCount, ConnectionRevalidateCount,
	"dead_watchers_cleared", "dead_watchers_queued", DiffCount, DigestMismatchesCount, "ensemble_auth_fail",
	"ensemble_auth_skip", "ensemble_auth_success", "insecure_admin_count", LargeRequestsRejected,
	LearnerCommitReceivedCount, LearnerProposalReceivedCount, LookingCount, OutstandingChangesQueued,
	OutstandingChangesRemoved, PrepQueued, ProposalCount,
	"quit_leading_due_to_disloyal_voter", CommitQueued, RequestThrottleWaits,
	"requests_not_forwarded_to_commit_processor", ResponseBytes, "response_packet_cache_hits",
	"response_packet_cache_misses", "response_packet_get_children_cache_hits",
	"response_packet_get_children_cache_misses", RevalidateCount, SessionlessConnectionsExpired,
	"skip_learner_request_to_next_processor_count", SnapCount, StaleReplies, StaleRequests,
	StaleRequestsDropped, StaleSessionsExpired, SyncProcessorQueued, ThrottledOps, TLSHandshakeExceeded,
	UnrecoverableErrorCount, UnsuccessfulHandshake, WatchBytes,
}

// plainNames are the summaries of Apache's detail level BASIC.
var plainNames = []string{
	CommitProcCommitsQueued, CommitProcessTime, "concurrent_request_processing_in_commit_processor",
	ConnectionTokenDeficit, DBInitTime, ElectionTime, FollowerSyncTime, FsyncTime, InflightDiffCount,
	InflightSnapCount, LeaderUnavailableTime, LearnerRequestQueueSize,
	"netty_queued_buffer_capacity", NodeChangedWatchCount, NodeChildrenWatchCount,
	NodeCreatedWatchCount, NodeDeletedWatchCount, ObserverSyncTime, PendingSessionQueueSize,
	PrepProcessTime, PrepQueueSize, ProposalProcessTime, CommitProcReadsIssued,
	CommitProcReadsQueued, ReadsAfterWrite, ReadsFromSessionQueue,
	RequestsInSessionQueue, SessionQueuesDrained, SnapshotTime, SocketClosingTime,
	StartupSnapLoadTime, StartupTxnsLoadTime, StartupTxnsLoaded, SyncProcessTime, SyncBatchSize,
	SyncQueueSize, "time_waiting_empty_pool_in_commit_processor_read_ms", UnavailableTime,
	WriteBatchTime, CommitProcWritesIssued, CommitProcWritesQueued,
}

// detailedNames are those of level ADVANCED, with percentiles.
var detailedNames = []string{
	CloseSessionPrepTime, CommitPropagationLatency, "dead_watchers_cleaner_latency", "jvm_pause_time_ms",
	LocalWriteCommittedTime, "om_commit_process_time_ms", "om_proposal_process_time_ms",
	PrepQueueTime, PropagationLatency, ProposalAckCreationLatency, ProposalLatency,
	QuorumAckLatency, ReadCommitProcTime, ReadFinalProcTime, ReadLatency,
	RequestThrottleQueueTime, ServerWriteCommittedTime, SyncQueueAndFlushTime,
	SyncFlushTime, SyncQueueTime, UpdateLatency,
	WriteCommitProcTime, WriteFinalProcTime,
}
