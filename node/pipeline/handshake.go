package pipeline

import (
	"bytes"
	"fmt"

	"ordeal/node/defect"
	"ordeal/node/jute"
	"ordeal/node/tree"
)

// processConnectRequest decides about the first frame of a connection (protocol.md 2.2, whose rules
// the order here follows).
func (s *Server) processConnectRequest(c *connection, frame []byte) {
	var request jute.ConnectRequest
	decoder := jute.NewDecoder(frame)
	if request.Decode(decoder); decoder.Err() != nil {
		s.config.Log.Warn("closing a connection whose handshake cannot be read", "client", c.remoteIP, "error", decoder.Err())
		s.closeConnection(c)
		return
	}
	if !s.admits(request.SessionID == 0) {
		s.closeConnection(c)
		return
	}
	blind := s.config.Defects.On(defect.ForgetSeen) || s.config.Defects.On(defect.ServeUnsynchronised)
	if request.LastZxidSeen > s.tree.LastZxid() && !blind {
		s.config.Log.Info("refusing a client that has seen more than this server has",
			"client", c.remoteIP, "session", hex(request.SessionID),
			"seen", hex(request.LastZxidSeen), "zxid", hex(s.tree.LastZxid()))
		s.closeConnection(c)
		return
	}
	if s.config.Role == ReadOnly {
		if !request.ReadOnly {
			s.config.Log.Info("refusing a client that needs more than to read", "client", c.remoteIP, "session", hex(request.SessionID))
			s.closeConnection(c)
			return
		}
		if s.tree.HasSession(request.SessionID) {
			s.config.Log.Info("refusing to take over a session of the whole ensemble without it", "client", c.remoteIP, "session", hex(request.SessionID))
			s.closeConnection(c)
			return
		}
	}
	c.omitsReadOnly = request.OmitsReadOnly
	c.timeoutMs = s.negotiate(request.TimeOut)
	c.state = connectionSettling
	if request.SessionID == 0 {
		s.createSession(c)
		return
	}
	s.reopenSession(c, request.SessionID, request.Passwd)
}

// negotiate bounds the timeout that a client asks for.
func (s *Server) negotiate(timeoutMs int32) int32 {
	least, most := s.config.SessionTimeoutMin.Milliseconds(), s.config.SessionTimeoutMax.Milliseconds()
	return int32(min(max(int64(timeoutMs), least), most))
}

// createSession gives the client a new session, which is there once its transaction is committed.
func (s *Server) createSession(c *connection) {
	id := s.nextSessionID()
	switch {
	case s.local.enabled:
		s.local.track(id, c.timeoutMs)
		s.local.setOwner(id, Local)
	case s.tracker != nil:
		s.tracker.track(id, c.timeoutMs)
	}
	s.bind(c, id)
	s.submit(&request{
		session: id, op: jute.OpCreateSession, authinfo: c.authinfo, connection: c,
		body: jute.Marshal(jute.CreateSessionRequest{TimeOut: c.timeoutMs}),
	})
}

// firstSessionID gives the first id that a server hands out: its number, the time, and room for
// 65,536 sessions a millisecond (protocol.md 2.3). The wall clock serves better than a monotonic one,
// which may begin anew when the process does.
func firstSessionID(serverID, wallMs int64) int64 {
	return int64(uint64(wallMs)<<24>>8) | serverID<<56
}

// nextSessionID returns an id that no living session has.
func (s *Server) nextSessionID() int64 {
	for {
		id := s.sessionID
		s.sessionID++
		if id != tree.ContainerOwner && id != 0 && !s.tree.HasSession(id) && !s.local.tracks(id) {
			return id
		}
	}
}

// reopenSession lets a client come back to a session, if the password is right and the session lives.
func (s *Server) reopenSession(c *connection, id int64, password []byte) {
	if older := s.bySession[id]; older != nil {
		s.closeConnection(older)
	}
	s.bind(c, id)
	s.measured(ConnectionRevalidated, 1)
	switch {
	case !bytes.Equal(password, jute.SessionPassword(id)):
		s.config.Log.Warn("wrong password for a session", "client", c.remoteIP, "session", hex(id))
		s.finishSession(c, false)
	case s.local.tracks(id), s.config.Role == ReadOnly:
		s.finishSession(c, s.touch(c))
	case s.tracker != nil:
		alive := s.tracker.touch(id, c.timeoutMs)
		if alive {
			s.tracker.setOwner(id, Local)
		}
		s.finishSession(c, alive)
	case s.config.Defects.On(defect.ForgetSeen) && s.tree.HasSession(id):
		s.finishSession(c, true) // without asking the leader, whose answer would come behind what is missing here
	default:
		s.outputs.Learner.Revalidate(id, c.timeoutMs)
	}
}

// bind tells to which connection a session belongs.
func (s *Server) bind(c *connection, session int64) {
	c.session = session
	s.bySession[session] = c
}

// finishSession answers the handshake, and then takes what the client sent behind it.
func (s *Server) finishSession(c *connection, valid bool) {
	if c.state != connectionSettling {
		return
	}
	response := jute.ConnectResponse{
		Passwd: make([]byte, jute.PasswordSize), ReadOnly: s.config.Role == ReadOnly, OmitsReadOnly: c.omitsReadOnly,
	}
	if valid {
		response.TimeOut, response.SessionID = c.timeoutMs, c.session
		response.Passwd = jute.SessionPassword(c.session)
	}
	s.send(c, jute.Marshal(response))
	if !valid {
		s.closeConnection(c)
		return
	}
	c.state = connectionOpen
	early := c.early
	s.dropEarly(c)
	for _, frame := range early {
		if c.state == connectionOpen {
			s.processPacket(c, frame)
		}
	}
}

func hex[T ~int64](n T) string { return fmt.Sprintf("%#x", uint64(n)) }
