// Package world runs several peers in one goroutine under a virtual clock, network and disk, all
// driven by one seed, and checks after every step that they keep ZooKeeper's promises. The same seed
// gives the same run, bit for bit.
//
// A [World] is an event queue. A member is a peer.Peer with a model disk that tells "appended" from
// "on disk"; it may crash with or without its page cache, pause, and come back. Links deliver in
// order, late, or not at all. Clients are scripted and speak the real client protocol. The checks
// look at what crosses a member's border and at its model disk, never inside a peer.
//
// The package is for tests only. It must not know the inside of a peer, sockets, files, or a real clock.
package world
