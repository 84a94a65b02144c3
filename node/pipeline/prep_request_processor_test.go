package pipeline

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ordeal/node/defect"
	"ordeal/node/jute"
)

// TestSequenceCountsCreations: also of children that are gone, and of those still under way.
func TestSequenceCountsCreations(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	c.mustCreate("/q", 0)
	require.Equal(t, "/q/n-0000000000", c.mustCreate("/q/n-", 2))
	require.Equal(t, "/q/n-0000000001", c.mustCreate("/q/n-", 3))
	require.Equal(t, jute.Ok, c.ask(jute.OpDelete, jute.DeleteRequest{Path: "/q/n-0000000001", Version: -1}, nil))
	w.slowDisk = true
	c.send(jute.OpCreate, createOf("/q/n-", 2))
	c.send(jute.OpCreate, createOf("/q/", 2))
	require.Empty(t, c.receive())
	w.finishSyncs()
	messages := c.receive()
	require.Len(t, messages, 2)
	require.Contains(t, string(messages[0].body), "/q/n-0000000002")
	require.Contains(t, string(messages[1].body), "/q/0000000003")
}

// TestPendingACLCounts: requests that follow a setACL are checked against the new list, whether or not it has been
// applied. Apache 3.8.0 leaves the list out of what it keeps of the request, and checks them against the old one.
func TestPendingACLCounts(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	c.mustCreate("/locked", 0)
	w.slowDisk = true
	c.send(jute.OpSetACL, jute.SetACLRequest{Path: "/locked", ACL: []jute.ACL{{Perms: jute.PermRead, Id: jute.Id{Scheme: "world", ID: "anyone"}}}, Version: -1})
	c.send(jute.OpCreate, createOf("/locked/child", 0))
	c.send(jute.OpDelete, jute.DeleteRequest{Path: "/locked/child", Version: -1})
	c.send(jute.OpSetData, jute.SetDataRequest{Path: "/locked", Version: -1})
	w.finishSyncs()
	var codes []jute.Code
	for _, message := range c.receive() {
		codes = append(codes, message.header.Err)
	}
	require.Equal(t, []jute.Code{jute.Ok, jute.NoAuth, jute.NoAuth, jute.NoAuth}, codes)
}

// TestMultiThatCannotBeReadLeavesNothingPending: a plain create of a TTL node ends a multi as a whole. Apache 3.8.0 then
// forgets to take back what the multi has changed before, and requests that follow find it.
func TestMultiThatCannotBeReadLeavesNothingPending(t *testing.T) {
	w := newWorld(t, extended)
	c := w.connect()
	c.mustCreate("/kept", 0)
	w.slowDisk = true
	c.send(jute.OpMulti, multiOf(
		jute.OpDelete, &jute.DeleteRequest{Path: "/kept", Version: -1},
		jute.OpCreate, createOf("/new", jute.FlagPersistentTTL),
	))
	c.send(jute.OpSetData, jute.SetDataRequest{Path: "/kept", Version: 0})
	w.finishSyncs()
	messages := c.receive()
	require.Len(t, messages, 2)
	require.Equal(t, jute.MarshallingError, messages[0].header.Err)
	require.Equal(t, jute.Ok, messages[1].header.Err)
}

func TestDefectDuplicateSequence(t *testing.T) {
	w := newWorld(t, withDefect(defect.DuplicateSequence))
	c := w.connect()
	c.mustCreate("/q", 0)
	first := c.mustCreate("/q/n-", 2)
	require.Equal(t, jute.Ok, c.ask(jute.OpDelete, jute.DeleteRequest{Path: first, Version: -1}, nil))
	require.Equal(t, first, c.mustCreate("/q/n-", 2))
}

// TestFailedMultiKeepsEarlierPendingChanges1624And2052: a multi that fails must not disturb what is under way for
// the same znodes, nor the parent's count of sequential children (ZOOKEEPER-1624).
func TestFailedMultiKeepsEarlierPendingChanges1624And2052(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	c.mustCreate("/q", 0)
	w.slowDisk = true
	c.send(jute.OpSetData, jute.SetDataRequest{Path: "/q", Data: []byte("1"), Version: 0})
	c.send(jute.OpCreate, createOf("/q/n-", 2))
	c.send(jute.OpMulti, multiOf(
		jute.OpSetData, &jute.SetDataRequest{Path: "/q", Version: 1},
		jute.OpCreate, createOf("/q/n-", 2),
		jute.OpDelete, &jute.DeleteRequest{Path: "/q/n-0000000000", Version: 0},
		jute.OpCheck, &jute.CheckVersionRequest{Path: "/q", Version: 77},
	))
	c.send(jute.OpSetData, jute.SetDataRequest{Path: "/q", Data: []byte("2"), Version: 1})
	c.send(jute.OpCreate, createOf("/q/n-", 2))
	c.send(jute.OpDelete, jute.DeleteRequest{Path: "/q/n-0000000000", Version: 0})
	w.finishSyncs()
	messages := c.receive()
	require.Len(t, messages, 6)
	for _, m := range messages {
		require.Equal(t, jute.Ok, m.header.Err)
	}
	require.Contains(t, string(messages[4].body), "/q/n-0000000001")
}

