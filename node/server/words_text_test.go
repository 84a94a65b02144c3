package server

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/peer"
	"ordeal/node/quorum"
)

// TestWordsGoByTheMembershipOfNow: what a reconfiguration has changed shows, not what the server was started with.
func TestWordsGoByTheMembershipOfNow(t *testing.T) {
	config, _, err := load(t, ensembleText, nil)
	require.NoError(t, err)
	w := &words{config: config}
	started := w.conf(peer.State{})
	for _, line := range []string{"clientPort=2181\n", "quorumPort=1\n", "electionPort=2\n", "peerType=0\n"} {
		require.Contains(t, started, line)
	}
	for text, want := range map[string]struct {
		lines  []string
		client string
		voting bool
	}{
		"server.1=a:1:2;3\nserver.2=b:11:12:observer;13\nversion=100000002": {[]string{"clientPort=13\n", "quorumPort=11\n", "electionPort=12\n", "peerType=1\n"}, "0.0.0.0:13", false},
		"server.1=a:1:2;3\nserver.2=b:11:12;h:13\nversion=100000003":        {[]string{"clientPort=13\n", "peerType=0\n"}, "h:13", true},
		"server.1=a:1:2;3\nversion=100000004":                               {[]string{"clientPort=2181\n", "quorumPort=1\n", "peerType=1\n"}, "0.0.0.0:2181", false},
	} {
		present, err := quorum.Parse(text)
		require.NoError(t, err)
		state := peer.State{Membership: peer.Membership{Present: present}}
		for _, line := range want.lines {
			require.Contains(t, w.conf(state), line, text)
		}
		zab := fmt.Sprint(w.adminZabState(state, nil))
		require.Contains(t, zab, fmt.Sprintf("{client_address %s}", want.client))
		require.Contains(t, zab, fmt.Sprintf("{voting %t}", want.voting))
	}
}

// TestDirsAreNotSwapped (ZOOKEEPER-4730).
func TestDirsAreNotSwapped(t *testing.T) {
	config, dir, err := load(t, standaloneText+"dataLogDir=DIR/log\n", nil)
	require.NoError(t, err)
	writeFile(t, filepath.Join(dir, "version-2", "snapshot.0"), "12345")
	writeFile(t, filepath.Join(dir, "log", "version-2", "log.1"), "123")
	w := &words{config: config}
	require.Equal(t, "datadir_size: 5\nlogdir_size: 3\n", w.dirs(peer.State{}))
	require.Equal(t, object{{"datadir_size", int64(5)}, {"logdir_size", int64(3)}}, w.adminDirs(peer.State{}, nil))
}

// TestSecureConnections are those of the port that takes TLS alone.
func TestSecureConnections(t *testing.T) {
	for want, secured := range map[bool][]*security{true: {{}}, false: {nil, {unify: true}}} {
		for _, one := range secured {
			require.Equal(t, want, (&clientConn{secured: one}).securePort())
		}
	}
}
