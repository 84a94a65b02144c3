package tree

import (
	"bytes"
	"slices"

	"ordeal/node/defect"
	"ordeal/node/jute"
)

// Options are what a server's configuration says about its tree. All servers of an ensemble should
// have the same.
type Options struct {
	// ExtendedTypes makes znodes with a time to live possible (zookeeper.extendedTypesEnabled).
	ExtendedTypes bool
	// DigestEnabled keeps the digest over all znodes (zookeeper.digest.enabled).
	DigestEnabled bool
	Defects       defect.Set
}

// Tree is the replicated state and this server's watches. See the package comment for who may call
// what when.
type Tree struct {
	options    Options
	nodes      map[string]*node // by full path, the root under rootKey
	acls       aclCache
	sessions   map[int64]int32 // timeout in ms
	ephemerals map[int64]*names
	containers names
	ttls       names
	quotas     map[string]bool // paths that have a quota
	watches    watches
	dataSize   int64 // bytes of paths and data
	lastZxid   int64

	digest    int64
	digestLog []ZxidDigest
	expected  *ZxidDigest // the trailer of the snapshot that is being caught up with
	// fuzzyUntil is the last transaction that the tree may hold effects of without having applied it.
	fuzzyUntil int64
	scratch    []byte

	// Of the transaction that is being applied: the watches that fired, and how the tree comes to own its data.
	events []Event
	own    func([]byte) []byte
}

// node is a znode. There may be millions: what most of them lack must cost nothing.
type node struct {
	data     []byte // never changed in place; nil and empty are distinct
	children *names // nil if there never was a child
	acl      int64  // in aclCache
	stat     jute.StatPersisted
	digest   uint32
	below    int32 // znodes at any depth
}

// New returns the tree of a server that has never seen a transaction.
func New(options Options) *Tree {
	t := empty(options)
	for _, path := range []string{rootKey, zookeeperPath, quotaPath} {
		t.insert(path, &node{data: []byte{}, acl: openACLID})
	}
	t.addConfigNode()
	return t
}

func empty(options Options) *Tree {
	return &Tree{
		options:    options,
		nodes:      map[string]*node{},
		acls:       newACLCache(),
		sessions:   map[int64]int32{},
		ephemerals: map[int64]*names{},
		quotas:     map[string]bool{},
		watches:    newWatches(),
	}
}

// addConfigNode makes the znode of the membership as Apache's servers make it: readable by anyone,
// and with an aversion of -1.
func (t *Tree) addConfigNode() {
	readable := []jute.ACL{{Perms: jute.PermRead, Id: jute.Id{Scheme: "world", ID: "anyone"}}}
	t.insert(ConfigPath, &node{data: []byte{}, acl: t.acls.use(readable), stat: jute.StatPersisted{Aversion: -1}})
}

// SetConfig puts the text of the membership into its znode, outside of any transaction, as every
// server does for itself when it starts. The zxid is the configuration's version. Watches stay: nobody
// would be told that one has fired.
func (t *Tree) SetConfig(text []byte, zxid, time int64) {
	if t.nodes[ConfigPath] == nil {
		t.addConfigNode()
	}
	n := t.nodes[ConfigPath]
	n.stat.Version, n.stat.Mzxid, n.stat.Mtime = -1, zxid, time
	t.replaceData(ConfigPath, n, bytes.Clone(text))
}

// LastZxid is the zxid of the last transaction that was applied.
func (t *Tree) LastZxid() int64 { return t.lastZxid }

// SetLastZxid says how far the tree is, after it was read from a snapshot or when an epoch begins.
func (t *Tree) SetLastZxid(zxid int64) { t.lastZxid = zxid }

// Znode is a znode as the tree keeps it, for those who prepare transactions. Nothing of it may be
// changed.
type Znode struct {
	Data        []byte
	ACL         []jute.ACL
	Stat        jute.StatPersisted // stored, not as clients see it
	NumChildren int
	Digest      int64 // its share of the tree's digest, 0 if digests are switched off
}

// Node returns a znode as it is stored.
func (t *Tree) Node(path string) (Znode, bool) {
	n := t.nodes[key(path)]
	if n == nil {
		return Znode{}, false
	}
	return t.stored(n), true
}

func (t *Tree) stored(n *node) Znode {
	return Znode{
		Data: n.data, ACL: t.acls.list(n.acl), Stat: n.stat,
		NumChildren: n.children.len(), Digest: int64(n.digest),
	}
}

// GetData returns a znode's data, which must not be changed, and its Stat.
func (t *Tree) GetData(path string) ([]byte, jute.Stat, bool) {
	n := t.nodes[key(path)]
	if n == nil {
		return nil, jute.Stat{}, false
	}
	return n.data, t.clientStat(n), true
}

// Stat returns a znode's Stat as clients see it.
func (t *Tree) Stat(path string) (jute.Stat, bool) {
	n := t.nodes[key(path)]
	if n == nil {
		return jute.Stat{}, false
	}
	return t.clientStat(n), true
}

