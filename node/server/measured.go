package server

import (
	"time"

	"ordeal/node/peer"
	"ordeal/node/pipeline"
	"ordeal/node/server/metrics"
)

// Apache's names for what the core counts and measures.
var (
	countersOfCore = map[pipeline.Measure]string{
		pipeline.ConnectionRevalidated: metrics.ConnectionRevalidateCount, pipeline.ConnectionNotServed: metrics.ConnectionNotServed,
		pipeline.PrepQueued: metrics.PrepQueued, pipeline.CommitQueued: metrics.CommitQueued,
		pipeline.RequestWaits: metrics.RequestThrottleWaits, pipeline.StaleRequestDropped: metrics.StaleRequestsDropped,
		pipeline.StaleRequest: metrics.StaleRequests, pipeline.StaleReply: metrics.StaleReplies,
		pipeline.OpThrottled: metrics.ThrottledOps, pipeline.ChangesQueued: metrics.OutstandingChangesQueued,
		pipeline.ChangesRemoved: metrics.OutstandingChangesRemoved,
	}
	summariesOfCore = map[pipeline.Measure]string{
		pipeline.ThrottleTime: metrics.RequestThrottleQueueTime, pipeline.TokenDeficit: metrics.ConnectionTokenDeficit,
		pipeline.PropagationTime: metrics.PropagationLatency, pipeline.ProposalTime: metrics.ProposalLatency,
		pipeline.AckTime: metrics.ProposalAckCreationLatency, pipeline.CommitTime: metrics.CommitPropagationLatency,
		pipeline.QuorumAckTime: metrics.QuorumAckLatency, pipeline.WatchesOfCreation: metrics.NodeCreatedWatchCount,
		pipeline.WatchesOfDeletion: metrics.NodeDeletedWatchCount, pipeline.WatchesOfData: metrics.NodeChangedWatchCount,
		pipeline.WatchesOfChildren: metrics.NodeChildrenWatchCount, pipeline.SessionQueueSize: metrics.RequestsInSessionQueue,
		pipeline.SessionQueues: metrics.PendingSessionQueueSize, pipeline.ReadsAfterWrite: metrics.ReadsAfterWrite,
		pipeline.ReadCommitTime: metrics.ReadCommitProcTime, pipeline.WriteCommitTime: metrics.WriteCommitProcTime,
		pipeline.OwnCommittedTime: metrics.LocalWriteCommittedTime, pipeline.OtherCommittedTime: metrics.ServerWriteCommittedTime,
	}
)

// coreMeasures makes metrics of what the core tells, and takes the time between its moments. Only who has the core's turn
// uses it, so that it needs no lock. It is made by newCoreMeasures; nil measures nothing.
type coreMeasures struct {
	counters  [pipeline.Measures]*metrics.Counter
	summaries [pipeline.Measures]*metrics.Summary
	stats     *serverStats

	// started is when the times below begin: to ask for the time since then costs less than to ask for the wall clock's too.
	started time.Time

	// Of the input that the core works on: when it came, zero if that is not known, and how many are behind it.
	came   time.Duration
	behind int
	queued func() int // and how many may come behind those

	forwardQueue, prepQueue, prepWait, closeSession, prep, proposal *metrics.Summary
	prepBegun, prepDone                                             time.Duration

	readFinal, writeFinal *metrics.Summary
	finalBegun            time.Duration

	// What the CommitProcessor does in one step of the core is one round of Apache's.
	round commitRound
	// What is added to once a round.
	commitsQueued, readsQueued, writesQueued, roundTime            *metrics.Summary
	readsIssued, writesIssued, writeTime, drained, readsAfterWrite *metrics.Summary
}

// commitRound is what the CommitProcessor does in a step.
type commitRound struct {
	busy                                   bool
	commits, reads, writes, drained, letGo int64
	readTime, writeTime                    time.Duration
}

