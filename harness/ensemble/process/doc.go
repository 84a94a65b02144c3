// Package process runs an ensemble as child processes on the loopback interface. It needs neither
// root nor Docker, only Linux.
//
// # Addresses
//
// Linux answers on all of 127.0.0.0/8. An ensemble takes one /16 of it, 127.N, and three port numbers
// (quorum, election, client) that are the same for all members:
//
//	127.N.i.i   member i itself
//	127.N.i.j   where member i finds member j: a proxy of the mesh
//	127.N.0.i   where clients find member i: a proxy of the mesh
//
// So the proxy knows the caller by the address called, and no member's outgoing connection needs a
// source address of its own. The zoo.cfg of i names 127.N.i.j for server j, so the configurations of
// members differ in hosts. That is harmless as long as reconfigEnabled is false: notifications and
// NEWLEADER carry version 0, and Apache 3.8.0 then neither adopts nor compares such a text; an
// integration test looks for election restarts and warnings. (Where reconfiguration is to be
// tested members must see one text: name host memberJ in it, and let each member resolve names by a
// table of its own, as Java does with -Djdk.net.hosts.file.)
//
// The proxies stay bound for the whole life of the ensemble, so they also keep parallel runs
// apart: a run that finds an address taken tries the next N. All ports are below 32768, where the
// kernel gives no ephemeral ports away.
//
// # Processes
//
// Each member is the leader of a process group of its own, and is killed by the kernel when ordeal
// dies, however it dies. Besides, a run file lists the processes with their start times, so that
// Clean ends exactly those that a killed run left, should one survive.
//
// What a cut does stands in package mesh. The package must not know workloads, checkers or nemeses.
package process