// Children returns the names of a znode's children in ascending order, and its Stat.
func (t *Tree) Children(path string) ([]string, jute.Stat, bool) {
	n := t.nodes[key(path)]
	if n == nil {
		return nil, jute.Stat{}, false
	}
	return n.children.all(), t.clientStat(n), true
}

// ACL returns a znode's ACL, which must not be changed, and its Stat.
func (t *Tree) ACL(path string) ([]jute.ACL, jute.Stat, bool) {
	n := t.nodes[key(path)]
	if n == nil {
		return nil, jute.Stat{}, false
	}
	return t.acls.list(n.acl), t.clientStat(n), true
}

// clientStat translates a stored stat (protocol.md 2.8): clients count changes of children where
// the tree counts creations, and do not see how containers and times to live are marked.
func (t *Tree) clientStat(n *node) jute.Stat {
	children := int32(n.children.len())
	stat := jute.Stat{
		Czxid: n.stat.Czxid, Mzxid: n.stat.Mzxid, Pzxid: n.stat.Pzxid,
		Ctime: n.stat.Ctime, Mtime: n.stat.Mtime,
		Version: n.stat.Version, Cversion: 2*n.stat.Cversion - children, Aversion: n.stat.Aversion,
		DataLength: int32(len(n.data)), NumChildren: children,
	}
	if t.options.kindOf(n.stat.EphemeralOwner) == ownedBySession {
		stat.EphemeralOwner = n.stat.EphemeralOwner
	}
	return stat
}

// AllChildrenNumber is the number of znodes below path, at any depth. It is kept and not counted: others wait for who asks.
func (t *Tree) AllChildrenNumber(path string) int {
	if n := t.nodes[key(path)]; n != nil {
		return int(n.below)
	}
	return 0
}

// Walk visits every znode, a parent before its children and children in ascending order, until
// visit answers false. Paths are the client's: the root is "/".
func (t *Tree) Walk(visit func(path string, znode Znode) bool) {
	t.walk(rootKey, t.nodes[rootKey], func(path string, n *node) bool {
		return visit(clientPath(path), t.stored(n))
	})
}

func (t *Tree) walk(path string, n *node, visit func(string, *node) bool) bool {
	if !visit(path, n) {
		return false
	}
	for _, name := range n.children.all() {
		child := path + "/" + name
		if !t.walk(child, t.nodes[child], visit) {
			return false
		}
	}
	return true
}

// Sessions returns all sessions, by ascending id.
func (t *Tree) Sessions() []jute.SessionTimeout {
	list := make([]jute.SessionTimeout, 0, len(t.sessions))
	for _, id := range sortedKeys(t.sessions) {
		list = append(list, jute.SessionTimeout{SessionID: id, TimeOut: t.sessions[id]})
	}
	return list
}

// SessionCount is the number of sessions.
func (t *Tree) SessionCount() int { return len(t.sessions) }

// HasSession tells whether a session is alive.
func (t *Tree) HasSession(session int64) bool {
	_, known := t.sessions[session]
	return known
}

// Ephemerals returns the paths of a session's ephemeral znodes in ascending order.
func (t *Tree) Ephemerals(session int64) []string { return t.ephemerals[session].all() }

// EphemeralsSize is the length of those paths in bytes, encoded as a closeSession transaction lists them.
func (t *Tree) EphemeralsSize(session int64) int {
	const lengthSize = 4 // before each string
	paths := t.ephemerals[session]
	if paths == nil {
		return 0
	}
	return paths.bytes + lengthSize*paths.size
}

// EphemeralOwners returns the sessions that have ephemeral znodes, by ascending id.
func (t *Tree) EphemeralOwners() []int64 { return sortedKeys(t.ephemerals) }

// Containers returns the paths of all containers in ascending order.
func (t *Tree) Containers() []string { return t.containers.all() }

// TTLs returns the paths of all znodes with a time to live in ascending order.
func (t *Tree) TTLs() []string { return t.ttls.all() }

// TTL returns the time to live of a znode in milliseconds, by its stored ephemeralOwner.
func (t *Tree) TTL(owner int64) (int64, bool) {
	if t.options.kindOf(owner) != ownerTTL {
		return 0, false
	}
	return owner & TTLMax, true
}

// IsEphemeral tells whether a stored ephemeralOwner is a session.
func (t *Tree) IsEphemeral(owner int64) bool { return t.options.kindOf(owner) == ownedBySession }

// NodeCount is the number of znodes as Apache's servers count them: the root twice.
func (t *Tree) NodeCount() int { return len(t.nodes) + 1 }

// EphemeralCount is the number of ephemeral znodes.
func (t *Tree) EphemeralCount() int {
	count := 0
	for _, paths := range t.ephemerals { // any order: it adds up
		count += paths.len()
	}
	return count
}

// DataSize is the size of all paths and data in bytes.
func (t *Tree) DataSize() int64 { return t.dataSize }

func sortedKeys[V any](m map[int64]V) []int64 {
	keys := make([]int64, 0, len(m))
	for k := range m { // any order: they are sorted below
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
