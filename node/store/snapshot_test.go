package store

import (
	"fmt"
	"path"
	"testing"

	"github.com/klauspost/compress/snappy/xerial"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ordeal/node/jute"
	"ordeal/node/tree"
)

// snapshotOf returns a snapshot file of a tree.
func snapshotOf(t testing.TB, compression Compression, zxids ...int64) []byte {
	return snapshotFile(t, compression, treeOf(zxids...).Snapshot())
}

// snapshotFile is the content of a snapshot's file.
func snapshotFile(t testing.TB, compression Compression, source *tree.Snapshotter) []byte {
	files := newMemoryFS()
	job := &snapshotJob{
		files: files, dir: "/", compression: compression, source: source,
		guard: func(f func()) { f() }, nodes: snapshotNodesDefault, givenUp: func() bool { return false },
	}
	size, err := job.write()
	require.NoError(t, err)
	require.NoError(t, job.publish())
	content := files.get(job.finalPath())
	require.Len(t, content, int(size))
	return content
}

func readBack(content []byte, compression Compression) (*loadedSnapshot, error) {
	files := newMemoryFS()
	name := path.Join("/", snapshotName(1, compression))
	files.put(name, content)
	source := namedFile{zxid: 1, path: name, compression: compression}
	loaded, err := readSnapshot(files, source, treeOptions, 0)
	if verified := verifySnapshot(files, source); (verified == nil) != (err == nil) && err == nil {
		return nil, fmt.Errorf("verifySnapshot found an error in a good snapshot: %w", verified)
	}
	return loaded, err
}

func TestSnapshotOk(t *testing.T) {
	for _, compression := range []Compression{Plain, Gzip, Snappy} {
		for _, n := range []int64{0, 1, 1000} {
			t.Run(fmt.Sprintf("%q of %d", compression, n), func(t *testing.T) {
				expected := treeOf(upTo(n)...)
				loaded, err := readBack(snapshotOf(t, compression, upTo(n)...), compression)
				require.NoError(t, err)
				loaded.tree.SetLastZxid(n)
				sameTree(t, expected, loaded.tree)
				require.Equal(t, &snapshotDigest{zxid: n, version: jute.DigestVersion, value: expected.Digest()}, loaded.digest)
			})
		}
	}
}

// TestRootHasAnEmptyPath because Apache's server does not start from a snapshot where it is null.
func TestRootHasAnEmptyPath(t *testing.T) {
	d := jute.NewDecoder(snapshotOf(t, Plain)[fileHeaderSize:])
	require.Zero(t, d.Int(), "sessions")
	for range d.Int() {
		d.Long()
		jute.DecodeACLs(d)
	}
	require.Equal(t, int32(0), d.Int(), "the length of the first path")
	require.NoError(t, d.Err())
}

// TestSnappyIsSnappyJavas holds our framing against another implementation of it.
func TestSnappyIsSnappyJavas(t *testing.T) {
	plain, compressed := snapshotOf(t, Plain, upTo(2000)...), snapshotOf(t, Snappy, upTo(2000)...)
	decoded, err := xerial.Decode(compressed)
	require.NoError(t, err)
	require.Equal(t, plain, decoded)
	_, err = readBack(xerial.Encode(nil, plain), Snappy)
	require.NoError(t, err)
}

// resealed returns a plain snapshot with more behind it, under a seal of its own.
func resealed(snapshot []byte, more []byte) []byte {
	var out writerTo
	s := sealer{out: &out, checksum: newChecksum()}
	s.write(snapshot)
	s.write(more)
	s.seal()
	return out
}

type writerTo []byte

func (w *writerTo) Write(data []byte) (int, error) {
	*w = append(*w, data...)
	return len(data), nil
}

