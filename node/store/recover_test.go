package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// directory is what a test's data directory holds.
type directory map[string][]byte

func (d directory) files() *memoryFS {
	files := newMemoryFS()
	for name, content := range d {
		files.put(inData(name), content)
	}
	return files
}

func flipped(content []byte) []byte {
	return changed(content, len(content)/2, content[len(content)/2]^1)
}

func TestRecoverOk(t *testing.T) {
	snapshot := func(n int64) []byte { return snapshotOf(t, Plain, upTo(n)...) }
	e2 := zxid(2, 1)
	for name, c := range map[string]struct {
		directory         directory
		options           func(*Options)
		history           []int64
		current, accepted int64
	}{
		"a server's first start":             {directory{}, nil, nil, 0, 0},
		"only the first snapshot":            {directory{"snapshot.0": snapshot(0)}, nil, nil, 0, 0},
		"a snapshot and a log":               {directory{"snapshot.0": snapshot(0), "log.1": logOf(1, 2)}, nil, upTo(2), 0, 0},
		"the log goes on in other files":     {directory{"snapshot.0": snapshot(0), "log.1": logOf(1, 2), "log.3": logOf(3)}, nil, upTo(3), 0, 0},
		"the snapshot is in mid-log":         {directory{"snapshot.2": snapshot(2), "log.1": logOf(1, 2, 3)}, nil, upTo(3), 0, 0},
		"the log is older than the snapshot": {directory{"snapshot.3": snapshot(3), "log.1": logOf(1, 2)}, nil, upTo(3), 0, 0},
		"the snapshot is all there is":       {directory{"snapshot.3": snapshot(3)}, nil, upTo(3), 0, 0},
		"gz":                                 {directory{"snapshot.2.gz": snapshotOf(t, Gzip, 1, 2), "log.3": logOf(3)}, nil, upTo(3), 0, 0},
		"snappy":                             {directory{"snapshot.2.snappy": snapshotOf(t, Snappy, 1, 2), "log.3": logOf(3)}, nil, upTo(3), 0, 0},
		"a new epoch":                        {directory{"snapshot.2": snapshot(2), "log.200000001": logOf(e2)}, nil, []int64{1, 2, e2}, 2, 2},
		"the newest snapshot is damaged": {
			directory{"snapshot.0": snapshot(0), "snapshot.2": flipped(snapshot(2)), "log.1": logOf(1, 2), "log.3": logOf(3)},
			nil, upTo(3), 0, 0,
		},
		"the newest snapshot is not finished": {
			directory{"snapshot.0": snapshot(0), "snapshot.2": snapshot(2)[:100], "log.1": logOf(1, 2), "log.3": logOf(3)},
			nil, upTo(3), 0, 0,
		},
		"an older snapshot is damaged": {
			directory{"snapshot.0": flipped(snapshot(0)), "snapshot.2": snapshot(2), "log.1": logOf(1, 2), "log.3": logOf(3)},
			nil, upTo(3), 0, 0,
		},
		"the last log has no byte":    {directory{"snapshot.0": snapshot(0), "log.1": logOf(1), "log.2": nil}, nil, upTo(1), 0, 0},
		"the last log has no header":  {directory{"snapshot.0": snapshot(0), "log.1": logOf(1), "log.2": make([]byte, 9000)}, nil, upTo(1), 0, 0},
		"the last log has no entry":   {directory{"snapshot.0": snapshot(0), "log.1": logOf(1), "log.2": padded(logOf())}, nil, upTo(1), 0, 0},
		"the only log has no entry":   {directory{"snapshot.0": snapshot(0), "log.1": padded(logOf())}, nil, nil, 0, 0},
		"a log in between is torn":    {directory{"snapshot.0": snapshot(0), "log.1": padded(logOf(1, 2)[:len(logOf(1))+60]), "log.2": logOf(2, 3)}, nil, upTo(3), 0, 0},
		"only logs that hold nothing": {directory{"log.1": nil}, nil, nil, 0, 0},
		"logs without a snapshot, trusted": {
			directory{"log.1": logOf(1, 2)}, func(o *Options) { o.TrustEmptySnapshot = true }, upTo(2), 0, 0,
		},
		"other people's files": {
			directory{"snapshot.0": snapshot(0), "log.1": logOf(1), "log.2.bak": []byte("x"), "snapshot.9.tmp": []byte("x"), "acl": nil},
			nil, upTo(1), 0, 0,
		},
		"epoch files": {directory{"snapshot.0": snapshot(0), "acceptedEpoch": []byte("7"), "currentEpoch": []byte("6\n")}, nil, nil, 6, 7},
		"the crash between log and currentEpoch": {
			directory{"snapshot.2": snapshot(2), "log.200000001": logOf(e2), "acceptedEpoch": []byte("3"), "currentEpoch": []byte("1")},
			nil, []int64{1, 2, e2}, 2, 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := c.directory.files()
			options := testOptions(files)
			if c.options != nil {
				c.options(&options)
			}
			s, state := openTest(t, options)
			sameTree(t, treeOf(c.history...), state.Tree)
			require.Equal(t, c.current, state.CurrentEpoch)
			require.Equal(t, c.accepted, state.AcceptedEpoch)

			r := run(s)
			last := int64(0)
			if len(c.history) > 0 {
				last = c.history[len(c.history)-1]
			}
			r.must(t, logged(last+1)...)
			require.NoError(t, r.stop())
			s, state = openTest(t, options)
			require.NoError(t, s.Close())
			sameTree(t, treeOf(append(c.history, last+1)...), state.Tree)
		})
	}
}

