// Package sim runs a whole ensemble in one goroutine under virtual time: the servers' real code, the
// recording clients, workloads, faults and checkers. What happens follows from a [Config] and a list
// of decisions, and from nothing else: the same two give the same events, bit for bit.
//
// A seed stands for a Config (see [Draw]) and for a source of decisions. Whatever it decides is
// recorded, so that a run can be repeated from the list alone ([Script]), and the list made shorter
// ([Shrink]) until a person can read it. What no decision says goes its calm way: a packet takes its
// link's usual time, a disk its usual time, nobody fails.
//
// The files, from the outside in:
//
//	run.go        one run, phase by phase, and what came of it
//	config.go     what a seed stands for
//	script.go     decisions, and the text file that holds them
//	faults.go     what a fault does, when it begins and ends; faults_draw.go draws them from a seed
//	world.go      the clock, the queue of events, the hash over all of them
//	member.go     a server: a peer.Peer, its boots and its crashes
//	disk.go       what a disk of a member does, and what makes it fail
//	modeldisk.go  a quick model of one
//	storedisk.go  the servers' real store (storedisk_rot.go and storedisk_purge.go are of it), over
//	files.go      a file system that forgets what was not synced, and files_power.go what it keeps of that
//	turns.go      rare branches of a member, and the turns of its pipeline's stages
//	network.go    links between members, and between clients and members
//	client.go     a client: a session driving a workload's machine
//	invariants.go what is checked at every event, on the inside
//	livelock.go   events without end, and the cycle in them
//	pct.go        decisions by priorities of links and disks
//	planned.go    a run whose workloads and nemeses its caller chooses
//	shrink.go     delta debugging over decisions
//	search.go     seeds spread over cores; summary.go is what came of them
//	repro.go      planted defects: found, shrunk, measured
//
// Only search.go and repro.go may start goroutines and look at a real clock. The package must not know
// sockets, processes or the drivers of real servers.
package sim
