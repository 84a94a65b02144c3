package tree

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"ordeal/node/jute"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// snapshotBytes writes a whole snapshot at once.
func snapshotBytes(t *Tree) []byte {
	var all []byte
	for s := t.Snapshot(); ; {
		chunk, done := s.Next(3)
		all = append(all, chunk...)
		if done {
			return all
		}
	}
}

func readBack(t require.TestingT, data []byte, zxid int64) *Tree {
	d := jute.NewDecoder(data)
	tree, err := ReadSnapshot(d, testOptions)
	require.NoError(t, err)
	require.Zero(t, d.Remaining(), "bytes after the end")
	tree.SetLastZxid(zxid)
	return tree
}

func TestSnapshotOfAFreshTreeComesBack(t *testing.T) {
	tree := New(testOptions)
	back := readBack(t, snapshotBytes(tree), 0)
	require.Equal(t, dump(tree), dump(back))
	require.Equal(t, snapshotBytes(tree), snapshotBytes(back))
}

func TestSnapshotComesBackEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLeader()
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			l.step(t)
		}
		requireSound(t, l.tree)
		s := l.tree.Snapshot()
		data, done := s.Next(1 << 20)
		require.True(t, done)
		back := readBack(t, data, s.Zxid())
		require.NoError(t, back.ExpectDigest(s.Trailer()))
		require.Equal(t, dump(l.tree), dump(back))
		requireSound(t, back)
	})
}

// walker is what Snapshotter has in common with apacheSnapshotter.
type walker interface {
	Next(nodes int) ([]byte, bool)
	Zxid() int64
	Trailer() (zxid, digest int64)
}

// apacheSnapshotter writes snapshots in the way of Apache's servers: it copies the list of children
// when it visits a znode, and leaves nothing out. What it writes is fuzzier than ours.
type apacheSnapshotter struct {
	Snapshotter
	todo []string
}

func newApacheSnapshotter(t *Tree) *apacheSnapshotter {
	return &apacheSnapshotter{Snapshotter: *t.Snapshot(), todo: []string{rootKey}}
}

func (s *apacheSnapshotter) Next(nodes int) ([]byte, bool) {
	e := jute.NewEncoder(s.head)
	s.head = nil
	for ; nodes > 0 && len(s.todo) > 0; nodes-- {
		path := s.todo[0]
		s.todo = s.todo[1:]
		n := s.tree.nodes[path]
		if n == nil {
			continue
		}
		e.String(path)
		e.Buffer(n.data)
		e.Long(n.acl)
		n.stat.Encode(e)
		var children []string
		for _, name := range n.children.all() {
			children = append(children, path+"/"+name)
		}
		s.todo = append(children, s.todo...)
	}
	if len(s.todo) == 0 {
		e.String(snapshotEnd)
		s.finish()
	}
	return e.Bytes(), s.done
}

// Whatever happens while a snapshot is written, reading it and applying what came after its zxid
// leads to the very tree that the transactions led to.
func TestFuzzySnapshotAndReplayGiveTheSameTree1090(t *testing.T) {
	for name, start := range map[string]func(*Tree) walker{
		"ours":     func(t *Tree) walker { return t.Snapshot() },
		"Apache's": func(t *Tree) walker { return newApacheSnapshotter(t) },
	} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			l := newLeader()
			for range rapid.IntRange(0, 40).Draw(t, "before") {
				l.step(t)
			}
			var data []byte
			s := start(l.tree)
			for done := false; !done; {
				var chunk []byte
				chunk, done = s.Next(rapid.IntRange(1, 3).Draw(t, "visits"))
				data = append(data, chunk...)
				for range rapid.IntRange(0, 3).Draw(t, "beside") {
					l.step(t)
				}
			}
			for range rapid.IntRange(0, 5).Draw(t, "after") {
				l.step(t)
			}
			back := readBack(t, data, s.Zxid())
			require.NoError(t, back.ExpectDigest(s.Trailer()))
			replay(t, back, l.log)
			require.Equal(t, dump(l.tree), dump(back))
			requireSound(t, back)
		}))
	}
}

// The create's ACL is numbered after the snapshot's table was written, so the snapshot has a znode
// with a number that stands for nothing.
func TestReplayMendsAnACLThatTheSnapshotLacks4846And4689(t *testing.T) {
	l := newLeader()
	s := newApacheSnapshotter(l.tree)
	head, _ := s.Next(0)
	private := l.create("/private", "")
	private.ACL = testACLs[2]
	l.propose(1, private)
	body, done := s.Next(100)
	require.True(t, done)

	back := readBack(t, append(head, body...), s.Zxid())
	acl, _, found := back.ACL("/private")
	require.True(t, found)
	require.Equal(t, jute.NoAuth, CheckACL(acl, jute.PermRead, nil), "closed until it is mended")

	replay(t, back, l.log)
	acl, _, _ = back.ACL("/private")
	require.Equal(t, testACLs[2], acl)
	require.Equal(t, dump(l.tree), dump(back))
}

