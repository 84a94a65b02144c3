// Package jute holds ZooKeeper's wire: the primitives of its jute encoding and every record that
// clients, peers, logs and snapshots exchange.
//
// A record is a plain struct with Encode and Decode. Encoding never fails. Decoding keeps the first
// error and returns zero values after it, so that a caller checks once, at the end. Lengths are
// checked before memory is taken: a hostile length costs nothing.
//
// The package knows bytes only. It must not know what a request means, nor where bytes come from.
//
// Source: protocol.md sections 1 to 3 and 5; org.apache.jute.BinaryInputArchive.
package jute
