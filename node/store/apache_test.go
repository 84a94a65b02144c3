//go:build integration

package store

import (
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"ordeal/node/apachetest"
	"ordeal/node/disk"
	"ordeal/node/freeport"
	"ordeal/node/tree"
)

const (
	// startLimit is how long a JVM may take on a busy machine.
	startLimit = 60 * time.Second
	// sessionTimeout outlives every test. A session of a server that was killed would otherwise end at its
	// successor, and take its ephemeral znodes along, between what a client saw and what the disk has.
	sessionTimeout = 10 * time.Minute
)

// apache is a standalone server on a data directory.
type apache struct {
	*apachetest.Server
	address string
}

func startApache(t *testing.T, dataDir, logDir string, properties ...string) *apache {
	return startMember(t, dataDir, logDir, freeport.Take(t), "", properties...)
}

// startMember starts a server with more lines in its zoo.cfg.
func startMember(t *testing.T, dataDir, logDir string, port int, more string, properties ...string) *apache {
	lines := []string{
		"tickTime=500", "initLimit=20", "syncLimit=10", "dataDir=" + dataDir, "dataLogDir=" + logDir,
		fmt.Sprintf("clientPort=%d", port), "clientPortAddress=127.0.0.1", "admin.enableServer=false",
		"4lw.commands.whitelist=*", fmt.Sprintf("maxSessionTimeout=%d", sessionTimeout.Milliseconds()), more,
	}
	properties = append([]string{"-Dzookeeper.extendedTypesEnabled=true"}, properties...)
	return &apache{Server: apachetest.Start(t, lines, properties...), address: fmt.Sprintf("127.0.0.1:%d", port)}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func (a *apache) connect(t *testing.T) *zk.Conn { return connect(t, a.address) }

func connect(t *testing.T, addresses ...string) *zk.Conn {
	waitServing(t, addresses)
	connection, events, err := zk.Connect(addresses, sessionTimeout, zk.WithLogger(quiet{}))
	require.NoError(t, err)
	t.Cleanup(connection.Close)
	deadline := time.After(startLimit)
	for {
		select {
		case event := <-events:
			if event.State == zk.StateHasSession {
				return connection
			}
		case <-deadline:
			t.Fatalf("Apache's server did not give a session within %s", startLimit)
		}
	}
}

// waitServing asks until a server says that it serves. A client that comes while Apache's server is
// loading its database makes it stumble (a NullPointerException in NIOServerCnxn.close), and may wait
// for an answer that never comes.
func waitServing(t *testing.T, addresses []string) {
	require.Eventually(t, func() bool {
		for _, address := range addresses {
			if text, err := ask(address, "srvr"); err == nil && strings.Contains(text, "Mode: ") {
				return true
			}
		}
		return false
	}, startLimit, 50*time.Millisecond, "no server of Apache's at %v serves", addresses)
}

// ask sends a four-letter word on a connection of its own.
func ask(address, word string) (string, error) {
	connection, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := connection.Write([]byte(word)); err != nil {
		return "", err
	}
	text, err := io.ReadAll(connection)
	return string(text), err
}

// load makes the server log transactions of many kinds.
func load(t *testing.T, c *zk.Conn, root string, n int) {
	open := zk.WorldACL(zk.PermAll)
	create := func(path string, flags int32, acl []zk.ACL) string {
		name, err := c.Create(path, []byte("data of "+path), flags, acl)
		require.NoError(t, err)
		return name
	}
	create(root, 0, open)
	create(root+"/deep", 0, zk.DigestACL(zk.PermAll, "user", "password"))
	for i := range n {
		plain := create(fmt.Sprintf("%s/n%d", root, i), 0, open)
		create(plain+"/ephemeral", zk.FlagEphemeral, open)
		create(root+"/seq-", zk.FlagSequence, open)
		_, err := c.Set(plain, []byte(fmt.Sprintf("changed %d \u00e4\u4e2d", i)), -1)
		require.NoError(t, err)
		_, err = c.Create(plain, nil, 0, open)
		require.ErrorIs(t, err, zk.ErrNodeExists)
		if i%3 == 0 {
			require.NoError(t, c.Delete(plain+"/ephemeral", -1))
			_, err = c.SetACL(plain, append(zk.WorldACL(zk.PermRead), zk.DigestACL(zk.PermAll, "u", fmt.Sprint(i))...), -1)
			require.NoError(t, err)
		}
		_, err = c.Multi(
			&zk.CreateRequest{Path: fmt.Sprintf("%s/m%d", root, i), Acl: open},
			&zk.SetDataRequest{Path: root, Data: []byte(fmt.Sprint(i)), Version: -1},
			&zk.CheckVersionRequest{Path: root, Version: -1})
		require.NoError(t, err)
		_, err = c.Multi(
			&zk.CreateRequest{Path: fmt.Sprintf("%s/never%d", root, i), Acl: open},
			&zk.DeleteRequest{Path: root + "/missing", Version: -1})
		require.Error(t, err)
	}
}

// view is a tree as clients see it.
func view(t *testing.T, c *zk.Conn, at string, into map[string]string) map[string]string {
	data, stat, err := c.Get(at)
	if err == zk.ErrNoAuth {
		_, stat, err = c.Exists(at)
		data = []byte("?")
	}
	require.NoError(t, err, at)
	into[at] = fmt.Sprintf("%q %+v", data, *stat)
	children, _, err := c.Children(at)
	if err == zk.ErrNoAuth {
		return into
	}
	require.NoError(t, err, at)
	for _, child := range children {
		view(t, c, path.Join(at, child), into)
	}
	return into
}

// sameView compares a tree with what clients saw of the same state.
func sameView(t *testing.T, seen map[string]string, recovered *tree.Tree) {
	t.Helper()
	paths := make([]string, 0, len(seen))
	for path := range seen {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	for _, path := range paths {
		data, stat, ok := recovered.GetData(path)
		require.True(t, ok, "%s is missing", path)
		if strings.HasPrefix(seen[path], `"?"`) {
			data = []byte("?")
		}
		require.Equal(t, seen[path], fmt.Sprintf("%q %+v", data, zk.Stat{
			Czxid: stat.Czxid, Mzxid: stat.Mzxid, Ctime: stat.Ctime, Mtime: stat.Mtime, Version: stat.Version,
			Cversion: stat.Cversion, Aversion: stat.Aversion, EphemeralOwner: stat.EphemeralOwner,
			DataLength: stat.DataLength, NumChildren: stat.NumChildren, Pzxid: stat.Pzxid,
		}), path)
	}
	count := 0
	recovered.Walk(func(string, tree.Znode) bool { count++; return true })
	require.Equal(t, len(seen), count, "the number of znodes")
}

// TestIntegrationReadsWhatApacheWrote kills Apache's server under load and compares what is on its disk with what
// its clients saw, from each of its snapshots.
func TestIntegrationReadsWhatApacheWrote(t *testing.T) {
	apachetest.Need(t)
	for _, compression := range []Compression{Plain, Gzip, Snappy} {
		t.Run(string(compression)+" snapshots", func(t *testing.T) {
			if compression == Snappy {
				apachetest.Need(t, apachetest.Snappy)
			}
			data, logs := t.TempDir(), t.TempDir()
			properties := []string{"-Dzookeeper.snapCount=100", "-Dzookeeper.snapshot.compression.method=" + string(compression)}
			server := startApache(t, data, logs, properties...)
			client := server.connect(t)
			load(t, client, "/first", 60)
			server.Kill()
			server = startApache(t, data, logs, properties...)
			client = server.connect(t)
			load(t, client, "/second", 20)
			seen := view(t, client, "/", map[string]string{})
			server.Kill()

			snapshots, err := listSnapshots(osFS{}, filepath.Join(data, versionDir))
			require.NoError(t, err)
			require.Greater(t, len(snapshots), 3)
			whole := 0
			for _, snapshot := range snapshots {
				if verifySnapshot(osFS{}, snapshot) == nil {
					require.Equal(t, compression, snapshot.compression)
					state, err := ReadDir(data, logs)
					require.NoError(t, err, "from %s", snapshot.path)
					sameView(t, seen, state.Tree)
					whole++
				}
				require.NoError(t, os.Remove(snapshot.path))
			}
			require.Greater(t, whole, 2)
		})
	}
}

// TestIntegrationReadsWhatAnEnsembleOfApacheWrote kills each server of an ensemble in turn, so that leaders change
// and learners catch up, then all of them, and reads every disk: there is no false alarm about holes
// or digests, and what was written last is on each.
func TestIntegrationReadsWhatAnEnsembleOfApacheWrote(t *testing.T) {
	apachetest.Need(t)
	const members = 3
	var ports []int
	for range 3 * members {
		ports = append(ports, freeport.Take(t))
	}
	var more strings.Builder
	for id := 1; id <= members; id++ {
		fmt.Fprintf(&more, "server.%d=127.0.0.1:%d:%d\n", id, ports[3*id-2], ports[3*id-1])
	}
	var dirs [members]string
	var servers [members]*apache
	var addresses []string
	start := func(i int) {
		servers[i] = startMember(t, dirs[i], dirs[i], ports[3*i], more.String(), "-Dzookeeper.snapCount=100")
	}
	for i := range members {
		dirs[i] = t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dirs[i], "myid"), []byte(fmt.Sprint(i+1)), 0o644))
		start(i)
		addresses = append(addresses, servers[i].address)
	}
	load(t, connect(t, addresses...), "/all", 30)
	for i := range members {
		servers[i].Kill()
		load(t, connect(t, addresses...), fmt.Sprintf("/without%d", i+1), 30)
		start(i)
		connect(t, servers[i].address).Close()
	}
	last := connect(t, addresses...)
	load(t, last, "/last", 5)
	seen := view(t, last, "/", map[string]string{})
	for _, address := range addresses {
		member := connect(t, address)
		_, err := member.Sync("/")
		require.NoError(t, err)
	}
	for _, server := range servers {
		server.Kill()
	}
	for i := range members {
		state, err := ReadDir(dirs[i], "")
		require.NoError(t, err)
		for path := range seen {
			if !strings.HasPrefix(path, "/last") {
				continue // ephemeral znodes of sessions that may have ended since
			}
			require.True(t, has(state.Tree, path), "member %d has no %s", i+1, path)
		}
	}
}

