package pipeline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
	"ordeal/node/jute"
	"ordeal/node/tree"
)

// TestWhatNoClientMayAsk2623: the answer has no zxid, and the connection ends.
func TestWhatNoClientMayAsk2623(t *testing.T) {
	for _, op := range []jute.OpCode{
		jute.OpNotification, jute.OpError, 10, 23, 1000,
		jute.OpCheck,                                 // alone: ZOOKEEPER-2623
		jute.OpCreateSession, jute.OpDeleteContainer, // of servers only
	} {
		w := newWorld(t)
		c := w.connect()
		before := len(w.log)
		xid := c.send(op, jute.CheckVersionRequest{Path: "/", Version: 0})
		require.Equal(t, []message{{header: jute.ReplyHeader{Xid: xid, Zxid: -1, Err: jute.Unimplemented}, body: []byte{}}}, c.receive())
		require.True(t, c.isClosed())
		require.Len(t, w.log, before, "it never becomes a transaction")
	}
}

func TestFrameWithoutARequest(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	c.sendFrame([]byte{0, 0, 0})
	require.True(t, c.isClosed())
}

func TestSASLIsNotConfigured(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	var response jute.SetSASLResponse
	require.Equal(t, jute.Ok, c.ask(jute.OpSASL, jute.GetSASLRequest{Token: []byte{}}, &response))
	require.Nil(t, response.Token)
}

// TestRepliesKeepTheOrderOfRequests1863 also while the disk is slow, on one connection.
func TestRepliesKeepTheOrderOfRequests1863(t *testing.T) {
	for _, role := range []Role{Standalone, Leader} {
		t.Run(role.String(), func(t *testing.T) {
			w := newWorld(t, withRole(role))
			c := w.connect()
			other := w.connect()
			w.slowDisk = true
			var want []int32
			for range 10 {
				want = append(want, c.send(jute.OpCreate, createOf("/n-", 2)))
				want = append(want, c.send(jute.OpGetChildren, jute.GetChildrenRequest{Path: "/"}))
			}
			require.Empty(t, c.receive(), "a read waits for the session's own earlier write")
			other.send(jute.OpExists, jute.ExistsRequest{Path: "/n-0000000000"})
			if role == Leader {
				require.Len(t, other.receive(), 1, "another session's read does not")
			}
			w.slowDisk = false
			w.settle()
			var got []int32
			children := 1
			for _, m := range c.receive() {
				got = append(got, m.header.Xid)
				var response jute.GetChildrenResponse
				if len(got)%2 == 0 {
					require.NoError(t, jute.Unmarshal(m.body, &response))
					require.GreaterOrEqual(t, len(response.Children), children+len(got)/2, "a session reads its own writes")
				}
			}
			require.Equal(t, want, got)
		})
	}
}

// TestBackPressure: when too many requests are outstanding the runner is asked to pause reading from
// whoever has one among them, and nothing is dropped. A client with nothing outstanding is heard.
func TestBackPressure(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.OutstandingMax = 8 })
	c, quiet := w.connect(), w.connect()
	w.slowDisk = true
	for i := range 12 {
		require.Equal(t, i > 9, w.paused[c.conn])
		c.send(jute.OpCreate, createOf("/n-", 2))
	}
	require.False(t, w.paused[quiet.conn])
	quiet.send(jute.OpCreate, createOf("/n-", 2))
	require.True(t, w.paused[quiet.conn])
	w.slowDisk = false
	w.settle()
	require.False(t, w.paused[c.conn])
	require.False(t, w.paused[quiet.conn])
	require.Len(t, c.receive(), 12)
	require.Len(t, quiet.receive(), 1)
	require.Zero(t, w.server.Outstanding())
}

