package store

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/tree"
)

const (
	dataDir = "/data"
	// smallPreallocation makes log files grow in many steps.
	smallPreallocation = 8 << 10
)

var treeOptions = tree.Options{DigestEnabled: true}

func zxid(epoch, counter int64) int64 { return epoch<<32 | counter }

// txnAt is the transaction that each test logs under a zxid: it creates a znode named after it. It may
// be applied twice, as Apache's may.
func txnAt(z int64) (jute.TxnHeader, jute.Txn) {
	return jute.TxnHeader{ClientID: 1, Cxid: int32(z), Zxid: z, Time: 1000 + z, Type: jute.OpCreate},
		&jute.CreateTxn{Path: fmt.Sprintf("/n%x", z), Data: dataAt(z), ACL: jute.OpenACL(), ParentCVersion: int32(epochOf(z)*1000 + counterOf(z))}
}

// dataAt is what txnAt puts into its znode: so much that a transaction goes over the end of a sector.
func dataAt(z int64) []byte { return bytes.Repeat(fmt.Appendf(nil, "data of %x ", z), 40) }

func entryAt(z int64) disk.Entry {
	header, txn := txnAt(z)
	return disk.Entry{Zxid: z, Payload: jute.EncodePayload(header, txn, nil)}
}

// digested applies the test's transaction to the tree and returns its entry with the digest after it.
func digested(t *tree.Tree, z int64) disk.Entry {
	header, txn := txnAt(z)
	t.Apply(header, txn)
	return disk.Entry{Zxid: z, Payload: jute.EncodePayload(header, txn, &jute.TxnDigest{Version: jute.DigestVersion, TreeDigest: t.Digest()})}
}

// treeOf applies the transactions of the zxids to a new tree.
func treeOf(zxids ...int64) *tree.Tree {
	t := tree.New(treeOptions)
	for _, z := range zxids {
		t.Apply(txnAt(z))
	}
	return t
}

func zxidsOf(entries []disk.Entry) []int64 {
	var zxids []int64
	for _, e := range entries {
		zxids = append(zxids, e.Zxid)
	}
	return zxids
}

func upTo(n int64) []int64 {
	var zxids []int64
	for z := int64(1); z <= n; z++ {
		zxids = append(zxids, z)
	}
	return zxids
}

// sameTree compares two trees znode by znode.
func sameTree(t testing.TB, expected, actual *tree.Tree) {
	t.Helper()
	sameZnodes(t, expected, actual)
	require.Equal(t, expected.Digest(), actual.Digest())
	require.Equal(t, expected.LastZxid(), actual.LastZxid())
}

func sameZnodes(t require.TestingT, expected, actual *tree.Tree) {
	wanted, found := dump(expected), dump(actual)
	for i := range min(len(wanted), len(found)) {
		require.Equal(t, wanted[i], found[i])
	}
	require.Equal(t, len(wanted), len(found), "the number of znodes")
}

func dump(from *tree.Tree) []string {
	var lines []string
	from.Walk(func(path string, znode tree.Znode) bool {
		lines = append(lines, fmt.Sprintf("%s %q %+v", path, znode.Data, znode.Stat))
		return true
	})
	return lines
}

func testOptions(files FS) Options {
	return Options{DataDir: dataDir, FS: files, Tree: treeOptions, Preallocate: smallPreallocation}
}

func openTest(t testing.TB, options Options) (*Store, *disk.State) {
	t.Helper()
	s, state, err := Open(options)
	require.NoError(t, err)
	return s, state
}

// runner drives a store as a server does.
type runner struct {
	*Store
	ended chan struct{}
}

func run(s *Store) *runner {
	r := &runner{Store: s, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		s.Run(context.Background())
	}()
	return r
}

// stop closes the store and waits for its goroutines.
func (r *runner) stop() error {
	err := r.Close()
	<-r.ended
	return err
}

// do carries out operations, all at once, and returns their results in the order of the operations.
func (r *runner) do(operations ...disk.Operation) []disk.Result {
	results := make(chan disk.Result, len(operations))
	for i := range operations {
		operations[i].Ticket = disk.Ticket(i + 1)
	}
	r.Do(operations, func(result disk.Result) { results <- result })
	inOrder := make([]disk.Result, len(operations))
	for range operations {
		result := <-results
		inOrder[result.Ticket-1] = result
	}
	return inOrder
}

// must carries out operations, none of which may fail.
func (r *runner) must(t testing.TB, operations ...disk.Operation) []disk.Result {
	t.Helper()
	results := r.do(operations...)
	for i, result := range results {
		require.NoError(t, result.Err, "operation %d", i)
	}
	return results
}

// logged returns the operations that append entries and sync them.
func logged(zxids ...int64) []disk.Operation {
	var operations []disk.Operation
	for _, z := range zxids {
		operations = append(operations, disk.Operation{Kind: disk.Append, Entry: entryAt(z)})
	}
	return append(operations, disk.Operation{Kind: disk.Sync})
}

func inData(name string) string { return dataDir + "/" + versionDir + "/" + name }
