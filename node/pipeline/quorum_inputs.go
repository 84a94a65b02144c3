package pipeline

import (
	"fmt"

	"ordeal/node/disk"
	"ordeal/node/jute"
)

// The inputs that come from the other servers of the ensemble, by way of ZAB.

// Commit tells that the next proposal is committed: on a leader what it proposed, on a follower what
// it was given by Proposal or Adopt. A zxid that is not the next one is an error of the other side: a
// follower must not go on (Apache exits with UNMATCHED_TXN_COMMIT). On a leader it panics.
func (s *Server) Commit(zxid int64) error {
	if s.closed {
		return nil
	}
	expected := &s.pendingTxns
	if s.config.Role == Leader {
		expected = &s.proposal.proposed
	}
	if expected.empty() || expected.peek().entry.Zxid != zxid {
		next := "nothing"
		if !expected.empty() {
			next = hex(expected.peek().entry.Zxid)
		}
		if s.config.Role == Leader {
			invariant("commits follow proposals", next, hex(zxid))
		}
		return fmt.Errorf("the leader commits zxid %s, but the oldest proposal without a commit is %s", hex(zxid), next)
	}
	r := expected.pop()
	if s.config.Role == Leader {
		s.toBeApplied.toBeApplied.push(r)
	}
	if s.config.Role != Leader {
		s.measuredAge(CommitTime, r)
	}
	s.commitTransaction(r)
	return nil
}

// commitTransaction hands a transaction that is committed to the CommitProcessor.
func (s *Server) commitTransaction(r *request) {
	s.measured(CommitQueued, 1)
	r.committedAt = s.now.Elapsed
	s.commit.commit(r)
	s.run()
}

// LearnerRequest takes a request that a learner forwarded (Leader).
func (s *Server) LearnerRequest(origin Origin, forwarded Forwarded) {
	if s.closed {
		return
	}
	if origin == Local {
		invariant("a learner's origin", "not Local", origin)
	}
	if !IsWrite(forwarded.Type) && forwarded.Type != jute.OpSync {
		s.config.Log.Warn("a learner forwards what needs no leader", "session", hex(forwarded.Session), "op", forwarded.Type)
		return
	}
	s.prep.processRequest(&request{
		session: forwarded.Session, cxid: forwarded.Cxid, op: forwarded.Type, body: forwarded.Body,
		authinfo: forwarded.Authinfo, origin: origin,
	})
	s.run()
}

// LearnerRevalidate answers REVALIDATE (Leader): whether the session is alive. If it is, it belongs
// to this learner from now on.
func (s *Server) LearnerRevalidate(origin Origin, session int64, timeoutMs int32) (valid bool) {
	if s.closed || !s.tracker.touch(session, timeoutMs) {
		return false
	}
	return s.tracker.setOwner(session, origin)
}

// LearnerTouch takes what rode on a learner's PING (Leader).
func (s *Server) LearnerTouch(touches []jute.SessionTimeout) {
	for _, touch := range touches {
		s.tracker.touch(touch.SessionID, touch.TimeOut)
	}
}

// SyncDone completes a Leading.Sync (Leader).
func (s *Server) SyncDone(ticket SyncTicket) {
	if s.closed {
		return
	}
	r := s.proposal.syncDone(ticket)
	if r.origin == Local {
		s.commit.commit(r)
	} else {
		s.outputs.Leading.SendSync(r.origin)
	}
	s.run()
}

// Proposal takes the next transaction to log and to acknowledge (Follower).
func (s *Server) Proposal(entry disk.Entry) error {
	r, err := s.receive(entry)
	if err != nil || s.closed {
		return err
	}
	s.measuredAge(ProposalTime, r)
	s.pendingTxns.push(r)
	s.sync.processRequest(r)
	s.run()
	return nil
}

// Adopt takes a transaction that was logged, synced and acknowledged before this server started
// but is not committed yet (Follower).
func (s *Server) Adopt(entry disk.Entry) error {
	r, err := s.receive(entry)
	if err != nil || s.closed {
		return err
	}
	s.pendingTxns.push(r)
	s.unapplied.push(r)
	return nil
}

// Inform takes a committed transaction, to be logged and applied (Observer).
func (s *Server) Inform(entry disk.Entry) error {
	r, err := s.receive(entry)
	if err != nil || s.closed {
		return err
	}
	s.sync.processRequest(r)
	s.measuredAge(CommitTime, r)
	s.commitTransaction(r)
	return nil
}

// receive reads a transaction that came from the leader.
func (s *Server) receive(entry disk.Entry) (*request, error) {
	r, err := newTransaction(entry)
	if err != nil {
		return nil, fmt.Errorf("a proposal of the leader cannot be read: %w", err)
	}
	if r.header.Zxid != entry.Zxid {
		return nil, fmt.Errorf("a proposal of the leader has zxid %s in its packet and %s in its header", hex(entry.Zxid), hex(r.header.Zxid))
	}
	return r, nil
}

// SyncReceived takes the leader's SYNC: the oldest sync of this server's clients is complete
// (Follower, Observer).
func (s *Server) SyncReceived() {
	if s.closed {
		return
	}
	if s.forwarding.syncs.empty() {
		s.config.Log.Warn("the leader answers a sync that nobody asked for")
		return
	}
	s.commit.commit(s.forwarding.syncs.pop())
	s.run()
}

// Revalidated takes the leader's answer to Revalidate (Follower, Observer).
func (s *Server) Revalidated(session int64, valid bool) {
	if c := s.bySession[session]; c != nil {
		s.finishSession(c, valid)
	}
	s.run()
}

// Touches returns what must ride on the next PING to the leader, and starts a new table (Follower,
// Observer).
func (s *Server) Touches() []jute.SessionTimeout { return s.learnerTracker.take() }
