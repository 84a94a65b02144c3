//go:build integration

package duel

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/apachetest"
	"ordeal/node/freeport"
)

// NeedAdminServer skips the test where StartApache's server cannot answer admin commands; under CI=true it
// fails.
func NeedAdminServer(t *testing.T) {
	t.Helper()
	apachetest.Need(t, apachetest.ServletAPI)
}

// Apache is one server of Apache ZooKeeper.
type Apache struct {
	*apachetest.Server
	Address string // of its client port
	DataDir string
}

// StartApache runs a standalone server, with extended types, and the given lines added to its zoo.cfg. The
// test is skipped where Apache ZooKeeper is not installed, and fails there under CI=true.
func StartApache(t *testing.T, settings ...string) *Apache {
	t.Helper()
	a := runApache(t, settings)
	a.awaitMode(t, "standalone")
	return a
}

// StartApacheEnsemble runs three servers, and returns those that follow and the one that leads.
func StartApacheEnsemble(t *testing.T, settings ...string) (followers []*Apache, leader *Apache) {
	t.Helper()
	const members = 3
	settings = append(settings, "initLimit=20", "syncLimit=10")
	for id := 1; id <= members; id++ {
		settings = append(settings, fmt.Sprintf("server.%d=127.0.0.1:%d:%d", id, freeport.Take(t), freeport.Take(t)))
	}
	var all []*Apache
	for id := 1; id <= members; id++ {
		all = append(all, runApache(t, settings, fmt.Sprint(id)))
	}
	for _, a := range all {
		switch a.awaitMode(t, "leader", "follower") {
		case "leader":
			leader = a
		default:
			followers = append(followers, a)
		}
	}
	return followers, leader
}

func runApache(t *testing.T, settings []string, myid ...string) *Apache {
	t.Helper()
	port := freeport.Take(t)
	dir := t.TempDir()
	for _, id := range myid {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "myid"), []byte(id), 0o600))
	}
	lines := append([]string{
		"tickTime=2000", "dataDir=" + dir, fmt.Sprintf("clientPort=%d", port), "clientPortAddress=127.0.0.1",
		"admin.enableServer=false", "extendedTypesEnabled=true", "4lw.commands.whitelist=*", "maxClientCnxns=0",
		"forceSync=no", // nobody cuts the power
		"DigestAuthenticationProvider.superDigest=" + SuperDigest,
	}, settings...)
	return &Apache{Server: apachetest.Start(t, lines), Address: fmt.Sprintf("127.0.0.1:%d", port), DataDir: dir}
}

// awaitMode waits until the server serves in one of the modes, and returns which.
func (a *Apache) awaitMode(t *testing.T, modes ...string) string {
	t.Helper()
	mode := ""
	require.Eventually(t, func() bool {
		mode = Mode(a.Address)
		for _, wanted := range modes {
			if mode == wanted {
				return true
			}
		}
		return false
	}, patience, 50*time.Millisecond, "Apache ZooKeeper does not serve")
	return mode
}

// Mode is what srvr says that the server at an address is; empty if it does not serve.
func Mode(address string) string {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return ""
	}
	defer conn.Close()
	// A server that is about to start may accept and never answer.
	if conn.SetDeadline(time.Now().Add(time.Second)) != nil {
		return ""
	}
	if _, err = conn.Write([]byte("srvr")); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(conn)
	_, mode, _ := strings.Cut(string(answer), "Mode: ")
	mode, _, _ = strings.Cut(mode, "\n")
	return mode
}