func TestRecoverBad(t *testing.T) {
	snapshot := func(n int64) []byte { return snapshotOf(t, Plain, upTo(n)...) }
	e2 := zxid(2, 1)
	type check struct {
		directory directory
		message   string
	}
	for name, c := range map[string]check{
		"logs without a snapshot":            {directory{"log.1": logOf(1)}, "no snapshot in /data/version-2"},
		"not one whole snapshot":             {directory{"snapshot.2": flipped(snapshot(2)), "log.3": logOf(3)}, "not one snapshot"},
		"not one whole snapshot and no log":  {directory{"snapshot.2": flipped(snapshot(2))}, "not one snapshot"},
		"a damaged log":                      {directory{"snapshot.0": snapshot(0), "log.1": flipped(logOf(1, 2))}, "/data/version-2/log.1 is damaged at byte"},
		"a log is missing":                   {directory{"snapshot.0": snapshot(0), "log.1": logOf(1), "log.3": logOf(3)}, "transaction 0x3 stands behind 0x1"},
		"the first log is missing":           {directory{"snapshot.0": snapshot(0), "log.2": logOf(2)}, "transaction 0x2 stands behind 0x0"},
		"a log with a hole":                  {directory{"snapshot.0": snapshot(0), "log.1": logOf(1, 3)}, "transaction 0x3 stands behind 0x1"},
		"other entries of the same zxid":     {directory{"snapshot.0": snapshot(0), "log.1": join(logOf(1, 2), record(otherAt(1)))}, "transaction 0x1 stands behind 0x2"},
		"an entry that comes late (4712)":    {directory{"snapshot.0": snapshot(0), "log.1": logOf(1, e2, 2)}, "transaction 0x2 stands behind 0x200000001"},
		"an epoch that does not begin":       {directory{"snapshot.0": snapshot(0), "log.1": logOf(1, e2+1)}, "transaction 0x200000002 stands behind 0x1"},
		"trusted logs that begin too late":   {directory{"log.2": logOf(2)}, "no snapshot"},
		"the damaged snapshot was all":       {directory{"snapshot.0": snapshot(0), "snapshot.2": flipped(snapshot(2))}, "no log holds the state of transaction 0x2"},
		"the log ends before the damaged":    {directory{"snapshot.0": snapshot(0), "snapshot.2": flipped(snapshot(2)), "log.1": logOf(1)}, "no log holds the state of transaction 0x2"},
		"the log goes on behind the damaged": {directory{"snapshot.0": snapshot(0), "snapshot.2": flipped(snapshot(2)), "log.1": logOf(1), "log.3": logOf(3)}, "transaction 0x3 stands behind 0x1"},
		"an entry that is no transaction":    {directory{"snapshot.0": snapshot(0), "log.1": join(logOf(), record(loneCheck()))}, "unsupported type 13"},
		"state that vanished":                {directory{"currentEpoch": []byte("3"), "acceptedEpoch": []byte("3")}, "its snapshots and logs are gone"},
		"an epoch that is text":              {directory{"snapshot.0": snapshot(0), "currentEpoch": []byte("three")}, `currentEpoch is damaged at byte 0: "three" is not an epoch`},
		"an empty epoch":                     {directory{"snapshot.0": snapshot(0), "acceptedEpoch": nil}, "acceptedEpoch is damaged"},
		"a negative epoch":                   {directory{"snapshot.0": snapshot(0), "acceptedEpoch": []byte("-1")}, "acceptedEpoch is damaged"},
		"the log is beyond what was accepted": {
			directory{"snapshot.2": snapshot(2), "log.200000001": logOf(e2), "acceptedEpoch": []byte("1"), "currentEpoch": []byte("1")},
			"only epoch 1 was accepted",
		},
		"no word of what was accepted": {
			directory{"snapshot.0": snapshot(0), "currentEpoch": []byte("2")}, "there is no file acceptedEpoch",
		},
		"accepted less than entered": {
			directory{"snapshot.0": snapshot(0), "acceptedEpoch": []byte("1"), "currentEpoch": []byte("2")}, "only epoch 1 was accepted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := c.directory.files()
			before := files.clone()
			_, _, err := Open(testOptions(files))
			require.ErrorContains(t, err, c.message)
			require.ErrorContains(t, err, "open data directory /data: ")
			for _, name := range mustList(t, before) {
				require.Equal(t, before.get(inData(name)), files.get(inData(name)), "%s must be left as it was", name)
			}
		})
	}
}

