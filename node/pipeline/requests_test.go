package pipeline

import (
	"crypto"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
	"ordeal/node/tree"
)

// nobody is an ACL that no test's client satisfies.
func nobody(perms int32) []jute.ACL {
	return []jute.ACL{{Perms: perms, Id: jute.Id{Scheme: "digest", ID: "somebody:else"}}}
}

// plant makes the znodes that the tables below speak of:
//
//	/node (version 2), /node/child, /ephemeral, /secret (nobody may do anything)
func plant(t *testing.T, c *testClient) {
	t.Helper()
	c.mustCreate("/node", 0)
	for range 2 {
		require.Equal(t, jute.Ok, c.ask(jute.OpSetData, jute.SetDataRequest{Path: "/node", Data: []byte("x"), Version: -1}, &jute.SetDataResponse{}))
	}
	c.mustCreate("/node/child", 0)
	c.mustCreate("/ephemeral", 1)
	c.mustCreate("/secret", 0)
	c.mustCreate("/secret/child", 0)
	require.Equal(t, jute.Ok, c.ask(jute.OpSetACL, jute.SetACLRequest{Path: "/secret/child", ACL: nobody(31), Version: -1}, &jute.SetACLResponse{}))
	require.Equal(t, jute.Ok, c.ask(jute.OpSetACL, jute.SetACLRequest{Path: "/secret", ACL: nobody(31), Version: -1}, &jute.SetACLResponse{}))
}

func createOf(path string, flags int32) *jute.CreateRequest {
	return &jute.CreateRequest{Path: path, Data: []byte("d"), ACL: jute.OpenACL(), Flags: flags}
}

