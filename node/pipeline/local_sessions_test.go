package pipeline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/jute"
)

func withLocalSessions(role Role, upgrading bool) func(*Config) {
	return func(c *Config) { c.Role, c.LocalSessions, c.LocalSessionsUpgrading = role, true, upgrading }
}

// TestLocalSessions: they cost no transaction, read and write, and own no ephemerals.
func TestLocalSessions(t *testing.T) {
	t.Run("leader", func(t *testing.T) {
		w := newWorld(t, withLocalSessions(Leader, false))
		c := w.connect()
		require.Empty(t, w.log)
		require.False(t, w.tree.HasSession(c.session))
		require.Equal(t, 1, w.server.LocalSessions())
		c.mustCreate("/a", jute.FlagPersistent)
		require.Equal(t, jute.Ok, c.ask(jute.OpExists, jute.ExistsRequest{Path: "/a"}, &jute.ExistsResponse{}))
		_, code := c.create("/e", jute.FlagEphemeral)
		require.Equal(t, jute.EphemeralOnLocalSession, code)
		again, response := c.resume()
		require.Equal(t, c.session, response.SessionID)
		require.True(t, c.isClosed())
		logged := len(w.log)
		require.Equal(t, jute.Ok, again.ask(jute.OpCloseSession, nil, nil))
		require.True(t, again.isClosed())
		require.Len(t, w.log, logged)
		require.Zero(t, w.server.LocalSessions())
		_, response = again.resume()
		require.Zero(t, response.SessionID)
	})
	t.Run("follower", func(t *testing.T) {
		w := newWorld(t, withLocalSessions(Follower, false))
		c := w.connect()
		require.Empty(t, w.forwarded)
		c.send(jute.OpCreate, createOf("/e", jute.FlagEphemeral))
		require.Len(t, w.forwarded, 1, "the leader refuses it, since it does not know the session")
		w.propose(jute.TxnHeader{ClientID: c.session, Cxid: c.xid, Zxid: 1<<32 + 1, Type: jute.OpError}, &jute.ErrorTxn{Err: jute.SessionExpired})
		require.Equal(t, jute.EphemeralOnLocalSession, c.receive()[0].header.Err, "and the follower knows why")
		c.send(jute.OpPing, nil)
		require.Len(t, c.receive(), 1)
		require.Empty(t, w.server.Touches(), "the leader is not told of local sessions")
	})
}

// TestLocalSessionsOfOthers: a leader takes what a learner's local session asks, except ephemerals.
func TestLocalSessionsOfOthers(t *testing.T) {
	w := newWorld(t, withLocalSessions(Leader, false))
	const learner, session = Origin(7), int64(2) << 56
	ask := func(cxid, flags int32, path string) jute.Code {
		w.server.LearnerRequest(learner, Forwarded{Session: session, Cxid: cxid, Type: jute.OpCreate, Body: jute.Marshal(createOf(path, flags))})
		w.settle()
		_, txn, _ := w.lastTxn()
		if failure, failed := txn.(*jute.ErrorTxn); failed {
			return failure.Err
		}
		return jute.Ok
	}
	require.Equal(t, jute.Ok, ask(1, jute.FlagPersistent, "/a"))
	require.Equal(t, jute.SessionExpired, ask(2, jute.FlagEphemeral, "/e"))
	require.False(t, w.server.LearnerRevalidate(learner, session, 10_000), "local sessions do not move")
}

func TestLocalSessionsExpire(t *testing.T) {
	for _, role := range []Role{Leader, Follower, Observer} {
		t.Run(role.String(), func(t *testing.T) {
			w := newWorld(t, withLocalSessions(role, true))
			c, alive := w.connect(), w.connect()
			for range 15 {
				w.pass(time.Second)
				alive.send(jute.OpPing, nil)
			}
			require.True(t, c.isClosed())
			require.False(t, alive.isClosed())
			require.Equal(t, 1, w.server.LocalSessions())
			require.Empty(t, w.log)
			require.Empty(t, w.forwarded)
		})
	}
}

