package tree

import (
	"bytes"
	"fmt"

	"ordeal/node/defect"
	"ordeal/node/jute"
)

// Result is what a transaction did.
type Result struct {
	Type jute.OpCode
	// Err is the code that a transaction of type error carries, or why the tree could not follow one,
	// which happens only while a fuzzy snapshot is caught up with. For a multi it is the first of its
	// parts' codes that is not Ok.
	Err  jute.Code
	Path string
	// Stat is the znode's after a create, setData or setACL, as clients see it.
	Stat jute.Stat
	// Multi has one result for each part of a multi.
	Multi []Result
	// Events are the watches that fired, in order.
	Events []Event
}

// Apply carries out one transaction and notes its zxid. See the package comment on idempotence.
// Data and ACLs that the transaction brings are copied.
func (t *Tree) Apply(header jute.TxnHeader, txn jute.Txn) Result {
	return t.carryOut(header, txn, bytes.Clone)
}

// ApplyKeeping is Apply, but the tree keeps the data of a transaction that is no multi as it is: nobody may change
// that memory any more.
func (t *Tree) ApplyKeeping(header jute.TxnHeader, txn jute.Txn) Result {
	return t.carryOut(header, txn, func(data []byte) []byte { return data })
}

func (t *Tree) carryOut(header jute.TxnHeader, txn jute.Txn, own func([]byte) []byte) Result {
	t.events, t.own = nil, own
	result := t.apply(header, txn)
	result.Events, t.events = t.events, nil
	t.lastZxid = max(t.lastZxid, header.Zxid)
	t.logDigest(header.Zxid)
	return result
}

func (t *Tree) apply(header jute.TxnHeader, txn jute.Txn) Result {
	result := Result{Type: header.Type}
	switch txn := txn.(type) {
	case *jute.CreateTxn:
		owner := int64(0)
		if txn.Ephemeral {
			owner = header.ClientID
		}
		t.create(&result, header, creation{txn.Path, txn.Data, txn.ACL, owner, txn.ParentCVersion})
	case *jute.CreateContainerTxn:
		t.create(&result, header, creation{txn.Path, txn.Data, txn.ACL, ContainerOwner, txn.ParentCVersion})
	case *jute.CreateTTLTxn:
		t.create(&result, header, creation{txn.Path, txn.Data, txn.ACL, TTLOwner(txn.TTL), txn.ParentCVersion})
	case *jute.DeleteTxn:
		result.Path = txn.Path
		result.Err = t.deleteNode(txn.Path, header.Zxid)
	case *jute.SetDataTxn:
		result.Path = txn.Path
		result.Stat, result.Err = t.setData(txn.Path, txn.Data, txn.Version, header.Zxid, header.Time)
	case *jute.SetACLTxn:
		result.Path = txn.Path
		result.Stat, result.Err = t.setACL(txn.Path, txn.ACL, txn.Version)
	case *jute.CheckVersionTxn:
		result.Path = txn.Path
	case *jute.CreateSessionTxn:
		t.sessions[header.ClientID] = txn.TimeOut
	case *jute.CloseSessionTxn:
		t.closeSession(header.ClientID, header.Zxid, txn.Paths2Delete)
	case *jute.ErrorTxn:
		result.Err = txn.Err
	case *jute.MultiTxn:
		t.applyMulti(&result, header, txn)
	default:
		panic(fmt.Sprintf("tree: expected a transaction's body, found %T of type %s", txn, header.Type))
	}
	return result
}

