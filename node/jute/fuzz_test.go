package jute

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzRecords feeds every record's decoder. What it takes must be stable: encoded and decoded once
// more it is the same.
func FuzzRecords(f *testing.F) {
	for i, record := range records {
		f.Add(byte(i), Marshal(record()))
	}
	f.Add(byte(0), []byte{0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		record := records[int(kind)%len(records)]
		first := record()
		if Unmarshal(data, first) != nil {
			return
		}
		second := record()
		encoded := Marshal(first)
		require.NoError(t, Unmarshal(encoded, second))
		require.Equal(t, encoded, Marshal(second))
	})
}

// FuzzStream compares the two kinds of decoders on what learners send.
func FuzzStream(f *testing.F) {
	f.Add(Marshal(QuorumPacket{Type: PacketProposal, Data: []byte("payload"), Authinfo: []Id{{"ip", "::1"}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var whole, streamed QuorumPacket
		d := NewDecoder(data)
		whole.Decode(d)
		s := NewStreamDecoder(bytes.NewReader(data))
		streamed.Decode(s)
		if d.Err() != nil {
			require.Error(t, s.Err())
			return
		}
		require.NoError(t, s.Err())
		require.Equal(t, whole, streamed)
	})
}

// FuzzPayload feeds the decoder of logs and proposals.
func FuzzPayload(f *testing.F) {
	f.Add(EncodePayload(TxnHeader{Type: OpCreate}, &CreateTxn{Path: "/a", ACL: OpenACL()}, &TxnDigest{Version: DigestVersion}))
	f.Add(EncodePayload(TxnHeader{Type: OpMulti}, &MultiTxn{Txns: []SubTxn{{Type: OpError, Txn: &ErrorTxn{Err: NoNode}}}}, nil))
	f.Add(Marshal(TxnHeader{Type: OpCloseSession}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		header, txn, digest, err := DecodePayload(payload)
		if err != nil {
			return
		}
		header2, txn2, digest2, err := DecodePayload(EncodePayload(header, txn, digest))
		require.NoError(t, err)
		require.Equal(t, header, header2)
		require.Equal(t, Marshal(txn), Marshal(txn2))
		require.Equal(t, digest, digest2)
	})
}
