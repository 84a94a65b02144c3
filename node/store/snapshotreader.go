package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"

	"ordeal/node/jute"
	"ordeal/node/tree"
)

// snapshotTriesMax is how many snapshots are tried, newest first, before the server gives up.
const snapshotTriesMax = 100

// loadedSnapshot is a snapshot that was read back.
type loadedSnapshot struct {
	namedFile
	tree *tree.Tree
	// size is the length of the file in bytes.
	size int64
	// digest is what the tree's digest was when the last znode was written, or nil.
	digest *snapshotDigest
}

type snapshotDigest struct {
	zxid    int64
	version int32
	value   int64
}

// readSnapshot reads a whole snapshot and checks its seals.
func readSnapshot(files FS, source namedFile, options tree.Options, maxField int) (*loadedSnapshot, error) {
	content, size, closer, err := openSnapshot(files, source)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	if source.compression == Plain {
		if err := checkEnd(closer.(File), size); err != nil {
			return nil, fmt.Errorf("%s: %w", source.path, err)
		}
	}
	sealed := &sealedReader{in: content, checksum: newChecksum()}
	loaded, err := decodeSnapshot(sealed, options, maxField)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source.path, noEOF(err))
	}
	loaded.namedFile = source
	loaded.size = size
	return loaded, nil
}

// openSnapshot returns the uncompressed content of a snapshot file and the file's length.
func openSnapshot(files FS, source namedFile) (*bufio.Reader, int64, io.Closer, error) {
	file, err := files.Open(source.path)
	if err != nil {
		return nil, 0, nil, err
	}
	size, err := file.Size()
	if err == nil {
		var content io.Reader
		content, err = source.compression.reader(bufio.NewReaderSize(io.NewSectionReader(file, 0, size), int(min(readBufferSize, size))))
		if err == nil {
			buffered, is := content.(*bufio.Reader)
			if !is {
				buffered = bufio.NewReaderSize(content, readBufferSize)
			}
			return buffered, size, file, nil
		}
	}
	file.Close()
	return nil, 0, nil, fmt.Errorf("%s: %w", source.path, noEOF(err))
}

// checkEnd makes sure that a plain file was written to its end, before much time goes into it.
func checkEnd(file File, size int64) error {
	end := binary.BigEndian.AppendUint32(nil, uint32(len(sealPath)))
	end = append(end, sealPath...)
	if size < int64(fileHeaderSize+len(end)) {
		return fmt.Errorf("%d bytes are too few for a snapshot", size)
	}
	last := make([]byte, len(end))
	if _, err := file.ReadAt(last, size-int64(len(last))); err != nil {
		return err
	}
	if !bytes.Equal(last, end) {
		return errors.New("the file was not written to its end")
	}
	return nil
}

// decodeSnapshot reads what snapshotJob.stream wrote.
func decodeSnapshot(in *sealedReader, options tree.Options, maxField int) (*loadedSnapshot, error) {
	decoder := jute.NewStreamDecoder(in)
	if maxField > 0 {
		decoder.SetMaxField(maxField)
	}
	magic, version := decoder.Int(), decoder.Int()
	decoder.Long()
	if err := decoder.Err(); err != nil {
		return nil, err
	}
	if magic != snapshotMagic || version != logVersion {
		return nil, fmt.Errorf("it does not begin as a snapshot of version %d does", logVersion)
	}
	restored, err := tree.ReadSnapshot(decoder, options)
	if err != nil {
		return nil, err
	}
	if err := in.seal(decoder); err != nil {
		return nil, err
	}
	loaded := &loadedSnapshot{tree: restored}
	if in.ended() {
		return loaded, nil
	}
	loaded.digest = &snapshotDigest{zxid: decoder.Long(), version: decoder.Int()}
	if loaded.digest.version < jute.DigestVersion {
		loaded.digest.value, err = strconv.ParseInt(decoder.String(), 16, 64)
		if err != nil {
			decoder.Fail(fmt.Errorf("digest: %w", err))
		}
	} else {
		loaded.digest.value = decoder.Long()
	}
	if err := in.seal(decoder); err != nil {
		return nil, err
	}
	if in.ended() {
		return loaded, nil
	}
	// Since 3.9 the zxid of the last transaction stands here once more, under a third seal.
	decoder.Long()
	return loaded, in.seal(decoder)
}

// noEOF turns the end of a file, where more was due, into an error that nobody takes for a good end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return jute.ErrTruncated
	}
	return err
}

// sealedReader keeps the checksum of what was read.
type sealedReader struct {
	in       *bufio.Reader
	checksum hash.Hash32
}

func (r *sealedReader) Read(into []byte) (int, error) {
	n, err := r.in.Read(into)
	r.checksum.Write(into[:n])
	return n, err
}

// ended tells whether nothing is left to read.
func (r *sealedReader) ended() bool {
	_, err := r.in.Peek(1)
	return errors.Is(err, io.EOF)
}

// seal reads a seal and compares it with what was read before it.
func (r *sealedReader) seal(decoder *jute.Decoder) error {
	expected := int64(r.checksum.Sum32())
	found, end := decoder.Long(), decoder.String()
	if err := decoder.Err(); err != nil {
		return err
	}
	if found != expected {
		return fmt.Errorf("its checksum is %#x and should be %#x", found, expected)
	}
	if end != sealPath {
		return fmt.Errorf("a seal ends in %q", end)
	}
	return nil
}

// verifySnapshot reads a snapshot and checks its last seal, which covers everything before it,
// without building the tree.
func verifySnapshot(files FS, source namedFile) error {
	content, _, closer, err := openSnapshot(files, source)
	if err != nil {
		return err
	}
	defer closer.Close()
	checksum := newChecksum()
	chunk := make([]byte, readBufferSize)
	kept := 0 // bytes at chunk's start that may belong to the last seal
	for {
		n, err := content.Read(chunk[kept:])
		kept += n
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: %w", source.path, err)
		}
		if covered := kept - sealSize; covered > 0 {
			checksum.Write(chunk[:covered])
			copy(chunk, chunk[covered:kept])
			kept = sealSize
		}
		if err != nil {
			break
		}
	}
	expected := binary.BigEndian.AppendUint64(nil, uint64(checksum.Sum32()))
	expected = binary.BigEndian.AppendUint32(expected, uint32(len(sealPath)))
	expected = append(expected, sealPath...)
	if !bytes.Equal(chunk[:kept], expected) {
		return fmt.Errorf("%s: its last checksum is wrong or missing", source.path)
	}
	return nil
}