// TestRequestThrottler: request_throttle_max_requests lets so many requests in at a time. The others wait in
// order; those whose client has gone do not take effect, and neither do those that waited for too long.
func TestRequestThrottler(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ThrottleMax = 2; c.ThrottledOpWait = time.Second })
	c, gone := w.connect(), w.connect()
	w.slowDisk = true
	c.send(jute.OpCreate, createOf("/a", 0))
	gone.send(jute.OpCreate, createOf("/b", 0))
	gone.send(jute.OpCreate, createOf("/dropped", 0))
	c.send(jute.OpCreate, createOf("/c", 0))
	require.Len(t, w.log, 4, "two sessions and two znodes")
	require.Equal(t, 4, w.server.Outstanding())
	require.Equal(t, 4*len(jute.Marshal(createOf("/a", 0)))+len("dropped")-1, w.server.RequestBytes())
	w.server.ClientClosed(gone.conn)
	w.finishSyncs()
	require.Len(t, w.log, 5)
	w.finishSyncs()
	_, ok := w.tree.Stat("/dropped")
	require.False(t, ok)
	require.Len(t, c.receive(), 2)

	c.send(jute.OpCreate, createOf("/d", 0))
	c.send(jute.OpCreate, createOf("/e", 0))
	c.send(jute.OpCreate, createOf("/late", 0))
	c.send(jute.OpPing, nil)
	w.pass(1500 * time.Millisecond)
	w.slowDisk = false
	w.settle()
	var codes []jute.Code
	for _, m := range c.receive() {
		codes = append(codes, m.header.Err)
	}
	require.Equal(t, []jute.Code{jute.Ok, jute.Ok, jute.ThrottledOp, jute.Ok}, codes)
	require.Zero(t, w.server.RequestBytes(), "answered, refused or dropped: it counts no more")
	_, ok = w.tree.Stat("/late")
	require.False(t, ok)
	require.Zero(t, w.server.Outstanding())
}

func TestRequestsOfAClosedConnectionTakeEffect1382(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	w.slowDisk = true
	c.send(jute.OpCreate, createOf("/sent", 0))
	c.send(jute.OpExists, jute.ExistsRequest{Path: "/sent", Watch: true})
	w.server.ClientClosed(c.conn)
	w.finishSyncs()
	require.Empty(t, c.receive())
	_, ok := w.tree.Stat("/sent")
	require.True(t, ok)
	require.Zero(t, w.tree.WatchCount(), "no watch is left for a connection that is gone (ZOOKEEPER-1382)")
	require.Zero(t, w.server.Outstanding())
}

func TestCloseSessionIsAnsweredBeforeTheConnectionEnds(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	require.Equal(t, jute.Ok, c.ask(jute.OpCloseSession, nil, nil))
	require.True(t, c.isClosed())
	require.False(t, w.tree.HasSession(c.session))
}

// TestEventBeforeReply: a client learns of a change before it can see it.
func TestEventBeforeReply(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		first  bool
	}{
		{"right", func(*Config) {}, true},
		{"late-watch", withDefect(defect.LateWatch), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.change)
			c := w.connect()
			c.mustCreate("/n", 0)
			require.Equal(t, jute.Ok, c.ask(jute.OpGetData, jute.GetDataRequest{Path: "/n", Watch: true}, &jute.GetDataResponse{}))
			c.send(jute.OpSetData, jute.SetDataRequest{Path: "/n", Version: -1})
			messages := c.receive()
			require.Len(t, messages, 2)
			require.Equal(t, test.first, messages[0].event != nil)
			event := messages[map[bool]int{true: 0, false: 1}[test.first]]
			require.Equal(t, jute.ReplyHeader{Xid: jute.XidNotification, Zxid: -1}, event.header)
			require.Equal(t, &jute.WatcherEvent{Type: jute.EventNodeDataChanged, State: jute.StateSyncConnected, Path: "/n"}, event.event)
		})
	}
}

// TestDefectLateWatchIsNotALostWatch: without a reply the event comes a little later.
func TestDefectLateWatchIsNotALostWatch(t *testing.T) {
	w := newWorld(t, withDefect(defect.LateWatch))
	c, writer := w.connect(), w.connect()
	require.Equal(t, jute.NoNode, c.ask(jute.OpExists, jute.ExistsRequest{Path: "/n", Watch: true}, nil))
	writer.mustCreate("/n", 0)
	require.Empty(t, c.receive())
	w.pass(2 * lateEventDelay)
	require.Len(t, c.receive(), 1)
}

// TestWatchesRespectACLs4799: who may not read a znode is not told of it (ZOOKEEPER-4799).
func TestWatchesRespectACLs4799(t *testing.T) {
	w := newWorld(t)
	owner, spy := w.connect(), w.connect()
	require.Equal(t, jute.Ok, owner.ask(jute.OpAuth, jute.AuthPacket{Scheme: "digest", Auth: []byte("u:p")}, nil))
	require.Equal(t, jute.Ok, spy.ask(jute.OpAddWatch, jute.AddWatchRequest{Path: "/", Mode: 1}, &jute.ErrorResponse{}))
	hidden := createOf("/hidden", 0)
	hidden.ACL = []jute.ACL{{Perms: 31, Id: jute.Id{Scheme: "auth"}}}
	require.Equal(t, jute.Ok, owner.ask(jute.OpCreate, hidden, &jute.CreateResponse{}))
	require.Empty(t, spy.receive())
	owner.mustCreate("/seen", 0)
	require.Len(t, spy.receive(), 1)
}

