package tree

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"strings"

	"ordeal/node/jute"
)

// The digest log keeps the digest of every 128th zxid, the last 1024 of them (protocol.md 3.1).
const (
	digestLogInterval = 128
	digestLogMax      = 1024
)

// ZxidDigest is the tree's digest after a transaction.
type ZxidDigest struct {
	Zxid   int64
	Digest int64
}

// statDigestedSize is how much of a StatPersisted counts for the digest, in bytes.
const statDigestedSize = 5*8 + 3*4 + 8

// NodeDigest returns what a znode adds to the tree's digest (protocol.md 3.1, version 2). Znodes
// below /zookeeper count nothing, since quota counts are kept by each server on its own. A leader
// knows the digest after a transaction from this: the tree's, minus each changed znode's old digest,
// plus its new one, in 64 bits that wrap.
func NodeDigest(path string, data []byte, stat jute.StatPersisted) int64 {
	path = key(path)
	digest, _ := nodeDigest(make([]byte, 0, len(path)+statDigestedSize), path, data, &stat)
	return int64(digest)
}

// nodeDigest works in scratch, which it returns for the next time.
func nodeDigest(scratch []byte, path string, data []byte, stat *jute.StatPersisted) (uint32, []byte) {
	if strings.HasPrefix(path, zookeeperPath+"/") {
		return 0, scratch
	}
	b := append(scratch[:0], path...)
	for _, v := range [...]int64{stat.Czxid, stat.Mzxid, stat.Pzxid, stat.Ctime, stat.Mtime} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	for _, v := range [...]int32{stat.Version, stat.Cversion, stat.Aversion} {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(stat.EphemeralOwner))
	digest := crc32.ChecksumIEEE(b[:len(path)])
	digest = crc32.Update(digest, crc32.IEEETable, data)
	digest = crc32.Update(digest, crc32.IEEETable, b[len(path):])
	return digest, b
}

// Digest returns the digest over all znodes, 0 if digests are switched off.
func (t *Tree) Digest() int64 { return t.digest }

// DigestLog returns a copy of the digests of past zxids, oldest first, for the word "hash".
func (t *Tree) DigestLog() []ZxidDigest { return append([]ZxidDigest(nil), t.digestLog...) }

// rehash brings a znode's share of the digest up to date, after any change of it.
func (t *Tree) rehash(path string, n *node) {
	if !t.options.DigestEnabled {
		return
	}
	t.digest -= int64(n.digest)
	n.digest, t.scratch = nodeDigest(t.scratch, path, n.data, &n.stat)
	t.digest += int64(n.digest)
}

func (t *Tree) logDigest(zxid int64) {
	if !t.options.DigestEnabled || t.digestUnknown() || zxid%digestLogInterval != 0 {
		return
	}
	if len(t.digestLog) == digestLogMax {
		t.digestLog = append(t.digestLog[:0], t.digestLog[1:]...)
	}
	t.digestLog = append(t.digestLog, ZxidDigest{Zxid: zxid, Digest: t.digest})
}

// ExpectDigest takes the trailer of the fuzzy snapshot that the tree was read from: the digest that
// it has once the transaction zxid is applied. Until then its digests mean nothing, and CheckDigest
// says nothing. If zxid is the tree's last already then the answer is given at once. Zxid 0 is what
// a server writes that does not know the digest, Apache's among them before their first transaction.
// Call it after SetLastZxid.
func (t *Tree) ExpectDigest(zxid, digest int64) error {
	if !t.options.DigestEnabled || zxid == 0 || zxid < t.lastZxid {
		return nil
	}
	t.expected = &ZxidDigest{Zxid: zxid, Digest: digest}
	if zxid > t.lastZxid {
		return nil
	}
	return t.CheckDigest(zxid, nil)
}

// DistrustDigests says that the tree came as a fuzzy picture without a trailer, as a leader sends it
// behind SNAP: it may hold effects of transactions that are not applied to it yet, and nobody knows
// of which. CheckDigest says nothing until TrustDigestsAfter has told.
func (t *Tree) DistrustDigests() { t.fuzzyUntil = math.MaxInt64 }

// TrustDigestsAfter says that the picture cannot hold effects of transactions after zxid. It changes
// nothing if the tree is not distrusted.
func (t *Tree) TrustDigestsAfter(zxid int64) { t.fuzzyUntil = min(t.fuzzyUntil, zxid) }

// digestUnknown tells whether the tree is not yet what its last transaction should have made of it.
func (t *Tree) digestUnknown() bool { return t.expected != nil || t.lastZxid < t.fuzzyUntil }

// DigestKnown tells whether CheckDigest compares anything.
func (t *Tree) DigestKnown() bool { return t.options.DigestEnabled && !t.digestUnknown() }

// CheckDigest compares the tree, after the transaction zxid was applied, with the digest that came
// with the transaction, which may be nil. An error says what was expected and found; a server goes on
// after it, as Apache's do (protocol.md 3.1).
func (t *Tree) CheckDigest(zxid int64, txn *jute.TxnDigest) error {
	if !t.options.DigestEnabled {
		return nil
	}
	if zxid < t.fuzzyUntil {
		return nil
	}
	if t.expected == nil {
		if txn == nil || txn.Version != jute.DigestVersion {
			return nil
		}
		return t.compareDigest(zxid, txn.TreeDigest)
	}
	expected := *t.expected
	if zxid < expected.Zxid {
		return nil
	}
	t.expected = nil
	if zxid > expected.Zxid {
		return fmt.Errorf("tree digest: the snapshot's zxid %#x was passed over, found %#x", expected.Zxid, zxid)
	}
	return t.compareDigest(zxid, expected.Digest)
}

func (t *Tree) compareDigest(zxid, expected int64) error {
	if t.digest == expected {
		return nil
	}
	return fmt.Errorf("tree digest after zxid %#x: expected %d, found %d", zxid, expected, t.digest)
}