// TestCloseSessionTakesPendingEphemerals1208: the transaction names those that are still on their way, and
// not those that are being deleted (ZOOKEEPER-1208).
func TestCloseSessionTakesPendingEphemerals1208(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	c.mustCreate("/old", 1)
	c.mustCreate("/deleted", 1)
	w.slowDisk = true
	c.send(jute.OpCreate, createOf("/pending", 1))
	c.send(jute.OpDelete, jute.DeleteRequest{Path: "/deleted", Version: -1})
	c.send(jute.OpCloseSession, nil)
	c.send(jute.OpCreate, createOf("/late", 1))
	w.finishSyncs()

	_, txn, digest := w.lastTxn()
	require.Equal(t, &jute.CloseSessionTxn{Paths2Delete: []string{"/old", "/pending"}}, txn)
	require.Equal(t, w.tree.Digest(), digest.TreeDigest)
	require.Empty(t, w.tree.Ephemerals(c.session))
	require.Len(t, c.receive(), 3, "what came behind the end of the session is not answered")
	require.True(t, c.isClosed())
}

func TestVersionsSkipMinusOne4743(t *testing.T) {
	require.Equal(t, int32(0), nextVersion(-2), "as a condition -1 means any version (ZOOKEEPER-4743)")
	require.Equal(t, int32(8), nextVersion(7))
}

// TestRolloverAsksForANewEpoch: an epoch has no zxid 0xffffffff.
func TestRolloverAsksForANewEpoch(t *testing.T) {
	w := newWorld(t, withRole(Leader))
	c := w.connect()
	w.server.prep.lastZxid = 1<<32 + 0xfffffffd
	c.mustCreate("/last", 0)
	require.Empty(t, w.resigned)
	c.send(jute.OpCreate, createOf("/none", 0))
	c.send(jute.OpCreate, createOf("/none", 0))
	require.Contains(t, w.resigned, "no zxid left")
	require.Empty(t, c.receive())
	require.Equal(t, int64(1<<32+0xfffffffe), w.log[len(w.log)-1].Zxid)
	require.Zero(t, w.server.Outstanding())
}

// TestExpectedDigest: whatever is under way, the digest that a transaction carries is the tree's once
// the transaction is applied. strictLog fails the test if one is not.
func TestExpectedDigest(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t)
		clients := []*testClient{w.connect(), w.connect()}
		w.slowDisk = true
		for range rapid.IntRange(1, 40).Draw(r, "requests") {
			i := rapid.IntRange(0, 1).Draw(r, "client")
			c := clients[i]
			if c.isClosed() {
				w.finishSyncs()
				c = w.reconnect()
				clients[i] = c
			}
			op, body := drawWrite(r)
			c.send(op, body)
			if rapid.IntRange(0, 4).Draw(r, "disk") == 0 {
				w.finishSyncs()
			}
		}
		w.finishSyncs()
		require.True(r, w.server.prep.changes.changes.empty(), "nothing is under way any more")
		require.Empty(r, w.server.prep.changes.byPath)
		require.Equal(r, w.server.prep.changes.digest(), w.tree.Digest())
		require.False(t, t.Failed(), "a digest was wrong")
	})
}

// reconnect opens a new session although the disk is slow.
func (w *world) reconnect() *testClient {
	w.slowDisk = false
	c := w.connect()
	w.slowDisk = true
	return c
}

func drawPath(r *rapid.T) string {
	path := "/" + rapid.SampledFrom([]string{"a", "b"}).Draw(r, "name")
	return path + strings.Repeat("/x", rapid.IntRange(0, 2).Draw(r, "depth"))
}

