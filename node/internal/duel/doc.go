// Package duel asks the same of two servers, Apache ZooKeeper and another one, and compares every answer,
// watch event and end of a connection. It is for tests only: what needs Java carries the build
// tag "integration".
//
// A Duel has two sides, and each Client a connection to both. Times and session ids are translated; zxids have to
// be equal, but for the epoch, which an ensemble takes from its elections.
//
// Script plays what is known to be delicate, and Stream a seeded stream of valid and invalid requests over a
// few znodes, so that requests meet. They leave out, or allow for, what our server answers otherwise on
// purpose; allowed.go has the list. The package must not know how the other server works: it sees addresses
// and answers.
//
// A stream asks in three ways. One request at a time, what comes of it is heard by all clients before the next. In a
// burst one client sends many without waiting: every answer and event is determined, and so is their order. In a
// melee all clients send bursts at the same time, each in a subtree of its own: then answers are determined
// but for zxids, and the order of events of others follows from the zxids in the answers. Where clients have
// different members of an ensemble, one may see a transaction later than another: zxids of reads are then only seen not
// to go back, and every client writes something before another one asks.
package duel