// TestRequests is what each request is answered with: first what succeeds, then each way to fail.
func TestRequests(t *testing.T) {
	withACL := func(r *jute.CreateRequest, acl []jute.ACL) *jute.CreateRequest { r.ACL = acl; return r }
	for _, test := range []struct {
		op   jute.OpCode
		body jute.Record
		want jute.Code
	}{
		{jute.OpCreate, createOf("/new", 0), jute.Ok},
		{jute.OpCreate, createOf("/new", 1), jute.Ok},
		{jute.OpCreate, createOf("/node/", 2), jute.Ok},
		{jute.OpCreate, createOf("/node/s-", 3), jute.Ok},
		{jute.OpCreate2, createOf("/new", 0), jute.Ok},
		{jute.OpCreateContainer, createOf("/new", 4), jute.Ok},
		{jute.OpCreate, createOf("/new", 7), jute.BadArguments},
		{jute.OpCreate, createOf("/new", -1), jute.BadArguments},
		{jute.OpCreate, createOf("/new", 5), jute.Unimplemented},
		{jute.OpCreateTTL, jute.CreateTTLRequest{Path: "/new", ACL: jute.OpenACL(), Flags: 5, TTL: 1000}, jute.Unimplemented},
		{jute.OpCreate, createOf("new", 0), jute.BadArguments},
		{jute.OpCreate, createOf("", 0), jute.BadArguments},
		{jute.OpCreate, createOf("/n\x00w", 0), jute.BadArguments},
		{jute.OpCreate, withACL(createOf("/new", 0), nil), jute.InvalidACL},
		{jute.OpCreate, withACL(createOf("/none/new", 0), nil), jute.InvalidACL},
		{jute.OpCreate, withACL(createOf("/new", 0), []jute.ACL{{Perms: 31, Id: jute.Id{Scheme: "auth"}}}), jute.InvalidACL},
		{jute.OpCreate, createOf("/none/new", 0), jute.NoNode},
		{jute.OpCreate, createOf("/secret/new", 0), jute.NoAuth},
		{jute.OpCreate, createOf("/new/../x", 0), jute.NoNode},
		{jute.OpCreate, createOf("/..", 0), jute.BadArguments},
		{jute.OpCreate, createOf("/node/", 0), jute.BadArguments},
		{jute.OpCreate, createOf("/node", 0), jute.NodeExists},
		{jute.OpCreate, createOf("/", 0), jute.NodeExists},
		{jute.OpCreate, createOf("/ephemeral/x", 0), jute.NoChildrenForEphemerals},
		{jute.OpCreate, nil, jute.MarshallingError},

		{jute.OpDelete, jute.DeleteRequest{Path: "/node/child", Version: 0}, jute.Ok},
		{jute.OpDelete, jute.DeleteRequest{Path: "/ephemeral", Version: -1}, jute.Ok},
		{jute.OpDelete, jute.DeleteRequest{Path: "/", Version: -1}, jute.BadArguments},
		{jute.OpDelete, jute.DeleteRequest{Path: "/zookeeper/quota", Version: -1}, jute.BadArguments},
		{jute.OpDelete, jute.DeleteRequest{Path: "x", Version: -1}, jute.BadArguments},
		{jute.OpDelete, jute.DeleteRequest{Path: "/none/x", Version: -1}, jute.NoNode},
		{jute.OpDelete, jute.DeleteRequest{Path: "/none", Version: -1}, jute.NoNode},
		{jute.OpDelete, jute.DeleteRequest{Path: "/secret/child", Version: -1}, jute.NoAuth},
		{jute.OpDelete, jute.DeleteRequest{Path: "/secret/none", Version: -1}, jute.NoAuth},
		{jute.OpDelete, jute.DeleteRequest{Path: "/node", Version: 7}, jute.BadVersion},
		{jute.OpDelete, jute.DeleteRequest{Path: "/node", Version: -1}, jute.NotEmpty},
		{jute.OpDelete, nil, jute.MarshallingError},

		{jute.OpSetData, jute.SetDataRequest{Path: "/node", Version: 2}, jute.Ok},
		{jute.OpSetData, jute.SetDataRequest{Path: "/node", Version: 1}, jute.BadVersion},
		{jute.OpSetData, jute.SetDataRequest{Path: "/none", Version: -1}, jute.NoNode},
		{jute.OpSetData, jute.SetDataRequest{Path: "/node/", Version: -1}, jute.BadArguments},
		{jute.OpSetData, jute.SetDataRequest{Path: "/secret", Version: 9}, jute.NoAuth},

		{jute.OpSetACL, jute.SetACLRequest{Path: "/node", ACL: jute.OpenACL(), Version: 0}, jute.Ok},
		{jute.OpSetACL, jute.SetACLRequest{Path: "/node", ACL: jute.OpenACL(), Version: 2}, jute.BadVersion},
		{jute.OpSetACL, jute.SetACLRequest{Path: "/node", Version: -1}, jute.InvalidACL},
		{jute.OpSetACL, jute.SetACLRequest{Path: "/none", Version: -1}, jute.InvalidACL},
		{jute.OpSetACL, jute.SetACLRequest{Path: "/secret", ACL: jute.OpenACL(), Version: -1}, jute.NoAuth},

		{jute.OpExists, jute.ExistsRequest{Path: "/node"}, jute.Ok},
		{jute.OpExists, jute.ExistsRequest{Path: "/none"}, jute.NoNode},
		{jute.OpExists, jute.ExistsRequest{Path: "/no\x00ne"}, jute.BadArguments},
		{jute.OpExists, jute.ExistsRequest{Path: "/secret"}, jute.NoAuth},
		{jute.OpGetData, jute.GetDataRequest{Path: "/node"}, jute.Ok},
		{jute.OpGetData, jute.GetDataRequest{Path: "/none"}, jute.NoNode},
		{jute.OpGetData, jute.GetDataRequest{Path: "/secret"}, jute.NoAuth},
		{jute.OpGetData, nil, jute.MarshallingError},
		{jute.OpGetChildren, jute.GetChildrenRequest{Path: "/node"}, jute.Ok},
		{jute.OpGetChildren, jute.GetChildrenRequest{Path: "/secret"}, jute.NoAuth},
		{jute.OpGetChildren2, jute.GetChildren2Request{Path: "/"}, jute.Ok},
		{jute.OpGetChildren2, jute.GetChildren2Request{Path: "/none"}, jute.NoNode},
		{jute.OpGetACL, jute.GetACLRequest{Path: "/node"}, jute.Ok},
		{jute.OpGetACL, jute.GetACLRequest{Path: "/none"}, jute.NoNode},
		{jute.OpGetACL, jute.GetACLRequest{Path: "/secret"}, jute.NoAuth},
		{jute.OpGetAllChildrenNumber, jute.GetAllChildrenNumberRequest{Path: "/"}, jute.Ok},
		{jute.OpGetAllChildrenNumber, jute.GetAllChildrenNumberRequest{Path: "/secret"}, jute.NoAuth},
		{jute.OpGetEphemerals, jute.GetEphemeralsRequest{}, jute.Ok},
		{jute.OpWhoAmI, nil, jute.Ok},
		{jute.OpSync, jute.SyncRequest{Path: "/anything"}, jute.Ok},
		{jute.OpPing, nil, jute.Ok},
		{jute.OpMulti, jute.MultiRequest{}, jute.Ok},
		{jute.OpMulti, multiOf(jute.OpGetData, &jute.GetDataRequest{Path: "/node"}), jute.MarshallingError},
		{jute.OpMulti, multiOf(jute.OpCreate, createOf("/new", 0), jute.OpGetData, &jute.GetDataRequest{Path: "/node"}), jute.MarshallingError},
		{jute.OpMultiRead, multiOf(jute.OpGetData, &jute.GetDataRequest{Path: "/none"}), jute.Ok},
		{jute.OpReconfig, jute.ReconfigRequest{CurConfigID: -1}, jute.ReconfigDisabled},
		{jute.OpReconfig, nil, jute.MarshallingError},
		{jute.OpAddWatch, jute.AddWatchRequest{Path: "/node", Mode: 1}, jute.Ok},
		{jute.OpAddWatch, jute.AddWatchRequest{Path: "/node", Mode: 2}, jute.MarshallingError},
		{jute.OpCheckWatches, jute.CheckWatchesRequest{Path: "/node", Type: 3}, jute.NoWatcher},
		{jute.OpRemoveWatches, jute.RemoveWatchesRequest{Path: "/node", Type: 3}, jute.NoWatcher},
		{jute.OpRemoveWatches, jute.RemoveWatchesRequest{Path: "/node", Type: 4}, jute.MarshallingError},
	} {
		t.Run(test.op.String()+"/"+test.want.String(), func(t *testing.T) {
			w := newWorld(t)
			c := w.connect()
			plant(t, c)
			before := len(w.log)
			c.send(test.op, test.body)
			messages := c.receive()
			require.Len(t, messages, 1)
			header := messages[0].header
			require.Equal(t, test.want, header.Err, "%+v", test.body)
			require.Equal(t, w.tree.LastZxid(), header.Zxid, "a reply tells how far the server is")
			if IsWrite(test.op) {
				require.Len(t, w.log, before+1, "a write takes a zxid, whether it fails or not")
			} else {
				require.Len(t, w.log, before)
			}
			require.False(t, c.isClosed())
		})
	}
}

