package jute

import (
	"encoding/hex"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// anyTxn draws a transaction that may stand alone.
func anyTxn(t *rapid.T) (OpCode, Txn) {
	if rapid.IntRange(0, 4).Draw(t, "multi") == 0 {
		multi := &MultiTxn{Txns: []SubTxn{}}
		for range rapid.IntRange(0, 4).Draw(t, "parts") {
			op, txn := anyPart(t)
			multi.Txns = append(multi.Txns, SubTxn{Type: op, Txn: txn})
		}
		return OpMulti, multi
	}
	switch rapid.IntRange(0, 3).Draw(t, "alone") {
	case 0:
		txn := rapid.Make[CreateSessionTxn]().Draw(t, "createSession")
		return OpCreateSession, &txn
	case 1:
		// No znode has an empty path, and two of them would look like a digest.
		hasPaths := func(txn CloseSessionTxn) bool { return !slices.Contains(txn.Paths2Delete, "") }
		txn := rapid.Make[CloseSessionTxn]().Filter(hasPaths).Draw(t, "closeSession")
		return OpCloseSession, &txn
	case 2:
		txn := rapid.Make[SetDataTxn]().Draw(t, "reconfig")
		return OpReconfig, &txn
	}
	op, txn := anyPart(t)
	if op == OpCheck {
		return OpError, &ErrorTxn{Err: BadVersion}
	}
	return op, txn
}

// anyPart draws a transaction that may stand in a multi.
func anyPart(t *rapid.T) (OpCode, Txn) {
	switch rapid.IntRange(0, 8).Draw(t, "type") {
	case 0:
		txn := rapid.Make[CreateTxn]().Draw(t, "create")
		return rapid.SampledFrom([]OpCode{OpCreate, OpCreate2}).Draw(t, "op"), &txn
	case 1:
		txn := rapid.Make[CreateContainerTxn]().Draw(t, "createContainer")
		return OpCreateContainer, &txn
	case 2:
		txn := rapid.Make[CreateTTLTxn]().Draw(t, "createTTL")
		return OpCreateTTL, &txn
	case 3:
		txn := rapid.Make[DeleteTxn]().Draw(t, "delete")
		return rapid.SampledFrom([]OpCode{OpDelete, OpDeleteContainer}).Draw(t, "op"), &txn
	case 4:
		txn := rapid.Make[SetDataTxn]().Draw(t, "setData")
		return OpSetData, &txn
	case 5:
		txn := rapid.Make[SetACLTxn]().Draw(t, "setACL")
		return OpSetACL, &txn
	case 6:
		txn := rapid.Make[CheckVersionTxn]().Draw(t, "check")
		return OpCheck, &txn
	}
	txn := rapid.Make[ErrorTxn]().Draw(t, "error")
	return OpError, &txn
}

func TestPayloadsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		header := rapid.Make[TxnHeader]().Draw(t, "header")
		op, txn := anyTxn(t)
		header.Type = op
		var digest *TxnDigest
		if rapid.Bool().Draw(t, "digested") {
			digest = &TxnDigest{Version: DigestVersion, TreeDigest: rapid.Int64().Draw(t, "digest")}
		}
		payload := EncodePayload(header, txn, digest)
		header2, txn2, digest2, err := DecodePayload(payload)
		require.NoError(t, err)
		require.Equal(t, header, header2)
		require.Equal(t, txn, txn2)
		require.Equal(t, digest, digest2)
	})
}

func TestErrorPayloadHas36Bytes(t *testing.T) {
	payload := EncodePayload(TxnHeader{ClientID: 1, Cxid: 2, Zxid: 3, Time: 4, Type: OpError}, &ErrorTxn{Err: NoNode}, nil)
	require.Equal(t, "0000000000000001"+"00000002"+"0000000000000003"+"0000000000000004"+"ffffffff"+"ffffff9b",
		hex.EncodeToString(payload))
}

func TestOldPayloads(t *testing.T) {
	header := TxnHeader{ClientID: 1, Type: OpCreate}
	t.Run("create of a log before 3.4 lacks the parent's cversion", func(t *testing.T) {
		payload := EncodePayload(header, &CreateTxn{Path: "/a", ACL: OpenACL()}, nil)
		_, txn, digest, err := DecodePayload(payload[:len(payload)-4])
		require.NoError(t, err)
		require.Nil(t, digest)
		require.Equal(t, int32(-1), txn.(*CreateTxn).ParentCVersion)
	})
	header.Type = OpCloseSession
	t.Run("closeSession of a log before 3.6 has no body", func(t *testing.T) {
		_, txn, digest, err := DecodePayload(Marshal(header))
		require.NoError(t, err)
		require.Nil(t, digest)
		require.Nil(t, txn.(*CloseSessionTxn).Paths2Delete)
	})
	t.Run("closeSession without a body but with a digest", func(t *testing.T) {
		want := TxnDigest{Version: DigestVersion, TreeDigest: 1371985504}
		_, txn, digest, err := DecodePayload(append(Marshal(header), Marshal(want)...))
		require.NoError(t, err)
		require.Equal(t, &want, digest)
		require.Nil(t, txn.(*CloseSessionTxn).Paths2Delete)
	})
	t.Run("closeSession with paths of as many bytes as a digest", func(t *testing.T) {
		_, txn, digest, err := DecodePayload(EncodePayload(header, &CloseSessionTxn{Paths2Delete: []string{"/eph"}}, nil))
		require.NoError(t, err)
		require.Nil(t, digest)
		require.Equal(t, []string{"/eph"}, txn.(*CloseSessionTxn).Paths2Delete)
	})
}

func TestBadPayloadsAreRefused(t *testing.T) {
	header := TxnHeader{Zxid: 5, Type: OpCheck}
	for _, c := range []struct {
		name    string
		payload []byte
		want    string
	}{
		{"empty", nil, "transaction header: " + ErrTruncated.Error()},
		{"check alone (ZOOKEEPER-2623)", EncodePayload(header, &CheckVersionTxn{Path: "/a"}, nil), "transaction 0x5: unsupported type 13"},
		{"cut in the body", EncodePayload(TxnHeader{Zxid: 5, Type: OpDelete}, &DeleteTxn{Path: "/a"}, nil)[:35], ErrTruncated.Error()},
		{"cut in the digest", append(EncodePayload(TxnHeader{Zxid: 5, Type: OpDelete}, &DeleteTxn{Path: "/a"}, nil), 0, 0), ErrTruncated.Error()},
		{"session in a multi", EncodePayload(TxnHeader{Zxid: 5, Type: OpMulti},
			&MultiTxn{Txns: []SubTxn{{Type: OpCreateSession, Txn: &CreateSessionTxn{}}}}, nil), "createSession cannot be part of a multi"},
		{"part with bytes left over", EncodePayload(TxnHeader{Zxid: 5, Type: OpMulti},
			&MultiTxn{Txns: []SubTxn{{Type: OpDelete, Txn: &CheckVersionTxn{}}}}, nil), "left over"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, _, err := DecodePayload(c.payload)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// A transaction is as large as the ensemble's jute.maxbuffer lets it be; who read its bytes has seen to that.
func TestPayloadLargerThanTheDefaultBound(t *testing.T) {
	txn := &SetDataTxn{Path: "/a", Data: make([]byte, 2*MaxFieldDefault)}
	payload := EncodePayload(TxnHeader{Zxid: 1, Type: OpSetData}, txn, nil)
	_, read, _, err := DecodePayload(payload)
	require.NoError(t, err)
	require.Equal(t, txn, read)
}
