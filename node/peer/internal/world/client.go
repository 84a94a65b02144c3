package world

import (
	"fmt"
	"time"

	"ordeal/node/jute"
	"ordeal/node/peer"
)

// connection is a client's connection to a member.
type connection struct {
	id                 peer.Conn
	client             *Client
	member             *Member
	toServer, toClient *pipe
	clientOpen         bool
	serverOpen         bool
}

func (w *World) dial(c *Client, m *Member) *connection {
	w.lastConn++
	n := &connection{
		id: w.lastConn, client: c, member: m,
		toServer: w.newPipe(nil, m), toClient: w.newPipe(m, nil), clientOpen: true, serverOpen: true,
	}
	m.conns = append(m.conns, n)
	n.toServer.push(&parcel{deliver: func() {
		if n.serverOpen {
			m.input("client", func() { m.peer.ClientConnected(n.id, "127.0.0.1") })
		}
	}})
	return n
}

func (n *connection) send(frame []byte) {
	n.toServer.push(&parcel{deliver: func() {
		if n.serverOpen {
			n.member.input("frame", func() { n.member.peer.ClientFrame(n.id, frame) })
		}
	}})
}

func (n *connection) clientCloses() {
	if !n.clientOpen {
		return
	}
	n.clientOpen = false
	n.toServer.push(&parcel{deliver: func() {
		if n.serverOpen {
			n.serverOpen = false
			n.member.input("hangup", func() { n.member.peer.ClientClosed(n.id) })
		}
	}})
}

func (n *connection) serverCloses() {
	if !n.serverOpen {
		return
	}
	n.serverOpen = false
	n.toClient.push(&parcel{deliver: func() {
		if n.clientOpen {
			n.clientOpen = false
			n.client.lost(n)
		}
	}})
}

// toClient carries out what a peer wants of a client's connection.
func (m *Member) toClient(output peer.ClientOutput) {
	for i, n := range m.conns {
		if n.id != output.Conn {
			continue
		}
		if output.Frame != nil {
			n.toClient.push(&parcel{deliver: func() {
				if n.clientOpen {
					n.client.receive(n, output.Frame)
				}
			}})
		}
		if output.Close {
			n.serverCloses()
			m.conns = append(m.conns[:i:i], m.conns[i+1:]...)
		}
		return
	}
}

// paths are the znodes that clients work on.
var paths = []string{"/a", "/b", "/c"}

// replyPatience is how long a client waits before it turns to another member.
const replyPatience = time.Second

// Call is a request that a client waits for, and what came of it.
type Call struct {
	xid   int32
	op    jute.OpCode
	path  string
	floor int64 // what a read after a sync must show at least

	Answered bool
	Err      jute.Code
	Zxid     int64
}

// Client is a scripted client: one call at a time, sync and read together, and a new member
// whenever the old one is silent.
type Client struct {
	world *World
	index int

	connection *connection
	session    int64
	password   []byte
	connected  bool
	zxid       int64 // seen last in this session
	xid        int32
	calls      []*Call
	generation int // drops what was planned for an earlier call

	// pinned is the member that the client stays with; nil for one that wanders.
	pinned *Member

	// Events are the watches that fired.
	Events []jute.WatcherEvent
	// Done counts calls that were answered.
	Done int
	// Stopped makes the client finish its call and do no more.
	Stopped bool
}

func newClient(w *World, index int) *Client { return &Client{world: w, index: index} }

func (c *Client) start() {
	c.world.After(c.world.upTo(200*time.Millisecond), c.reconnect)
}

// wait plans the client's next move, unless something happens before.
func (c *Client) wait(delay time.Duration, do func()) {
	c.generation++
	generation := c.generation
	c.world.After(delay, func() {
		if c.generation == generation {
			do()
		}
	})
}

func (c *Client) reconnect() {
	if c.connection != nil {
		c.connection.clientCloses()
	}
	c.calls, c.connected = nil, false
	m := c.pinned
	if m == nil {
		m = c.world.anyMember()
	}
	if !m.up {
		c.wait(50*time.Millisecond, c.reconnect)
		return
	}
	c.connection = c.world.dial(c, m)
	c.connection.send(jute.Marshal(jute.ConnectRequest{
		LastZxidSeen: c.zxid, TimeOut: int32((10 * TickTime).Milliseconds()), SessionID: c.session, Passwd: c.passwordOrZeros(),
	}))
	c.wait(replyPatience, c.reconnect)
}

