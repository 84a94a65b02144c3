package pipeline

import (
	"ordeal/node/jute"
)

// upgradeableSessionTracker is a server's local sessions (protocol.md 2.14): those that only the server
// knows which the client is connected to. They cost no transaction, cannot move, own no ephemerals,
// and end when their server leaves its role. A local session that needs an ephemeral becomes a global
// one first, if that is allowed.
type upgradeableSessionTracker struct {
	*sessionTracker
	enabled bool
	// upgrading are the sessions that are not local any more and not global yet.
	upgrading map[int64]bool
}

func newUpgradeableSessionTracker(tickMs, nowMs int64, enabled bool) *upgradeableSessionTracker {
	return &upgradeableSessionTracker{
		sessionTracker: newSessionTracker(tickMs, nowMs, jute.SessionExpired),
		enabled:        enabled, upgrading: map[int64]bool{},
	}
}

// upgrade takes a session off the local ones and returns its timeout. From this moment on its end is
// a matter for the whole ensemble: an end that only this server knew would leave the ephemerals behind
// which the upgrade is for (ZOOKEEPER-3471).
func (t *upgradeableSessionTracker) upgrade(id int64) (timeoutMs int32) {
	timeoutMs = t.sessions[id].timeoutMs
	t.remove(id)
	t.upgrading[id] = true
	return timeoutMs
}

// committed tells that a session is global now, whoever made it so.
func (t *upgradeableSessionTracker) committed(id int64) {
	t.remove(id)
	delete(t.upgrading, id)
}

// touch tells the session's tracker that a client was heard of; false if the session is gone.
func (s *Server) touch(c *connection) bool {
	switch {
	case s.local.tracks(c.session):
		return s.local.touch(c.session, c.timeoutMs)
	case s.tracker != nil:
		return s.tracker.touch(c.session, c.timeoutMs)
	case s.local.enabled && !s.isGlobal(c.session) && !s.local.upgrading[c.session]:
		return false
	}
	s.learnerTracker.touch(c.session, c.timeoutMs)
	return true
}

// isGlobal tells whether a session is known to the whole ensemble, as far as this server knows.
func (s *Server) isGlobal(session int64) bool {
	if s.tracker != nil {
		return s.tracker.tracks(session)
	}
	return s.tree.HasSession(session)
}

// checkSession tells whether a request of a session that came from origin may be carried out. A
// session that nobody here knows may be another server's local one.
func (s *Server) checkSession(session int64, origin Origin) jute.Code {
	if s.local.tracks(session) {
		if code := s.local.check(session, origin); code != jute.Ok || s.tracker == nil || !s.tracker.tracks(session) {
			return code
		}
	}
	if s.tracker == nil {
		if s.local.enabled && !s.isGlobal(session) {
			return jute.SessionExpired
		}
		return jute.Ok
	}
	if s.local.enabled && !s.tracker.tracks(session) && byte(session>>56) != byte(s.config.ServerID) {
		return jute.Ok
	}
	return s.tracker.check(session, origin)
}

// checkGlobalSession is checkSession for what only a global session may do.
func (s *Server) checkGlobalSession(session int64, origin Origin) jute.Code {
	if s.local.enabled && !s.tracker.tracks(session) {
		return jute.SessionExpired
	}
	return s.tracker.check(session, origin)
}

// setLocal marks the requests that this server alone carries out: the beginning and the end of its
// local sessions. One that is about to end takes no request any more. It is called where a request enters the
// chain, behind the RequestThrottler: what waited there before it may have made the session global.
func (s *Server) setLocal(r *request) {
	switch r.op {
	case jute.OpCreateSession:
		r.local = s.local.enabled
	case jute.OpCloseSession:
		if r.local = s.local.tracks(r.session); r.local {
			s.local.setClosing(r.session)
		}
	}
}

// upgradeSession returns the request that makes a session global before r can be carried out; nil if
// r needs none. Without leave to do so r is marked as refused.
func (s *Server) upgradeSession(r *request) *request {
	if session := s.local.sessions[r.session]; session == nil || session.closing || r.refused != jute.Ok || !s.wantsEphemeral(r) {
		return nil
	}
	if !s.config.LocalSessionsUpgrading {
		r.refusedHere = jute.EphemeralOnLocalSession
		return nil
	}
	timeoutMs := s.local.upgrade(r.session)
	if s.tracker != nil {
		s.tracker.track(r.session, timeoutMs)
	}
	return &request{
		session: r.session, op: jute.OpCreateSession,
		body: jute.Marshal(jute.CreateSessionRequest{TimeOut: timeoutMs}),
	}
}

// wantsEphemeral tells whether a request creates an ephemeral znode, alone or in a multi.
func (s *Server) wantsEphemeral(r *request) bool {
	switch r.op {
	case jute.OpCreate, jute.OpCreate2, jute.OpMulti:
	default:
		return false
	}
	body := jute.NewRequest(r.op)
	if !s.decodeBody(r.body, body) {
		return false // which the PrepRequestProcessor will say
	}
	switch request := body.(type) {
	case *jute.CreateRequest:
		return createModes[request.Flags].ephemeral
	case *jute.MultiRequest:
		for _, operation := range request.Ops {
			create, isCreate := operation.Request.(*jute.CreateRequest)
			if isCreate && createModes[create.Flags].ephemeral {
				return true
			}
		}
	}
	return false
}