func drawWrite(r *rapid.T) (jute.OpCode, jute.Record) {
	path := drawPath(r)
	version := int32(rapid.IntRange(-1, 1).Draw(r, "version"))
	switch rapid.IntRange(0, 9).Draw(r, "op") {
	case 0, 1, 2:
		return jute.OpCreate, createOf(path, int32(rapid.IntRange(0, 3).Draw(r, "flags")))
	case 3:
		return jute.OpDelete, jute.DeleteRequest{Path: path, Version: version}
	case 4:
		return jute.OpSetACL, jute.SetACLRequest{Path: path, ACL: jute.OpenACL(), Version: version}
	case 5:
		return jute.OpCloseSession, nil
	case 6, 7:
		var m jute.MultiRequest
		for range rapid.IntRange(0, 4).Draw(r, "operations") {
			part := drawPath(r)
			switch rapid.IntRange(0, 2).Draw(r, "part") {
			case 0:
				m.Ops = append(m.Ops, jute.MultiOp{Type: jute.OpCreate, Request: createOf(part, int32(rapid.IntRange(0, 3).Draw(r, "flags")))})
			case 1:
				m.Ops = append(m.Ops, jute.MultiOp{Type: jute.OpDelete, Request: &jute.DeleteRequest{Path: part, Version: -1}})
			default:
				m.Ops = append(m.Ops, jute.MultiOp{Type: jute.OpSetData, Request: &jute.SetDataRequest{Path: part, Version: version}})
			}
		}
		return jute.OpMulti, m
	}
	return jute.OpSetData, jute.SetDataRequest{Path: path, Data: fmt.Append(nil, version), Version: version}
}

// TestQuotas: what goes beyond a hard limit is refused, of a soft limit the server warns, and neither happens unless
// quotas are enforced.
func TestQuotas(t *testing.T) {
	for _, enforced := range []bool{true, false} {
		var logged strings.Builder
		w := newWorld(t, func(c *Config) {
			c.EnforceQuota = enforced
			c.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelWarn}))
		})
		c := w.connect()
		for _, znode := range [][2]string{
			{"/p", ""}, {"/zookeeper/quota/p", ""},
			{"/zookeeper/quota/p/zookeeper_limits", "count=1,bytes=-1=;countHardLimit=3"}, {"/zookeeper/quota/p/zookeeper_stats", ""},
		} {
			require.Equal(t, jute.Ok, c.ask(jute.OpCreate, &jute.CreateRequest{Path: znode[0], Data: []byte(znode[1]), ACL: jute.OpenACL()}, &jute.CreateResponse{}))
		}
		c.mustCreate("/p/a", 0)
		c.mustCreate("/p/b", 0)
		want := []string{"/p/a"} // and one warning is enough for now
		w.pass(quotaWarningInterval)
		_, code := c.create("/p/c", 0)
		require.Equal(t, map[bool]jute.Code{true: jute.QuotaExceeded, false: jute.Ok}[enforced], code)
		require.Equal(t, jute.Ok, c.ask(jute.OpDelete, jute.DeleteRequest{Path: "/p/b", Version: -1}, nil))
		c.mustCreate("/p/d", 0)
		if want = append(want, "/p/d"); !enforced {
			want = nil
		}
		var warned []string
		for _, match := range regexp.MustCompile(`quota.* path=(\S+) quota=/p`).FindAllStringSubmatch(logged.String(), -1) {
			warned = append(warned, match[1])
		}
		require.Equal(t, want, warned)
	}
}

// requireReadable requires that every transaction of the log can be read by a server whose fields are bounded
// by most.
func (w *world) requireReadable(most int) {
	for _, entry := range w.log {
		require.LessOrEqual(w.t, len(entry.Payload), most)
		_, _, _, err := jute.DecodePayload(entry.Payload)
		require.NoError(w.t, err)
	}
}

