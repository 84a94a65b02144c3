package defect

import "slices"

// Catalogue describes every defect, in the order in which they are listed.
var Catalogue = slices.Concat(clientCatalogue, zabCatalogue)

// clientCatalogue describes the mistakes that clients see under ordinary faults.
var clientCatalogue = []Description{
	{
		Name:       CommitBeforeQuorum,
		Summary:    "the leader answers a write before a quorum has it",
		Guarantees: []string{"durability", "linearizable", "convergence"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"partition-leader"},
	},
	{
		Name:       AckBeforeFsync,
		Summary:    "a server acknowledges a proposal before it is on disk",
		Guarantees: []string{"durability", "linearizable", "convergence"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"power-loss"}, NeedsPowerLoss: true,
	},
	{
		Name: SkipTrunc, Issue: "ZOOKEEPER-3701",
		Summary:    "a learner keeps transactions that the leader told it to truncate",
		Guarantees: []string{"convergence", "session-order", "durability"},
		Inside:     []string{"one-log", "zxids-rise", "committed-agree", "committed-durable", "same-tree"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"partition-leader"}, NeedsSilence: true,
	},
	{
		Name:       ServeUnsynchronised,
		Summary:    "a server answers reads while it is not synchronised with a leader",
		Guarantees: []string{"sync-reads", "session-order", "durability"},
		Workloads:  []string{"register"}, Nemeses: []string{"partition-followers"},
	},
	{
		Name:       KeepEphemerals,
		Summary:    "ephemeral znodes outlive their session",
		Guarantees: []string{"ephemerals"},
		Workloads:  []string{"lock"}, Nemeses: []string{"kill-leader"},
	},
	{
		Name:       NeverExpire,
		Summary:    "a session whose client has gone without a word never expires",
		Guarantees: []string{"ephemerals"},
		Workloads:  []string{"lock"}, Nemeses: []string{"kill-leader"},
	},
	{
		Name:       DuplicateSequence,
		Summary:    "the number of a sequential znode is given out twice",
		Guarantees: []string{"sequential-names", "linearizable"},
		Workloads:  []string{"queue"}, Nemeses: []string{"kill-leader"},
	},
	{
		Name:       PartialMulti,
		Summary:    "a failed multi leaves its first operations behind",
		Guarantees: []string{"multi", "linearizable"},
		Workloads:  []string{"bank"}, Nemeses: []string{"kill-leader"},
	},
	{
		Name:       LostWatch,
		Summary:    "a watch event that fell into a reconnect is lost",
		Guarantees: []string{"watches"},
		Workloads:  []string{"watch"}, Nemeses: []string{"rolling", "kill-leader"},
	},
	{
		Name:       LateWatch,
		Summary:    "a read shows newer state before the watch event that announces it",
		Guarantees: []string{"watches"},
		Workloads:  []string{"watch"}, Nemeses: []string{"kill-leader"},
	},
	{
		Name:       ForgetSeen,
		Summary:    "a session resumes on a server that is behind what it has seen",
		Guarantees: []string{"session-order"},
		Workloads:  []string{"register"}, Nemeses: []string{"partition-followers"},
	},
}
