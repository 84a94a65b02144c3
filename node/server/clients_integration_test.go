//go:build integration

package server

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"ordeal/node/apachetest"
)

// These tests let other people's clients, as they are, use an ensemble of three servers.

// clientPatience bounds the run of one program.
const clientPatience = 2 * time.Minute

// members starts three servers, with more lines in their zoo.cfg, and returns where their clients connect, as all
// clients take it.
func members(t *testing.T, more ...string) (all []*running, addresses string) {
	t.Helper()
	all = startTwins(t, more...)
	var list []string
	for _, r := range all {
		list = append(list, r.clientAddress())
	}
	return all, strings.Join(list, ",")
}

// needs skips a test whose programs or files are not there, and fails it under CI=true.
func needs(t *testing.T, packages string, files ...string) {
	t.Helper()
	for _, file := range files {
		_, err := exec.LookPath(file)
		if strings.HasSuffix(file, ".jar") || strings.HasSuffix(file, ".py") {
			_, err = os.Stat(file)
		}
		if err == nil {
			continue
		}
		apachetest.Missing(t, fmt.Errorf("%w: apt-get install %s", err, packages))
	}
}

// runs runs a program to its end and returns what it said; it must succeed.
func runs(t *testing.T, input string, program string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientPatience)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s %s: %s", program, strings.Join(arguments, " "), output)
	return string(output)
}

func TestIntegrationZkCli(t *testing.T) {
	const zkCli = "/usr/share/zookeeper/bin/zkCli.sh"
	needs(t, "zookeeper openjdk-17-jre-headless", zkCli, "java")
	_, addresses := members(t)
	said := runs(t, strings.Join([]string{
		"create /cli one", "create -s /cli/seq- two", "create -e /cli/eph three", "create -c /cli-container", "create -t 100000 /cli-ttl four",
		"get -s /cli", "set -v 0 /cli uno", "set -v 0 /cli due", "ls -R /cli", "getAcl /cli", "addauth digest user:secret",
		"setAcl /cli/seq-0000000000 auth:user:secret:cdrwa", "getAcl /cli/seq-0000000000", "setquota -n 5 /cli", "listquota /cli",
		"delquota /cli", "getEphemerals /cli", "getAllChildrenNumber /cli", "sync /cli", "whoami", "config",
		"addWatch -m PERSISTENT_RECURSIVE /cli", "set /cli watched", "removewatches /cli", "create /cli/x/y", "delete /cli", "deleteall /cli", "ls /",
	}, "\n")+"\nquit\n", zkCli, "-server", addresses)
	for _, expected := range []string{
		"Created /cli/seq-0000000000", "Created /cli-container", "Created /cli-ttl", "\none\n", "dataVersion = 0",
		"version No is not valid : /cli", "\n/cli/eph\n", "'world,'anyone", "'digest,'user:", "Output quota for /cli count=5",
		"Output stat for /cli count=3,bytes=11", "[/cli/eph]", "\n2\n", "Sync is OK", "digest: user", "server.1=127.0.0.1:", "version=0",
		"type:NodeDataChanged path:/cli", "type:PersistentWatchRemoved path:/cli", "Node does not exist: /cli/x/y", "Node not empty: /cli",
		"[cli-container, cli-ttl, zookeeper]",
	} {
		require.Contains(t, said, expected)
	}
}

