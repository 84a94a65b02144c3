// Package store keeps what a server must not forget: the transaction log, snapshots of the tree and
// the two epoch files, in Apache ZooKeeper's formats (protocol.md section 4).
//
// Open takes a data directory (nobody else may have it), recovers the disk.State in it and returns
// a Store. Store.Run then carries out disk.Operations, in the order in which Store.Do was given
// them, on the one goroutine that calls it; many Syncs that wait together cost one fdatasync. A
// snapshot is written beside them, by a goroutine that Run waits for. ReadDir looks into a data
// directory at rest without touching it.
//
// Three rules stand above everything else here:
//
//   - What is reported as synced is on the disk, and in the order asked for. After one failed write or
//     sync of the log no later one is tried, let alone reported as done.
//   - Nothing is lost in silence. What a crash tore at the log's end is dropped, because it was never
//     reported as synced (how that is known stands at logReader); any other damage, and any hole in the row of zxids, refuses to open, and says
//     where it is and what to do.
//   - Every crash leaves a directory that opens again, with a prefix of the history that holds
//     everything synced.
//
// The package knows the tree as something that transactions are applied to and that snapshots are
// written from. It must not know what a transaction means, nor anything of peers and clients.
package store
