package zab

// LearnerStatus describes one learner of a leader for whoever watches over the ensemble.
type LearnerStatus struct {
	Link     int64
	ServerID int64 // 0 until the learner has said it
	Observer bool
	Voter    bool
	// Forwarded is true from the moment at which the learner gets everything new.
	Forwarded bool
	// Synced is true once it was told to serve.
	Synced bool
}

// LearnerStatuses describes all learners in the order in which they connected.
func (l *Leader) LearnerStatuses() []LearnerStatus {
	statuses := make([]LearnerStatus, 0, len(l.handlers))
	for _, h := range l.handlers {
		statuses = append(statuses, LearnerStatus{
			Link: h.link, ServerID: h.sid, Observer: h.observer,
			Voter:     !h.observer && l.config.Membership.IsVoter(h.sid),
			Forwarded: h.state >= awaitingAck, Synced: h.state == following,
		})
	}
	return statuses
}

// PendingSyncs is the number of syncs that wait for their moment.
func (l *Leader) PendingSyncs() int { return len(l.syncs.waiting) }
