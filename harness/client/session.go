package client

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"ordeal/node/jute"
	"ordeal/results/history"
)

const (
	// retryDelay is the pause after every member has refused or dropped a connection in turn.
	retryDelay = 50 * time.Millisecond
	// queueMax bounds the operations of one session that wait or are in flight.
	queueMax = 1 << 16
)

// Numbers gives operations their numbers. All clients of one history share it. Its zero value is
// ready to use.
type Numbers struct{ last atomic.Int64 }

// Next returns a number not given before, from 1.
func (n *Numbers) Next() int64 { return n.last.Add(1) }

// Config is what a Session must know. Every field must be set, Workload excepted.
type Config struct {
	Client   int // number of the client, from 1
	Workload string
	// Members are the numbers of the members to connect to, in the order in which they are tried.
	Members        []int
	SessionTimeout time.Duration // asked for; the member has the last word
	ConnectTimeout time.Duration // for a connection and its handshake
	RequestTimeout time.Duration // for an operation, from submission to reply
	Numbers        *Numbers
}

// Ready is what a session wants done, in this order.
type Ready struct {
	// Events are to be recorded before anything is sent. A Return ends the operation of its number;
	// session and watch events are what a workload is notified of.
	Events []history.Event
	Close  bool     // close the current connection, or give up the attempt to connect
	Attach *Attempt // connect
	Send   []byte   // hand these bytes to the connection of the latest attempt
}

// Attempt is one connection. Later inputs name it by its Number.
type Attempt struct {
	Number uint64
	Member int
}

type phase int

const (
	detached   phase = iota // no connection, none wanted or not before retryAt
	connecting              // an attempt is on its way
	handshake               // connected, ConnectRequest sent
	attached                // the session is confirmed
	stopped
)

// Session is the client's side of the protocol: one session at a time, over one connection at a
// time. It is pure: it has no socket, clock or goroutine. Its inputs are methods, each with the time;
// what it wants done is in Ready, which must be taken after every input or small batch of inputs.
//
// A connection is opened when an operation asks for it, and kept until the session ends: after a loss
// the session is resumed on the next member. Apache's ClientCnxn is the model (protocol.md 2.2, 2.4,
// 2.11).
type Session struct {
	config Config
	now    time.Duration
	phase  phase

	attempt     Attempt
	next        int           // index into Members for the next attempt
	failures    int           // attempts since a member last answered
	retryAt     time.Duration // not before this time, while detached
	connectedBy time.Duration // deadline of connecting and handshake

	id       int64  // 0 without a session
	name     string // the id as ZooKeeper prints it; empty without a session
	password []byte
	timeout  time.Duration // negotiated
	zxidSeen int64
	heardAt  time.Duration
	sentAt   time.Duration
	xid      int32
	closing  bool // a CloseSession is in flight

	waiting  []*operation // not sent, in order
	inFlight []flight     // sent, in order
	watches  watchTable

	ready Ready
	// encoder and decoder are for one frame each: on the stack they cannot be, since methods of interfaces see them.
	encoder jute.Encoder
	decoder jute.Decoder
}

// operation is one request from its submission to its outcome.
type operation struct {
	number   int64
	request  history.Request
	deadline time.Duration
	syncCode jute.Code // of the sync of a SyncGet or SyncChildren
}

// flight is one packet that awaits its reply. operation is nil for setWatches.
type flight struct {
	xid       int32
	operation *operation
	syncPart  bool // the first of two packets of a SyncGet or SyncChildren
}

// NewSession returns a client without a session and without a connection.
func NewSession(config Config) *Session {
	if len(config.Members) == 0 || config.Client < 1 || config.Numbers == nil ||
		config.SessionTimeout <= 0 || config.ConnectTimeout <= 0 || config.RequestTimeout <= 0 {
		panic(fmt.Sprintf("client: incomplete session config %+v", config))
	}
	return &Session{config: config, watches: newWatchTable()}
}

// Alive says whether there is a session, attached or not.
func (s *Session) Alive() bool { return s.id != 0 }

// Ready returns what is to be done, and forgets it.
func (s *Session) Ready() Ready {
	ready := s.ready
	s.ready = Ready{}
	return ready
}

// Reuse gives back the events that Ready returned, once nothing reads them any more: the session fills their slice
// again.
func (s *Session) Reuse(events []history.Event) {
	if s.ready.Events == nil {
		clear(events)
		s.ready.Events = events[:0]
	}
}

// Submit takes an operation and returns its number. It is sent at once if the session is attached,
// else as soon as it is. Its Return follows in any case.
func (s *Session) Submit(now time.Duration, request history.Request) int64 {
	if len(s.waiting)+len(s.inFlight) >= queueMax {
		panic(fmt.Sprintf("client: more than %d operations submitted and not returned", queueMax))
	}
	s.now = now
	op := &operation{number: s.config.Numbers.Next(), request: request, deadline: now + s.config.RequestTimeout}
	if s.phase == stopped || ends(request.Kind) && s.id == 0 && len(s.waiting) == 0 {
		s.refuse(op, jute.ConnectionLoss)
		return op.number
	}
	s.waiting = append(s.waiting, op)
	s.sendWaiting()
	s.connectIfDue()
	return op.number
}