// otherAt is a transaction under a zxid that is not the one of entryAt.
func otherAt(z int64) []byte {
	header, _ := txnAt(z)
	header.Type = jute.OpError
	return jute.EncodePayload(header, &jute.ErrorTxn{Err: jute.NoNode}, nil)
}

// TestRepeatedTransactions is about the logs that Apache's server leaves when its sync thread outlives a
// role (ZOOKEEPER-4712): what stands in them twice must not count twice.
func TestRepeatedTransactions(t *testing.T) {
	deletion := func(z int64) []byte {
		header := jute.TxnHeader{ClientID: 1, Cxid: int32(z), Zxid: z, Time: 1000, Type: jute.OpDelete}
		return record(jute.EncodePayload(header, &jute.DeleteTxn{Path: "/n1"}, nil))
	}
	again := func(z int64) []byte {
		header, txn := txnAt(1)
		header.Zxid = z
		return record(jute.EncodePayload(header, txn, nil))
	}
	e2 := zxid(2, 1)
	for name, c := range map[string]struct {
		directory directory
		last      int64
		repeats   int
	}{
		"the last":                  {directory{"snapshot.0": snapshotOf(t, Plain), "log.1": logOf(1, 2, 2)}, 2, 1},
		"in the midst":              {directory{"snapshot.0": snapshotOf(t, Plain), "log.1": logOf(1, 2, 3, 2, 3, 4)}, 4, 2},
		"in another file":           {directory{"snapshot.0": snapshotOf(t, Plain), "log.1": logOf(1, 2, 3), "log.2": logOf(2, 3, 4)}, 4, 2},
		"of another epoch":          {directory{"snapshot.0": snapshotOf(t, Plain), "log.1": logOf(1, 2, e2, 1, 2, e2+1)}, e2 + 1, 2},
		"of what the snapshot has":  {directory{"snapshot.2": snapshotOf(t, Plain, 1, 2), "log.1": logOf(1, 2, 1, 2, 3)}, 3, 0},
		"that would do harm, twice": {directory{"snapshot.0": snapshotOf(t, Plain), "log.1": join(logOf(1), deletion(2), again(3), deletion(2))}, 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			files := c.directory.files()
			options := testOptions(files)
			r, err := options.withDefaults().directories().replay(noLimit)
			require.NoError(t, err)
			require.Len(t, r.disorder, c.repeats)
			for _, disorder := range r.disorder {
				require.True(t, disorder.Repeated)
			}
			s, state := openTest(t, testOptions(files))
			sameTree(t, r.tree, state.Tree)
			require.Equal(t, c.last, state.Tree.LastZxid())
			require.NoError(t, r.tree.CheckDigest(c.last, nil))
			_, there := r.tree.Stat("/n1")
			require.True(t, there)

			running := run(s)
			running.must(t, logged(c.last+1)...)
			require.NoError(t, running.stop())
			s, state = openTest(t, testOptions(files))
			require.NoError(t, s.Close())
			require.Equal(t, c.last+1, state.Tree.LastZxid())
		})
	}
}

