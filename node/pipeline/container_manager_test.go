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

// TestContainerSettings: how often is looked, how many go in a minute, and how long an unused one may wait.
func TestContainerSettings(t *testing.T) {
	settings := Containers{CheckInterval: 30 * time.Second, PerMinuteMax: 4, NeverUsedMax: 40 * time.Second}
	w := newWorld(t, func(c *Config) { c.SessionTimeoutMax, c.Containers = time.Hour, settings })
	c := w.open()
	c.handshake(jute.ConnectRequest{TimeOut: 3_600_000})
	unused := []string{"/a", "/b", "/c"}
	for _, path := range unused {
		require.Equal(t, jute.Ok, c.ask(jute.OpCreateContainer, createOf(path, jute.FlagContainer), &jute.Create2Response{}))
	}
	left := func() (count int) {
		for _, path := range unused {
			if _, ok := w.tree.Stat(path); ok {
				count++
			}
		}
		return count
	}
	w.pass(31 * time.Second)
	require.Equal(t, 3, left(), "they may still be used")
	w.pass(30 * time.Second)
	require.Equal(t, 1, left(), "two in half a minute")
	w.pass(30 * time.Second)
	require.Zero(t, left())
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

// TestContainerThatIsReplacedMeanwhileStays: what was found in the tree may be something else, or younger, by the time
// at which it would go.
func TestContainerThatIsReplacedMeanwhileStays(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ExtendedTypes, c.SessionTimeoutMax = true, time.Hour })
	c := w.open()
	c.handshake(jute.ConnectRequest{TimeOut: 3_600_000})
	replaced, renewed, refreshed := "/replaced", "/renewed", "/refreshed"
	for _, path := range []string{replaced, renewed} {
		require.Equal(t, jute.Ok, c.ask(jute.OpCreateContainer, createOf(path, jute.FlagContainer), &jute.Create2Response{}))
		c.mustCreate(path+"/child", 0)
		require.Equal(t, jute.Ok, c.ask(jute.OpDelete, jute.DeleteRequest{Path: path + "/child", Version: -1}, nil))
	}
	require.Equal(t, jute.Ok, c.ask(jute.OpCreateTTL, jute.CreateTTLRequest{Path: refreshed, ACL: jute.OpenACL(), Flags: jute.FlagPersistentTTL, TTL: 1000}, &jute.Create2Response{}))
	w.pass(containerCheckInterval - 20*time.Millisecond)
	w.slowDisk = true
	c.send(jute.OpDelete, jute.DeleteRequest{Path: replaced, Version: -1})
	c.send(jute.OpCreate, createOf(replaced, jute.FlagPersistent))
	c.send(jute.OpDelete, jute.DeleteRequest{Path: renewed, Version: -1})
	c.send(jute.OpCreateContainer, createOf(renewed, jute.FlagContainer))
	c.send(jute.OpSetData, jute.SetDataRequest{Path: refreshed, Data: []byte("kept"), Version: -1})
	before := len(w.log)
	w.pass(30 * time.Millisecond)
	require.Len(t, w.log, before+3, "all three are candidates in the tree as it is")
	w.slowDisk = false
	w.settle()
	for _, reply := range c.receive() {
		require.Equal(t, jute.Ok, reply.header.Err)
	}
	for _, path := range []string{replaced, renewed, refreshed} {
		_, ok := w.tree.Stat(path)
		require.True(t, ok, path)
	}
}