// Tick tells the time. It must be called at NextDeadline or soon after.
func (s *Session) Tick(now time.Duration) {
	s.now = now
	for len(s.waiting) > 0 && s.waiting[0].deadline <= now {
		op := s.waiting[0]
		s.waiting = popped(s.waiting)
		s.refuse(op, jute.ConnectionLoss)
	}
	switch {
	case s.phase == connecting && s.connectedBy <= now:
		s.lose("connecting took too long")
	case s.phase == handshake && s.connectedBy <= now:
		s.lose("the handshake took too long")
	case s.phase == attached && s.requestOverdue():
		s.lose(fmt.Sprintf("no answer within %s", s.config.RequestTimeout))
	case s.phase == attached && s.heardAt+s.readTimeout() <= now:
		s.lose(fmt.Sprintf("nothing heard for %s", s.readTimeout()))
	case s.phase == attached && s.sentAt+s.pingInterval() <= now:
		s.send(jute.RequestHeader{Xid: jute.XidPing, Type: jute.OpPing}, nil)
	}
	s.connectIfDue()
}

// NextDeadline is when Tick must be called next, if nothing happens before; false for never.
func (s *Session) NextDeadline() (time.Duration, bool) {
	var next time.Duration
	found := false
	consider := func(t time.Duration) {
		if !found || t < next {
			next, found = t, true
		}
	}
	if len(s.waiting) > 0 {
		consider(s.waiting[0].deadline)
	}
	switch s.phase {
	case detached:
		if s.wantsConnection() {
			consider(s.retryAt)
		}
	case connecting, handshake:
		consider(s.connectedBy)
	case attached:
		consider(s.heardAt + s.readTimeout())
		consider(s.sentAt + s.pingInterval())
		if deadline, ok := s.requestDeadline(); ok {
			consider(deadline)
		}
	case stopped:
	}
	return next, found
}

// Connected says that the connection of an attempt stands.
func (s *Session) Connected(now time.Duration, attempt uint64) {
	s.now = now
	if s.phase != connecting || attempt != s.attempt.Number {
		return
	}
	s.phase = handshake
	request := jute.ConnectRequest{
		LastZxidSeen: s.zxidSeen, TimeOut: int32(s.config.SessionTimeout.Milliseconds()),
		SessionID: s.id, Passwd: s.password,
	}
	if s.id == 0 {
		request.Passwd = make([]byte, jute.PasswordSize)
	}
	s.sendRecords(request)
}

// Lost says that the connection of an attempt was refused, or has broken or ended.
func (s *Session) Lost(now time.Duration, attempt uint64, reason string) {
	s.now = now
	if s.phase == detached || s.phase == stopped || attempt != s.attempt.Number {
		return
	}
	s.lose(reason)
	s.connectIfDue()
}

// Received takes a frame, without its length, that came over the connection of an attempt.
func (s *Session) Received(now time.Duration, attempt uint64, frame []byte) {
	s.now = now
	if attempt != s.attempt.Number {
		return
	}
	switch s.phase {
	case handshake:
		s.heardAt = now
		s.handshaken(frame)
	case attached:
		s.heardAt = now
		if err := s.reply(frame); err != nil {
			s.lose(err.Error())
		}
		s.sendWaiting() // an answered CloseSession may have held it back
	case detached, connecting, stopped:
		return
	}
	s.connectIfDue()
}

// Prefer moves the session to the given member, or to the next if that one does not answer.
// Operations in flight are lost, as with any connection.
func (s *Session) Prefer(now time.Duration, member int) {
	s.now = now
	index := slices.Index(s.config.Members, member)
	if index < 0 || s.phase == stopped || s.phase != detached && s.attempt.Member == member {
		return
	}
	if s.phase != detached {
		s.lose(fmt.Sprintf("moves to member %d", member))
	}
	s.next, s.retryAt = index, now
	s.connectIfDue()
}

// Stop ends everything without a word to the member: operations in flight and waiting get their
// outcome, the session is left to expire if it was not closed before.
func (s *Session) Stop(now time.Duration) {
	s.now = now
	if s.phase == stopped {
		return
	}
	if s.phase != detached {
		s.lose("the client stops")
	}
	s.failWaiting(jute.ConnectionLoss)
	s.phase = stopped
}

// wantsConnection says whether there is something to keep alive or to ask.
func (s *Session) wantsConnection() bool { return s.id != 0 || len(s.waiting) > 0 }

