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
}

// outstandingChanges overlays the tree with what the transactions under way will make of it.
type outstandingChanges struct {
	tree          *tree.Tree
	digestEnabled bool

	changes fifo[*changeRecord]
	byPath  map[string]*changeRecord
	// undo is, while a multi is prepared, what each change since its start has taken the place of; nil
	// for the tree's own node.
	undo     []*changeRecord
	undoable bool
}

func newOutstandingChanges(t *tree.Tree, digestEnabled bool) *outstandingChanges {
	return &outstandingChanges{tree: t, digestEnabled: digestEnabled, byPath: map[string]*changeRecord{}}
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
	if o.digestEnabled {
		before, _ := o.lookup(record.path)
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

// begin starts a group of changes that is kept or rolled back as a whole.
func (o *outstandingChanges) begin() { o.undoable = true }

// keep ends a group.
func (o *outstandingChanges) keep() { o.undo, o.undoable = nil, false }

// rollBack ends a group and takes it back. Changes to the same paths that were under way before it
// are what counts again (ZOOKEEPER-1624).
func (o *outstandingChanges) rollBack() {
	for i := len(o.undo) - 1; i >= 0; i-- {
		record := o.changes.popLast()
		if before := o.undo[i]; before != nil {
			o.byPath[record.path] = before
		} else {
			delete(o.byPath, record.path)
		}
	}
	o.keep()
}

// applied forgets the changes of transactions that are in the tree now.
func (o *outstandingChanges) applied(zxid int64) {
	for !o.changes.empty() && o.changes.peek().zxid <= zxid {
		record := o.changes.pop()
		if o.byPath[record.path] == record {
			delete(o.byPath, record.path)
		}
	}
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
	for path := range set {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}
