package defect

// zabCatalogue describes Apache's own mistakes in election, synchronisation and recovery. Real time
// hardly ever gives the orders of events that they need, so that most of them are left to the simulator.
var zabCatalogue = []Description{
	{
		Name: ForgetEpochs, Issue: "ZOOKEEPER-335, ZOOKEEPER-1081, ZOOKEEPER-1082",
		Summary: "a server that restarts knows no epoch but that of its last transaction",
		Story: "Before acceptedEpoch and currentEpoch were kept in files, a server that started took its epoch from the " +
			"last transaction of its log. An epoch in which nothing was logged is forgotten by a restart, and so is the " +
			"promise to follow no older leader: the same epoch is given out twice, two leaders number different " +
			"transactions alike, or servers refuse one another for ever because the leader's epoch is lower than theirs.",
		Guarantees: []string{"durability", "convergence", "linearizable"},
		Inside:     []string{"epochs-rise", "one-leader", "one-log", "committed-agree", "committed-durable", "ack-on-disk"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"kill-leader", "power-loss"}, SimulatorOnly: true,
	},
	{
		Name: LeadAlone, Issue: "ZOOKEEPER-975",
		Summary: "a server begins to lead once it has heard everybody, whatever they said",
		Story: "A server that joins a running ensemble hears what the others said when they elected their leader. Once it has " +
			"heard something of everybody it ends the election with its own proposal, though no quorum has voted for that, and " +
			"leads: beside the leader that there is, or alone, until initLimit has passed.",
		Guarantees: []string{"health"},
		Inside:     []string{"elected", "no-usurper"},
		Workloads:  []string{"register"}, Nemeses: []string{"rolling"}, SimulatorOnly: true,
	},
	{
		Name: DiffOverDivergence, Issue: "ZOOKEEPER-1154, ZOOKEEPER-1156",
		Summary: "a learner whose log holds what nobody else has is brought up to date by DIFF",
		Story: "A leader logs <7,4>, and everybody crashes before another server has it. The others elect a leader and write " +
			"<8,1>. When the first one comes back, its last transaction lies between the oldest and the newest one that " +
			"the leader keeps in memory, so it is sent a DIFF of what came later. Nothing makes it give up <7,4>, which " +
			"it now serves alone.",
		Guarantees: []string{"convergence", "session-order", "durability"},
		Inside:     []string{"one-log", "committed-agree", "same-tree"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"partition-leader"}, SimulatorOnly: true,
	},
	{
		Name: CircularVotes, Issue: "ZOOKEEPER-1419",
		Summary: "the order of votes is not total: each of two votes is better than the other",
		Story: "Votes are ordered by epoch, then by zxid, then by the server's id. The last comparison was made whenever the " +
			"zxids were equal, whatever the epochs. If one server has joined a later epoch in which nothing was logged, and " +
			"another one has a greater id, each one's vote beats the other's. Servers take over the votes that they hear, " +
			"back and forth, and nobody is elected.",
		Guarantees: []string{"health"},
		Inside:     []string{"no-livelock", "start", "quorum-serves", "all-serve"},
		Workloads:  []string{"register"}, Nemeses: []string{"kill-leader"}, SimulatorOnly: true,
	},
	{
		Name: ClaimDiff, Issue: "ZOOKEEPER-2355",
		Summary: "a learner counts the end of a DIFF as its own before it has received the transactions",
		Story: "At the packet that opens a DIFF the learner sets its last zxid to where the DIFF will end. If the connection " +
			"breaks before the transactions have come, it votes with that zxid and asks the next leader for what comes " +
			"later. The transactions in between are never made good. In the report one of them ended a session, whose " +
			"ephemeral znode stayed on that server for ever.",
		Guarantees: []string{"ephemerals", "convergence", "durability"},
		Inside:     []string{"one-log", "committed-agree", "committed-durable", "same-tree", "zxids-rise", "all-serve"},
		Workloads:  []string{"register", "set", "lock"}, Nemeses: []string{"rolling"}, SimulatorOnly: true,
	},
	{
		Name: KeepDirtyMemory, Issue: "ZOOKEEPER-2845",
		Summary: "a server votes with what it has applied although its log goes on",
		Story: "A follower logs a proposal whose commit it never sees, and loses its leader. It keeps its tree in memory, " +
			"which lacks the proposal, and votes with the tree's last zxid. The next leader brings it up to date from " +
			"there, and what it sends is appended behind the forgotten proposal. After a restart the log is read back: " +
			"with a transaction that nobody else has, or that stands twice.",
		Guarantees: []string{"convergence", "durability", "session-order"},
		Inside:     []string{"one-log", "zxids-rise", "committed-agree", "committed-durable", "same-tree", "serves-history"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"partition-leader"}, SimulatorOnly: true,
	},
	{
		Name: ServeBeforeCommits, Issue: "ZOOKEEPER-3023",
		Summary: "a follower answers UPTODATE and serves before it has applied what was committed",
		Story: "The transactions of a DIFF are committed on the follower by its commit processor, in its own time. UPTODATE is " +
			"acknowledged, and clients are served, without waiting for that: the follower's tree is still the one from " +
			"before the synchronisation. Apache's own unit test of a DIFF failed now and then because of it.",
		Guarantees: []string{"sync-reads", "session-order"},
		Inside:     []string{"serves-history"},
		Workloads:  []string{"register"}, Nemeses: []string{"kill-leader"}, SimulatorOnly: true,
	},
	{
		Name: KeepPartialSnapshot, Issue: "ZOOKEEPER-3642",
		Summary: "the tree of a SNAP stays in memory although the leader was lost before NEWLEADER",
		Story: "A follower takes in the leader's tree. The leader dies before NEWLEADER, so that the tree is never written down. " +
			"The follower votes with the tree's zxid and gets a DIFF from the next leader, which it logs behind its old " +
			"snapshot. After a restart everything in between is missing.",
		Guarantees: []string{"durability", "convergence"},
		Inside:     []string{"one-log", "committed-durable", "committed-agree", "same-tree", "fatal"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"kill-leader"}, SimulatorOnly: true,
	},
	{
		Name: LogAfterUpToDate, Issue: "ZOOKEEPER-3911",
		Summary: "a follower acknowledges NEWLEADER and logs its leader's history only at UPTODATE",
		Story: "A leader alone has logged <1,4>. A follower gets it by DIFF and acknowledges NEWLEADER with nothing on disk. " +
			"That makes a quorum: the leader serves, and a client reads <1,4>. The follower crashes before UPTODATE reaches " +
			"it, and the leader dies. The follower and the third server elect one another without <1,4>.",
		Guarantees: []string{"durability", "linearizable"},
		Inside:     []string{"committed-durable", "committed-agree", "one-log", "epoch-has-history"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"kill-leader"}, SimulatorOnly: true,
	},
	{
		Name: LoseEarlyProposals, Issue: "ZOOKEEPER-4394",
		Summary: "a COMMIT between NEWLEADER and UPTODATE, of a proposal from before, crashes the follower",
		Story: "A proposal is outstanding while a follower joins. It gets the PROPOSAL, then NEWLEADER, at which it empties the " +
			"queue of proposals without a commit. The proposal's COMMIT comes before UPTODATE. The follower looks at the " +
			"head of the empty queue, and follows a null pointer. It joins again, and under load the same happens again.",
		Guarantees: []string{"health"},
		Inside:     []string{"fatal"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"rolling"}, SimulatorOnly: true,
	},
	{
		Name: EpochBeforeLog, Issue: "ZOOKEEPER-4643",
		Summary: "a follower writes currentEpoch before its leader's history is on disk",
		Story: "All are at <1,3>. A is down while B and C commit <1,4>. B goes down, A comes up, and C leads epoch 2 and sends A " +
			"<1,4> and NEWLEADER. A writes that it is in epoch 2, and dies before <1,4> is in its log. C dies too. When A and B " +
			"start, A's later epoch beats B's longer log: A leads, and B is told to truncate <1,4>, which was committed.",
		Guarantees: []string{"durability", "linearizable"},
		Inside:     []string{"epoch-has-history", "committed-durable", "committed-agree", "one-log"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"power-loss"}, NeedsPowerLoss: true, SimulatorOnly: true,
	},
	{
		Name: AckNewLeaderBeforeLog, Issue: "ZOOKEEPER-4646, ZOOKEEPER-4785",
		Summary: "a follower acknowledges NEWLEADER before its leader's history is on disk",
		Story: "C alone has logged <1,4>. It leads epoch 2 with A, which hands <1,4> to its sync thread and acknowledges NEWLEADER " +
			"at once. C serves, and a client reads <1,4>. A dies before its log is flushed, then C. A and B elect A, which is " +
			"in epoch 2 and does not have <1,4>: what was read is gone.",
		Guarantees: []string{"durability", "linearizable"},
		Inside:     []string{"committed-durable", "committed-agree", "one-log", "epoch-has-history"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"power-loss"}, NeedsPowerLoss: true, SimulatorOnly: true,
	},
	{
		Name: FirstAckCounts, Issue: "ZOOKEEPER-4685",
		Summary: "an ACK of a proposal overtakes that of NEWLEADER, and the leader counts neither",
		Story: "A follower that is synchronised by DIFF hands the proposals to its sync thread, which acknowledges them when they " +
			"are on disk. If that is sooner than the main thread acknowledges NEWLEADER, the leader takes the first ACK for the " +
			"one it waits for, sees another zxid and drops it; the right one comes later and is no proposal's. The leader " +
			"waits for its quorum until initLimit has passed, and gives up.",
		Guarantees: []string{"health"},
		Inside:     []string{"leader-starts"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"kill-leader"}, SimulatorOnly: true,
	},
	{
		Name: LeaveLoggerBehind, Issue: "ZOOKEEPER-4712, ZOOKEEPER-4541, ZOOKEEPER-4502",
		Summary: "the sync thread of a follower that has lost its leader goes on writing the log",
		Story: "A follower with a slow disk has a proposal in the queue of its sync thread when it loses its leader. It reads its " +
			"log, without the proposal, and votes. The thread still lives and appends the proposal afterwards, when a new " +
			"leader that does not have it may already have sent other transactions. A restart brings the proposal to life. In " +
			"a second report it ended a session, whose ephemeral znode was left on one server of three.",
		Guarantees: []string{"convergence", "durability", "ephemerals"},
		Inside:     []string{"one-log", "zxids-rise", "committed-agree", "same-tree", "committed-durable", "serves-history"},
		Workloads:  []string{"register", "set", "lock"}, Nemeses: []string{"partition-leader"}, SimulatorOnly: true,
	},
	{
		Name: SnapshotUncommitted, Issue: "ZOOKEEPER-4837, ZOOKEEPER-1549",
		Summary: "a snapshot that is newer than the cut survives TRUNC, with what was cut off",
		Story: "A server logs <1,5> as leader, and nobody else does. It is elected again for a moment and writes a snapshot of its " +
			"tree, with <1,5>, before anybody has followed it. The others go on without it, and tell it to truncate to <1,4>. " +
			"It cuts its log and reads its newest snapshot back: <1,5> lives on, on this server alone.",
		Guarantees: []string{"convergence", "session-order"},
		Inside:     []string{"same-tree", "one-log", "zxids-rise", "serves-history", "committed-agree", "recovers"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"partition-leader"}, NeedsSilence: true, SimulatorOnly: true,
	},
	{
		Name: GoOnAfterDiskError, Issue: "ZOOKEEPER-4882",
		Summary: "a server whose log could not be written joins again with what it has in memory",
		Story: "The disk of a follower is full when it must log <1,5>. The others commit <1,5>, and the follower applies it in " +
			"memory. Then its sync thread dies, and it joins its leader anew, as a server that has <1,5>. It gets only what " +
			"comes later. Once there is room again it logs <1,6>: after a restart <1,5> is missing, and nobody sees it, for " +
			"the server's last zxid is the greatest.",
		Guarantees: []string{"durability", "convergence"},
		Inside:     []string{"one-log", "committed-durable", "committed-agree", "same-tree", "ack-on-disk", "zxids-rise", "epoch-has-history", "fatal"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"mixed"}, SimulatorOnly: true,
	},
	{
		Name: HoleInHistory, Issue: "ZOOKEEPER-4925",
		Summary: "a hole in a server's recent history is passed on when it leads",
		Story: "A follower that was away is synchronised, and applies what it gets without adding it to the transactions that it " +
			"keeps in memory for others. Later it leads. A learner that needs the missing ones gets a DIFF from memory, which " +
			"leaves them out, and nobody looks for holes: they are lost on the learner.",
		Guarantees: []string{"convergence", "durability"},
		Inside:     []string{"one-log", "committed-agree", "committed-durable", "same-tree", "serves-history", "epoch-has-history"},
		Workloads:  []string{"register", "set"}, Nemeses: []string{"rolling"}, SimulatorOnly: true,
	},
}
