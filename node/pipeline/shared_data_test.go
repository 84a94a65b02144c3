package pipeline

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/tree"
)

func TestMuchDataIsNotCopiedIntoTheTree(t *testing.T) {
	data := bytes.Repeat([]byte("much data "), 100)
	acl := jute.OpenACL()
	var longACL []jute.ACL
	for range 200 {
		longACL = append(longACL, acl...)
	}
	of := func(txn jute.SetDataTxn) (jute.Txn, *[]byte) { return &txn, &txn.Data }
	create := func(txn jute.CreateTxn) (jute.Txn, *[]byte) { return &txn, &txn.Data }
	for name, c := range map[string]struct {
		op     jute.OpCode
		make   func() (jute.Txn, *[]byte)
		shared bool
	}{
		"setData":                 {jute.OpSetData, func() (jute.Txn, *[]byte) { return of(jute.SetDataTxn{Path: "/a/b", Data: data, Version: 3}) }, true},
		"setData of the root":     {jute.OpSetData, func() (jute.Txn, *[]byte) { return of(jute.SetDataTxn{Path: "/", Data: data}) }, true},
		"create":                  {jute.OpCreate, func() (jute.Txn, *[]byte) { return create(jute.CreateTxn{Path: "/a", Data: data, ACL: acl}) }, true},
		"little data":             {jute.OpSetData, func() (jute.Txn, *[]byte) { return of(jute.SetDataTxn{Path: "/a", Data: data[:100]}) }, false},
		"no data":                 {jute.OpSetData, func() (jute.Txn, *[]byte) { return of(jute.SetDataTxn{Path: "/a"}) }, false},
		"data beside a long list": {jute.OpCreate, func() (jute.Txn, *[]byte) { return create(jute.CreateTxn{Path: "/a", Data: data, ACL: longACL}) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			txn, now := c.make()
			before := *now
			payload := jute.EncodePayload(jute.TxnHeader{Type: c.op, Zxid: 7}, txn, &jute.TxnDigest{Version: jute.DigestVersion})
			r := &request{txn: txn, entry: disk.Entry{Zxid: 7, Payload: payload}}
			require.Equal(t, c.shared, shareData(r))
			require.Equal(t, before, *now)
			if c.shared {
				payload[bytes.Index(payload, data)] = 'M'
				require.True(t, bytes.HasPrefix(*now, []byte("Much")), "it is the payload's memory")
			}
		})
	}
}

// What shares one piece of memory with more than itself is copied all the same.
func TestPartsOfAMultiAreCopied(t *testing.T) {
	state := tree.New(tree.Options{})
	data := []byte("data")
	state.ApplyKeeping(jute.TxnHeader{Type: jute.OpMulti, Zxid: 1}, &jute.MultiTxn{Txns: []jute.SubTxn{
		{Type: jute.OpCreate, Txn: &jute.CreateTxn{Path: "/a", Data: data, ACL: jute.OpenACL()}},
	}})
	data[0] = 'D'
	kept, _, found := state.GetData("/a")
	require.True(t, found)
	require.Equal(t, "data", string(kept))
}