func (s *Session) connectIfDue() {
	if s.phase != detached || !s.wantsConnection() || s.now < s.retryAt {
		return
	}
	s.attempt = Attempt{Number: s.attempt.Number + 1, Member: s.config.Members[s.next]}
	s.next = (s.next + 1) % len(s.config.Members)
	s.phase = connecting
	s.connectedBy = s.now + s.config.ConnectTimeout
	attempt := s.attempt
	s.ready.Attach = &attempt
}

// detach ends the connection and says what became of the operations in flight.
func (s *Session) detach() {
	s.phase = detached
	s.ready.Close, s.ready.Attach, s.ready.Send = true, nil, nil
	flights := s.inFlight
	s.inFlight = nil
	for _, f := range flights {
		if f.operation != nil && !f.syncPart {
			s.unanswered(f)
		}
	}
}

// lose gives the connection up.
func (s *Session) lose(reason string) {
	if s.phase == attached {
		s.sessionEvent(history.Disconnected, reason)
	}
	s.failures++
	s.retryAt = s.now
	if s.failures%len(s.config.Members) == 0 {
		s.retryAt += retryDelay
	}
	s.detach()
	if s.closing {
		// Whether the session was closed is not known. It is left alone: if it was not, it expires.
		s.forgetSession()
	}
}

func (s *Session) handshaken(frame []byte) {
	var response jute.ConnectResponse
	decoder := jute.NewDecoder(frame)
	response.Decode(decoder)
	switch err := decoder.Finish(); {
	case err != nil:
		s.distrust(fmt.Sprintf("the member's handshake makes no sense: %v", err))
	case response.TimeOut <= 0 && s.id == 0:
		s.distrust("the member refused a new session")
	case response.TimeOut <= 0:
		s.sessionEvent(history.Expired, "")
		s.forgetSession()
		s.lose("the session has expired")
		s.failWaiting(jute.SessionExpired)
	case s.id != 0 && s.id != response.SessionID:
		s.distrust(fmt.Sprintf("session %s was resumed as %s", s.name, sessionName(response.SessionID)))
	case response.ReadOnly:
		s.distrust("the member is read-only")
	default:
		state := history.Connected
		if s.id != 0 {
			state = history.Resumed
		}
		s.phase = attached
		s.id, s.name = response.SessionID, sessionName(response.SessionID)
		s.password = bytes.Clone(response.Passwd)
		s.timeout = time.Duration(response.TimeOut) * time.Millisecond
		s.sessionEvent(state, "")
		s.restoreWatches()
		s.sendWaiting()
	}
}

// distrust gives up a member whose handshake is not as it should be, and leaves a note: no change of
// the session would tell.
func (s *Session) distrust(reason string) {
	s.record(history.Event{Kind: history.Note, Member: s.attempt.Member, Text: reason})
	s.lose(reason)
}

// forgetSession makes the next connection ask for a new session.
func (s *Session) forgetSession() {
	s.id, s.name, s.password, s.timeout = 0, "", nil, 0
	s.zxidSeen, s.xid, s.closing = 0, 0, false
	s.watches = newWatchTable()
}

func (s *Session) sessionEvent(state history.State, reason string) {
	s.record(history.Event{
		Kind: history.Session, State: state, Member: s.attempt.Member, Zxid: s.zxidSeen,
		Count: int(s.timeout.Milliseconds()), Text: reason,
	})
}

// record completes an event by what all events of a client have in common.
func (s *Session) record(e history.Event) {
	e.Time, e.Client, e.Workload = s.now, s.config.Client, s.config.Workload
	e.SessionID = s.name
	s.ready.Events = append(s.ready.Events, e)
}

func sessionName(id int64) string { return fmt.Sprintf("0x%x", uint64(id)) }

// readTimeout is how long a member may be silent, and pingInterval how long the client, as in Apache's
// ClientCnxn.
func (s *Session) readTimeout() time.Duration  { return s.timeout * 2 / 3 }
func (s *Session) pingInterval() time.Duration { return s.timeout / 3 }

// send frames a request for the connection.
func (s *Session) send(header jute.RequestHeader, body jute.Record) {
	if body == nil {
		s.sendRecords(header)
	} else {
		s.sendRecords(header, body)
	}
}

// sendRoom is how long a request is likely to be at most, in bytes: most have a path, a short value and one ACL.
const sendRoom = 128

func (s *Session) sendRecords(records ...jute.Record) {
	start := len(s.ready.Send)
	e := &s.encoder
	if s.ready.Send == nil {
		s.ready.Send = make([]byte, 0, sendRoom)
	}
	e.Reset(s.ready.Send)
	e.Int(0)
	for _, r := range records {
		r.Encode(e)
	}
	s.ready.Send = e.Bytes()
	binary.BigEndian.PutUint32(s.ready.Send[start:], uint32(len(s.ready.Send)-start-4))
	s.sentAt = s.now
}

// Awaits says whether the connection of an attempt is still the one that the session uses.
func (s *Session) Awaits(attempt uint64) bool {
	return (s.phase == handshake || s.phase == attached) && attempt == s.attempt.Number
}