// TestReadDirReportsDisorder shows that who only reads gets all that the log holds, in order, and is told
// what is wrong with it.
func TestReadDirReportsDisorder(t *testing.T) {
	for name, c := range map[string]struct {
		log      []byte
		last     int64
		repeated bool
	}{
		"a repetition":     {logOf(1, 2, 2), 2, true},
		"a hole":           {logOf(1, 3), 3, false},
		"one that is late": {logOf(1, zxid(2, 1), 2), zxid(2, 1), false},
		"two under a zxid": {join(logOf(1, 2), record(otherAt(2))), 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			at := filepath.Join(dir, versionDir)
			require.NoError(t, os.Mkdir(at, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(at, "snapshot.0"), snapshotOf(t, Plain), 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(at, "log.1"), c.log, 0o644))
			state, err := ReadDir(dir, "")
			var disorder *DisorderError
			require.ErrorAs(t, err, &disorder)
			require.ErrorContains(t, err, "log.1: transaction")
			require.Equal(t, c.repeated, disorder.Repeated)
			require.Equal(t, c.last, state.Tree.LastZxid())
			require.Equal(t, c.last, state.Committed[len(state.Committed)-1].Zxid)
		})
	}
}

func mustList(t *testing.T, files *memoryFS) []string {
	names, err := files.List(dataDir + "/" + versionDir)
	require.NoError(t, err)
	return names
}

// loneCheck is what Apache's server logs for a check outside of a multi, and cannot read again (2623).
func loneCheck() []byte {
	var e jute.Encoder
	jute.TxnHeader{ClientID: 1, Zxid: 1, Type: jute.OpCheck}.Encode(&e)
	e.String("/")
	e.Int(0)
	return e.Bytes()
}

func TestDirectoriesMustNotBeMixed(t *testing.T) {
	options := testOptions(nil)
	options.LogDir = "/logs"
	logs := options.LogDir + "/" + versionDir + "/"
	t.Run("apart", func(t *testing.T) {
		options, files := options, newMemoryFS()
		options.FS = files
		s, _ := openTest(t, options)
		r := run(s)
		r.must(t, logged(1, 2)...)
		require.NoError(t, r.stop())
		require.NotNil(t, files.get(logs+"log.1"))
		s, state := openTest(t, options)
		require.NoError(t, s.Close())
		sameTree(t, treeOf(1, 2), state.Tree)
	})
	for name, misplaced := range map[string]string{"a log among the snapshots": inData("log.1"), "a snapshot among the logs": logs + "snapshot.1"} {
		t.Run(name, func(t *testing.T) {
			options, files := options, newMemoryFS()
			options.FS = files
			files.put(misplaced, nil)
			_, _, err := Open(options)
			require.ErrorContains(t, err, misplaced)
			require.ErrorContains(t, err, "move the")
		})
	}
}

func TestNoTwoServersShareADirectory(t *testing.T) {
	for name, files := range map[string]FS{"memory": newMemoryFS(), "disk": nil} {
		t.Run(name, func(t *testing.T) {
			options := testOptions(files)
			if files == nil {
				options.DataDir = t.TempDir()
			}
			first, _ := openTest(t, options)
			_, _, err := Open(options)
			require.ErrorContains(t, err, "another server may be using this directory")
			require.NoError(t, first.Close())
			second, _ := openTest(t, options)
			require.NoError(t, second.Close())
		})
	}
}