// applyMulti applies all parts, or none if one of them is an error: then the parts before it have
// succeeded for nothing, and those after it were not tried (protocol.md 2.9).
func (t *Tree) applyMulti(result *Result, header jute.TxnHeader, multi *jute.MultiTxn) {
	t.own = bytes.Clone // the parts share one piece of memory
	failed := len(multi.Txns)
	for i, part := range multi.Txns {
		if part.Type == jute.OpError {
			failed = i
			break
		}
	}
	for i, part := range multi.Txns {
		partHeader := header
		partHeader.Type = part.Type
		partResult := Result{Type: jute.OpError}
		switch {
		case failed == len(multi.Txns) || part.Type == jute.OpError:
			partResult = t.apply(partHeader, part.Txn)
		case i > failed:
			partResult.Err = jute.RuntimeInconsistency
		case t.options.Defects.On(defect.PartialMulti):
			t.apply(partHeader, part.Txn)
		}
		if result.Err == jute.Ok {
			result.Err = partResult.Err
		}
		result.Multi = append(result.Multi, partResult)
	}
}

// creation is what the transactions that create a znode have in common.
type creation struct {
	path           string
	data           []byte
	acl            []jute.ACL
	owner          int64
	parentCVersion int32
}

func (t *Tree) create(result *Result, header jute.TxnHeader, c creation) {
	result.Path = c.path
	switch {
	case !isFullPath(c.path):
		result.Err = jute.BadArguments
		return
	case IsReserved(c.path):
		result.Err = jute.NodeExists
		return
	}
	parentPath, name := splitPath(c.path)
	parent := t.nodes[parentPath]
	if parent == nil {
		result.Err = jute.NoNode
		return
	}
	t.advanceChildren(parentPath, parent, c.parentCVersion, header.Zxid)
	if parent.children.has(name) {
		// A fuzzy snapshot has the znode already, but perhaps without its ACL (ZOOKEEPER-4846).
		if existing := t.nodes[c.path]; existing.acl == missingACLID {
			existing.acl = t.acls.use(c.acl)
		}
		t.registerQuota(parentPath, name)
		result.Err = jute.NodeExists
		return
	}
	if orphan := t.nodes[c.path]; orphan != nil {
		// A fuzzy snapshot had this znode and an earlier life of its parent, whose end has been
		// replayed meanwhile.
		t.forget(c.path, orphan)
		t.countQuota(c.path, -int64(len(orphan.data)), -1)
	}
	n := &node{
		data: t.own(c.data),
		acl:  t.acls.use(c.acl),
		stat: jute.StatPersisted{
			Czxid: header.Zxid, Mzxid: header.Zxid, Pzxid: header.Zxid,
			Ctime: header.Time, Mtime: header.Time, EphemeralOwner: c.owner,
		},
	}
	t.insert(c.path, n)
	result.Stat = t.clientStat(n)
	t.registerQuota(parentPath, name)
	t.countQuota(c.path, int64(len(n.data)), 1)
	t.fireCreated(c.path, parentPath, n, parent)
}

// advanceChildren notes on a parent that a child was created, unless the parent knows already of
// this one and perhaps of later ones, from a fuzzy snapshot.
func (t *Tree) advanceChildren(path string, parent *node, cversion int32, zxid int64) {
	if cversion == -1 {
		cversion = parent.stat.Cversion + 1
	}
	if cversion > parent.stat.Cversion {
		parent.stat.Cversion = cversion
		parent.stat.Pzxid = zxid
		t.rehash(path, parent)
	}
}

// insert adds a complete znode to every index. Its parent must be there.
func (t *Tree) insert(path string, n *node) {
	t.nodes[path] = n
	t.rehash(path, n)
	t.dataSize += int64(len(clientPath(path)) + len(n.data))
	if path == rootKey {
		return
	}
	parentPath, name := splitPath(path)
	parent := t.nodes[parentPath]
	if parent.children == nil {
		parent.children = &names{}
	}
	if parent.children.add(name) {
		t.countBelow(parentPath, parent, 1+n.below)
	}
	switch owner := n.stat.EphemeralOwner; t.options.kindOf(owner) {
	case ownerContainer:
		t.containers.add(path)
	case ownerTTL:
		t.ttls.add(path)
	case ownedBySession:
		if t.ephemerals[owner] == nil {
			t.ephemerals[owner] = &names{}
		}
		t.ephemerals[owner].add(path)
	}
}