func multiOf(operations ...any) jute.MultiRequest {
	var m jute.MultiRequest
	for i := 0; i < len(operations); i += 2 {
		m.Ops = append(m.Ops, jute.MultiOp{Type: operations[i].(jute.OpCode), Request: operations[i+1].(jute.Message)})
	}
	return m
}

// Test2590: who may not read a znode does not learn from exists that it is there, nor is told of it later.
func Test2590(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	plant(t, c)
	require.Equal(t, jute.NoAuth, w.connect().ask(jute.OpExists, jute.ExistsRequest{Path: "/secret", Watch: true}, nil))
	require.Zero(t, w.tree.WatchCount())
}

func TestTTLNodesNeedExtendedTypes(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ExtendedTypes = true })
	c := w.connect()
	request := jute.CreateTTLRequest{Path: "/ttl", ACL: jute.OpenACL(), Flags: 5, TTL: 1000}
	require.Equal(t, jute.Ok, c.ask(jute.OpCreateTTL, request, &jute.Create2Response{}))
	node, _ := w.tree.Node("/ttl")
	ttl, ok := w.tree.TTL(node.Stat.EphemeralOwner)
	require.True(t, ok)
	require.Equal(t, int64(1000), ttl)
	require.Equal(t, "/ttl/child", c.mustCreate("/ttl/child", 0), "it may have children")
	for _, bad := range []int64{0, -1, 1 << 40} {
		request.Path, request.TTL = "/other", bad
		require.Equal(t, jute.BadArguments, c.ask(jute.OpCreateTTL, request, nil))
	}
	request.Flags, request.TTL = 4, -1 // it takes Apache 3.8.0 down
	require.Equal(t, jute.BadArguments, c.ask(jute.OpCreateTTL, request, nil))
}

// TestFailedWriteIsLogged: the server that owns the client learns the outcome from the log.
func TestFailedWriteIsLogged(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	xid := c.send(jute.OpDelete, jute.DeleteRequest{Path: "/none", Version: -1})
	header, txn, digest := w.lastTxn()
	require.Equal(t, jute.TxnHeader{
		ClientID: c.session, Cxid: xid, Zxid: w.tree.LastZxid(), Time: w.now.Wall, Type: jute.OpError,
	}, header)
	require.Equal(t, &jute.ErrorTxn{Err: jute.NoNode}, txn)
	require.Nil(t, digest, "errors carry no digest")
	require.Len(t, w.log[len(w.log)-1].Payload, 36)
}

