package pipeline

import (
	"cmp"
	"slices"
	"time"

	"ordeal/node/defect"
	"ordeal/node/jute"
)

const (
	// handshakeMax is how long a connection may be without a session: Apache's
	// zookeeper.nio.sessionlessCnxnTimeout.
	handshakeMax = 10 * time.Second
	// earlyFramesMax bounds what one client may send before its session is settled, in frames of the
	// greatest length: its identities and its watches.
	earlyFramesMax = 16
	// watchBytesMax bounds what the watches of one connection may take, in bytes: some 300,000 watches on
	// paths of usual length. Apache's servers have no bound.
	watchBytesMax = 64 << 20
	// watchBytesAllMax bounds what the watches of all connections together may take, in bytes.
	watchBytesAllMax = 512 << 20
	// lateEventDelay is how long defect.LateWatch holds an event back when no reply goes by.
	lateEventDelay = 50 * time.Millisecond
)

// ClientConnected tells of a new client connection; remoteIP is its address without a port, and ids
// are who it is by its certificate.
func (s *Server) ClientConnected(conn Conn, remoteIP string, ids ...jute.Id) {
	if s.closed {
		s.outputs.Clients.Close(conn)
		return
	}
	s.connections[conn] = &connection{
		id: conn, remoteIP: remoteIP, authinfo: append([]jute.Id{{Scheme: "ip", ID: remoteIP}}, ids...),
		establishedAt: s.now.Elapsed, heardAt: s.now.Elapsed,
	}
}

// ClientFrame takes one frame of a client, without its length; the first is the ConnectRequest.
// The server keeps the slice.
func (s *Server) ClientFrame(conn Conn, frame []byte) {
	c := s.connections[conn]
	if c == nil {
		return
	}
	c.heardAt = s.now.Elapsed
	c.received++
	switch c.state {
	case connectionNew:
		s.processConnectRequest(c, frame)
	case connectionSettling:
		s.keepEarly(c, frame)
	default:
		s.processPacket(c, frame)
	}
	s.run()
}

// keepEarly keeps a frame until the session is settled.
func (s *Server) keepEarly(c *connection, frame []byte) {
	c.early = append(c.early, frame)
	s.requestBytes += len(frame)
	c.earlyBytes += len(frame) + 64 // no frame is free
	if c.earlyBytes > earlyFramesMax*s.config.MaxBuffer {
		s.config.Log.Warn("closing a connection that sends too much before it has a session", "client", c.remoteIP, "bytes", c.earlyBytes)
		s.closeConnection(c)
	}
}

// dropEarly forgets the frames that were kept.
func (s *Server) dropEarly(c *connection) {
	for _, frame := range c.early {
		s.requestBytes -= len(frame)
	}
	c.early, c.earlyBytes = nil, 0
}

// ClientHeard tells that a client goes on sending although nothing is read from it for now: its session lives.
func (s *Server) ClientHeard(conn Conn) {
	c := s.connections[conn]
	if c == nil {
		return
	}
	c.heardAt = s.now.Elapsed
	if c.state == connectionOpen {
		s.touch(c)
	}
}

// ClientClosed tells that a connection is gone.
func (s *Server) ClientClosed(conn Conn) {
	if c := s.connections[conn]; c != nil {
		s.forget(c)
	}
	s.run()
}

// closeConnection ends a connection after what was sent before.
func (s *Server) closeConnection(c *connection) {
	if c.state == connectionClosed {
		return
	}
	s.forget(c)
	s.outputs.Clients.Close(c.id)
}

// forget removes all traces of a connection, its watches among them. Its requests go on without it.
func (s *Server) forget(c *connection) {
	c.state = connectionClosed
	c.lateEvents = nil
	s.dropEarly(c)
	s.tree.RemoveWatcher(int64(c.id))
	delete(s.connections, c.id)
	if s.bySession[c.session] == c {
		delete(s.bySession, c.session)
	}
}