// countBelow notes on a znode and on all above it how many more there are below.
func (t *Tree) countBelow(path string, n *node, more int32) {
	for n.below += more; path != rootKey; n.below += more {
		path, _ = splitPath(path)
		if n = t.nodes[path]; n == nil {
			return // of an orphan, as replaying the log onto a fuzzy snapshot makes them for a while
		}
	}
}

// forget takes a znode out of every index but its parent's.
func (t *Tree) forget(path string, n *node) {
	delete(t.nodes, path)
	t.digest -= int64(n.digest)
	t.dataSize -= int64(len(path) + len(n.data))
	t.acls.release(n.acl)
	switch owner := n.stat.EphemeralOwner; t.options.kindOf(owner) {
	case ownerContainer:
		t.containers.remove(path)
	case ownerTTL:
		t.ttls.remove(path)
	case ownedBySession:
		t.ephemerals[owner].remove(path)
		if t.ephemerals[owner].len() == 0 {
			delete(t.ephemerals, owner)
		}
	}
}

// deleteNode removes a znode. The parent's pzxid advances even if the znode is not there: a fuzzy
// snapshot may lack it already and yet hold the parent as it was before (ZOOKEEPER-3145).
func (t *Tree) deleteNode(path string, zxid int64) jute.Code {
	if !isFullPath(path) || IsReserved(path) {
		return jute.BadArguments
	}
	parentPath, name := splitPath(path)
	parent := t.nodes[parentPath]
	if parent == nil {
		return jute.NoNode
	}
	n := t.nodes[path]
	if parent.children != nil {
		if parent.children.remove(name) && n != nil {
			t.countBelow(parentPath, parent, -1-n.below)
		}
		if parent.children.len() == 0 {
			parent.children = nil
		}
	}
	if zxid > parent.stat.Pzxid {
		parent.stat.Pzxid = zxid
		t.rehash(parentPath, parent)
	}
	if n == nil {
		return jute.NoNode
	}
	deletedACL := t.acls.list(n.acl)
	t.forget(path, n)
	t.quotaAfterDelete(path, n)
	t.fireDeleted(path, parentPath, deletedACL, parent)
	return jute.Ok
}

func (t *Tree) setData(path string, data []byte, version int32, zxid, time int64) (jute.Stat, jute.Code) {
	n := t.nodes[key(path)]
	if n == nil {
		return jute.Stat{}, jute.NoNode
	}
	n.stat.Version = version
	n.stat.Mzxid = zxid
	n.stat.Mtime = time
	grown := t.replaceData(key(path), n, t.own(data))
	t.countQuota(path, grown, 0)
	t.fireChanged(path, n)
	return t.clientStat(n), jute.Ok
}

// replaceData swaps a znode's data and returns by how many bytes it grew.
func (t *Tree) replaceData(path string, n *node, data []byte) int64 {
	grown := int64(len(data) - len(n.data))
	n.data = data
	t.dataSize += grown
	t.rehash(path, n)
	return grown
}

func (t *Tree) setACL(path string, acl []jute.ACL, version int32) (jute.Stat, jute.Code) {
	n := t.nodes[key(path)]
	if n == nil {
		return jute.Stat{}, jute.NoNode
	}
	old := n.acl
	n.acl = t.acls.use(acl)
	t.acls.release(old)
	n.stat.Aversion = version
	t.rehash(key(path), n)
	return t.clientStat(n), jute.Ok
}

// closeSession ends a session: the paths that the leader listed go first, then what else the tree
// knows of the session, which a list from an old log lacks.
func (t *Tree) closeSession(session, zxid int64, paths []string) {
	delete(t.sessions, session)
	if t.options.Defects.On(defect.KeepEphemerals) {
		return
	}
	for _, path := range paths {
		t.deleteNode(path, zxid)
	}
	for _, path := range t.ephemerals[session].all() {
		t.deleteNode(path, zxid)
	}
}
