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
		Name:    AckBeforeFsync,
		Summary: "a server acknowledges a proposal before it is on disk",
		Story: "The sync processor hands a proposal on as soon as it is appended. A sync is so short that a loss of power would " +
			"hardly ever fall into it. Therefore the mistake is made larger: the log is synced at most twice a second.",
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
		Name:    ServeUnsynchronised,
		Summary: "a server answers reads while it is not synchronised with a leader",
		Story: "A server that looks for a leader goes on serving the tree that it has. Clients could not stay with it if it did nothing " +
			"else wrong, since there is no leader to ask. Therefore the mistake is made larger: it takes clients that have seen more " +
			"than it has, lets every session resume, and answers a sync itself.",
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
		Name:    ForgetSeen,
		Summary: "a session resumes on a server that is behind what it has seen",
		Story: "The server does not compare the zxid that a returning client has seen with its own. By the time that the leader has " +
			"confirmed the session, what is missing has mostly come. Therefore the mistake is made larger: a follower lets a session " +
			"that it knows resume without asking the leader.",
		Guarantees: []string{"session-order"},
		Workloads:  []string{"register"}, Nemeses: []string{"partition-followers"},
	},
}
