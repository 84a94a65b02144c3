// Package quorum knows who belongs to an ensemble and which sets of servers may decide for it.
//
// A [Config] is the membership: servers with their addresses and roles, optional groups and weights,
// and the version of that list. It is read from and rendered as the text that ZooKeeper keeps in
// zoo.cfg, sends in NEWLEADER and in election notifications, and shows in /zookeeper/config
// (protocol.md 5.6 and 11). A [Verifier] answers whether a set of servers is a quorum.
//
// The package is a leaf: it knows nothing of elections, of connections or of files, and everything
// it gives out is in ascending order of server ids, so that it may be used by deterministic code.
package quorum
