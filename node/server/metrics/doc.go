// Package metrics counts what a ZooKeeper server shows of itself under Apache's names (ServerMetrics
// of 3.8.0), so that dashboards and alarms made for Apache's servers read ours.
//
// All of Apache's counters and summaries are there, but not all of them are fed. Those that have a constant in
// names.go are; the others are always zero, and no alarm should be made of them. They are
//
//   - of stages that this server does not have: a response cache, worker pools and their queues, the cleaner of dead
//     watchers, Netty, a virtual machine that pauses;
//   - of times within one step of the core, which has no clock of its own: the processing times of the
//     PrepRequestProcessor, the CommitProcessor and the FinalRequestProcessor, and the waits between them;
//   - of what is not told apart: proposal_latency, commit_propagation_latency and proposal_ack_creation_latency beside
//     quorum_ack_latency and propagation_latency; startup_snap_load_time and startup_txns_load_time, which dbinittime holds
//     together; the diffs and snapshots that are under way; the tokens that new
//     connections lack; queue sizes and outstanding changes;
//   - of what cannot be switched on: authentication between servers.
//
// Of the gauges, connection_drop_probability and the counts of connections without mutual TLS are always zero too.
//
// The package knows nothing of servers: the shell tells it what happens, and asks it for everything
// when somebody wants to see it.
package metrics
