package jute

import (
	"encoding/binary"
	"fmt"
)

// DigestVersion is the version of the tree's digest that ZooKeeper 3.6 and later compute.
const DigestVersion int32 = 2

// digestSize is the length of an encoded TxnDigest in bytes.
const digestSize = 4 + 8

// EncodePayload returns a transaction as it stands in logs and in PROPOSAL packets: header, body
// and, unless digest is nil, the digest.
func EncodePayload(header TxnHeader, txn Txn, digest *TxnDigest) []byte {
	e := NewEncoder(make([]byte, 0, fixedSizeHint+sizeHint(txn)))
	header.Encode(e)
	txn.Encode(e)
	if digest != nil {
		digest.Encode(e)
	}
	return e.Bytes()
}

// DataOffset is where in a payload the data begins of a transaction that creates the znode of a path, or sets its data.
func DataOffset(path string) int {
	const header, length = 8 + 4 + 8 + 8 + 4, 4
	return header + length + len(path) + length
}

// DecodePayload reads what EncodePayload or Apache's servers wrote. The result shares memory with
// payload. A type that no transaction has is an error.
func DecodePayload(payload []byte) (TxnHeader, Txn, *TxnDigest, error) {
	d := NewDecoder(payload)
	var header TxnHeader
	header.Decode(d)
	if d.Err() != nil {
		return header, nil, nil, fmt.Errorf("transaction header: %w", d.Err())
	}
	txn := newTxn(header.Type)
	if txn == nil {
		return header, nil, nil, fmt.Errorf("transaction %#x: unsupported type %d", header.Zxid, int32(header.Type))
	}
	if !omitsBody(header.Type, payload[d.offset:]) {
		decodeTxn(txn, d)
	}
	var digest *TxnDigest
	if d.Err() == nil && d.Remaining() > 0 {
		digest = &TxnDigest{}
		digest.Decode(d)
	}
	if err := d.Finish(); err != nil {
		return header, nil, nil, fmt.Errorf("transaction %#x of type %s: %w", header.Zxid, header.Type, err)
	}
	return header, txn, digest, nil
}

// omitsBody recognises the closeSession of a server with zookeeper.closeSessionTxn.enabled=false:
// nothing, or a digest, follows the header. A digest cannot be mistaken for paths: two paths in as
// many bytes would both be empty.
func omitsBody(op OpCode, rest []byte) bool {
	return op == OpCloseSession && len(rest) == digestSize &&
		binary.BigEndian.Uint32(rest) == uint32(DigestVersion)
}
