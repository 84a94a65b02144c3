// Package metrics counts what a ZooKeeper server shows of itself under Apache's names (ServerMetrics
// of 3.8.0), so that dashboards and alarms made for Apache's servers read ours.
//
// All of Apache's counters and summaries are there. Those of a stage that this server does not have
// (a response cache, worker pools, a virtual machine that pauses) stay at zero, as they do in Apache's
// server while nothing has passed the stage.
//
// The package knows nothing of servers: the shell tells it what happens, and asks it for everything
// when somebody wants to see it.
package metrics