// processPacket takes a frame of a client with a session.
func (s *Server) processPacket(c *connection, frame []byte) {
	decoder := jute.NewDecoder(frame)
	var header jute.RequestHeader
	if header.Decode(decoder); decoder.Err() != nil {
		s.config.Log.Warn("closing a connection that sent a frame without a request", "client", c.remoteIP, "bytes", len(frame))
		s.closeConnection(c)
		return
	}
	if bytes := s.tree.WatchBytes(int64(c.id)); watchesTooMuch(bytes, s.tree.AllWatchBytes(), len(s.connections)) {
		s.config.Log.Warn("closing a connection that watches too much", "client", c.remoteIP, "session", hex(c.session), "bytes", bytes)
		s.closeConnection(c)
		return
	}
	switch header.Type {
	case jute.OpAuth:
		s.processAuth(c, header.Xid, decoder)
		return
	case jute.OpSASL:
		s.processSASL(c, header.Xid, decoder)
		return
	}
	if !s.hasProvenEnough(c) {
		s.refuseUnproven(c, header.Xid)
		return
	}
	if !s.touch(c) {
		s.config.Log.Debug("dropping a request of a session that is gone", "session", hex(c.session), "op", header.Type)
		return
	}
	if !isClientOp(header.Type) {
		s.config.Log.Warn("closing a connection that asks what no client may", "client", c.remoteIP, "session", hex(c.session), "op", header.Type)
		s.reply(c, jute.ReplyHeader{Xid: header.Xid, Zxid: -1, Err: jute.Unimplemented}, nil)
		s.closeConnection(c)
		return
	}
	s.submit(&request{
		session: c.session, cxid: header.Xid, op: header.Type, body: decoder.Rest(),
		authinfo: c.authinfo, connection: c,
	})
}

// watchesTooMuch tells whether a connection whose watches take own bytes, of all that those of so many connections
// take, must go. If all together take too much, that is whoever has no less than a fair share of it.
func watchesTooMuch(own, all, connections int) bool {
	return own > watchBytesMax || (all > watchBytesAllMax && own >= all/connections)
}

// processAuth takes a client's proof of who it is. It is answered at once, before requests that came
// earlier.
func (s *Server) processAuth(c *connection, xid int32, decoder *jute.Decoder) {
	var packet jute.AuthPacket
	if packet.Decode(decoder); decoder.Err() != nil {
		s.closeConnection(c)
		return
	}
	ids, proven := s.authenticate(c, &packet)
	added := proven && c.addAuth(ids, s.config.MaxBuffer)
	if added {
		s.reply(c, jute.ReplyHeader{Xid: xid}, nil)
		return
	}
	s.measured(AuthFailed, 1)
	s.config.Log.Warn("authentication failed", "client", c.remoteIP, "session", hex(c.session), "scheme", packet.Scheme, "too many identities", proven)
	s.reply(c, jute.ReplyHeader{Xid: xid, Err: jute.AuthFailed}, nil)
	s.closeConnection(c)
}

// submit gives a request to the chain.
func (s *Server) submit(r *request) {
	r.submitted, r.bytes = true, len(r.body)
	s.requestBytes += r.bytes
	if c := r.connection; c != nil {
		c.pending++
		s.throttleReading(c)
	}
	s.throttler.processRequest(r)
}

// finished tells that a request of submit has left the chain.
func (s *Server) finished(r *request) {
	s.requestBytes -= r.bytes
	if c := r.connection; c != nil {
		c.pending--
		s.throttleReading(c)
	}
	if r.submitted {
		s.throttler.finished()
	}
}

// throttleReading asks the runner to read no more from a connection that has something outstanding
// while the server as a whole has too much, and to go on once either is over. A client can so always
// have one request under way, whatever the others do.
func (s *Server) throttleReading(c *connection) {
	crowded := max(s.throttler.inProcess, s.throttler.queue.len()) > s.config.OutstandingMax
	paused := crowded && c.pending > 0
	if paused == c.paused || c.state == connectionClosed {
		return
	}
	c.paused = paused
	c.heardAt = s.now.Elapsed // nobody can tell for how long the client has been trying
	s.outputs.Clients.PauseReading(c.id, paused)
}

