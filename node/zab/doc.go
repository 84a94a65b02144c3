// Package zab is ZooKeeper's atomic broadcast: how an elected leader finds an epoch that a quorum
// accepts (discovery), gives its history to the others (synchronisation), and has transactions
// acknowledged and committed one after the other (broadcast).
//
// [Leader] is the leader's side, [Learner] that of a follower or observer. Both are state machines:
// they take one packet, one tick or one finished disk operation at a time, and say what they want
// done by calling the [LeaderHost] or [LearnerHost] they were made with. [History] is the newest
// transactions, kept in memory for learners that missed only a little.
//
// Two rules carry all promises. What a packet promises is on disk before the packet leaves:
// acceptedEpoch before LEADERINFO and ACKEPOCH, the whole history and then currentEpoch before the
// ACK of NEWLEADER, a transaction before its ACK. And a server that leaves its leader half-way
// keeps nothing that its disk does not hold.
//
// The package must not know what a transaction means, who a client is, or how bytes travel.
//
// Source: protocol.md section 5; Apache's Leader, LearnerHandler, Learner, Follower and Observer.
package zab
