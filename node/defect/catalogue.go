package defect

// Catalogue describes every defect, in the order in which they are listed.
var Catalogue = []Description{
	{
		Name: CommitBeforeQuorum, Issue: "",
		Summary:    "the leader answers a write before a quorum has it",
		Guarantees: []string{"durability", "linearizable", "convergence"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"partition-leader"},
	},
	{
		Name: AckBeforeFsync, Issue: "",
		Summary:    "a server acknowledges a proposal before it is on disk",
		Guarantees: []string{"durability", "linearizable", "convergence"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"power-loss"}, NeedsPowerLoss: true,
	},
	{
		Name: SkipTrunc, Issue: "ZOOKEEPER-1154",
		Summary:    "a learner keeps transactions that the leader told it to truncate",
		Guarantees: []string{"convergence", "session-order", "durability"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"partition-leader"}, NeedsSilence: true,
	},
	{
		Name: ServeUnsynchronised, Issue: "",
		Summary:    "a server answers reads while it is not synchronised with a leader",
		Guarantees: []string{"sync-reads", "session-order", "durability"},
		Workloads:  []string{"register"}, Nemeses: []string{"partition-followers"},
	},
	{
		Name: KeepEphemerals, Issue: "ZOOKEEPER-2355",
		Summary:    "ephemeral znodes outlive their session",
		Guarantees: []string{"ephemerals"},
		Workloads:  []string{"lock"}, Nemeses: []string{"kill-leader"},
	},
	{
		Name: DuplicateSequence, Issue: "",
		Summary:    "the number of a sequential znode is given out twice",
		Guarantees: []string{"sequential-names", "linearizable"},
		Workloads:  []string{"queue"}, Nemeses: []string{"kill-leader"},
	},
	{
		Name: PartialMulti, Issue: "ZOOKEEPER-1624",
		Summary:    "a failed multi leaves its first operations behind",
		Guarantees: []string{"multi", "linearizable"},
		Workloads:  []string{"bank"}, Nemeses: []string{"kill-leader"},
	},
	{
		Name: LostWatch, Issue: "ZOOKEEPER-3145",
		Summary:    "a watch event that fell into a reconnect is lost",
		Guarantees: []string{"watches"},
		Workloads:  []string{"watch"}, Nemeses: []string{"rolling", "kill-leader"},
	},
	{
		Name: LateWatch, Issue: "",
		Summary:    "a read shows newer state before the watch event that announces it",
		Guarantees: []string{"watches"},
		Workloads:  []string{"watch"}, Nemeses: []string{"kill-leader"},
	},
	{
		Name: ForgetSeen, Issue: "",
		Summary:    "a session resumes on a server that is behind what it has seen",
		Guarantees: []string{"session-order"},
		Workloads:  []string{"register"}, Nemeses: []string{"partition-followers"},
	},
	{
		Name: ForgetEpochs, Issue: "ZOOKEEPER-335",
		Summary:    "a server forgets the epoch that it accepted when it restarts",
		Guarantees: []string{"durability", "convergence", "linearizable"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"kill-leader", "power-loss"}, SimulatorOnly: true,
	},
	{
		Name: LeadAlone, Issue: "ZOOKEEPER-975",
		Summary:    "a restarted server leads because its old followers still say so",
		Guarantees: []string{"health"}, Inside: []string{"no-usurper"},
		Workloads: []string{"register"}, Nemeses: []string{"rolling"}, SimulatorOnly: true,
	},
	{
		Name: CircularVotes, Issue: "ZOOKEEPER-1419",
		Summary:    "votes are compared so that each can be better than the next, and no election ends",
		Guarantees: []string{"health"}, Inside: []string{"all-serve", "quorum-serves"},
		Workloads: []string{"register"}, Nemeses: []string{"power-loss"}, SimulatorOnly: true,
	},
	{
		Name: KeepDirtyMemory, Issue: "ZOOKEEPER-2845",
		Summary:    "a server goes into an election without the transactions that only its log has",
		Guarantees: []string{"convergence"}, Inside: []string{"one-log"},
		Workloads: []string{"register", "set"}, Nemeses: []string{"partition-leader"}, SimulatorOnly: true,
	},
	{
		Name: KeepPartialSnapshot, Issue: "ZOOKEEPER-3642",
		Summary:    "a snapshot that was only received, not stored, is what the next synchronisation builds on",
		Guarantees: []string{"convergence"}, Inside: []string{"committed-durable"},
		Workloads: []string{"register", "set"}, Nemeses: []string{"partition-followers"}, SimulatorOnly: true,
	},
	{
		Name: LogAfterUpToDate, Issue: "ZOOKEEPER-3911",
		Summary:    "a learner acknowledges NEWLEADER and logs the leader's history only at UPTODATE",
		Guarantees: []string{"durability"}, Inside: []string{"committed-durable"},
		Workloads: []string{"register", "set"}, Nemeses: []string{"power-loss"}, SimulatorOnly: true,
	},
	{
		Name: LoseEarlyProposals, Issue: "ZOOKEEPER-4394",
		Summary:    "a COMMIT between NEWLEADER and UPTODATE finds its proposal gone and ends the learner",
		Guarantees: []string{"health"}, Inside: []string{"fatal"},
		Workloads: []string{"register", "set"}, Nemeses: []string{"partition-followers"}, SimulatorOnly: true,
	},
	{
		Name: EpochBeforeLog, Issue: "ZOOKEEPER-4643",
		Summary:    "a learner joins an epoch on disk before it has the history that belongs to it",
		Guarantees: []string{"durability"}, Inside: []string{"committed-durable"},
		Workloads: []string{"register", "set"}, Nemeses: []string{"power-loss"}, SimulatorOnly: true,
	},
	{
		Name: AckNewLeaderBeforeLog, Issue: "ZOOKEEPER-4646, ZOOKEEPER-3023, ZOOKEEPER-4785",
		Summary:    "NEWLEADER is acknowledged before the history behind it is on disk",
		Guarantees: []string{"durability"}, Inside: []string{"committed-durable"},
		Workloads: []string{"register", "set"}, Nemeses: []string{"power-loss"}, SimulatorOnly: true,
	},
	{
		Name: FirstAckCounts, Issue: "ZOOKEEPER-4685",
		Summary:    "the ACK of a proposal overtakes that of NEWLEADER, which then is never counted",
		Guarantees: []string{"health"}, Inside: []string{"leader-starts"},
		Workloads: []string{"register", "set"}, Nemeses: []string{"kill-leader"}, SimulatorOnly: true,
	},
	{
		Name: LeaveLoggerBehind, Issue: "ZOOKEEPER-4712",
		Summary:    "a log goes on being written after its server has left its leader",
		Guarantees: []string{"health"}, Inside: []string{"one-log", "zxids-rise"},
		Workloads: []string{"register", "set"}, Nemeses: []string{"partition-leader"}, SimulatorOnly: true,
	},
	{
		Name: SnapshotUncommitted, Issue: "ZOOKEEPER-4837",
		Summary:    "a snapshot holds what was never committed, and TRUNC leaves it behind",
		Guarantees: []string{"convergence"}, Inside: []string{"one-log"},
		Workloads: []string{"register", "set"}, Nemeses: []string{"partition-leader"}, SimulatorOnly: true,
	},
	{
		Name: GoOnAfterDiskError, Issue: "ZOOKEEPER-4882",
		Summary:    "a server whose log failed goes on in memory; its log has a hole afterwards",
		Guarantees: []string{"convergence"}, Inside: []string{"one-log"},
		Workloads: []string{"register", "set"}, Nemeses: []string{"power-loss"}, SimulatorOnly: true,
	},
	{
		Name: HoleInHistory, Issue: "ZOOKEEPER-4925",
		Summary:    "a leader brings others up to date from a history that has a hole",
		Guarantees: []string{"convergence"}, Inside: []string{"one-log"},
		Workloads: []string{"register", "set"}, Nemeses: []string{"partition-followers"}, SimulatorOnly: true,
	},
}