// TestIntegrationApacheServesWhatTheStoreWrote goes the other way: our store carries on a directory of Apache's,
// and Apache's server then carries on ours.
func TestIntegrationApacheServesWhatTheStoreWrote(t *testing.T) {
	apachetest.Need(t)
	for _, compression := range []Compression{Plain, Gzip, Snappy} {
		t.Run(string(compression)+" snapshots", func(t *testing.T) {
			if compression == Snappy {
				apachetest.Need(t, apachetest.Snappy)
			}
			data := t.TempDir()
			server := startApache(t, data, data)
			load(t, server.connect(t), "/theirs", 10)
			server.Kill()

			options := Options{DataDir: data, Compression: compression, Tree: tree.Options{DigestEnabled: true, ExtendedTypes: true}}
			s, state := openTest(t, options)
			r := run(s)
			next := state.Tree.LastZxid()
			appendOurs := func() {
				for range 50 {
					next++
					entry := digested(state.Tree, next)
					r.must(t, disk.Operation{Kind: disk.Append, Entry: entry}, disk.Operation{Kind: disk.Sync})
				}
			}
			appendOurs()
			r.must(t, disk.Operation{Kind: disk.TakeSnapshot, Snapshot: state.Tree.Snapshot()})
			appendOurs()
			require.NoError(t, r.stop())
			for _, untidy := range []string{"whole", "only our snapshot"} {
				if untidy != "whole" {
					snapshots, err := listSnapshots(osFS{}, filepath.Join(data, versionDir))
					require.NoError(t, err)
					for _, snapshot := range snapshots {
						if snapshot.zxid != next-50 {
							require.NoError(t, os.Remove(snapshot.path))
						}
					}
				}
				server = startApache(t, data, data, "-Dzookeeper.snapshot.compression.method="+string(compression))
				client := server.connect(t)
				for z := next - 99; z <= next; z++ {
					found, stat, err := client.Get(fmt.Sprintf("/n%x", z))
					require.NoError(t, err)
					require.Equal(t, string(dataAt(z)), string(found))
					require.Equal(t, z, stat.Czxid)
				}
				require.Equal(t, "0", mntr(t, server.address, "zk_digest_mismatches_count"), "Apache compares our digests with its own")
				server.Kill()
			}
		})
	}
}

// mntr asks a server for one of its metrics.
func mntr(t *testing.T, address, key string) string {
	text, err := ask(address, "mntr")
	require.NoError(t, err)
	for _, line := range strings.Split(text, "\n") {
		if value, ok := strings.CutPrefix(line, key+"\t"); ok {
			return value
		}
	}
	return "no " + key + " in: " + text
}

func has(t *tree.Tree, path string) bool {
	_, ok := t.Node(path)
	return ok
}