// TestUpgrade: a local session becomes global before it gets an ephemeral, alone or in a multi.
func TestUpgrade(t *testing.T) {
	bodies := map[jute.OpCode]jute.Record{
		jute.OpCreate:  createOf("/e", jute.FlagEphemeral),
		jute.OpCreate2: createOf("/e", jute.FlagEphemeralSequential),
		jute.OpMulti: jute.MultiRequest{Ops: []jute.MultiOp{
			{Type: jute.OpCheck, Request: &jute.CheckVersionRequest{Path: "/", Version: -1}},
			{Type: jute.OpCreate, Request: createOf("/e", jute.FlagEphemeral)},
		}},
	}
	for op, body := range bodies {
		t.Run("leader "+op.String(), func(t *testing.T) {
			w := newWorld(t, withLocalSessions(Leader, true))
			c := w.connect()
			c.send(op, body)
			require.Equal(t, jute.Ok, c.receive()[0].header.Err)
			require.True(t, w.tree.HasSession(c.session))
			require.Zero(t, w.server.LocalSessions())
			require.Len(t, w.tree.Ephemerals(c.session), 1)
			w.server.ClientClosed(c.conn)
			w.pass(20 * time.Second)
			require.Empty(t, w.tree.Ephemerals(c.session), "it expires like any other session")
		})
		t.Run("follower "+op.String(), func(t *testing.T) {
			w := newWorld(t, withLocalSessions(Follower, true))
			c := w.connect()
			c.send(op, body)
			require.Len(t, w.forwarded, 2)
			require.Equal(t, jute.OpCreateSession, w.forwarded[0].Type)
			require.Equal(t, c.session, w.forwarded[0].Session)
			require.Equal(t, op, w.forwarded[1].Type)
			c.send(jute.OpPing, nil)
			require.Equal(t, []jute.SessionTimeout{{SessionID: c.session, TimeOut: c.timeout}}, w.server.Touches(), "the leader may know it by now")
			c.receive()
			w.propose(jute.TxnHeader{ClientID: c.session, Zxid: 1<<32 + 1, Type: jute.OpCreateSession}, &jute.CreateSessionTxn{TimeOut: c.timeout})
			require.False(t, c.isClosed())
			require.Empty(t, c.receive(), "nobody asked for that reply")
		})
	}
}

// Test3471: a session that is closed while it is being upgraded ends for the whole ensemble, so that the
// ephemeral which it was upgraded for goes too.
func Test3471(t *testing.T) {
	t.Run("closed by its client", func(t *testing.T) {
		w := newWorld(t, withLocalSessions(Leader, true))
		c := w.connect()
		w.slowDisk = true
		c.send(jute.OpCreate, createOf("/e", jute.FlagEphemeral))
		c.send(jute.OpCloseSession, nil)
		w.slowDisk = false
		w.settle()
		_, ok := w.tree.Stat("/e")
		require.False(t, ok)
		require.False(t, w.tree.HasSession(c.session))
	})
	t.Run("closed at a follower", func(t *testing.T) {
		w := newWorld(t, withLocalSessions(Follower, true))
		c := w.connect()
		c.send(jute.OpCreate, createOf("/e", jute.FlagEphemeral))
		c.send(jute.OpCloseSession, nil)
		require.Len(t, w.forwarded, 3)
		require.Equal(t, jute.OpCloseSession, w.forwarded[2].Type)
	})
	for _, role := range []Role{Leader, Follower} {
		t.Run("closed while its upgrade waits at the throttle of a "+role.String(), func(t *testing.T) {
			w := newWorld(t, withLocalSessions(role, true), func(c *Config) { c.ThrottleMax = 1 })
			blocker, c := w.connect(), w.connect()
			w.slowDisk, w.forwarded = true, nil
			blocker.send(jute.OpCreate, createOf("/block", jute.FlagPersistent))
			c.send(jute.OpCreate, createOf("/e", jute.FlagEphemeral))
			c.send(jute.OpCloseSession, nil)
			c.send(jute.OpCreate, createOf("/late", jute.FlagEphemeral))
			w.slowDisk = false
			w.settle()
			if role == Leader {
				require.Empty(t, w.tree.EphemeralOwners())
				require.False(t, w.tree.HasSession(c.session))
				return
			}
			failed := &jute.ErrorTxn{Err: jute.NodeExists}
			w.propose(jute.TxnHeader{ClientID: blocker.session, Cxid: 1, Zxid: 1<<32 + 1, Type: jute.OpError}, failed)
			w.propose(jute.TxnHeader{ClientID: c.session, Zxid: 1<<32 + 2, Type: jute.OpCreateSession}, &jute.CreateSessionTxn{TimeOut: c.timeout})
			w.propose(jute.TxnHeader{ClientID: c.session, Cxid: 1, Zxid: 1<<32 + 3, Type: jute.OpError}, failed)
			var ops []jute.OpCode
			for _, request := range w.forwarded[1:] {
				ops = append(ops, request.Type)
			}
			require.Equal(t, []jute.OpCode{jute.OpCreateSession, jute.OpCreate, jute.OpCloseSession}, ops)
		})
	}
	t.Run("closed before an ephemeral that waits at the throttle", func(t *testing.T) {
		w := newWorld(t, withLocalSessions(Leader, true), func(c *Config) { c.ThrottleMax = 2 })
		first, second, c := w.connect(), w.connect(), w.connect()
		w.slowDisk = true
		first.send(jute.OpCreate, createOf("/a", jute.FlagPersistent))
		second.send(jute.OpCreate, createOf("/b", jute.FlagPersistent))
		c.send(jute.OpCreate, createOf("/c", jute.FlagPersistent))
		c.send(jute.OpCloseSession, nil)
		c.send(jute.OpCreate, createOf("/e", jute.FlagEphemeral))
		w.slowDisk = false
		w.settle()
		require.Empty(t, w.tree.EphemeralOwners())
		require.False(t, w.tree.HasSession(c.session), "a session that ends is not upgraded any more")
		require.Equal(t, 2, w.server.LocalSessions())
	})
	t.Run("ephemeral after the end", func(t *testing.T) {
		w := newWorld(t, withLocalSessions(Follower, true))
		c := w.connect()
		w.forwarded = nil
		c.send(jute.OpCreate, createOf("/a", jute.FlagPersistent)) // keeps what follows waiting
		c.send(jute.OpCloseSession, nil)
		c.send(jute.OpCreate, createOf("/e", jute.FlagEphemeral))
		require.Len(t, w.forwarded, 1, "a session that ends is not upgraded any more")
	})
}