// TestIntegrationCClient drives the C library by the two programs that come with it.
func TestIntegrationCClient(t *testing.T) {
	const cli, loadGen = "/usr/lib/zookeeper/bin/cli_mt", "/usr/lib/zookeeper/bin/load_gen"
	needs(t, "zookeeper-bin", cli, loadGen)
	_, addresses := members(t)
	for _, step := range []struct{ command, expected string }{
		{"create /c", "rc = 0"},
		{"set /c hello", "/c: rc = 0"},
		{"get /c", "value_len = 5\nhello"},
		{"create2 /c/child", "rc = 0"},
		{"ls2 /c", "\tchild\n"},
		{"delete /c", "/c: rc = -111"},
		{"delete /c/child", "/c/child: rc = 0"},
	} {
		require.Contains(t, runs(t, "", cli, "-h", addresses, "-c", step.command), step.expected, step.command)
	}

	// load_gen goes round without an end: creates, writes, reads and deletes children, and complains of what fails.
	ctx, cancel := context.WithTimeout(t.Context(), clientPatience)
	defer cancel()
	command := exec.CommandContext(ctx, loadGen, addresses, "/load", "100")
	output := &logBuffer{}
	command.Stdout, command.Stderr = output, output
	require.NoError(t, command.Start())
	require.Eventually(t, func() bool { return strings.Count(output.String(), "Starting the delete cycle") >= 2 }, clientPatience, 10*time.Millisecond)
	cancel()
	_ = command.Wait() // it was killed
	require.NotContains(t, output.String(), "ZOO_ERROR")
}

func TestIntegrationKazoo(t *testing.T) {
	const python, kazoo = "/usr/bin/python3", "/usr/lib/python3/dist-packages/kazoo/client.py"
	needs(t, "python3-kazoo", python, kazoo)
	_, addresses := members(t)
	said := runs(t, "", python, filepath.Join("testdata", "clients", "kazoo_driver.py"), addresses)
	require.Contains(t, said, "ok barriers_and_parties")
}

func TestIntegrationCurator(t *testing.T) {
	var jars []string
	for _, name := range []string{
		"curator-framework", "curator-recipes", "curator-client", "guava", "zookeeper", "slf4j-api", "slf4j-nop",
		"jackson-databind", "jackson-core", "jackson-annotations",
	} {
		jars = append(jars, "/usr/share/java/"+name+".jar")
	}
	needs(t, "libcurator-recipes-java openjdk-17-jdk-headless", append(jars, "javac", "java")...)
	classes := t.TempDir()
	classPath := strings.Join(append(jars, classes), ":")
	runs(t, "", "javac", "-cp", classPath, "-d", classes, filepath.Join("testdata", "clients", "CuratorDriver.java"))
	_, addresses := members(t)
	require.Contains(t, runs(t, "", "java", "-cp", classPath, "CuratorDriver", addresses), "ok persistent nodes")
}

// TestIntegrationGoClient is about what only a client with several servers does: it goes on elsewhere with its session and
// watches when a server ends.
func TestIntegrationGoClient(t *testing.T) {
	all, addresses := members(t)
	connection, _, err := zk.Connect(strings.Split(addresses, ","), 20*time.Second, zk.WithLogger(silent{}))
	require.NoError(t, err)
	defer connection.Close()
	retry(t, func() error {
		_, err := connection.Create("/go", nil, 0, open)
		return err
	})
	_, err = connection.CreateProtectedEphemeralSequential("/go/e-", nil, open)
	require.NoError(t, err)
	lock := zk.NewLock(connection, "/go/lock", open)
	require.NoError(t, lock.Lock())
	_, _, watch, err := connection.ChildrenW("/go")
	require.NoError(t, err)
	session := connection.SessionID()
	for _, r := range all {
		if r.clientAddress() == connection.Server() {
			require.NoError(t, r.stop())
			break
		}
	}
	retry(t, func() error {
		_, err := connection.Create("/go/after", nil, 0, open)
		return err
	})
	require.Equal(t, session, connection.SessionID())
	require.Equal(t, zk.EventNodeChildrenChanged, (<-watch).Type)
	retry(t, lock.Unlock)
	_, err = connection.Multi(&zk.CreateRequest{Path: "/go/multi", Acl: open}, &zk.CheckVersionRequest{Path: "/go", Version: 0}, &zk.DeleteRequest{Path: "/go/multi"})
	require.NoError(t, err)
}