func TestOneDirectoryByTwoNames(t *testing.T) {
	dir := t.TempDir()
	data, alias := filepath.Join(dir, "data"), filepath.Join(dir, "alias")
	require.NoError(t, os.Mkdir(data, 0o755))
	require.NoError(t, os.Symlink(data, alias))
	options := Options{DataDir: data, LogDir: alias, Tree: treeOptions}
	for range 2 { // the second time there are files
		s, state := openTest(t, options)
		r := run(s)
		r.must(t, logged(state.Tree.LastZxid()+1)...)
		require.NoError(t, r.stop())
	}
	state, err := ReadDir(data, alias)
	require.NoError(t, err)
	sameTree(t, treeOf(1, 2), state.Tree)
}

// A snapshot at the start of an epoch has no transaction's zxid. The log replaces it if it says the tree
// before that epoch's first transaction was the same.
func TestDamagedSnapshotAtTheStartOfAnEpoch(t *testing.T) {
	first := zxid(2, 1)
	start := func(zxids ...int64) []byte {
		tree := treeOf(zxids...)
		tree.SetLastZxid(zxid(2, 0))
		return flipped(snapshotFile(t, Plain, tree.Snapshot()))
	}
	proof := func(zxids ...int64) []byte { return record(digested(treeOf(zxids...), first).Payload) }
	for name, c := range map[string]struct {
		before []byte // the older snapshot
		log    []byte
		ok     bool
	}{
		"taken here":                       {snapshotOf(t, Plain, 1), join(logOf(1, 2), proof(1, 2)), true},
		"taken here, the first one before": {snapshotOf(t, Plain), join(logOf(1, 2), proof(1, 2)), true},
		"from a leader with more":          {snapshotOf(t, Plain, 1), join(logOf(1, 2), proof(1, 2, 3)), false},
		"without proof":                    {snapshotOf(t, Plain, 1), logOf(1, 2, first), false},
		"nothing behind it":                {snapshotOf(t, Plain, 1), logOf(1, 2), false},
	} {
		t.Run(name, func(t *testing.T) {
			files := directory{"log.1": c.log, "snapshot.200000000": start(1, 2)}.files()
			files.put(inData("snapshot.0"), snapshotOf(t, Plain))
			if !bytes.Equal(c.before, snapshotOf(t, Plain)) {
				files.put(inData("snapshot.1"), c.before)
			}
			s, state, err := Open(testOptions(files))
			if !c.ok {
				require.ErrorContains(t, err, "no log holds the state of transaction 0x200000000")
				return
			}
			require.NoError(t, err)
			require.NoError(t, s.Close())
			sameTree(t, treeOf(1, 2, first), state.Tree)
		})
	}
}

func TestInitialize(t *testing.T) {
	marker := dataDir + "/" + initializeName
	t.Run("with data", func(t *testing.T) {
		files := directory{"snapshot.0": snapshotOf(t, Plain), "log.1": logOf(1), "acceptedEpoch": []byte("7")}.files()
		files.put(marker, nil)
		options := testOptions(files)
		options.RequireInitialize = true
		s, _ := openTest(t, options)
		require.NoError(t, s.Close())
		files = files.afterCrash(loseAll, false)
		require.NotContains(t, files.names, marker)
		for _, name := range []string{"snapshot.0", "log.1"} {
			require.NoError(t, files.Remove(inData(name)))
		}
		_, _, err := Open(testOptions(files))
		require.ErrorContains(t, err, "its snapshots and logs are gone")
		options.FS = files
		s, state := openTest(t, options)
		require.NoError(t, s.Close())
		require.Equal(t, int64(-1), state.Tree.LastZxid())
		require.Equal(t, int64(7), state.AcceptedEpoch, "what it promised")
	})
	t.Run("required and missing", func(t *testing.T) {
		options := testOptions(newMemoryFS())
		options.RequireInitialize = true
		s, state := openTest(t, options)
		require.NoError(t, s.Close())
		require.Equal(t, int64(-1), state.Tree.LastZxid())
		require.Zero(t, state.CurrentEpoch)
	})
	t.Run("required and there", func(t *testing.T) {
		files := newMemoryFS()
		files.put(marker, nil)
		options := testOptions(files)
		options.RequireInitialize = true
		for range 2 { // the second time there is a snapshot
			s, state := openTest(t, options)
			require.NoError(t, s.Close())
			require.Zero(t, state.Tree.LastZxid())
			require.NotContains(t, files.names, marker)
		}
	})
}

