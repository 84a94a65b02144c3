// Package pipeline is everything of a ZooKeeper server that stands above ZAB: the clients' front
// (handshake, passwords, auth, pings, replies), the sessions, and the chain of request processors
// that turns a client's request into a transaction and a committed transaction into a reply. Each
// processor has a file and keeps Apache's name.
//
//	Standalone  Prep → Sync → Final
//	Leader      LeaderRequest → Prep → Proposal → Commit → ToBeApplied → Final; Proposal also → Sync → Ack
//	Follower    FollowerRequest → Commit → Final; proposals: Sync → SendAck
//	Observer    ObserverRequest → Commit → Final; informs: Sync
//	ReadOnly    ReadOnlyRequest → Prep → Final
//
// Before each chain stands the RequestThrottler.
//
// A [Server] is a state machine: it takes one input at a time (a client's frame, a committed zxid, a
// disk ticket) and says what it wants done by calling the small interfaces in [Outputs]. Where
// Apache has a thread there is a queue here, and a [Stage] that works it off one unit at a time; by
// default every input is worked off completely before it returns.
//
// The package must not know how a transaction becomes agreed (ZAB), how it reaches a disk, what a
// socket is, or what time it is: all of that is told to it. It has no goroutine, lock, clock or
// source of chance, and its behaviour does not depend on the order of a map.
//
// Source: protocol.md sections 2, 3, 7 and 8; Apache's ZooKeeperServer and its processors.
package pipeline
