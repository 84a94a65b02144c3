package pipeline

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/quorum"
	"ordeal/node/tree"
)

// world runs one server, plays the disk and the clients' sockets, and keeps what the server said.
type world struct {
	t      *testing.T
	server *Server
	tree   *tree.Tree
	now    Now

	// slowDisk leaves syncs undone until finishSyncs.
	slowDisk bool
	tickets  []disk.Ticket
	next     disk.Ticket

	log     []disk.Entry
	applied []disk.Entry
	frames  map[Conn][][]byte
	closed  map[Conn]bool
	paused  map[Conn]bool
	conns   Conn

	// What a leader or learner said to the other servers.
	proposed    []disk.Entry
	acked       []int64
	syncs       []SyncTicket
	syncsSent   []Origin
	resigned    string
	membership  *quorum.Config
	lastSeen    *quorum.Config
	unsynced    bool
	forwarded   []Forwarded
	revalidated []int64
}

const tickTime = 2 * time.Second

func testConfig(role Role) Config {
	return Config{
		Role: role, ServerID: 1, Epoch: 1, TickTime: tickTime,
		SessionTimeoutMin: 2 * tickTime, SessionTimeoutMax: 20 * tickTime,
		DigestEnabled: true, Defects: defect.Set{},
	}
}

// strictLog fails a test whose server logs an error: a tree without the expected digest, for instance.
type strictLog struct {
	slog.Handler
	t testing.TB
}

