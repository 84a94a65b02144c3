package pipeline

import (
	"slices"

	"ordeal/node/jute"
	"ordeal/node/tree"
)

// changeRecord is a znode as it will be once the transactions that are under way are applied.
type changeRecord struct {
	zxid int64 // of the transaction that makes it so
	path string
	// deleted leaves only the fields above and treeDigest.
	deleted    bool
	stat       jute.StatPersisted
	childCount int
	acl        []jute.ACL
	data       []byte
	nodeDigest int64 // 0 if deleted
	// treeDigest is the digest of the whole tree after this change.
	treeDigest int64
	// owner is the session whose ephemeral znodes become more or fewer by this change, and growth by
	// how much their paths then grow, in bytes as encoded.
	owner  int64
	growth int
}

// pathSize is the length of a path as it is encoded, in bytes.
func pathSize(path string) int { return 4 + len(path) }

// outstandingChanges overlays the tree with what the transactions under way will make of it.
type outstandingChanges struct {
	tree          *tree.Tree
	digestEnabled bool

	changes fifo[*changeRecord]
	byPath  map[string]*changeRecord
	// growth is that of the changes, by session.
	growth map[int64]int
	// undo is, while a transaction is prepared, what each change since its start has taken the place of; nil
	// for the tree's own node.
	undo     []*changeRecord
	undoable bool
}

func newOutstandingChanges(t *tree.Tree, digestEnabled bool) *outstandingChanges {
	return &outstandingChanges{tree: t, digestEnabled: digestEnabled, byPath: map[string]*changeRecord{}, growth: map[int64]int{}}
}

// lookup returns a copy of the record of a znode, for the caller to change; ok is false if there will
// be no such znode.
func (o *outstandingChanges) lookup(path string) (record changeRecord, ok bool) {
	if pending := o.byPath[path]; pending != nil {
		return *pending, !pending.deleted
	}
	node, ok := o.tree.Node(path)
	if !ok {
		return changeRecord{}, false
	}
	record = changeRecord{
		path: path, stat: node.Stat, childCount: node.NumChildren, acl: node.ACL, data: node.Data,
	}
	if o.digestEnabled {
		record.nodeDigest = node.Digest
	}
	return record, true
}

// digest is the tree's digest after all transactions under way.
func (o *outstandingChanges) digest() int64 {
	if n := o.changes.len(); n > 0 {
		return o.changes.all()[n-1].treeDigest
	}
	return o.tree.Digest()
}

// put adds a change. Its digests are computed here, from its other fields.
func (o *outstandingChanges) put(record changeRecord, zxid int64) {
	record.zxid = zxid
	before, existed := o.lookup(record.path)
	switch {
	case existed && record.deleted && o.tree.IsEphemeral(before.stat.EphemeralOwner):
		record.owner, record.growth = before.stat.EphemeralOwner, -pathSize(record.path)
	case !existed && !record.deleted && o.tree.IsEphemeral(record.stat.EphemeralOwner):
		record.owner, record.growth = record.stat.EphemeralOwner, pathSize(record.path)
	default:
		record.owner, record.growth = 0, 0
	}
	o.grow(record.owner, record.growth)
	if o.digestEnabled {
		record.nodeDigest = 0
		if !record.deleted {
			record.nodeDigest = tree.NodeDigest(record.path, record.data, record.stat)
		}
		record.treeDigest = o.digest() - before.nodeDigest + record.nodeDigest
	}
	if o.undoable {
		o.undo = append(o.undo, o.byPath[record.path])
	}
	o.changes.push(&record)
	o.byPath[record.path] = &record
}

// grow notes that the paths of a session's ephemeral znodes grow.
func (o *outstandingChanges) grow(session int64, bytes int) {
	if bytes == 0 {
		return
	}
	if o.growth[session] += bytes; o.growth[session] == 0 {
		delete(o.growth, session)
	}
}

// ephemeralsSize is how long the paths of the ephemeral znodes are that a session will have, in bytes
// as encoded.
func (o *outstandingChanges) ephemeralsSize(session int64) int {
	return o.tree.EphemeralsSize(session) + o.growth[session]
}

// begin starts a group of changes that is kept or rolled back as a whole.
func (o *outstandingChanges) begin() { o.undoable = true }

// keep ends a group, if there is one.
func (o *outstandingChanges) keep() {
	clear(o.undo)
	o.undo, o.undoable = o.undo[:0], false
}

// rollBack ends a group and takes it back. Changes to the same paths that were under way before it
// are what counts again (ZOOKEEPER-1624).
func (o *outstandingChanges) rollBack() {
	for i := len(o.undo) - 1; i >= 0; i-- {
		record := o.changes.popLast()
		o.grow(record.owner, -record.growth)
		if before := o.undo[i]; before != nil {
			o.byPath[record.path] = before
		} else {
			delete(o.byPath, record.path)
		}
	}
	o.keep()
}

// applied forgets the changes of transactions that are in the tree now, and returns how many those were.
func (o *outstandingChanges) applied(zxid int64) (removed int) {
	for !o.changes.empty() && o.changes.peek().zxid <= zxid {
		record := o.changes.pop()
		o.grow(record.owner, -record.growth)
		if o.byPath[record.path] == record {
			delete(o.byPath, record.path)
		}
		removed++
	}
	return removed
}

// ephemerals returns the ephemeral znodes that a session will have, in ascending order.
func (o *outstandingChanges) ephemerals(session int64) []string {
	paths := o.tree.Ephemerals(session)
	set := make(map[string]bool, len(paths))
	for _, path := range paths {
		set[path] = true
	}
	for _, change := range o.changes.all() {
		switch {
		case change.deleted:
			delete(set, change.path)
		case change.stat.EphemeralOwner == session:
			set[change.path] = true
		}
	}
	paths = paths[:0]
	for path := range set { // any order: they are sorted below
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}
