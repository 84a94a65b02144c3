package tree

import (
	"fmt"
	"slices"
	"strings"

	"ordeal/node/jute"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// testOptions switch on everything that a tree can do.
var testOptions = Options{ExtendedTypes: true, DigestEnabled: true}

// leader makes transactions that a leader could have made, and applies them to its tree.
type leader struct {
	tree *Tree
	log  []logged
}

type logged struct {
	header jute.TxnHeader
	txn    jute.Txn
	digest jute.TxnDigest
}

func newLeader() *leader { return &leader{tree: New(testOptions)} }

// propose applies a transaction with the next zxid. Its digest is computed as a leader does before
// it knows the tree after it.
func (l *leader) propose(session int64, txn jute.Txn) Result {
	zxid := l.tree.LastZxid() + 1
	header := jute.TxnHeader{ClientID: session, Cxid: int32(zxid), Zxid: zxid, Time: 1000 + zxid, Type: opOf(txn)}
	result := l.tree.Apply(header, txn)
	l.log = append(l.log, logged{header, txn, jute.TxnDigest{Version: jute.DigestVersion, TreeDigest: l.tree.Digest()}})
	return result
}

func opOf(txn jute.Txn) jute.OpCode {
	switch txn.(type) {
	case *jute.CreateTxn:
		return jute.OpCreate
	case *jute.CreateContainerTxn:
		return jute.OpCreateContainer
	case *jute.CreateTTLTxn:
		return jute.OpCreateTTL
	case *jute.DeleteTxn:
		return jute.OpDelete
	case *jute.SetDataTxn:
		return jute.OpSetData
	case *jute.SetACLTxn:
		return jute.OpSetACL
	case *jute.CheckVersionTxn:
		return jute.OpCheck
	case *jute.CreateSessionTxn:
		return jute.OpCreateSession
	case *jute.CloseSessionTxn:
		return jute.OpCloseSession
	case *jute.ErrorTxn:
		return jute.OpError
	case *jute.MultiTxn:
		return jute.OpMulti
	}
	panic(fmt.Sprintf("expected a transaction, found %T", txn))
}

// create returns the transaction that creates a znode, with the parent's next cversion.
func (l *leader) create(path, data string) *jute.CreateTxn {
	return &jute.CreateTxn{
		Path: path, Data: []byte(data), ACL: jute.OpenACL(), ParentCVersion: l.cversion(path) + 1,
	}
}

func (l *leader) ephemeral(path string) *jute.CreateTxn {
	txn := l.create(path, "")
	txn.Ephemeral = true
	return txn
}

func (l *leader) cversion(child string) int32 {
	parent, _ := l.tree.Node(Parent(child))
	return parent.Stat.Cversion
}

func multi(parts ...jute.Txn) *jute.MultiTxn {
	txn := &jute.MultiTxn{}
	for _, part := range parts {
		txn.Txns = append(txn.Txns, jute.SubTxn{Type: opOf(part), Txn: part})
	}
	return txn
}

// replay applies the logged transactions after zxid to a tree that was read from a snapshot.
func replay(t require.TestingT, into *Tree, log []logged) {
	for _, entry := range log {
		if entry.header.Zxid > into.LastZxid() {
			into.Apply(entry.header, entry.txn)
			require.NoError(t, into.CheckDigest(entry.header.Zxid, &entry.digest))
		}
	}
}

var testACLs = [][]jute.ACL{
	jute.OpenACL(),
	{{Perms: jute.PermRead, Id: jute.Id{Scheme: "world", ID: "anyone"}}},
	{{Perms: jute.PermAll, Id: jute.Id{Scheme: "digest", ID: "a:b"}}, {Perms: jute.PermRead, Id: jute.Id{Scheme: "ip", ID: "10.0.0.0/8"}}},
	nil,
}

// step proposes one arbitrary transaction. Few names and sessions make them meet often.
func (l *leader) step(t *rapid.T) {
	acl := rapid.SampledFrom(testACLs).Draw(t, "acl")
	data := rapid.SampledFrom([][]byte{nil, {}, []byte("x"), []byte("some data")}).Draw(t, "data")
	switch rapid.SampledFrom([]string{
		"create", "create", "create", "create", "delete", "delete", "setData", "setACL",
		"createSession", "closeSession", "multi", "failed multi", "error", "quota",
	}).Draw(t, "step") {
	case "create":
		l.stepCreate(t, data, acl)
	case "delete":
		if leaves := l.paths(func(z Znode) bool { return z.NumChildren == 0 }); len(leaves) > 0 {
			l.propose(1, &jute.DeleteTxn{Path: rapid.SampledFrom(leaves).Draw(t, "leaf")})
		}
	case "setData":
		path := l.anyPath(t)
		z, _ := l.tree.Node(path)
		l.propose(1, &jute.SetDataTxn{Path: path, Data: data, Version: z.Stat.Version + 1})
	case "setACL":
		path := l.anyPath(t)
		z, _ := l.tree.Node(path)
		l.propose(1, &jute.SetACLTxn{Path: path, ACL: acl, Version: z.Stat.Aversion + 1})
	case "createSession":
		l.propose(rapid.Int64Range(1, 3).Draw(t, "session"), &jute.CreateSessionTxn{TimeOut: 1000})
	case "closeSession":
		session := rapid.Int64Range(1, 3).Draw(t, "session")
		l.propose(session, &jute.CloseSessionTxn{Paths2Delete: l.tree.Ephemerals(session)})
	case "multi":
		top := fmt.Sprintf("/multi%d", l.tree.LastZxid())
		below := l.create(top+"/below", "x")
		below.ParentCVersion = 1
		l.propose(1, multi(l.create(top, ""), below, &jute.CheckVersionTxn{Path: top}, &jute.SetDataTxn{Path: top, Version: 1}))
	case "failed multi":
		l.propose(1, multi(l.create(fmt.Sprintf("/failed%d", l.tree.LastZxid()), ""),
			&jute.ErrorTxn{Err: jute.NoNode}, &jute.ErrorTxn{Err: jute.RuntimeInconsistency}))
	case "error":
		l.propose(1, &jute.ErrorTxn{Err: jute.BadVersion})
	case "quota":
		l.stepQuota(rapid.SampledFrom([]string{"/a", "/b"}).Draw(t, "limited"))
	}
}

func (l *leader) stepCreate(t *rapid.T, data []byte, acl []jute.ACL) {
	parents := l.paths(func(z Znode) bool { return !l.tree.IsEphemeral(z.Stat.EphemeralOwner) })
	path := rapid.SampledFrom(append(parents, "")).Draw(t, "parent") + "/" + rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	if _, exists := l.tree.Node(path); exists || strings.Count(path, "/") > 3 {
		return
	}
	cversion := l.cversion(path) + 1
	switch rapid.SampledFrom([]string{"persistent", "ephemeral", "container", "ttl"}).Draw(t, "kind") {
	case "persistent":
		l.propose(1, &jute.CreateTxn{Path: path, Data: data, ACL: acl, ParentCVersion: cversion})
	case "ephemeral":
		session := rapid.Int64Range(1, 3).Draw(t, "session")
		l.propose(session, &jute.CreateTxn{Path: path, Data: data, ACL: acl, Ephemeral: true, ParentCVersion: cversion})
	case "container":
		l.propose(1, &jute.CreateContainerTxn{Path: path, Data: data, ACL: acl, ParentCVersion: cversion})
	case "ttl":
		l.propose(1, &jute.CreateTTLTxn{Path: path, Data: data, ACL: acl, ParentCVersion: cversion, TTL: 5000})
	}
}

// stepQuota creates the next znode that a quota on path lacks, or takes away its limits.
func (l *leader) stepQuota(path string) {
	home := quotaPath + path
	for _, next := range []string{home, home + "/" + quotaLimits, home + "/" + quotaStats} {
		if _, exists := l.tree.Node(next); !exists {
			l.propose(1, l.create(next, "count=3,bytes=-1"))
			return
		}
	}
	l.propose(1, &jute.DeleteTxn{Path: home + "/" + quotaLimits})
}

// paths returns the znodes outside /zookeeper, but for the root, that have a property.
func (l *leader) paths(has func(Znode) bool) []string {
	var list []string
	l.tree.Walk(func(path string, z Znode) bool {
		if path != "/" && !strings.HasPrefix(path, zookeeperPath) && has(z) {
			list = append(list, path)
		}
		return true
	})
	return list
}

func (l *leader) anyPath(t *rapid.T) string {
	all := l.paths(func(Znode) bool { return true })
	return rapid.SampledFrom(append(all, "/")).Draw(t, "path")
}

// dump is everything that replicas must have in common. That leaves out the counts of quotas that
// lost their limits: whoever replays the time before no longer knows what to count there.
func dump(t *Tree) string {
	var b strings.Builder
	t.Walk(func(path string, z Znode) bool {
		if home, isStats := strings.CutSuffix(path, "/"+quotaStats); isStats && !t.quotas[strings.TrimPrefix(home, quotaPath)] {
			z.Data = nil
		}
		fmt.Fprintf(&b, "%s %q null=%v %+v %v children=%d\n", path, z.Data, z.Data == nil, z.Stat, z.ACL, z.NumChildren)
		return true
	})
	fmt.Fprintf(&b, "sessions %v\ncontainers %v\nttls %v\n", t.Sessions(), t.Containers(), t.TTLs())
	for _, session := range t.EphemeralOwners() {
		fmt.Fprintf(&b, "ephemerals of %d: %v\n", session, t.Ephemerals(session))
	}
	fmt.Fprintf(&b, "quotas %v, digest %d, zxid %#x", t.quotas, t.Digest(), t.LastZxid())
	return b.String()
}

// requireSound computes by brute force what the tree keeps up to date step by step.
func requireSound(t require.TestingT, tree *Tree) {
	var digest, size int64
	count := 0
	ephemerals, uses := map[int64][]string{}, map[int64]int{}
	var containers, ttls []string
	below := map[string]int{}
	tree.walk(rootKey, tree.nodes[rootKey], func(path string, n *node) bool {
		count++
		for above := path; above != rootKey; {
			above, _ = splitPath(above)
			below[clientPath(above)]++
		}
		digest += NodeDigest(clientPath(path), n.data, n.stat)
		size += int64(len(clientPath(path)) + len(n.data))
		uses[n.acl]++
		switch owner := n.stat.EphemeralOwner; tree.options.kindOf(owner) {
		case ownedBySession:
			ephemerals[owner] = append(ephemerals[owner], path)
		case ownerContainer:
			containers = append(containers, path)
		case ownerTTL:
			ttls = append(ttls, path)
		}
		return true
	})
	for path := range tree.nodes {
		require.Equal(t, below[clientPath(path)], tree.AllChildrenNumber(clientPath(path)), "znodes below %s", path)
	}
	require.Equal(t, digest, tree.Digest(), "digest")
	require.Equal(t, size, tree.DataSize(), "data size")
	require.Equal(t, count, len(tree.nodes), "znodes that the root reaches")
	require.ElementsMatch(t, containers, tree.Containers())
	require.ElementsMatch(t, ttls, tree.TTLs())
	require.Len(t, tree.EphemeralOwners(), len(ephemerals))
	for session, paths := range ephemerals {
		slices.Sort(paths)
		require.Equal(t, paths, tree.Ephemerals(session))
	}
	delete(uses, openACLID)
	require.NotContains(t, uses, missingACLID, "znodes without ACL")
	require.Len(t, tree.acls.entries, len(uses), "ACLs in use")
	for id, n := range uses {
		require.Equal(t, n, tree.acls.entries[id].uses, "uses of ACL %d", id)
	}
}
