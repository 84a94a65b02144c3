package peer

// proposalSizes is the sizes of a leader's proposals in bytes.
type proposalSizes struct{ last, smallest, largest int }

func (s *proposalSizes) note(size int) {
	s.last = size
	s.largest = max(s.largest, size)
	if s.smallest == 0 || size < s.smallest {
		s.smallest = size
	}
}

// State describes the peer for four-letter words and metrics.
func (p *Peer) State() State {
	state := State{
		Role:       roleNames[p.role],
		Serving:    p.serves(),
		LeaderID:   p.leaderID,
		Membership: Membership{Present: p.membership},
		Epoch:      p.currentEpoch,
		LastZxid:   p.tree.LastZxid(),
		Digest:     p.tree.Digest(),
		Nodes:      p.tree.NodeCount(),
		Watches:    p.tree.WatchCount(),
		Ephemerals: p.tree.EphemeralCount(),
		DataSize:   p.tree.DataSize(),
		Sessions:   p.tree.SessionCount(),
		Phase:      "election",
	}
	if p.server != nil {
		state.Outstanding = p.server.Outstanding()
		state.LocalSessions = p.server.LocalSessions()
		state.DropProbability = p.server.DropProbability()
		state.ReadOnly = p.role == looking
	}
	if p.membership.Precedes(p.lastSeen) {
		state.Membership.Next = p.lastSeen
	}
	switch {
	case p.leader != nil:
		state.Phase = p.leader.PhaseName()
		state.Learners = p.leader.Learners()
		state.ProposalLast, state.ProposalMin, state.ProposalMax = p.proposals.last, p.proposals.smallest, p.proposals.largest
	case p.learner != nil:
		state.Phase = p.learner.PhaseName()
	case p.role == standalone:
		state.Phase = "broadcast"
	}
	return state
}