func newCoreMeasures(r *metrics.Registry, stats *serverStats, queued func() int) *coreMeasures {
	m := &coreMeasures{
		stats: stats, queued: queued, started: time.Now(),
		forwardQueue: r.Summary(metrics.LearnerRequestQueueSize), prepQueue: r.Summary(metrics.PrepQueueSize),
		prepWait: r.Summary(metrics.PrepQueueTime), closeSession: r.Summary(metrics.CloseSessionPrepTime),
		prep: r.Summary(metrics.PrepProcessTime), proposal: r.Summary(metrics.ProposalProcessTime),
		readFinal: r.Summary(metrics.ReadFinalProcTime), writeFinal: r.Summary(metrics.WriteFinalProcTime),
		commitsQueued: r.Summary(metrics.CommitProcCommitsQueued), readsQueued: r.Summary(metrics.CommitProcReadsQueued),
		writesQueued: r.Summary(metrics.CommitProcWritesQueued), roundTime: r.Summary(metrics.CommitProcessTime),
		readsIssued: r.Summary(metrics.CommitProcReadsIssued), writesIssued: r.Summary(metrics.CommitProcWritesIssued),
		writeTime: r.Summary(metrics.WriteBatchTime), drained: r.Summary(metrics.SessionQueuesDrained),
		readsAfterWrite: r.Summary(metrics.ReadsFromSessionQueue),
	}
	for what, name := range countersOfCore {
		m.counters[what] = r.Counter(name)
	}
	for what, name := range summariesOfCore {
		m.summaries[what] = r.Summary(name)
	}
	return m
}

// now is the time since the start. Anybody may ask for it.
func (m *coreMeasures) now() time.Duration { return time.Since(m.started) }

// cameAt notes when the input came that the core works on. Only those that are requests need it.
func (m *coreMeasures) cameAt(at time.Duration) { m.came = at }

// taken notes that the core works on an input, with so many behind it.
func (m *coreMeasures) taken(behind int) {
	if m != nil {
		m.came, m.behind = 0, behind
	}
}

// told takes what the core tells.
func (m *coreMeasures) told(what pipeline.Measure, value int64) {
	m.note(what, value)
	if counter := m.counters[what]; counter != nil {
		counter.Add(value)
	} else if summary := m.summaries[what]; summary != nil {
		summary.Add(value)
	} else if what == pipeline.AuthFailed { // which is none of Apache's counters, but a gauge
		m.stats.authFailed.Add(value)
	}
}

// note takes moments, and what counts for the round of the CommitProcessor.
func (m *coreMeasures) note(what pipeline.Measure, value int64) {
	switch what {
	case pipeline.ForwardBegun:
		m.forwardQueue.Add(int64(m.behind + m.queued()))
	case pipeline.PrepBegun:
		m.prepBegun = m.now()
		wait := time.Duration(value) * time.Millisecond
		if m.came > 0 {
			wait += m.prepBegun - m.came
		}
		m.prepQueue.Add(int64(m.behind + m.queued()))
		m.prepWait.AddTime(wait)
	case pipeline.CloseSessionDone:
		m.closeSession.AddTime(m.now() - m.prepBegun)
	case pipeline.PrepDone:
		m.prepDone = m.now()
		m.prep.AddTime(m.prepDone - m.prepBegun)
	case pipeline.ProposalDone:
		m.proposal.AddTime(m.now() - m.prepDone)
	case pipeline.CommitQueued:
		m.round.busy = true
		m.round.commits++
	case pipeline.SessionQueueSize:
		m.round.busy = true
	case pipeline.ReadsAfterWrite:
		m.round.drained++
		m.round.letGo += value
	case pipeline.FinalBegun:
		m.finalBegun = m.now()
	case pipeline.FinalDone:
		m.finalDone(m.now()-m.finalBegun, value == 1)
	}
}

func (m *coreMeasures) finalDone(took time.Duration, write bool) {
	m.round.busy = true
	if write {
		m.round.writes++
		m.round.writeTime += took
		m.writeFinal.AddTime(took)
		return
	}
	m.round.reads++
	m.round.readTime += took
	m.readFinal.AddTime(took)
}

// stepDone ends a round, if there was one.
func (m *coreMeasures) stepDone(p *peer.Peer) {
	if m == nil || !m.round.busy {
		return
	}
	round, waiting := m.round, p.CommitQueues()
	m.round = commitRound{}
	m.commitsQueued.Add(round.commits)
	m.readsQueued.Add(int64(waiting.Reads))
	m.writesQueued.Add(int64(waiting.Writes))
	m.readsIssued.Add(round.reads - round.letGo)
	m.roundTime.AddTime(round.readTime + round.writeTime)
	if round.writes == 0 {
		return
	}
	m.writesIssued.Add(round.writes)
	m.writeTime.AddTime(round.writeTime)
	m.drained.Add(round.drained)
	m.readsAfterWrite.Add(round.letGo)
}