func (c *Client) passwordOrZeros() []byte {
	if c.session == 0 {
		return make([]byte, jute.PasswordSize)
	}
	return c.password
}

func (c *Client) lost(n *connection) {
	if n == c.connection {
		c.wait(20*time.Millisecond+c.world.upTo(100*time.Millisecond), c.reconnect)
	}
}

func (c *Client) receive(n *connection, frame []byte) {
	if n != c.connection {
		return
	}
	d := jute.NewDecoder(frame)
	if !c.connected {
		c.handshake(d)
		return
	}
	var header jute.ReplyHeader
	header.Decode(d)
	c.world.check(d.Err() == nil, "client %d cannot read a reply: %v", c.index, d.Err())
	if header.Xid == jute.XidNotification {
		var event jute.WatcherEvent
		event.Decode(d)
		c.world.check(d.Err() == nil, "client %d cannot read an event: %v", c.index, d.Err())
		c.Events = append(c.Events, event)
		return
	}
	if header.Xid < 0 || len(c.calls) == 0 {
		return
	}
	answered := c.calls[0]
	c.calls = c.calls[1:]
	c.world.trace("client %d %v %s: %v zxid %x", c.index, answered.op, answered.path, header.Err, header.Zxid)
	c.world.check(header.Xid == answered.xid, "client %d: reply to %d where %d was due", c.index, header.Xid, answered.xid)
	c.world.check(header.Zxid >= c.zxid, "client %d: zxid %#x after %#x", c.index, header.Zxid, c.zxid)
	c.zxid = max(c.zxid, header.Zxid)
	c.world.checkCommitted(header.Zxid)
	c.Done++
	answered.Answered, answered.Err, answered.Zxid = true, header.Err, header.Zxid
	if header.Err == jute.Ok {
		c.judge(answered, header, d)
	}
	if len(c.calls) == 0 {
		if answered.op == jute.OpCloseSession {
			c.session, c.zxid = 0, 0
			c.wait(c.world.upTo(50*time.Millisecond), c.reconnect)
			return
		}
		pause := c.world.upTo(10 * time.Millisecond)
		if c.Stopped {
			pause += 200 * time.Millisecond
		}
		c.wait(pause, c.next)
	}
}

func (c *Client) handshake(d *jute.Decoder) {
	var response jute.ConnectResponse
	response.Decode(d)
	c.world.check(d.Err() == nil, "client %d cannot read the handshake: %v", c.index, d.Err())
	if response.TimeOut <= 0 {
		c.world.trace("client %d session expired", c.index)
		c.session, c.zxid = 0, 0
		c.wait(20*time.Millisecond, c.reconnect)
		return
	}
	c.world.check(c.session == 0 || c.session == response.SessionID, "client %d asked for session %#x and got %#x", c.index, c.session, response.SessionID)
	c.world.trace("client %d session %x at %d", c.index, response.SessionID, c.connection.member.ID)
	c.session, c.password, c.connected = response.SessionID, response.Passwd, true
	c.wait(c.world.upTo(10*time.Millisecond), c.next)
}

// judge looks at a successful reply.
func (c *Client) judge(answered *Call, header jute.ReplyHeader, d *jute.Decoder) {
	w := c.world
	switch answered.op {
	case jute.OpSetData:
		w.checks.newest[answered.path] = max(w.checks.newest[answered.path], header.Zxid)
	case jute.OpGetData:
		var response jute.GetDataResponse
		response.Decode(d)
		w.check(d.Err() == nil, "client %d cannot read %s: %v", c.index, answered.path, d.Err())
		w.check(response.Stat.Mzxid >= answered.floor, "client %d reads %s of %#x after a sync, but %#x was acknowledged before it", c.index, answered.path, response.Stat.Mzxid, answered.floor)
	}
}

// NewClient adds a client that stays with one member and does only what it is told.
func (w *World) NewClient(m *Member) *Client {
	c := newClient(w, len(w.Clients))
	c.pinned, c.Stopped = m, true
	w.Clients = append(w.Clients, c)
	c.reconnect()
	return c
}

// Connected tells whether the client has a session and a connection.
func (c *Client) Connected() bool { return c.connected }