// Test2101: no request becomes a transaction that is too large for the other servers, whatever it grows by.
func Test2101(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	const clientIDs = 40
	for i := range clientIDs {
		require.Equal(t, jute.Ok, c.ask(jute.OpAuth, jute.AuthPacket{Scheme: "digest", Auth: fmt.Appendf(nil, "u%d:p", i)}, nil))
	}
	asking := []jute.ACL{{Perms: jute.PermAll, Id: jute.Id{Scheme: "auth"}}}
	multiOfCreates := func(count int) jute.MultiRequest {
		var operations []any
		for i := range count {
			operations = append(operations, jute.OpCreate, &jute.CreateRequest{Path: fmt.Sprintf("/m%d", i), ACL: asking})
		}
		return multiOf(operations...)
	}
	before, digest := w.tree.NodeCount(), w.tree.Digest()
	require.Equal(t, jute.MarshallingError, c.ask(jute.OpMulti, multiOfCreates(2000), nil))
	header, txn, _ := w.lastTxn()
	require.Equal(t, jute.OpError, header.Type)
	require.Equal(t, &jute.ErrorTxn{Err: jute.MarshallingError}, txn)
	require.Equal(t, before, w.tree.NodeCount())
	require.Equal(t, digest, w.server.prep.changes.digest(), "nothing of it is under way")

	require.Equal(t, jute.Ok, c.ask(jute.OpMulti, multiOfCreates(500), &jute.MultiResponse{}))
	require.Equal(t, before+500, w.tree.NodeCount())
	w.requireReadable(jute.MaxFieldDefault)
}

// Test4306: a session never owns more ephemeral znodes than the transaction that closes it can list.
func Test4306(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	long := strings.Repeat("x", 700_000)
	for i := range 2 {
		c.mustCreate(fmt.Sprintf("/%d%s", i, long), jute.FlagEphemeral)
	}
	require.Equal(t, jute.QuotaExceeded, c.ask(jute.OpCreate, createOf("/2"+long, jute.FlagEphemeral), nil))
	c.mustCreate("/3"+long, 0)

	w.slowDisk = true // what is under way counts too, and what takes itself back does not
	c.send(jute.OpCreate, createOf("/4"+long[:690_000], jute.FlagEphemeral))
	c.send(jute.OpCreate, createOf("/5"+long[:10_000], jute.FlagEphemeral))
	c.send(jute.OpMulti, multiOf(
		jute.OpDelete, &jute.DeleteRequest{Path: "/0" + long, Version: -1},
		jute.OpDelete, &jute.DeleteRequest{Path: "/missing", Version: -1},
	))
	c.send(jute.OpCreate, createOf("/6"+long[:10_000], jute.FlagEphemeral))
	c.send(jute.OpDelete, jute.DeleteRequest{Path: "/1" + long, Version: -1})
	c.send(jute.OpCreate, createOf("/7"+long, jute.FlagEphemeral))
	w.finishSyncs()
	var codes []jute.Code
	for _, message := range c.receive() {
		codes = append(codes, message.header.Err)
	}
	require.Equal(t, []jute.Code{jute.Ok, jute.QuotaExceeded, jute.Ok, jute.QuotaExceeded, jute.Ok, jute.Ok}, codes, "the multi's failure stands in its results")
	require.Empty(t, w.server.prep.changes.growth, "all is in the tree")

	w.slowDisk = false
	require.Equal(t, jute.Ok, c.ask(jute.OpCloseSession, nil, nil))
	_, txn, _ := w.lastTxn()
	require.Equal(t, &jute.CloseSessionTxn{Paths2Delete: []string{"/0" + long, "/4" + long[:690_000], "/7" + long}}, txn)
	w.requireReadable(jute.MaxFieldDefault)
}

// TestSessionWithTooManyEphemerals: one that comes from a server without that bound ends in several
// transactions, all of which can be read.
func TestSessionWithTooManyEphemerals(t *testing.T) {
	const most, ephemerals = 2000, 300
	w, config := emptyWorld(t)
	const session = 0x77
	zxid := int64(0)
	for i := range ephemerals {
		zxid++
		w.tree.Apply(jute.TxnHeader{ClientID: session, Zxid: zxid, Type: jute.OpCreate},
			&jute.CreateTxn{Path: fmt.Sprintf("/e%03d", i), ACL: jute.OpenACL(), Ephemeral: true, ParentCVersion: int32(i + 1)})
	}
	w.tree.Apply(jute.TxnHeader{ClientID: session, Zxid: zxid + 1, Type: jute.OpCreateSession}, &jute.CreateSessionTxn{TimeOut: 4000})
	config.TransactionMax = most
	w.start(config, Outputs{Clients: w, Log: w})
	w.pass(time.Minute)
	require.Empty(t, w.tree.Ephemerals(session))
	require.False(t, w.tree.HasSession(session))
	require.Greater(t, len(w.log), 1)
	w.requireReadable(most)
	header, txn, digest := w.lastTxn()
	require.Equal(t, jute.OpCloseSession, header.Type)
	require.NotEmpty(t, txn.(*jute.CloseSessionTxn).Paths2Delete)
	require.Equal(t, w.tree.Digest(), digest.TreeDigest)
}
