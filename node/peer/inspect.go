package peer

import (
	"time"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/pipeline"
	"ordeal/node/tree"
	"ordeal/node/zab"
)

// What follows only looks. Like State and ReadNow it may be called by several at once, but not beside
// an input.

// SessionExpiries returns when the sessions expire; decides is false on a learner, which does not
// know.
func (p *Peer) SessionExpiries() (buckets []pipeline.ExpiryBucket, decides bool) {
	if p.server == nil {
		return nil, false
	}
	return p.server.SessionExpiries()
}

// SessionTimeouts returns all global sessions with their timeouts, by ascending id.
func (p *Peer) SessionTimeouts() []jute.SessionTimeout { return p.tree.Sessions() }

// OwnedPaths is a session and its ephemeral znodes.
type OwnedPaths struct {
	Session int64
	Paths   []string
}

// Ephemerals returns all ephemeral znodes, by ascending session and path.
func (p *Peer) Ephemerals() []OwnedPaths {
	var all []OwnedPaths
	for _, session := range p.tree.EphemeralOwners() {
		all = append(all, OwnedPaths{Session: session, Paths: p.tree.Ephemerals(session)})
	}
	return all
}

// DataWatches returns the watches on znodes, by ascending path. Watchers are client connections.
func (p *Peer) DataWatches() []tree.PathWatches { return p.tree.DataWatches() }

// DigestLog returns the digests of past zxids, oldest first.
func (p *Peer) DigestLog() []tree.ZxidDigest { return p.tree.DigestLog() }

// Counts is what this server has counted since it started.
type Counts struct {
	pipeline.Counts
	Proposals, Commits int64 // as leader
}

// Counts returns what was counted so far.
func (p *Peer) Counts() Counts {
	counts := Counts{Counts: p.pastCounts, Proposals: p.proposed, Commits: p.committed}
	if p.server != nil {
		counts.Counts = counts.Counts.Add(p.server.Counts())
	}
	return counts
}

// CommitQueues is what waits in the CommitProcessor.
func (p *Peer) CommitQueues() pipeline.CommitQueues {
	if p.server == nil {
		return pipeline.CommitQueues{}
	}
	return p.server.CommitQueues()
}

// Leadership is what a leader knows of its learners, for metrics.
type Leadership struct {
	Learners           []zab.LearnerStatus // in the order in which they connected
	SyncedFollowers    int                 // those that get everything new
	NonVotingFollowers int                 // among SyncedFollowers
	SyncedObservers    int
	PendingSyncs       int
	For                time.Duration // since a quorum accepted this leader
}

// Leadership is zero on a server that does not lead.
func (p *Peer) Leadership() Leadership {
	if p.leader == nil {
		return Leadership{}
	}
	l := Leadership{Learners: p.leader.LearnerStatuses(), PendingSyncs: p.leader.PendingSyncs()}
	if p.leader.Serving() {
		l.For = p.now.Elapsed - p.leadingSince
	}
	for _, learner := range l.Learners {
		switch {
		case !learner.Forwarded:
		case learner.Observer:
			l.SyncedObservers++
		default:
			l.SyncedFollowers++
			if !learner.Voter {
				l.NonVotingFollowers++
			}
		}
	}
	return l
}

// measured tells whoever wants to know.
func (p *Peer) measured(what pipeline.Measure, value int64) {
	if p.config.Measured != nil {
		p.config.Measured(what, value)
	}
}

// noteProposal notes a transaction that this leader is about to propose.
func (p *Peer) noteProposal(entry disk.Entry) {
	p.proposals.note(len(entry.Payload))
	p.proposed++
	p.proposedAt = append(p.proposedAt, p.now.Elapsed)
}