func TestDigests(t *testing.T) {
	header, txn := txnAt(3)
	withDigest := func(digest int64) []byte {
		return record(jute.EncodePayload(header, txn, &jute.TxnDigest{Version: jute.DigestVersion, TreeDigest: digest}))
	}
	endingWith := func(digest int64, zxids ...int64) []byte {
		snapshot := snapshotOf(t, Plain, zxids...)
		var trailer jute.Encoder
		trailer.Long(2)
		trailer.Int(jute.DigestVersion)
		trailer.Long(digest)
		return resealed(snapshot[:len(snapshot)-(8+4+8)-sealSize], trailer.Bytes())
	}
	right := withDigest(treeOf(1, 2, 3).Digest())
	// Apache's server was applying 3 when the snapshot was written.
	ahead := endingWith(treeOf(1, 2).Digest(), 1, 2, 3)
	for name, c := range map[string]struct {
		directory directory
		zxids     []int64
	}{
		"right":                 {directory{"snapshot.2": snapshotOf(t, Plain, 1, 2), "log.3": join(logOf(), right)}, nil},
		"wrong in the log":      {directory{"snapshot.2": snapshotOf(t, Plain, 1, 2), "log.3": join(logOf(), withDigest(1))}, []int64{3}},
		"wrong in the snapshot": {directory{"snapshot.2": endingWith(12345, 1, 2), "log.3": logOf(3)}, []int64{2}},
		"wrong in both":         {directory{"snapshot.2": ahead, "log.3": join(logOf(), withDigest(1))}, []int64{2, 3}},

		"snapshot with a part of the next transaction":                 {directory{"snapshot.2": ahead, "log.3": join(logOf(), right)}, nil},
		"snapshot with a part of the next transaction, from before it": {directory{"snapshot.1": ahead, "log.2": join(logOf(2), right)}, nil},
		"snapshot with more than the log":                              {directory{"snapshot.2": ahead, "log.3": logOf(3)}, []int64{2}},
	} {
		t.Run(name, func(t *testing.T) {
			options := testOptions(c.directory.files()).withDefaults()
			r, err := options.directories().replay(noLimit)
			require.NoError(t, err, "a digest never keeps a server from starting")
			var zxids []int64
			for _, d := range r.digests {
				zxids = append(zxids, d.Zxid)
			}
			require.Equal(t, c.zxids, zxids)
			sameZnodes(t, treeOf(1, 2, 3), r.tree)
		})
	}
}

// FuzzEpochFiles gives a server that starts what may stand in its epoch files. What it makes of them holds
// together, and is the same once it is written.
func FuzzEpochFiles(f *testing.F) {
	f.Add([]byte("1"), []byte("2\n"), zxid(2, 1))
	f.Add([]byte("9223372036854775807"), []byte("9223372036854775807"), zxid(1, 1))
	f.Add([]byte("-1"), []byte(""), int64(0))
	f.Fuzz(func(t *testing.T, current, accepted []byte, lastZxid int64) {
		files := directory{currentName: current, acceptedName: accepted}.files()
		found, err := recoverEpochs(files, dataDir, lastZxid)
		if err != nil {
			return
		}
		require.LessOrEqual(t, epochOf(lastZxid), found.current)
		require.LessOrEqual(t, found.current, found.accepted)
		require.GreaterOrEqual(t, found.current, int64(0))
		require.NoError(t, writeEpoch(files, dataDir, currentName, found.current))
		require.NoError(t, writeEpoch(files, dataDir, acceptedName, found.accepted))
		again, err := recoverEpochs(files, dataDir, lastZxid)
		require.NoError(t, err)
		found.repaired = false
		require.Equal(t, found, again)
	})
}