func TestSnapshotLeavesOutWhatIsYounger(t *testing.T) {
	l := newLeader()
	l.propose(1, l.create("/old", ""))
	s := l.tree.Snapshot()
	l.propose(1, l.create("/young", ""))
	l.propose(1, l.create("/old/young", ""))
	data, _ := s.Next(100)
	back := readBack(t, data, s.Zxid())
	require.Equal(t, []string{"old", "zookeeper"}, first(back.Children("/")))
	require.Empty(t, first(back.Children("/old")))
}

func first[A, B, C any](a A, _ B, _ C) A { return a }

// A writer that appends faster than the snapshot walks must not keep it from ending.
func TestSnapshotEndsBesideAFastWriter(t *testing.T) {
	l := newLeader()
	l.propose(1, l.create("/queue", ""))
	l.propose(1, l.create("/queue/000", ""))
	s := l.tree.Snapshot()
	for i, done := 1, false; !done; i++ {
		require.Less(t, i, 100)
		_, done = s.Next(1)
		l.propose(1, l.create(fmt.Sprintf("/queue/%03d", 2*i), ""))
		l.propose(1, l.create(fmt.Sprintf("/queue/%03d", 2*i+1), ""))
	}
}

func TestSnapshotChunksAreBounded(t *testing.T) {
	l := newLeader()
	for i := range 8 {
		l.propose(1, l.create(fmt.Sprintf("/large%d", i), strings.Repeat("x", chunkBytesMax/2)))
	}
	for s, done := l.tree.Snapshot(), false; !done; {
		var chunk []byte
		chunk, done = s.Next(1000)
		require.LessOrEqual(t, len(chunk), 2*chunkBytesMax)
	}
}

func TestTrailerIsEmptyWhileTheTreeIsFuzzy(t *testing.T) {
	tree := New(testOptions)
	require.NoError(t, tree.ExpectDigest(5, 123))
	s := tree.Snapshot()
	require.Panics(t, func() { s.Trailer() })
	s.Next(100)
	zxid, digest := s.Trailer()
	require.Zero(t, zxid)
	require.Zero(t, digest)
}

func TestBadSnapshotsAreRefused(t *testing.T) {
	node := func(e *jute.Encoder, path string) {
		e.String(path)
		e.Buffer(nil)
		e.Long(openACLID)
		jute.StatPersisted{}.Encode(e)
	}
	for _, c := range []struct {
		name  string
		write func(e *jute.Encoder)
		want  string
	}{
		{"no root", func(e *jute.Encoder) { e.Int(0); e.Int(0); e.String("/") }, "no root"},
		{"no parent", func(e *jute.Encoder) { e.Int(0); e.Int(0); node(e, ""); node(e, "/a/b") }, "before its parent"},
		{"twice", func(e *jute.Encoder) { e.Int(0); e.Int(0); node(e, ""); node(e, "/a"); node(e, "/a") }, "twice"},
		{"relative", func(e *jute.Encoder) { e.Int(0); e.Int(0); node(e, ""); node(e, "a") }, "no full path"},
		{"ACL without list", func(e *jute.Encoder) { e.Int(0); e.Int(1); e.Long(1); e.Int(-1) }, "expected a new id"},
		{"ACL number that is reserved", func(e *jute.Encoder) { e.Int(0); e.Int(1); e.Long(-1); e.Int(0) }, "expected a new id"},
		{"hostile count", func(e *jute.Encoder) { e.Int(1 << 30) }, "unreasonable"},
		{"cut short", func(e *jute.Encoder) { e.Int(0); e.Int(0); node(e, "") }, "ends early"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e jute.Encoder
			c.write(&e)
			_, err := ReadSnapshot(jute.NewDecoder(e.Bytes()), testOptions)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// FuzzReadSnapshot feeds the reader. A tree that it takes can be written and read again.
func FuzzReadSnapshot(f *testing.F) {
	l := newLeader()
	l.propose(1, &jute.CreateSessionTxn{TimeOut: 5})
	l.propose(1, l.ephemeral("/e"))
	l.propose(1, l.create("/a", "x"))
	f.Add(snapshotBytes(l.tree))
	f.Add(snapshotBytes(New(testOptions)))
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, err := ReadSnapshot(jute.NewDecoder(data), testOptions)
		if err != nil {
			return
		}
		tree.SetLastZxid(1<<63 - 1) // nothing in it is younger
		again := readBack(t, snapshotBytes(tree), tree.LastZxid())
		require.True(t, bytes.Equal(snapshotBytes(tree), snapshotBytes(again)))
	})
}