// Create asks for a znode that everybody may do everything to.
func (c *Client) Create(path string) *Call {
	return c.ask(jute.OpCreate, path, jute.CreateRequest{Path: path, Data: c.value(), ACL: jute.OpenACL()})
}

// CreateReadable asks for a znode with an ACL of its own: everybody may read it, and no more.
func (c *Client) CreateReadable(path string) *Call {
	acl := []jute.ACL{{Perms: jute.PermRead, Id: jute.Id{Scheme: "world", ID: "anyone"}}}
	return c.ask(jute.OpCreate, path, jute.CreateRequest{Path: path, Data: c.value(), ACL: acl})
}

// Set asks to write a value that names the client and the request.
func (c *Client) Set(path string) *Call {
	return c.ask(jute.OpSetData, path, jute.SetDataRequest{Path: path, Data: c.value(), Version: -1})
}

// Sync asks for everything that was committed before.
func (c *Client) Sync(path string) *Call {
	return c.ask(jute.OpSync, path, jute.SyncRequest{Path: path})
}

// Get asks for a value, and for no watch.
func (c *Client) Get(path string) *Call {
	return c.ask(jute.OpGetData, path, jute.GetDataRequest{Path: path})
}

// Watch is Get that leaves a watch.
func (c *Client) Watch(path string) *Call {
	return c.ask(jute.OpGetData, path, jute.GetDataRequest{Path: path, Watch: true})
}

// CreateEphemeral asks for a znode that ends with the session.
func (c *Client) CreateEphemeral(path string) *Call {
	return c.ask(jute.OpCreate, path, jute.CreateRequest{Path: path, Data: c.value(), ACL: jute.OpenACL(), Flags: jute.FlagEphemeral})
}

// CloseSession ends the session.
func (c *Client) CloseSession() *Call { return c.ask(jute.OpCloseSession, "", nil) }

// Reconfig asks for some members to join, or to change their roles, and for others to leave.
func (c *Client) Reconfig(joining, leaving string) *Call {
	return c.ask(jute.OpReconfig, "", jute.ReconfigRequest{JoiningServers: joining, LeavingServers: leaving, CurConfigID: -1})
}

// reconfig asks for some change to the membership.
func (c *Client) reconfig() {
	w := c.world
	id := w.anyMember().ID
	switch w.random.IntN(4) {
	case 0:
		c.Reconfig("", fmt.Sprint(id))
	case 1:
		c.Reconfig(ServerLine(id, "observer"), "")
	default:
		c.Reconfig(ServerLine(id, "participant"), "")
	}
}

// next makes the next call.
func (c *Client) next() {
	if c.Stopped {
		// The session goes on like an idle client's.
		if len(c.calls) == 0 {
			c.ask(jute.OpExists, "/", jute.ExistsRequest{Path: "/"})
		}
		c.wait(replyPatience, c.reconnect)
		return
	}
	w := c.world
	path := paths[w.random.IntN(len(paths))]
	if w.options.Reconfig && w.random.IntN(20) == 0 {
		c.reconfig()
		c.wait(replyPatience, c.reconnect)
		return
	}
	switch n := w.random.IntN(100); {
	case n < 10:
		c.Create(path)
	case n < 20:
		c.ask(jute.OpCreate, path, jute.CreateRequest{Path: "/e-", Data: c.value(), ACL: jute.OpenACL(), Flags: 3})
	case n < 65:
		for i := w.random.IntN(4); i >= 0; i-- {
			c.Set(path)
		}
	case n < 80:
		c.Get(path)
	case n < 97:
		floor := w.checks.newest[path]
		c.Sync(path)
		c.Get(path).floor = floor
	default:
		c.ask(jute.OpCloseSession, "", nil)
	}
	c.wait(replyPatience, c.reconnect)
}

func (c *Client) value() []byte { return []byte(fmt.Sprintf("%d-%d", c.index, c.xid)) }

func (c *Client) ask(op jute.OpCode, path string, body jute.Record) *Call {
	c.xid++
	var e jute.Encoder
	jute.RequestHeader{Xid: c.xid, Type: op}.Encode(&e)
	if body != nil {
		body.Encode(&e)
	}
	asked := &Call{xid: c.xid, op: op, path: path}
	c.calls = append(c.calls, asked)
	c.connection.send(e.Bytes())
	return asked
}
