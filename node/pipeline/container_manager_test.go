package pipeline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// TestContainersGoWhenTheyAreEmptyAgain and not before, nor if they never had a child.
func TestContainersGoWhenTheyAreEmptyAgain(t *testing.T) {
	for _, role := range []Role{Standalone, Leader} {
		w := newWorld(t, withRole(role), func(c *Config) { c.ExtendedTypes, c.SessionTimeoutMax = true, time.Hour })
		c := w.open()
		c.handshake(jute.ConnectRequest{TimeOut: 3_600_000})
		exists := func(path string) bool { _, ok := w.tree.Stat(path); return ok }
		for _, path := range []string{"/used", "/full", "/unused"} {
			require.Equal(t, jute.Ok, c.ask(jute.OpCreateContainer, createOf(path, jute.FlagContainer), &jute.Create2Response{}))
		}
		c.mustCreate("/full/child", 0)
		c.mustCreate("/used/child", 0)
		require.Equal(t, jute.Ok, c.ask(jute.OpDelete, jute.DeleteRequest{Path: "/used/child", Version: -1}, nil))
		for path, ttl := range map[string]int64{"/short": 1000, "/parent": 1000, "/long": 3_600_000} {
			require.Equal(t, jute.Ok, c.ask(jute.OpCreateTTL, jute.CreateTTLRequest{Path: path, ACL: jute.OpenACL(), Flags: jute.FlagPersistentTTL, TTL: ttl}, &jute.Create2Response{}))
		}
		c.mustCreate("/parent/child", 0)

		w.pass(containerCheckInterval - 10*time.Millisecond)
		require.True(t, exists("/used"))
		require.True(t, exists("/short"))
		w.pass(20 * time.Millisecond)
		require.False(t, exists("/used"))
		require.False(t, exists("/short"))
		for _, path := range []string{"/full", "/unused", "/parent", "/long"} {
			require.True(t, exists(path), path)
		}
	}
}

// TestContainerThatIsFilledMeanwhileStays: the request is judged against what is under way.
func TestContainerThatIsFilledMeanwhileStays(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	require.Equal(t, jute.Ok, c.ask(jute.OpCreateContainer, createOf("/c", jute.FlagContainer), &jute.Create2Response{}))
	w.slowDisk = true
	c.send(jute.OpCreate, createOf("/c/child", 0))
	for _, test := range []struct {
		path string
		want jute.Code
	}{{"/c", jute.NotEmpty}, {"/none", jute.NoNode}, {"/zookeeper", jute.BadArguments}} {
		w.server.submit(&request{op: jute.OpDeleteContainer, body: []byte(test.path)})
		w.server.run()
		w.finishSyncs()
		_, txn, _ := w.lastTxn()
		require.Equal(t, &jute.ErrorTxn{Err: test.want}, txn)
	}
}