func TestMulti4026(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	var response jute.MultiResponse
	code := c.ask(jute.OpMulti, multiOf(
		jute.OpCreate, createOf("/a", 0),
		jute.OpCreate2, createOf("/a/b", 0),
		jute.OpSetData, &jute.SetDataRequest{Path: "/a", Data: []byte("2"), Version: 0},
		jute.OpCheck, &jute.CheckVersionRequest{Path: "/a", Version: 1},
		jute.OpDelete, &jute.DeleteRequest{Path: "/a/b", Version: 0},
	), &response)
	require.Equal(t, jute.Ok, code)
	var types []jute.OpCode
	for _, result := range response.Results {
		types = append(types, result.Type)
	}
	require.Equal(t, []jute.OpCode{jute.OpCreate, jute.OpCreate2, jute.OpSetData, jute.OpCheck, jute.OpDelete}, types,
		"create2 is answered as such (ZOOKEEPER-4026)")
	_, _, digest := w.lastTxn()
	require.Equal(t, w.tree.Digest(), digest.TreeDigest)
}

// TestFailedMulti: the reply succeeds, every result is an error, and nothing has changed.
func TestFailedMulti(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	before := w.tree.Digest()
	var response jute.MultiResponse
	code := c.ask(jute.OpMulti, multiOf(
		jute.OpCreate, createOf("/a", 0),
		jute.OpCheck, &jute.CheckVersionRequest{Path: "/a", Version: 5},
		jute.OpCreate, createOf("/b", 0),
	), &response)
	require.Equal(t, jute.Ok, code)
	require.Equal(t, []jute.MultiResult{
		{Type: jute.OpError, Err: jute.Ok}, {Type: jute.OpError, Err: jute.BadVersion}, {Type: jute.OpError, Err: jute.RuntimeInconsistency},
	}, response.Results)
	require.Equal(t, before, w.tree.Digest())

	header, txn, digest := w.lastTxn()
	require.Equal(t, jute.OpMulti, header.Type)
	parts := txn.(*jute.MultiTxn).Txns
	require.Equal(t, jute.OpCreate, parts[0].Type, "what stands before the failure keeps its type and body")
	require.Equal(t, "/a", parts[0].Txn.(*jute.CreateTxn).Path)
	require.Equal(t, &jute.ErrorTxn{Err: jute.BadVersion}, parts[1].Txn)
	require.Equal(t, &jute.ErrorTxn{Err: jute.RuntimeInconsistency}, parts[2].Txn)
	require.Equal(t, before, digest.TreeDigest)
}

func TestMultiReadAnswersEachForItself(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	plant(t, c)
	var response jute.MultiResponse
	require.Equal(t, jute.Ok, c.ask(jute.OpMultiRead, multiOf(
		jute.OpGetData, &jute.GetDataRequest{Path: "/node", Watch: true},
		jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/node"},
		jute.OpGetData, &jute.GetDataRequest{Path: "/none"},
		jute.OpGetData, &jute.GetDataRequest{Path: "/secret"},
	), &response))
	require.Len(t, response.Results, 4)
	require.Equal(t, "x", string(response.Results[0].Body.(*jute.GetDataResponse).Data))
	require.Equal(t, []string{"child"}, response.Results[1].Body.(*jute.GetChildrenResponse).Children)
	require.Equal(t, jute.NoNode, response.Results[2].Err)
	require.Equal(t, jute.NoAuth, response.Results[3].Err)
	require.Zero(t, w.tree.WatchCount(), "a multiRead sets no watches")
}

