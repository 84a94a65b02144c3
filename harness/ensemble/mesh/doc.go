// Package mesh stands on the links between the members of an ensemble and between clients and
// members, and cuts them. It needs no privileges: every member reaches every other one, and clients
// reach members, through TCP proxies of this package.
//
// # Links and connections
//
// A link is traffic from one member to another, in one direction. A TCP connection between i and j,
// whoever opened it, belongs to two links, i→j and j→i, and each of its directions passes that
// link's gate. So a cut of i→j stops what i says to j on every connection of the two, and leaves
// alone what j says to i.
//
// # What a cut does
//
// By drop: the gate closes. Bytes that arrive at it are held, as the sender's kernel would hold and
// repeat what the network loses: one buffer in the proxy, then what the sockets' buffers take, then
// the sender's writes block. The end of a connection is held like bytes are. When the last cut of the
// link is healed the held bytes are delivered, in order and without a hole. New connections between
// the two, whoever opens them, hang (see door): a TCP handshake needs both directions.
//
// By reset: the connections between the two are reset, at both ends, and new ones are refused. TCP
// knows no one-way reset: the other direction ends with its connections.
//
// Cuts overlap: a link carries traffic again when the last cut on it is healed. Where both modes are
// on, drop wins, since what is lost on the way can't be refused.
//
// # A member that does not listen
//
// Connections to a member that is down are refused at once, as its kernel would do. A running member
// that does not listen yet (a leader opens its quorum port after the election) is tried again for
// UpstreamPatience while the caller's connection is held; then the caller is reset. A connection
// that is accepted and closed at once would cost a learner a whole election (protocol.md 12.11).
//
// # The election handshake
//
// Who opens an election connection states its own election address (protocol.md 6.1), and the other
// side calls back there. The mesh puts the address at which the receiver reaches the caller through
// the mesh in its place, or members would connect around it.
//
// # Probes
//
// That a link passes is proved on each of its ports: the mesh calls its own proxy from an address that
// nobody else uses, and the proxy answers such a call itself, through the gates of both directions.
// The member is not disturbed. All addresses are of the loopback network.
//
// The package knows addresses and bytes; of processes, containers and faults' reasons it knows
// nothing.
package mesh
