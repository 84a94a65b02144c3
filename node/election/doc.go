// Package election finds a leader: ZooKeeper's fast leader election (protocol.md 6.3) as a state
// machine, and the notification that servers exchange for it (6.2).
//
// Every server that looks for a leader proposes itself, tells all voters, and changes over to a
// better proposal when it hears of one: a higher epoch, then a higher zxid, then a higher id. Once a
// quorum proposes the same server it waits a moment for a better proposal and then decides. A server
// that has decided keeps answering those that still look, so that a late one joins the leader that
// there is instead of electing another.
//
// [FastLeaderElection] takes one input at a time and keeps what it wants done until [FastLeaderElection.Take]
// is called. It must not know of connections: messages may be lost, doubled, delayed and reordered.
// An elected leader is only a candidate: the promise of one leader an epoch is kept by the discovery
// phase that follows (node/zab), not here.
package election
