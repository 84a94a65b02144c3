// Package metrics counts what a ZooKeeper server shows of itself under Apache's names (ServerMetrics
// of 3.8.0), so that dashboards and alarms made for Apache's servers read ours.
//
// All of Apache's counters and summaries are there, but not all of them are fed. Those that have a constant in
// names.go are; the others are always zero, and no alarm should be made of them. They are
//
//   - of stages that this server does not have: a response cache, worker pools and what waits for them or runs
//     in them, the cleaner of dead watchers, Netty, a virtual machine that pauses, masters for observers;
//   - of what cannot be switched on: authentication between servers, and the ways around a processor;
//   - quit_leading_due_to_disloyal_voter: this server has initLimit for that.
//
// Of the gauges, the counts of connections without mutual TLS are always zero too.
//
// Some mean what is nearest to Apache's meaning:
//
//   - the queue in front of the PrepRequestProcessor, and of a learner's, is that of the core, which takes one input at a time;
//   - one round of the CommitProcessor is what it does in one step of the core, and it only sees reads that wait for a
//     write of their session or set watches: the others are answered without it;
//   - times of the SyncRequestProcessor are of all that shares one fsync, and sync_process_time is that fsync;
//   - snapshottime is of snapshots taken and installed while the server runs: none is written at a start or for an election.
//
// The package knows nothing of servers: the shell tells it what happens, and asks it for everything
// when somebody wants to see it.
package metrics
