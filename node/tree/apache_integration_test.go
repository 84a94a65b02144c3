//go:build integration

package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ordeal/node/apachetest"
	"ordeal/node/freeport"
	"ordeal/node/jute"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// startApache runs a standalone server on a fresh directory and returns its client address and the
// directory of its files. stop ends it.
func startApache(t *testing.T, settings ...string) (address, files string, stop func()) {
	t.Helper()
	dir := t.TempDir()
	port := freeport.Take(t)
	config := append([]string{
		"tickTime=500", "dataDir=" + dir, fmt.Sprintf("clientPort=%d", port), "clientPortAddress=127.0.0.1",
		"admin.enableServer=false", "preAllocSize=64",
	}, settings...)
	server := apachetest.Start(t, config)
	return fmt.Sprintf("127.0.0.1:%d", port), filepath.Join(dir, "version-2"), server.Kill
}

// connect opens a session.
func connect(t *testing.T, address string) *zk.Conn {
	t.Helper()
	conn, events, err := zk.Connect([]string{address}, 10*time.Second, zk.WithLogger(silent{}))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	deadline := time.After(time.Minute)
	for {
		select {
		case event := <-events:
			if event.State == zk.StateHasSession {
				return conn
			}
		case <-deadline:
			t.Fatal("no session with Apache's server within a minute")
		}
	}
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// numbered lists an Apache server's files of one kind by their zxid.
func numbered(t *testing.T, dir, prefix string) (names []string, zxids []int64) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		if hex, found := strings.CutPrefix(entry.Name(), prefix); found {
			zxid, err := strconv.ParseInt(hex, 16, 64)
			require.NoError(t, err)
			names, zxids = append(names, filepath.Join(dir, entry.Name())), append(zxids, zxid)
		}
	}
	return names, zxids
}

const fileHeaderSize = 16

// apacheLog reads all logged transactions (protocol.md 4.1).
func apacheLog(t *testing.T, dir string) []logged {
	files, _ := numbered(t, dir, "log.")
	var log []logged
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for d := jute.NewDecoder(data[fileHeaderSize:]); d.Remaining() > 0; d.Byte() {
			d.Long() // the checksum
			payload := d.Buffer()
			if len(payload) == 0 || d.Err() != nil {
				break
			}
			header, txn, digest, err := jute.DecodePayload(payload)
			require.NoError(t, err)
			entry := logged{header: header, txn: txn}
			if digest != nil {
				entry.digest = *digest
			}
			log = append(log, entry)
		}
	}
	slices.SortFunc(log, func(a, b logged) int { return int(a.header.Zxid - b.header.Zxid) })
	return log
}

// apacheSnapshot reads a snapshot with its trailer (protocol.md 4.2); nil if the server was stopped
// before it had written all of it.
func apacheSnapshot(t *testing.T, file string, zxid int64) *Tree {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	if !bytes.HasSuffix(data, []byte{0, 0, 0, 1, '/'}) {
		return nil
	}
	d := jute.NewDecoder(data[fileHeaderSize:])
	tree, err := ReadSnapshot(d, testOptions)
	require.NoError(t, err)
	tree.SetLastZxid(zxid)
	d.Long() // the checksum
	require.Equal(t, snapshotEnd, d.String())
	last, version, digest := d.Long(), d.Int(), d.Long()
	require.NoError(t, d.Err())
	require.Equal(t, jute.DigestVersion, version)
	require.NoError(t, tree.ExpectDigest(last, digest))
	return tree
}