// propose has a follower log and commit a transaction.
func (w *world) propose(header jute.TxnHeader, txn jute.Txn) {
	w.t.Helper()
	require.NoError(w.t, w.server.Proposal(disk.Entry{Zxid: header.Zxid, Payload: jute.EncodePayload(header, txn, nil)}))
	w.settle()
	require.NoError(w.t, w.server.Commit(header.Zxid))
}

func readOnlyWorld(t *testing.T, local bool) *world {
	return newWorld(t, func(c *Config) { c.Role, c.LocalSessions = ReadOnly, local })
}

// TestReadOnly: a server without an ensemble serves reads to clients that agreed to that, in sessions of its
// own.
func TestReadOnly(t *testing.T) {
	w := readOnlyWorld(t, true)
	require.Zero(t, w.open().handshake(jute.ConnectRequest{TimeOut: 10_000, Passwd: make([]byte, 16)}).SessionID)

	c := w.open()
	response := c.handshake(jute.ConnectRequest{TimeOut: 10_000, Passwd: make([]byte, 16), ReadOnly: true})
	require.NotZero(t, response.SessionID)
	require.True(t, response.ReadOnly)
	require.Equal(t, jute.Ok, c.ask(jute.OpGetChildren, jute.GetChildrenRequest{Path: "/"}, &jute.GetChildrenResponse{}))
	require.Equal(t, jute.Ok, c.ask(jute.OpPing, nil, nil))
	for op, body := range map[jute.OpCode]jute.Record{
		jute.OpCreate: createOf("/a", 0), jute.OpCreate2: createOf("/a", 0), jute.OpDelete: jute.DeleteRequest{Path: "/a", Version: -1},
		jute.OpSetData: jute.SetDataRequest{Path: "/", Version: -1}, jute.OpSetACL: jute.SetACLRequest{Path: "/", ACL: jute.OpenACL(), Version: -1},
		jute.OpMulti: jute.MultiRequest{}, jute.OpSync: jute.SyncRequest{Path: "/"}, jute.OpReconfig: jute.ReconfigRequest{CurConfigID: -1},
	} {
		require.Equal(t, jute.NotReadOnly, c.ask(op, body, nil), "%v", op)
	}
	require.False(t, c.isClosed())
	require.Equal(t, jute.Ok, c.ask(jute.OpCloseSession, nil, nil))
	require.True(t, c.isClosed())
	require.Empty(t, w.log)
	require.Empty(t, w.forwarded)
}

// TestReadOnlyLeavesGlobalSessionsAlone: the ensemble may have ended them meanwhile.
func TestReadOnlyLeavesGlobalSessionsAlone(t *testing.T) {
	w, config := emptyWorld(t, func(c *Config) { c.Role, c.LocalSessions = ReadOnly, true })
	const session = int64(0x1000000000001)
	w.tree.Apply(jute.TxnHeader{ClientID: session, Zxid: 1, Type: jute.OpCreateSession}, &jute.CreateSessionTxn{TimeOut: 10_000})
	w.start(config, Outputs{Clients: w, Log: w})
	c := w.open()
	require.Zero(t, c.handshake(jute.ConnectRequest{SessionID: session, Passwd: jute.SessionPassword(session), TimeOut: 10_000, ReadOnly: true}))
	require.True(t, c.isClosed())
	c = w.open()
	require.Zero(t, c.handshake(jute.ConnectRequest{SessionID: 77, Passwd: jute.SessionPassword(77), TimeOut: 10_000, ReadOnly: true}).SessionID)
	require.True(t, c.isClosed())
}

// TestReadOnlyWithoutLocalSessions: there is no kind of session that such a server could make.
func TestReadOnlyWithoutLocalSessions(t *testing.T) {
	w := readOnlyWorld(t, false)
	c := w.open()
	c.sendFrame(jute.Marshal(jute.ConnectRequest{TimeOut: 10_000, Passwd: make([]byte, 16), ReadOnly: true}))
	require.Equal(t, jute.NotReadOnly, c.receive()[0].header.Err)
	require.True(t, c.isClosed())
}
