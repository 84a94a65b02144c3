package tree

import (
	"errors"
	"fmt"

	"ordeal/node/jute"
)

// chunkBytesMax bounds what one call of Next gathers, in bytes, but for a last large znode.
const chunkBytesMax = 1 << 20

// snapshotEnd stands where the path of a next znode would.
const snapshotEnd = "/"

// Snapshotter writes a picture of a tree while the tree goes on changing. The picture is fuzzy:
// each znode is as it was when the walk came by, so it holds some effects of transactions after
// Zxid and lacks others. Whoever reads it applies all transactions after Zxid to it. Sessions and
// ACLs are as they were at the start, and znodes created after the start are left out, so that
// no znode lacks the ACL that it was created with (ZOOKEEPER-4846).
//
// Several Snapshotters may walk one tree. Next must not run beside Apply.
type Snapshotter struct {
	tree    *Tree
	zxid    int64
	head    []byte // sessions and ACLs, until they are handed out
	started bool
	done    bool
	trailer ZxidDigest

	path  []byte  // of the znode that was visited last
	stack []visit // the znodes whose children are being visited
}

// visit is a znode whose children are being visited. It names its place instead of keeping the
// children, so that a snapshot takes no memory for them and may go on after any change.
type visit struct {
	pathLength int
	child      string // visited last
	last       string // the last that there was at the start, which ends a race with a fast writer
}

// Snapshot starts a picture of the tree as it is now.
func (t *Tree) Snapshot() *Snapshotter {
	var e jute.Encoder
	sessions := t.Sessions()
	e.Int(int32(len(sessions)))
	for _, session := range sessions {
		session.Encode(&e)
	}
	t.acls.encode(&e)
	return &Snapshotter{tree: t, zxid: t.lastZxid, head: e.Bytes()}
}

// Zxid is the last transaction that the picture holds entirely.
func (s *Snapshotter) Zxid() int64 { return s.zxid }

// Next visits up to so many more znodes and returns their bytes: items 2 to 4 of protocol.md 4.2,
// from the session count to the final "/". The chunk is the caller's.
func (s *Snapshotter) Next(nodes int) (chunk []byte, done bool) {
	if s.done {
		return nil, true
	}
	e := jute.NewEncoder(s.head)
	s.head = nil
	for i := 0; i < nodes && e.Len() < chunkBytesMax; i++ {
		if !s.step(e) {
			e.String(snapshotEnd)
			s.finish()
			break
		}
	}
	return e.Bytes(), s.done
}

func (s *Snapshotter) finish() {
	s.done = true
	if s.tree.options.DigestEnabled && !s.tree.digestUnknown() {
		s.trailer = ZxidDigest{Zxid: s.tree.lastZxid, Digest: s.tree.digest}
	}
}

// Trailer returns, once Next is done, the last transaction that the picture may hold effects of, and
// the tree's digest after it. Zeros mean that the digest is not known.
func (s *Snapshotter) Trailer() (zxid, digest int64) {
	if !s.done {
		panic("tree: expected Trailer after the snapshot is done, found it under way")
	}
	return s.trailer.Zxid, s.trailer.Digest
}

// step visits one znode, or leaves one whose children are all visited. It returns false at the end.
func (s *Snapshotter) step(e *jute.Encoder) bool {
	if !s.started {
		s.started = true
		s.path = []byte{} // nil would be encoded as null, which Apache's server does not survive
		s.visit(e)
		return true
	}
	if len(s.stack) == 0 {
		return false
	}
	top := &s.stack[len(s.stack)-1]
	s.path = s.path[:top.pathLength]
	parent := s.tree.nodes[string(s.path)]
	if parent == nil {
		s.stack = s.stack[:len(s.stack)-1]
		return true
	}
	child, found := parent.children.next(top.child)
	if !found || child > top.last {
		s.stack = s.stack[:len(s.stack)-1]
		return true
	}
	top.child = child
	s.path = append(append(s.path, '/'), child...)
	s.visit(e)
	return true
}

func (s *Snapshotter) visit(e *jute.Encoder) {
	n := s.tree.nodes[string(s.path)]
	if n == nil {
		panic(fmt.Sprintf("tree: expected a znode at %q, its parent lists it", s.path))
	}
	if n.stat.Czxid > s.zxid {
		return
	}
	e.Buffer(s.path)
	e.Buffer(n.data)
	e.Long(n.acl)
	n.stat.Encode(e)
	if n.children.len() > 0 {
		s.stack = append(s.stack, visit{pathLength: len(s.path), last: n.children.last()})
	}
}

// ReadSnapshot reads what a Snapshotter or an Apache server wrote, up to and with the final "/". The
// caller says with SetLastZxid how far the tree is.
func ReadSnapshot(d *jute.Decoder, options Options) (*Tree, error) {
	t := empty(options)
	n := d.Count(jute.SessionTimeoutSize)
	for i := 0; i < n && d.Err() == nil; i++ {
		var session jute.SessionTimeout
		session.Decode(d)
		t.sessions[session.SessionID] = session.TimeOut
	}
	t.acls.decode(d)
	for d.Err() == nil {
		path := d.String()
		if d.Err() != nil || path == snapshotEnd {
			break
		}
		if err := t.readNode(d, path); err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
	}
	if d.Err() != nil {
		return nil, fmt.Errorf("snapshot: %w", d.Err())
	}
	if t.nodes[rootKey] == nil {
		return nil, errors.New("snapshot: it has no root")
	}
	t.acls.purge()
	t.restoreQuotas()
	return t, nil
}

func (t *Tree) readNode(d *jute.Decoder, path string) error {
	n := &node{data: d.Buffer(), acl: d.Long()}
	n.stat.Decode(d)
	if d.Err() != nil {
		return d.Err()
	}
	if t.nodes[path] != nil {
		return fmt.Errorf("znode %q stands in it twice", path)
	}
	if path != rootKey {
		if !isFullPath(path) {
			return fmt.Errorf("znode %q has no full path", path)
		}
		if parent, _ := splitPath(path); t.nodes[parent] == nil {
			return fmt.Errorf("znode %q comes before its parent", path)
		}
	}
	n.acl = t.acls.adopt(n.acl)
	t.insert(path, n)
	return nil
}