// writeAtRandom does a bit of everything that changes a tree.
func writeAtRandom(conn *zk.Conn, home string, random *rand.Rand, writes int) error {
	open := zk.WorldACL(zk.PermAll)
	if _, err := conn.Create(home, nil, 0, open); err != nil {
		return err
	}
	for i := range writes {
		path := fmt.Sprintf("%s/%d", home, random.IntN(20))
		data := []byte(fmt.Sprintf("%d", i))
		var err error
		switch random.IntN(10) {
		case 0, 1:
			_, err = conn.Create(path, data, 0, open)
		case 2:
			_, err = conn.Create(path, data, zk.FlagEphemeral, zk.DigestACL(zk.PermAll, fmt.Sprint(random.IntN(9)), "secret"))
		case 3:
			_, err = conn.Create(path+"-", data, zk.FlagSequence, open)
		case 4:
			_, err = conn.CreateContainer(path, data, zk.FlagContainer, open)
		case 5:
			_, err = conn.CreateTTL(path, data, zk.FlagTTL, open, time.Hour)
		case 6:
			_, err = conn.Set(path, data, -1)
		case 7:
			_, err = conn.SetACL(path, append(zk.WorldACL(zk.PermAll), zk.DigestACL(zk.PermRead, fmt.Sprint(i), "x")...), -1)
		case 8:
			err = conn.Delete(path, -1)
		case 9:
			_, err = conn.Multi(&zk.SetDataRequest{Path: home, Data: data, Version: -1},
				&zk.CreateRequest{Path: path, Acl: open}, &zk.DeleteRequest{Path: path, Version: -1})
		}
		if expected := []error{nil, zk.ErrNoNode, zk.ErrNodeExists, zk.ErrNoAuth, zk.ErrAPIError}; !slices.Contains(expected, err) {
			return fmt.Errorf("write %d on %s: %w", i, path, err)
		}
	}
	return nil
}

// Apache's server does a bit of everything, with snapshots beside it. Then its log, applied here,
// gives the digest that it wrote behind each transaction, its snapshots with the rest of the log
// lead to the same tree, and its clients saw the same.
func TestIntegrationApachesLogAndSnapshotsGiveItsTree(t *testing.T) {
	address, files, stop := startApache(t, "snapCount=60", "extendedTypesEnabled=true")
	var group errgroup.Group
	for writer := range 4 {
		conn := connect(t, address)
		group.Go(func() error {
			random := rand.New(rand.NewPCG(1, uint64(writer)))
			if err := writeAtRandom(conn, fmt.Sprintf("/home%d", writer), random, 200); err != nil {
				return err
			}
			if writer == 0 {
				conn.Close() // which ends the session and its ephemerals
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())

	type seen struct {
		data     []byte
		stat     zk.Stat
		children []string
	}
	reader, clientSaw := connect(t, address), map[string]seen{}
	var look func(path string)
	look = func(path string) {
		var s seen
		var stat *zk.Stat
		var err error
		if s.children, stat, err = reader.Children(path); err == zk.ErrNoAuth {
			return
		}
		require.NoError(t, err, path)
		s.data, _, err = reader.Get(path)
		require.NoError(t, err, path)
		s.stat = *stat
		clientSaw[path] = s
		for _, child := range s.children {
			look(strings.TrimSuffix(path, "/") + "/" + child)
		}
	}
	look("/")
	stop()

	log := apacheLog(t, files)
	require.Greater(t, len(log), 500)
	tree := New(testOptions)
	replay(t, tree, log)
	digested := 0
	for _, entry := range log {
		if entry.digest.Version == jute.DigestVersion {
			digested++
		}
	}
	require.Greater(t, digested, len(log)/4, "transactions with a digest to compare")
	requireSound(t, tree)

	require.Greater(t, len(clientSaw), 20)
	for path, s := range clientSaw {
		data, stat, found := tree.GetData(path)
		require.True(t, found, path)
		require.Equal(t, string(s.data), string(data), path)
		require.Equal(t, zk.Stat(stat), s.stat, path)
		require.ElementsMatch(t, s.children, first(tree.Children(path)), path)
	}

	snapshots, zxids := numbered(t, files, "snapshot.")
	require.Greater(t, len(snapshots), 3)
	for i, file := range snapshots {
		if back := apacheSnapshot(t, file, zxids[i]); back != nil {
			replay(t, back, log)
			require.Equal(t, dump(tree), dump(back), file)
			requireSound(t, back)
		}
	}
}
