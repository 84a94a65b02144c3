package server

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ordeal/node/peer"
	"ordeal/node/server/metrics"
)

// setting is something with a name, to be shown in the order of a list.
type setting struct{ name, value string }

// gauge is a number as it is now. Whole ones are shown without a point.
type gauge struct {
	name  string
	value float64
	whole bool
}

// standing is what mntr shows that is not a number.
func (w *words) standing(state peer.State) []setting {
	list := []setting{{"version", version()}, {"server_state", mode(state)}}
	if !w.config.Standalone {
		list = append(list, setting{"peer_state", strings.ToLower(state.Role) + " - " + state.Phase})
	}
	return list
}

func (w *words) uptime() time.Duration { return time.Since(w.startedAt) }

// gauges are Apache's (ZooKeeperServer.registerMetrics and those of its subclasses).
func (w *words) gauges(state peer.State) []gauge {
	var list []gauge
	whole := func(name string, value int64) { list = append(list, gauge{name, float64(value), true}) }
	least, average, most := w.stats.latency.get()
	response := w.stats.responses.get()
	whole("ephemerals_count", int64(state.Ephemerals))
	whole("num_alive_connections", int64(len(w.clients.connections())))
	list = append(list, gauge{"avg_latency", average, false})
	whole("outstanding_requests", int64(state.Outstanding))
	whole("znode_count", int64(state.Nodes))
	whole("global_sessions", int64(state.Sessions))
	whole("non_mtls_remote_conn_count", 0)
	whole("last_client_response_size", response.last)
	whole("packets_sent", w.stats.sent.Load())
	whole("packets_received", w.stats.received.Load())
	whole("max_client_response_size", response.most)
	list = append(list, gauge{"connection_drop_probability", state.DropProbability, false})
	whole("watch_count", int64(state.Watches))
	whole("auth_failed_count", w.stats.authFailed.Load())
	whole("min_latency", least)
	open, limit := fileDescriptors()
	whole("max_file_descriptor_count", int64(limit))
	whole("approximate_data_size", state.DataSize)
	whole("open_file_descriptor_count", int64(open))
	whole("local_sessions", int64(state.LocalSessions))
	whole("uptime", w.uptime().Milliseconds())
	whole("max_latency", most)
	whole("outstanding_tls_handshake", w.stats.handshakes.Load())
	whole("min_client_response_size", response.least)
	whole("non_mtls_local_conn_count", 0)
	if !w.config.Standalone {
		whole("quorum_size", int64(len(w.membership(state).Voters())))
	}
	if mode(state) != "leader" {
		return list
	}
	lead := w.core.leadership()
	lastProposal, leastProposal, mostProposal := proposalSizes(state)
	whole("learners", int64(len(lead.Learners)))
	whole("synced_followers", int64(lead.SyncedFollowers))
	whole("synced_non_voting_followers", int64(lead.NonVotingFollowers))
	whole("synced_observers", int64(lead.SyncedObservers))
	whole("pending_syncs", int64(lead.PendingSyncs))
	whole("leader_uptime", lead.For.Milliseconds())
	whole("last_proposal_size", int64(lastProposal))
	whole("max_proposal_size", int64(mostProposal))
	whole("min_proposal_size", int64(leastProposal))
	return list
}

// number renders a gauge as mntr does.
func (g gauge) number() string {
	if g.whole {
		return strconv.FormatInt(int64(g.value), 10)
	}
	return decimal(g.value)
}

// summaryParts are the names and values that mntr makes of one summary.
func summaryParts(name string, v metrics.Values) []gauge {
	parts := []gauge{
		{"avg_" + name, v.Average, false}, {"min_" + name, float64(v.Least), true}, {"max_" + name, float64(v.Most), true},
		{"cnt_" + name, float64(v.Count), true}, {"sum_" + name, float64(v.Total), true},
	}
	if !v.Detailed {
		return parts
	}
	return append(parts,
		gauge{"p50_" + name, float64(v.P50), true}, gauge{"p95_" + name, float64(v.P95), true},
		gauge{"p99_" + name, float64(v.P99), true}, gauge{"p999_" + name, float64(v.P99_9), true},
	)
}

// measured are all numbers that mntr shows, in its order.
func (w *words) measured(state peer.State) []gauge {
	list := w.gauges(state)
	w.metrics.Counters(func(name string, value int64) { list = append(list, gauge{name, float64(value), true}) })
	w.metrics.Summaries(func(name string, values metrics.Values) { list = append(list, summaryParts(name, values)...) })
	return list
}

func (w *words) mntr(state peer.State) string {
	var text strings.Builder
	for _, s := range w.standing(state) {
		fmt.Fprintf(&text, "zk_%s\t%s\n", s.name, s.value)
	}
	for _, g := range w.measured(state) {
		fmt.Fprintf(&text, "zk_%s\t%s\n", g.name, g.number())
	}
	return text.String()
}
