package tree

import (
	"fmt"
	"testing"

	"ordeal/node/jute"
)

// many returns a tree with so many znodes, 100 to a parent.
func many(znodes int) *Tree {
	tree := New(testOptions)
	data := make([]byte, 16)
	for i := range znodes {
		path := fmt.Sprintf("/parent%06d", i/100)
		if i%100 > 0 {
			path += fmt.Sprintf("/child%02d", i%100)
		}
		tree.Apply(jute.TxnHeader{Zxid: int64(i + 1), Type: jute.OpCreate},
			&jute.CreateTxn{Path: path, Data: data, ACL: jute.OpenACL(), ParentCVersion: -1})
	}
	return tree
}

func BenchmarkCreate(b *testing.B) {
	b.ReportAllocs()
	many(b.N)
}

func BenchmarkSetData(b *testing.B) {
	tree := many(1000)
	txn := &jute.SetDataTxn{Path: "/parent000005/child50", Data: make([]byte, 100)}
	b.ReportAllocs()
	for b.Loop() {
		tree.Apply(jute.TxnHeader{Zxid: tree.LastZxid() + 1, Type: jute.OpSetData}, txn)
	}
}

// BenchmarkSnapshot writes a hundred thousand znodes.
func BenchmarkSnapshot(b *testing.B) {
	tree := many(100_000)
	b.ReportAllocs()
	for b.Loop() {
		for s, done := tree.Snapshot(), false; !done; {
			_, done = s.Next(1000)
		}
	}
}

func BenchmarkReadSnapshot(b *testing.B) {
	data := snapshotBytes(many(100_000))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadSnapshot(jute.NewDecoder(data), testOptions); err != nil {
			b.Fatal(err)
		}
	}
}