// reply answers a request.
func (s *Server) reply(c *connection, header jute.ReplyHeader, body jute.Record) {
	if c.state == connectionClosed {
		return
	}
	s.send(c, encodeReply(&s.encoder, header, body))
	if len(c.lateEvents) > 0 {
		s.sendLateEvents(c)
	}
}

// replyRoom is how long a reply is likely to be at most, in bytes: most have a short path or value and a Stat.
const replyRoom = 128

// encodeReply returns the frame of a reply, which is the receiver's: the encoder is only what it is written with.
func encodeReply(encoder *jute.Encoder, header jute.ReplyHeader, body jute.Record) []byte {
	encoder.Reset(make([]byte, 0, replyRoom))
	header.Encode(encoder)
	if body != nil {
		body.Encode(encoder)
	}
	return encoder.Bytes()
}

func (s *Server) send(c *connection, frame []byte) {
	c.sent++
	s.outputs.Clients.Send(c.id, frame)
}

func (s *Server) sendEvent(c *connection, frame []byte) {
	c.sent++
	s.outputs.Clients.SendEvent(c.id, frame)
}

// notify sends a watch event.
func (s *Server) notify(c *connection, event jute.WatcherEvent) {
	frame := encodeReply(&s.encoder, jute.ReplyHeader{Xid: jute.XidNotification, Zxid: -1}, event)
	if s.config.Defects.On(defect.LateWatch) {
		if len(c.lateEvents) == 0 {
			c.lateSince = s.now.Elapsed
		}
		c.lateEvents = append(c.lateEvents, frame)
		return
	}
	s.sendEvent(c, frame)
}

func (s *Server) sendLateEvents(c *connection) {
	for _, frame := range c.lateEvents {
		s.sendEvent(c, frame)
	}
	c.lateEvents = nil
}

// inspectConnections closes those that have been silent for too long, and lets late events go. It tells what was
// refused since the last time.
func (s *Server) inspectConnections() {
	s.tellRefusals()
	for _, c := range s.connectionsInOrder() {
		if len(c.lateEvents) > 0 && s.now.Elapsed-c.lateSince >= lateEventDelay {
			s.sendLateEvents(c)
		}
		silentMax := handshakeMax
		if c.state == connectionOpen {
			silentMax = time.Duration(c.timeoutMs)*time.Millisecond + s.config.TickTime
		}
		if !c.paused && s.now.Elapsed-c.heardAt > silentMax {
			s.config.Log.Info("closing a silent connection", "client", c.remoteIP, "session", hex(c.session))
			s.closeConnection(c)
		}
	}
}

// connectionsInOrder returns all connections, in the order of their numbers.
func (s *Server) connectionsInOrder() []*connection {
	connections := make([]*connection, 0, len(s.connections))
	for _, c := range s.connections { // any order: they are sorted below
		connections = append(connections, c)
	}
	slices.SortFunc(connections, func(a, b *connection) int { return cmp.Compare(a.id, b.id) })
	return connections
}

// Outstanding is the number of requests of this server's clients, and of its own, that are not answered
// yet.
func (s *Server) Outstanding() int { return s.throttler.inProcess + s.throttler.queue.len() }

// RequestBytes is how many bytes those requests take, together with what came before its session was settled.
func (s *Server) RequestBytes() int { return s.requestBytes }

// LocalSessions is the number of sessions that only this server knows.
func (s *Server) LocalSessions() int { return len(s.local.sessions) }

// Connections describes every client connection, in the order of their numbers.
func (s *Server) Connections() []ConnStats {
	var all []ConnStats
	for _, c := range s.connectionsInOrder() {
		all = append(all, c.stats())
	}
	return all
}