// TestSetWatchesAfterAReconnect: what was missed is told before the reply, the rest is watched.
func TestSetWatchesAfterAReconnect(t *testing.T) {
	w := newWorld(t)
	c, writer := w.connect(), w.connect()
	for _, path := range []string{"/same", "/changed", "/deleted", "/parent"} {
		writer.mustCreate(path, 0)
	}
	seen := w.tree.LastZxid()
	again, _ := c.resume()
	writer.ask(jute.OpSetData, jute.SetDataRequest{Path: "/changed", Version: -1}, &jute.SetDataResponse{})
	writer.ask(jute.OpDelete, jute.DeleteRequest{Path: "/deleted", Version: -1}, nil)
	writer.mustCreate("/created", 0)
	writer.mustCreate("/parent/child", 0)
	again.send(jute.OpSetWatches, jute.SetWatches{
		RelativeZxid: seen, DataWatches: []string{"/same", "/changed", "/deleted"},
		ExistWatches: []string{"/created", "/never"}, ChildWatches: []string{"/parent", "/same"},
	})
	messages := again.receive()
	var told []string
	for _, m := range messages[:len(messages)-1] {
		told = append(told, m.event.Type.String()+" "+m.event.Path)
	}
	require.Equal(t, []string{
		"NodeDataChanged /changed", "NodeDeleted /deleted", "NodeCreated /created", "NodeChildrenChanged /parent",
	}, told)
	require.Equal(t, jute.XidSetWatches, messages[len(messages)-1].header.Xid)

	writer.ask(jute.OpSetData, jute.SetDataRequest{Path: "/same", Version: -1}, &jute.SetDataResponse{})
	writer.mustCreate("/never", 0)
	writer.mustCreate("/same/child", 0)
	require.Len(t, again.receive(), 3)
}

func TestReadNow(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	plant(t, c)
	for _, test := range []struct {
		op   jute.OpCode
		body jute.Record
	}{
		{jute.OpExists, jute.ExistsRequest{Path: "/node"}},
		{jute.OpExists, jute.ExistsRequest{Path: "/none"}},
		{jute.OpGetData, jute.GetDataRequest{Path: "/node"}},
		{jute.OpGetData, jute.GetDataRequest{Path: "/secret"}},
		{jute.OpGetACL, jute.GetACLRequest{Path: "/node"}},
		{jute.OpGetChildren, jute.GetChildrenRequest{Path: "/node"}},
		{jute.OpGetChildren2, jute.GetChildren2Request{Path: "/node"}},
	} {
		frame := requestFrame(7, test.op, test.body)
		c.sendFrame(frame)
		want := c.take()
		got, ok := w.server.ReadNow(c.conn, frame)
		require.True(t, ok)
		require.Equal(t, want, [][]byte{got}, "the same answer as through the chain: %s", test.op)
	}
}

func TestReadNowRefuses(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	plain := requestFrame(7, jute.OpExists, jute.ExistsRequest{Path: "/"})
	refused := func(conn Conn, frame []byte, why string) {
		t.Helper()
		_, ok := w.server.ReadNow(conn, frame)
		require.False(t, ok, why)
	}
	refused(99, plain, "an unknown connection")
	refused(w.open().conn, plain, "a connection without a session")
	refused(c.conn, requestFrame(7, jute.OpExists, jute.ExistsRequest{Path: "/", Watch: true}), "a watch is a change")
	refused(c.conn, requestFrame(7, jute.OpCreate, createOf("/n", 0)), "a write")
	refused(c.conn, requestFrame(7, jute.OpGetData, nil), "what cannot be read")
	refused(c.conn, requestFrame(jute.XidPing, jute.OpPing, nil), "a ping touches the session")
	refused(c.conn, []byte{1}, "what cannot be read")
	c.sendFrame(plain)
	_, ok := w.server.ReadNow(c.conn, plain)
	require.True(t, ok)
	w.slowDisk = true
	c.send(jute.OpCreate, createOf("/n", 0))
	refused(c.conn, plain, "the session's own write comes first")
	w.finishSyncs()
	w.pass(tickTime / 2)
	refused(c.conn, plain, "now and then the session has to be touched")
}

