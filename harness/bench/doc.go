// Package bench measures servers side by side: our node and Apache ZooKeeper, three members each on
// the loopback interface, the same load from the same generator, in turn in one run. What it says is
// ratios; figures of different machines, or of different hours of one machine, do not compare.
//
// The generator is a lean client of its own: it keeps a number of requests in flight on a connection,
// looks at no more of a reply than its header, and notes times in histograms. It records no history and
// must not know workloads, nemeses or checkers.
package bench
