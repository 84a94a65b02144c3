// Package bench measures servers side by side: our node and Apache ZooKeeper, three members each on
// the loopback interface, the same load from the same generator, in turn in one run. What it says is
// ratios; figures of different machines, or of different hours of one machine, do not compare.
//
// The generator is a lean client of its own: it keeps a number of requests in flight on a connection,
// looks at no more of a reply than its header, and notes times in histograms. It records no history and
// must not know workloads, nemeses or checkers.
//
// Where targets are missed, Options.ProfileDir shows what can be spared, and the floors in the report what cannot. Of the
// processor time that three of our nodes take for one write at a time, a fifth goes into fdatasync, a quarter into sockets,
// a fifth to the watchdog thread of Go's scheduler, which every system call that may wait sets to work, and a sixth into
// the server's own code. System calls that are hidden from the scheduler would spare the watchdog's fifth, but a disk that
// hangs would then stop the whole server. With many writes in flight the members' processor time is the bound.
package bench
