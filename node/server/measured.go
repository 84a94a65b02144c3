package server

import (
	"ordeal/node/pipeline"
	"ordeal/node/server/metrics"
)

// Apache's names for what the core counts and measures.
var (
	countersOfCore = map[pipeline.Measure]string{
		pipeline.ConnectionRevalidated: metrics.ConnectionRevalidateCount, pipeline.ConnectionNotServed: metrics.ConnectionNotServed,
		pipeline.PrepQueued: metrics.PrepQueued, pipeline.CommitQueued: metrics.CommitQueued,
		pipeline.RequestWaits: metrics.RequestThrottleWaits, pipeline.StaleRequestDropped: metrics.StaleRequestsDropped,
		pipeline.OpThrottled: metrics.ThrottledOps,
	}
	summariesOfCore = map[pipeline.Measure]string{
		pipeline.ThrottleTime: metrics.RequestThrottleQueueTime, pipeline.PropagationTime: metrics.PropagationLatency,
		pipeline.QuorumAckTime: metrics.QuorumAckLatency, pipeline.WatchesOfCreation: metrics.NodeCreatedWatchCount,
		pipeline.WatchesOfDeletion: metrics.NodeDeletedWatchCount, pipeline.WatchesOfData: metrics.NodeChangedWatchCount,
		pipeline.WatchesOfChildren: metrics.NodeChildrenWatchCount,
	}
)

// coreMeasures takes what the core tells, for the registry and for the gauge of failed authentications, which is
// none of Apache's counters.
func coreMeasures(r *metrics.Registry, stats *serverStats) func(what pipeline.Measure, value int64) {
	counters, summaries := map[pipeline.Measure]*metrics.Counter{}, map[pipeline.Measure]*metrics.Summary{}
	for what, name := range countersOfCore {
		counters[what] = r.Counter(name)
	}
	for what, name := range summariesOfCore {
		summaries[what] = r.Summary(name)
	}
	return func(what pipeline.Measure, value int64) {
		if counter := counters[what]; counter != nil {
			counter.Add(value)
			return
		}
		if summary := summaries[what]; summary != nil {
			summary.Add(value)
			return
		}
		stats.authFailed.Add(value)
	}
}
