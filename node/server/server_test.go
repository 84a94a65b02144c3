package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"ordeal/node/freeport"
)

// silent keeps the other client's log out of the tests' output.
type silent struct{}

func (silent) Printf(string, ...any) {}

// client is an independent implementation of the protocol, connected to these members.
func client(t *testing.T, members ...*running) *zk.Conn {
	t.Helper()
	var addresses []string
	for _, r := range members {
		addresses = append(addresses, r.clientAddress())
	}
	c, _, err := zk.Connect(addresses, 4*time.Second, zk.WithLogger(silent{}))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

var open = zk.WorldACL(zk.PermAll)

// retry repeats an operation whose connection may get lost while servers come and go.
func retry(t *testing.T, operation func() error) {
	t.Helper()
	require.Eventually(t, func() bool {
		err := operation()
		if errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrNoServer) || errors.Is(err, zk.ErrSessionExpired) {
			return false
		}
		require.NoError(t, err)
		return true
	}, patience, 10*time.Millisecond)
}

func TestStandaloneServerKeepsWhatItAnswered(t *testing.T) {
	config := standaloneConfig(t, "", nil)
	r := start(t, config)
	c := client(t, r)
	retry(t, func() error {
		_, err := c.Create("/kept", []byte("value"), 0, open)
		return err
	})
	_, _, watch, err := c.GetW("/kept")
	require.NoError(t, err)
	_, err = c.Set("/kept", []byte("newer"), 0)
	require.NoError(t, err)
	require.Equal(t, zk.EventNodeDataChanged, (<-watch).Type)
	_, err = c.Create("/gone", nil, zk.FlagEphemeral, open)
	require.NoError(t, err)
	c.Close()
	require.NoError(t, r.stop())

	r = start(t, config)
	c = client(t, r)
	retry(t, func() error {
		_, err := c.Sync("/kept")
		return err
	})
	data, stat, err := c.Get("/kept")
	require.NoError(t, err)
	require.Equal(t, "newer", string(data))
	require.EqualValues(t, 1, stat.Version)
	exists, _, err := c.Exists("/gone")
	require.NoError(t, err)
	require.False(t, exists)
}

func TestThreeMembersServeOneTree(t *testing.T) {
	t.Parallel()
	var members []*running
	for _, config := range ensembleConfigs(t, 3) {
		members = append(members, start(t, config))
	}
	all := client(t, members...)
	retry(t, func() error {
		_, err := all.Create("/shared", nil, 0, open)
		return err
	})
	leader := -1
	for i, r := range members {
		r.eventually(func() bool { return r.mode() == "leader" || r.mode() == "follower" }, "a role")
		if r.mode() == "leader" {
			require.Equal(t, -1, leader, "two leaders")
			leader = i
		}
	}
	require.NotEqual(t, -1, leader)

	// Each member takes writes and shows those of the others after a sync.
	for i, r := range members {
		c := client(t, r)
		_, err := c.Create(fmt.Sprintf("/shared/%d", i), nil, zk.FlagEphemeral, open)
		require.NoError(t, err)
		_, err = c.Sync("/shared")
		require.NoError(t, err)
		children, _, err := c.Children("/shared")
		require.NoError(t, err)
		require.Len(t, children, i+1)
	}

	// Without its leader the ensemble elects another, and goes on with what was answered.
	require.NoError(t, members[leader].stop())
	left := append(append([]*running{}, members[:leader]...), members[leader+1:]...)
	c := client(t, left...)
	retry(t, func() error {
		_, err := c.Set("/shared", []byte("without the old leader"), 0)
		return err
	})

	// What the old leader missed is more than its peers keep in memory: it gets a snapshot.
	for i := range 1500 {
		retry(t, func() error {
			_, err := c.Create(fmt.Sprintf("/shared/n%04d", i), []byte(strings.Repeat("x", 100)), 0, open)
			if errors.Is(err, zk.ErrNodeExists) {
				err = nil
			}
			return err
		})
	}
	back := start(t, members[leader].config)
	// The tree goes on changing while it is sent.
	for done := false; !done; done = back.mode() == "follower" {
		retry(t, func() error {
			_, err := c.Set("/shared/n0000", []byte("beside the snapshot"), -1)
			return err
		})
	}
	c = client(t, back)
	_, err := c.Sync("/shared")
	require.NoError(t, err)
	_, stat, err := c.Get("/shared/n1499")
	require.NoError(t, err)
	require.NotZero(t, stat.Czxid)
	require.Contains(t, back.log.String(), "SNAP")
	require.NotContains(t, back.log.String(), "the tree is not what the leader expects")
}

func TestPortThatIsTaken(t *testing.T) {
	config := ensembleConfigs(t, 3)[0]
	self := config.self()
	for purpose, address := range map[string]string{
		"client":   net.JoinHostPort("127.0.0.1", fmt.Sprint(config.ClientPort)),
		"election": self.ElectionAddress(),
		"learner":  self.QuorumAddress(),
	} {
		listener, err := net.Listen("tcp", address)
		require.NoError(t, err)
		err = start(t, config).wait()
		require.ErrorContains(t, err, "cannot open the "+purpose+" port")
		require.ErrorContains(t, err, "address already in use")
		require.NoError(t, listener.Close())
	}
}

func TestDataDirectoryInUse(t *testing.T) {
	config := standaloneConfig(t, "", nil)
	start(t, config).mode()
	other := *config
	other.ClientPort = freeport.Take(t)
	require.ErrorContains(t, start(t, &other).wait(), "another server may be using this directory")
}

// A disk that fails ends the server: it must not go on to answer what it cannot keep.
func TestServerThatLosesItsDisk(t *testing.T) {
	config := standaloneConfig(t, "", nil)
	r := start(t, config)
	require.Equal(t, "standalone", r.mode())
	require.NoError(t, os.RemoveAll(config.snapshotDir()))
	tcp := r.dial(r.clientAddress())
	write(t, tcp, connectRequest(1000)) // a session is a transaction
	requireClosed(t, tcp)
	err := r.wait()
	require.ErrorContains(t, err, "the server cannot go on")
	require.ErrorContains(t, err, "no such file or directory")
}

func TestDataDirectoryThatIsNone(t *testing.T) {
	config := standaloneConfig(t, "", nil)
	config.DataDir = writeFile(t, filepath.Join(t.TempDir(), "file"), "")
	require.ErrorContains(t, start(t, config).wait(), "not a directory")
}

// wait returns how a server ended that ends by itself.
func (r *running) wait() error {
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.t.Error("the server goes on")
	}
	return r.err
}
