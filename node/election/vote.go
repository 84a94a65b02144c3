package election

// Vote is a server's opinion on who should lead.
type Vote struct {
	Leader        int64
	Zxid          int64
	ElectionEpoch int64
	PeerEpoch     int64
}

// better tells whether v should be preferred to other: the higher epoch counts first, then the
// higher zxid, then the higher id. This order is total; a comparison in which the epoch does not
// come first let five servers chase one another for ever (ZOOKEEPER-1419).
func (v Vote) better(other Vote) bool {
	if v.PeerEpoch != other.PeerEpoch {
		return v.PeerEpoch > other.PeerEpoch
	}
	if v.Zxid != other.Zxid {
		return v.Zxid > other.Zxid
	}
	return v.Leader > other.Leader
}

// heard is what one server last said.
type heard struct {
	Vote
	state   State
	version int32
}

// agrees tells whether two servers want the same leader. Those that have settled may have come to
// it in different rounds and may remember different zxids (ZOOKEEPER-1732), so among them only the
// leader and its epoch count, and only the leader if one of them speaks the old layout.
func (h heard) agrees(other heard) bool {
	if h.state == Looking || other.state == Looking {
		return h.Vote == other.Vote
	}
	if (h.version > 0) != (other.version > 0) {
		return h.Leader == other.Leader
	}
	return h.Leader == other.Leader && h.PeerEpoch == other.PeerEpoch
}
