package peer

// Standing is the part of State that costs nothing to tell: a simulator asks for it after every
// input.
type Standing struct {
	Role     string
	Phase    string
	Serving  bool
	LeaderID int64 // -1 if there is none
	Epoch    int64
	LastZxid int64 // last applied
	Digest   int64 // of the tree
}

// Standing says where the peer stands.
func (p *Peer) Standing() Standing {
	s := Standing{
		Role: roleNames[p.role], Phase: "election", Serving: p.serves(), LeaderID: p.leaderID, Epoch: p.currentEpoch,
		LastZxid: p.tree.LastZxid(), Digest: p.tree.Digest(),
	}
	switch {
	case p.leader != nil:
		s.Phase = p.leader.PhaseName()
	case p.learner != nil:
		s.Phase = p.learner.PhaseName()
	case p.role == standalone:
		s.Phase = "broadcast"
	}
	return s
}