// TestDefectAckBeforeFsync: a write is answered while it is only in memory.
func TestDefectAckBeforeFsync(t *testing.T) {
	w := newWorld(t, withDefect(defect.AckBeforeFsync))
	w.slowDisk = true
	c := w.connect()
	c.mustCreate("/n", 0)
	require.Empty(t, w.tickets, "nothing was asked of the disk yet")
	w.pass(unsyncedMax)
	require.Len(t, w.tickets, 1)
	w.finishSyncs()
}

func TestGroupFlush(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	w.slowDisk = true
	for range 5 {
		c.send(jute.OpCreate, createOf("/n-", 2))
	}
	require.Len(t, w.tickets, 1, "while one sync is under way no other is asked for")
	w.server.Synced(w.tickets[0])
	w.tickets = w.tickets[1:]
	require.Len(t, c.receive(), 1)
	require.Len(t, w.tickets, 1, "the next sync is for all that came meanwhile")
	w.finishSyncs()
	require.Len(t, c.receive(), 4)
}

// TestShutdown: connections end, nothing is answered any more, and what the log has but the tree has
// not is given back.
func TestShutdown(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	w.slowDisk = true
	c.send(jute.OpCreate, createOf("/a", 0))
	c.send(jute.OpCreate, createOf("/b", 0))
	ticket := w.tickets[0]
	entries := w.server.Shutdown()
	require.Equal(t, w.log[len(w.log)-2:], entries)
	require.True(t, c.isClosed())
	w.server.Synced(ticket)
	w.server.Tick(w.now)
	c.send(jute.OpExists, jute.ExistsRequest{Path: "/"})
	require.Empty(t, c.take())
	_, applied := w.tree.Stat("/a")
	require.False(t, applied)
	for _, entry := range entries { // as the peer does once the disk has drained
		header, txn, _, err := jute.DecodePayload(entry.Payload)
		require.NoError(t, err)
		w.tree.Apply(header, txn)
	}
	_, applied = w.tree.Stat("/b")
	require.True(t, applied)
	latecomer := w.open()
	require.True(t, latecomer.isClosed())
}

// FuzzClientFrame: whatever a client sends, the server answers or closes, and stays whole.
func FuzzClientFrame(f *testing.F) {
	f.Add(requestFrame(1, jute.OpCreate, createOf("/a", 3)), requestFrame(2, jute.OpGetData, jute.GetDataRequest{Path: "/a", Watch: true}))
	f.Add(requestFrame(1, jute.OpMulti, multiOf(jute.OpCreate, createOf("/a", 0), jute.OpDelete, &jute.DeleteRequest{Path: "/a", Version: -1})), []byte{})
	f.Add(requestFrame(1, jute.OpSetWatches2, jute.SetWatches2{DataWatches: []string{"/"}}), requestFrame(1, jute.OpCloseSession, nil))
	f.Add(requestFrame(-4, jute.OpAuth, jute.AuthPacket{Scheme: "digest", Auth: []byte("a:b")}), requestFrame(3, jute.OpSetACL, jute.SetACLRequest{Path: "/", ACL: jute.OpenACL()}))
	f.Add(jute.Marshal(jute.ConnectRequest{TimeOut: 1}), requestFrame(3, jute.OpRemoveWatches, jute.RemoveWatchesRequest{Path: "/", Type: 3}))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		w := newWorld(t)
		raw := w.open()
		raw.sendFrame(first)
		c := w.connect()
		for _, frame := range [][]byte{first, second, first} {
			answers := len(w.frames[c.conn])
			c.sendFrame(frame)
			if !c.isClosed() {
				require.Greater(t, len(w.frames[c.conn]), answers, "neither answered nor closed")
			}
		}
		w.pass(tickTime)
		require.Zero(t, w.server.Outstanding())
		require.Empty(t, w.server.prep.changes.byPath)
		for _, entry := range w.log {
			_, _, _, err := jute.DecodePayload(entry.Payload)
			require.NoError(t, err, "the log can be read back")
		}
		require.Equal(t, w.tree.Digest(), digestOf(w.tree))
	})
}

// digestOf adds up the tree's digest anew.
func digestOf(t *tree.Tree) int64 {
	var sum int64
	t.Walk(func(path string, node tree.Znode) bool {
		sum += tree.NodeDigest(path, node.Data, node.Stat)
		return true
	})
	return sum
}