func TestSnapshotsOfOtherVersions(t *testing.T) {
	whole := snapshotOf(t, Plain, 1, 2)
	withoutDigest := whole[:len(whole)-(8+4+8)-sealSize]
	t.Run("without digest", func(t *testing.T) {
		loaded, err := readBack(withoutDigest, Plain)
		require.NoError(t, err)
		require.Nil(t, loaded.digest)
	})
	t.Run("digest of version 1", func(t *testing.T) {
		var e jute.Encoder
		e.Long(2)
		e.Int(1)
		e.String("1f")
		loaded, err := readBack(resealed(withoutDigest, e.Bytes()), Plain)
		require.NoError(t, err)
		require.Equal(t, &snapshotDigest{zxid: 2, version: 1, value: 0x1f}, loaded.digest)
	})
	t.Run("last zxid of 3.9", func(t *testing.T) {
		var e jute.Encoder
		e.Long(2)
		loaded, err := readBack(resealed(whole, e.Bytes()), Plain)
		require.NoError(t, err)
		require.Equal(t, int64(2), loaded.digest.zxid)
	})
}

func TestSnapshotBad(t *testing.T) {
	whole := snapshotOf(t, Plain, upTo(5)...)
	t.Run("every cut", func(t *testing.T) {
		withoutDigest := len(whole) - (8 + 4 + 8) - sealSize
		for size := range whole {
			if _, err := readBack(whole[:size], Plain); size != withoutDigest {
				require.Error(t, err, "size %d", size)
			}
		}
	})
	t.Run("every bit", func(t *testing.T) {
		for bit := range len(whole) * 8 {
			_, err := readBack(changed(whole, bit/8, whole[bit/8]^1<<(bit%8)), Plain)
			require.Error(t, err, "bit %d of byte %d", bit%8, bit/8)
		}
	})
	for _, compression := range []Compression{Gzip, Snappy} {
		compressed := snapshotOf(t, compression, upTo(5)...)
		t.Run("compressed as "+string(compression), func(t *testing.T) {
			for at := range compressed {
				if loaded, err := readBack(changed(compressed, at, compressed[at]^0x10), compression); err == nil {
					sameZnodes(t, treeOf(upTo(5)...), loaded.tree)
				}
				if loaded, err := readBack(compressed[:at], compression); err == nil {
					sameZnodes(t, treeOf(upTo(5)...), loaded.tree)
				}
			}
		})
	}
}

// TestFuzzySnapshotWithTheLogIsTheState writes a snapshot while transactions go on, at random points.
func TestFuzzySnapshotWithTheLogIsTheState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const last = 200
		start := rapid.Int64Range(0, last).Draw(t, "start")
		living := treeOf(upTo(start)...)
		applied := start
		files := newMemoryFS()
		files.put(inData("log.1"), logOf(upTo(last)...))
		job := &snapshotJob{
			files: files, dir: path.Dir(inData("x")), source: living.Snapshot(), nodes: snapshotNodesDefault, givenUp: func() bool { return false },
			guard: func(next func()) {
				for range rapid.IntRange(0, 40).Draw(t, "meanwhile") {
					if applied < last {
						applied++
						living.Apply(txnAt(applied))
					}
				}
				next()
			},
		}
		_, err := job.write()
		require.NoError(t, err)
		require.NoError(t, job.publish())
		s, state, err := Open(testOptions(files))
		require.NoError(t, err)
		defer s.Close()
		sameZnodes(t, treeOf(upTo(last)...), state.Tree)
	})
}

func FuzzSnapshotReader(f *testing.F) {
	f.Add(snapshotOf(f, Plain, upTo(3)...), uint8(0))
	f.Add(snapshotOf(f, Gzip, upTo(3)...), uint8(1))
	f.Add(snapshotOf(f, Snappy, upTo(3)...), uint8(2))
	f.Fuzz(func(t *testing.T, content []byte, kind uint8) {
		compression := []Compression{Plain, Gzip, Snappy}[kind%3]
		loaded, err := readBack(content, compression)
		if err == nil {
			walk := loaded.tree.Snapshot()
			for done := false; !done; {
				_, done = walk.Next(100)
			}
		}
	})
}

// FuzzSealedSnapshot gives the tree's reader bytes under a good seal.
func FuzzSealedSnapshot(f *testing.F) {
	whole := snapshotOf(f, Plain, upTo(3)...)
	f.Add(whole[fileHeaderSize : len(whole)-(8+4+8)-2*sealSize])
	f.Fuzz(func(t *testing.T, content []byte) {
		loaded, err := readBack(resealed(append(fileHeader(snapshotMagic, snapshotDatabase), content...), nil), Plain)
		if err == nil {
			loaded.tree.Walk(func(string, tree.Znode) bool { return true })
		}
	})
}
