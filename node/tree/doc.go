// Package tree is the replicated state: what every server holds equal after the same transactions.
// It keeps znodes, their ACLs, the sessions, the quotas' counts and the digest over all, and the
// watches of the clients that this server serves.
//
// A Tree changes by Apply alone, one transaction at a time, and answers reads in between. Apply does
// not judge: whether a transaction is allowed was decided before it was proposed. It is idempotent in
// the way that fuzzy snapshots need: a transaction whose effect the snapshot holds already, in full
// or in part, leaves the same tree as if it had been applied once (protocol.md 2.8 and 4.2).
//
// The package has no lock: whoever runs a Tree guards it. Reads, and a Snapshotter's Next, may run
// beside one another; Apply and everything that changes watches must run alone. It must not know of
// requests, of connections beyond their number, of files or of other servers.
//
// Source: protocol.md 2.7 to 2.13, 3, 4.2; org.apache.zookeeper.server.DataTree.
package tree