// A frame of a few kilobytes may ask for the same large znode hundreds of times. Where the answer becomes
// too long the server stops, instead of putting it together.
func TestMultiReadThatAsksForTooMuch(t *testing.T) {
	const maxBuffer = 100_000
	w := newWorld(t, func(c *Config) { c.MaxBuffer = maxBuffer })
	c := w.connect()
	c.mustCreate("/large", 0)
	require.Equal(t, jute.Ok, c.ask(jute.OpSetData, jute.SetDataRequest{Path: "/large", Data: make([]byte, maxBuffer/2), Version: -1}, &jute.SetDataResponse{}))
	c.mustCreate("/parent", 0)
	name := strings.Repeat("n", maxBuffer/4)
	c.mustCreate("/parent/1"+name, 0)
	c.mustCreate("/parent/2"+name, 0)
	for op, one := range map[jute.OpCode]jute.Message{
		jute.OpGetData:     &jute.GetDataRequest{Path: "/large"},
		jute.OpGetChildren: &jute.GetChildrenRequest{Path: "/parent"},
	} {
		t.Run(op.String(), func(t *testing.T) {
			times := func(n int) (m jute.MultiRequest) {
				for range n {
					m.Ops = append(m.Ops, jute.MultiOp{Type: op, Request: one})
				}
				return m
			}
			asking := w.connect()
			var response jute.MultiResponse
			require.Equal(t, jute.Ok, asking.ask(jute.OpMultiRead, times(2*MultiReadMax-1), &response))
			require.Len(t, response.Results, 2*MultiReadMax-1)

			asking.send(jute.OpMultiRead, times(400))
			require.Zero(t, len(asking.take()), "nothing is answered")
			require.True(t, asking.isClosed())
		})
	}
	require.Equal(t, jute.Ok, c.ask(jute.OpExists, jute.ExistsRequest{Path: "/large"}, &jute.ExistsResponse{}), "others are served")
	require.Zero(t, w.server.Outstanding())
}

func TestIdentities(t *testing.T) {
	super := jute.AuthPacket{Scheme: "digest", Auth: []byte("super:secret")}
	w := newWorld(t, func(c *Config) { c.SuperDigest = tree.DigestIDs(super.Auth, crypto.SHA1, "")[0].ID })
	c := w.connect()
	plant(t, c)

	require.Equal(t, jute.Ok, c.ask(jute.OpAuth, jute.AuthPacket{Scheme: "digest", Auth: []byte("user:pass")}, nil))
	var who jute.WhoAmIResponse
	require.Equal(t, jute.Ok, c.ask(jute.OpWhoAmI, nil, &who))
	require.Equal(t, []jute.ClientInfo{{AuthScheme: "ip", User: "127.0.0.1"}, {AuthScheme: "digest", User: "user"}}, who.ClientInfo)

	// "auth" stands for what the client has proven.
	own := createOf("/own", 0)
	own.ACL = []jute.ACL{{Perms: 31, Id: jute.Id{Scheme: "auth"}}, {Perms: 1, Id: jute.Id{Scheme: "world", ID: "anyone"}}}
	require.Equal(t, jute.Ok, c.ask(jute.OpCreate, own, &jute.CreateResponse{}))
	stranger := w.connect()
	require.Equal(t, jute.NoAuth, stranger.ask(jute.OpSetData, jute.SetDataRequest{Path: "/own", Version: -1}, nil))
	var acl jute.GetACLResponse
	require.Equal(t, jute.Ok, stranger.ask(jute.OpGetACL, jute.GetACLRequest{Path: "/own"}, &acl))
	require.Equal(t, "user:x", acl.ACL[0].Id.ID, "a stranger does not see the hash")
	require.Equal(t, jute.Ok, c.ask(jute.OpGetACL, jute.GetACLRequest{Path: "/own"}, &acl))
	require.NotEqual(t, "user:x", acl.ACL[0].Id.ID)

	require.Equal(t, jute.NoAuth, stranger.ask(jute.OpGetData, jute.GetDataRequest{Path: "/secret"}, nil))
	require.Equal(t, jute.Ok, stranger.ask(jute.OpAuth, super, nil))
	require.Equal(t, jute.Ok, stranger.ask(jute.OpGetData, jute.GetDataRequest{Path: "/secret"}, &jute.GetDataResponse{}))

	for _, bad := range []jute.AuthPacket{{Scheme: "digest"}, {Scheme: "world", Auth: []byte("anyone")}, {Scheme: "none"}} {
		c := w.connect()
		require.Equal(t, jute.AuthFailed, c.ask(jute.OpAuth, bad, nil))
		require.True(t, c.isClosed())
	}
}

// Identities go with each request to a leader, so a client may not have any number of them.
func TestIdentitiesWithoutEnd(t *testing.T) {
	const maxBuffer = 100_000
	for name, user := range map[string]string{"long": strings.Repeat("u", maxBuffer/4), "many": "u"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.MaxBuffer = maxBuffer })
			c := w.connect()
			for i := 0; ; i++ {
				packet := jute.AuthPacket{Scheme: "digest", Auth: fmt.Appendf(nil, "%s%d:password", user, i)}
				if code := c.ask(jute.OpAuth, packet, nil); code != jute.Ok {
					require.Equal(t, jute.AuthFailed, code)
					require.Greater(t, i, 2, "a few are allowed")
					require.True(t, c.isClosed())
					break
				}
				require.Less(t, i, maxBuffer/identityOverhead)
			}
		})
	}
}
