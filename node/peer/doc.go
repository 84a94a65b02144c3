// Package peer is one server as a whole: election, ZAB and the pipeline of request processors, wired
// into a single state machine over one tree and one disk.
//
// A [Peer] takes one input at a time: time that passed, a packet or the end of a connection, a client's
// frame, a disk operation that is done. After every input, or a small batch of them, its runner takes
// [Ready] and carries out what it says, disk operations first: they need only be queued, since the
// peer itself waits for their tickets before it promises anything.
//
//	p := peer.New(config, state, now)
//	for {
//		p.Tick(now)
//		… inputs …
//		carryOut(p.Ready())
//	}
//
// A peer is looking for a leader, leading, following or observing, or it is standalone. Between two
// roles it waits until the disk has done all that was asked of it, and then puts what is logged into
// the tree: it stands by everything that it has logged. The pipeline lives only while the peer serves.
//
// The package must not know sockets, files, threads or clocks. Memory and disk agree at every role's
// begin and end; what would break that panics, and a disk that fails ends the server through
// Ready.Fatal.
package peer
