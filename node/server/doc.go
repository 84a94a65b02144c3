// Package server is the shell around peer.Peer: what a ZooKeeper server has of sockets, goroutines,
// clocks and files.
//
// The peer decides, this package carries out. One goroutine, the core's, owns the peer: it hands it
// what the ports and the disk report, in batches, and distributes what the peer wants done. Around it
// stand
//
//   - the client port: a goroutine that reads and one that writes for each connection, and the
//     four-letter words; beside it, or on it, the same over TLS,
//   - the election port: one lasting connection to each other server, newest message first,
//   - the learner port, open only while this server leads, and the connection to the leader while it
//     does not: packets are encoded once for all learners, and a tree is streamed behind SNAP,
//   - the disk (node/store), which reports back what is durable, and from which old files are purged,
//   - the AdminServer and Prometheus' metrics over HTTP, which show what the words show (the counters
//     are in node/server/metrics),
//   - profiles of the processor time, between two signals, where the property ordeal.profile says where to,
//   - zoo.cfg, myid, the -D properties, and the variables of the official image.
//
// All ports take TLS (crypto/tls) where Apache's properties say so; key stores are PEM files. Clients prove who they are by
// the schemes digest, ip, x509 and, with authProvider, sasl (DIGEST-MD5, users in a JAAS file); Kerberos is refused.
//
// Rules that hold throughout: the core never waits for a socket or a disk; every queue is bounded, and who cannot
// keep up is cut off, or not read from for a while (a client also while the disk is behind, whose session lives as long
// as it sends, a server hardly ever: its pings and acknowledgements come the same way as its requests); memory is made for bytes that came, never for a
// length that was only claimed; no lock is held over input or output (the log's included: LogWriter); every goroutine
// is waited for before Run returns; a panic ends the process.
//
// The package must not know what a request or a transaction means. It looks into a client's frames
// for their xid and operation only, and into replies for the statistics.
package server
