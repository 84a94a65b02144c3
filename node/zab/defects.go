package zab

import (
	"ordeal/node/defect"
	"ordeal/node/jute"
)

// This file holds the planted mistakes that are more than a condition at their place.

// persistWrongly makes the history of NEWLEADER durable in one of the orders that Apache's learner had
// before ZOOKEEPER-4785. It is false if none is planted.
func (l *Learner) persistWrongly() bool {
	nothing := func() {}
	switch defects := l.config.Defects; {
	case defects.On(defect.EpochBeforeLog):
		l.joinEpoch(nothing)
		l.logReceived()
		l.host.Sync(l.whilePersisting(l.acknowledgeNewLeader))
	case defects.On(defect.AckNewLeaderBeforeLog):
		pending := l.received[l.committed:]
		l.joinEpoch(l.acknowledgeNewLeader)
		l.logReceived()
		l.host.Sync(func() {
			if l.phase == awaitingUpToDate || l.phase == learning {
				l.acknowledge(pending)
			}
		})
	case defects.On(defect.LogAfterUpToDate) && !l.config.Observer:
		l.joinEpoch(l.acknowledgeNewLeader)
	case defects.On(defect.FirstAckCounts):
		l.logReceived()
		l.host.Sync(l.whilePersisting(func() { l.acknowledge(l.received) }))
		l.joinEpoch(l.acknowledgeNewLeader)
	default:
		return false
	}
	return true
}

// commitsLater is true if what was committed before NEWLEADER reaches the tree only after UPTODATE.
func (l *Learner) commitsLater() bool {
	defects := l.config.Defects
	return !l.config.Observer && (defects.On(defect.LogAfterUpToDate) || defects.On(defect.ServeBeforeCommits))
}

// acknowledgeEmptyHanded acknowledges NEWLEADER while the tree, and under LogAfterUpToDate the log, lack
// what was committed before it. It is false if no such mistake is planted.
func (l *Learner) acknowledgeEmptyHanded() bool {
	if !l.commitsLater() {
		return false
	}
	l.send(jute.PacketAck, EpochStart(l.epoch), nil)
	if l.config.Defects.On(defect.ServeBeforeCommits) {
		l.acknowledge(l.received[l.committed:])
	}
	return true
}

// synchronisedWrongly begins to serve with what acknowledgeEmptyHanded left: under LogAfterUpToDate it
// is logged and committed now, under ServeBeforeCommits it is logged, but this server turns to its
// commits later. It is false if neither is planted.
func (l *Learner) synchronisedWrongly() bool {
	if !l.commitsLater() {
		return false
	}
	received, pending := l.received, l.received[l.committed:]
	l.received = nil
	logsNow := l.config.Defects.On(defect.LogAfterUpToDate)
	if logsNow {
		for _, entry := range received {
			l.host.Append(entry)
		}
		l.host.Sync(func() {
			if l.phase == learning {
				l.acknowledge(pending)
			}
		})
	}
	l.host.Synchronised(l.epoch, received)
	var commits []*jute.QuorumPacket
	for _, entry := range received[:len(received)-len(pending)] {
		commits = append(commits, &jute.QuorumPacket{Type: jute.PacketCommit, Zxid: entry.Zxid})
	}
	l.early = append(commits, l.early...)
	if logsNow {
		if err := l.takeEarly(); err != nil {
			l.giveUp("%v", err)
		}
	}
	return true
}

// diffOverDivergence replaces the snapshot for a learner whose log holds what the leader's history does
// not by a DIFF from where the learner says that it is.
func (l *Leader) diffOverDivergence(peer int64, plan syncPlan) syncPlan {
	history := l.config.History
	if plan.op != jute.PacketSnap || peer < history.Min() || peer > history.Last() {
		return plan
	}
	return syncPlan{op: jute.PacketDiff, zxid: history.Last(), entries: history.After(peer)}
}