func (l strictLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (l strictLog) Handle(_ context.Context, record slog.Record) error {
	l.t.Errorf("the server logged: %s", record.Message)
	return nil
}

func newWorld(t *testing.T, configure ...func(*Config)) *world {
	w, config := emptyWorld(t, configure...)
	w.start(config, Outputs{Clients: w, Log: w, Leading: leadingWorld{w}, Learner: learnerWorld{w}})
	return w
}

// emptyWorld has no server yet.
func emptyWorld(t *testing.T, configure ...func(*Config)) (*world, Config) {
	config := testConfig(Standalone)
	config.Log = slog.New(strictLog{slog.DiscardHandler, t})
	for _, change := range configure {
		change(&config)
	}
	w := &world{
		t: t, frames: map[Conn][][]byte{}, paused: map[Conn]bool{}, closed: map[Conn]bool{},
		now: Now{Elapsed: 5 * time.Second, Wall: 1_700_000_000_000},
		tree: tree.New(tree.Options{
			DigestEnabled: config.DigestEnabled, ExtendedTypes: config.ExtendedTypes, Defects: config.Defects,
		}),
	}
	return w, config
}

func (w *world) start(config Config, outputs Outputs) {
	w.server = New(config, w.tree, w.now, outputs)
}

func withRole(role Role) func(*Config) { return func(c *Config) { c.Role = role } }

func withDefect(name defect.Name) func(*Config) {
	return func(c *Config) { c.Defects = defect.Set{name: true} }
}

// Clients and Log.

func (w *world) Send(conn Conn, frame []byte)       { w.frames[conn] = append(w.frames[conn], frame) }
func (w *world) SendEvent(conn Conn, frame []byte)  { w.Send(conn, frame) }
func (w *world) Close(conn Conn)                    { w.closed[conn] = true }
func (w *world) PauseReading(conn Conn, pause bool) { w.paused[conn] = pause }
func (w *world) Append(entry disk.Entry)            { w.log = append(w.log, entry) }
func (w *world) Applied(entry disk.Entry)           { w.applied = append(w.applied, entry) }
func (w *world) Sync() disk.Ticket {
	w.next++
	w.tickets = append(w.tickets, w.next)
	return w.next
}

// steadyMembership is a leader whose membership nobody changes.
type steadyMembership struct{}

func (steadyMembership) ProposeReconfig(disk.Entry, *quorum.Config) {}
func (steadyMembership) Memberships() (present, lastSeen *quorum.Config) {
	return &quorum.Config{}, &quorum.Config{}
}
func (steadyMembership) QuorumSynced(*quorum.Config) bool { return true }

type leadingWorld struct{ *world }

func (w leadingWorld) Propose(entry disk.Entry) { w.proposed = append(w.proposed, entry) }
func (w leadingWorld) ProposeReconfig(entry disk.Entry, next *quorum.Config) {
	w.Propose(entry)
	w.membership = next
}
func (w leadingWorld) Memberships() (present, lastSeen *quorum.Config) {
	return w.membership, w.lastSeen
}
func (w leadingWorld) QuorumSynced(*quorum.Config) bool { return !w.unsynced }
func (w leadingWorld) Acknowledge(zxid int64)           { w.acked = append(w.acked, zxid) }
func (w leadingWorld) Sync(ticket SyncTicket)           { w.world.syncs = append(w.world.syncs, ticket) }
func (w leadingWorld) SendSync(learner Origin)          { w.syncsSent = append(w.syncsSent, learner) }
func (w leadingWorld) Resign(reason string)             { w.resigned = reason }

type learnerWorld struct{ *world }

func (w learnerWorld) Forward(request Forwarded) { w.forwarded = append(w.forwarded, request) }
func (w learnerWorld) Acknowledge(zxid int64)    { w.acked = append(w.acked, zxid) }
func (w learnerWorld) Revalidate(session int64, _ int32) {
	w.revalidated = append(w.revalidated, session)
}

// finishSyncs does what the disk was asked to do.
func (w *world) finishSyncs() {
	for len(w.tickets) > 0 {
		ticket := w.tickets[0]
		w.tickets = w.tickets[1:]
		w.server.Synced(ticket)
	}
}

// settle lets the disk work, and a leader's proposals be committed, unless a test does so itself.
func (w *world) settle() {
	if w.slowDisk {
		return
	}
	w.finishSyncs()
	for len(w.proposed) > 0 && w.server.config.Role == Leader {
		zxid := w.proposed[0].Zxid
		w.proposed = w.proposed[1:]
		require.NoError(w.t, w.server.Commit(zxid))
	}
}

// pass lets time go by, a tick of the server every 10 ms.
func (w *world) pass(d time.Duration) {
	for end := w.now.Elapsed + d; w.now.Elapsed < end; {
		w.now.Elapsed += 10 * time.Millisecond
		w.now.Wall += 10
		w.server.Tick(w.now)
		w.settle()
	}
}

// testClient is a client's end of a connection.
type testClient struct {
	w        *world
	conn     Conn
	session  int64
	password []byte
	timeout  int32
	xid      int32
}

// open connects without a handshake.
func (w *world) open() *testClient {
	w.conns++
	w.server.ClientConnected(w.conns, "127.0.0.1")
	return &testClient{w: w, conn: w.conns, timeout: 10_000}
}

// connect opens a connection with a new session.
func (w *world) connect() *testClient {
	c := w.open()
	response := c.handshake(jute.ConnectRequest{TimeOut: c.timeout, Passwd: make([]byte, 16)})
	require.NotZero(w.t, response.SessionID, "a session was refused")
	return c
}

// handshake sends a ConnectRequest and returns the answer; zero if there is none.
func (c *testClient) handshake(request jute.ConnectRequest) jute.ConnectResponse {
	c.sendFrame(jute.Marshal(request))
	var response jute.ConnectResponse
	if frames := c.take(); len(frames) > 0 {
		require.NoError(c.w.t, jute.Unmarshal(frames[0], &response))
		c.session, c.password, c.timeout = response.SessionID, response.Passwd, response.TimeOut
	}
	return response
}

// resume opens a new connection for this client's session.
func (c *testClient) resume() (*testClient, jute.ConnectResponse) {
	again := c.w.open()
	again.xid = c.xid
	return again, again.handshake(jute.ConnectRequest{SessionID: c.session, Passwd: c.password, TimeOut: c.timeout})
}

func (c *testClient) sendFrame(frame []byte) {
	c.w.server.ClientFrame(c.conn, frame)
	c.w.settle()
}

// take returns the frames that came since the last call.
func (c *testClient) take() [][]byte {
	frames := c.w.frames[c.conn]
	delete(c.w.frames, c.conn)
	return frames
}

// send sends a request and returns its xid.
func (c *testClient) send(op jute.OpCode, body jute.Record) int32 {
	xid := c.nextXid(op)
	c.sendFrame(requestFrame(xid, op, body))
	return xid
}

func (c *testClient) nextXid(op jute.OpCode) int32 {
	switch op {
	case jute.OpPing:
		return jute.XidPing
	case jute.OpAuth:
		return jute.XidAuth
	case jute.OpSetWatches, jute.OpSetWatches2:
		return jute.XidSetWatches
	}
	c.xid++
	return c.xid
}

func requestFrame(xid int32, op jute.OpCode, body jute.Record) []byte {
	var e jute.Encoder
	jute.RequestHeader{Xid: xid, Type: op}.Encode(&e)
	if body != nil {
		body.Encode(&e)
	}
	return e.Bytes()
}

// message is what a server sent: a reply or a watch event.
type message struct {
	header jute.ReplyHeader
	event  *jute.WatcherEvent
	body   []byte
}

func (c *testClient) receive() []message {
	var messages []message
	for _, frame := range c.take() {
		d := jute.NewDecoder(frame)
		var m message
		m.header.Decode(d)
		if m.header.Xid == jute.XidNotification {
			m.event = &jute.WatcherEvent{}
			m.event.Decode(d)
		}
		m.body = d.Rest()
		require.NoError(c.w.t, d.Err())
		messages = append(messages, m)
	}
	return messages
}

// ask sends a request, requires that it is answered, and decodes the answer unless it is an error.
func (c *testClient) ask(op jute.OpCode, body jute.Record, into jute.Decodable) jute.Code {
	c.w.t.Helper()
	xid := c.send(op, body)
	messages := c.receive()
	i := slices.IndexFunc(messages, func(m message) bool { return m.event == nil })
	require.GreaterOrEqual(c.w.t, i, 0, "no answer to %s", op)
	m := messages[i]
	require.Equal(c.w.t, xid, m.header.Xid)
	if m.header.Err == jute.Ok && into != nil {
		require.NoError(c.w.t, jute.Unmarshal(m.body, into))
	} else {
		require.Empty(c.w.t, m.body, "an error, or a reply without a record, has a body")
	}
	return m.header.Err
}

func (c *testClient) create(path string, flags int32) (string, jute.Code) {
	c.w.t.Helper()
	var response jute.CreateResponse
	code := c.ask(jute.OpCreate, jute.CreateRequest{Path: path, Data: []byte("data"), ACL: jute.OpenACL(), Flags: flags}, &response)
	return response.Path, code
}

func (c *testClient) mustCreate(path string, flags int32) string {
	c.w.t.Helper()
	created, code := c.create(path, flags)
	require.Equal(c.w.t, jute.Ok, code)
	return created
}

func (c *testClient) isClosed() bool { return c.w.closed[c.conn] }

// lastTxn is the newest transaction in the log.
func (w *world) lastTxn() (jute.TxnHeader, jute.Txn, *jute.TxnDigest) {
	w.t.Helper()
	header, txn, digest, err := jute.DecodePayload(w.log[len(w.log)-1].Payload)
	require.NoError(w.t, err)
	return header, txn, digest
}
