package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"iter"

	"ordeal/node/disk"
)

// zxidOffset is where a transaction's zxid stands in its payload: behind clientId and cxid.
const zxidOffset = 8 + 4

// readBufferSize is how much of a file is read at once, in bytes.
const readBufferSize = 64 << 10

// logReader reads the entries of one log file.
//
// A log file ends in zeros that were preallocated, or at its physical end. A crash may leave a piece of
// an entry there; then the piece is the beginning of the entry, and nothing but zeros is behind it.
// That is called torn and counts as the end. Whatever else is not an entry is damage: had the rest
// been passed over, synced entries would be lost in silence.
//
// A loss of power may leave more. What was not synced reaches the disk sector by sector in any order, so
// that of several entries that shared a sync the later may be there and the earlier not. That is torn too, if
// all of this holds:
//
//   - The file is the newest: a file is synced before the next one is begun.
//   - The broken entry lies behind the mark in the header. All before the mark was synced, and what is
//     damaged there was perhaps acknowledged.
//   - A whole sector of the entry, or what follows the entries before it in their sector, reads as zeros.
//     That is what an un-synced sector looks like which never reached the disk. A flipped bit does not.
//
// Of synced bytes only those behind the mark, markInterval and one sync at most, can still be taken for
// torn, and only if they decay into a sector of zeros, or else stand in one entry with a sector of data
// that is all zeros. Logs of Apache's servers have no mark, and neither has a log that is younger.
type logReader struct {
	file     File
	path     string
	size     int64
	buffered *bufio.Reader
	// offset is where the next entry begins.
	offset int64
	// last is the zxid of the last entry read.
	last int64
	// torn is how many bytes of torn entries follow the last whole one.
	torn int64
	// newest is set for the newest log file.
	newest bool
	// marked is how much of the file is known to have been synced.
	marked int64
}

// sectorSize is the least that a disk writes as a whole, in bytes.
const sectorSize = 512

// openLog opens a log file for reading up to limit bytes; 0 stands for all of it.
func openLog(files FS, name string, limit int64) (*logReader, error) {
	file, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := file.Size()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("size of %s: %w", name, err)
	}
	if limit > 0 {
		size = min(size, limit)
	}
	return &logReader{
		file: file, path: name, size: size,
		buffered: bufio.NewReaderSize(io.NewSectionReader(file, 0, size), int(min(readBufferSize, size))),
	}, nil
}

func (r *logReader) close() { r.file.Close() }

func (r *logReader) corrupt(offset int64, reason string, arguments ...any) error {
	return &CorruptError{File: r.path, Offset: offset, Reason: fmt.Sprintf(reason, arguments...)}
}

// readError tells why bytes could not be read that should be there. A file that ends too early must not look like the end
// of the log.
func (r *logReader) readError(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %s at byte %d: %w", r.path, r.offset, err)
}

// readAt reads bytes that lie within the file.
func (r *logReader) readAt(bytes []byte, at int64) error {
	if n, err := r.file.ReadAt(bytes, at); n < len(bytes) {
		return r.readError(err)
	}
	return nil
}

// next returns the next entry, or io.EOF at the end of the log.
func (r *logReader) next() (disk.Entry, error) {
	if r.offset == 0 {
		if err := r.header(); err != nil {
			return disk.Entry{}, err
		}
	}
	var head [entryHeaderSize]byte
	if n, err := io.ReadFull(r.buffered, head[:]); int64(n) < min(entryHeaderSize, r.size-r.offset) {
		return disk.Entry{}, r.readError(err)
	}
	checksum := binary.BigEndian.Uint64(head[:8])
	length := int64(int32(binary.BigEndian.Uint32(head[8:])))
	end := r.offset + entryHeaderSize + length
	if length <= 0 || end+1 > r.size {
		return disk.Entry{}, r.end(checksum, length)
	}
	record := make([]byte, length+1)
	if _, err := io.ReadFull(r.buffered, record); err != nil {
		return disk.Entry{}, r.readError(err)
	}
	payload := record[:length:length]
	if record[length] != entryEnd || uint64(adler32.Checksum(payload)) != checksum {
		return disk.Entry{}, r.end(checksum, length)
	}
	if length < zxidOffset+8 {
		return disk.Entry{}, r.corrupt(r.offset, "an entry of %d bytes is too short for a transaction", length)
	}
	r.offset = end + 1
	r.last = zxidIn(payload)
	return disk.Entry{Zxid: r.last, Payload: payload}, nil
}

// entries are those from here to the end of the log. If one cannot be read, its error comes last.
func (r *logReader) entries() iter.Seq2[disk.Entry, error] {
	return func(yield func(disk.Entry, error) bool) {
		for {
			entry, err := r.next()
			if errors.Is(err, io.EOF) || !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

func zxidIn(payload []byte) int64 { return int64(binary.BigEndian.Uint64(payload[zxidOffset:])) }

// header reads the file's first bytes. A file without them holds no entry (ZOOKEEPER-2332).
func (r *logReader) header() error {
	var head [fileHeaderSize]byte
	n, err := io.ReadFull(r.buffered, head[:])
	if int64(n) < min(fileHeaderSize, r.size) {
		return r.readError(err)
	}
	expected := fileHeader(logMagic, 0)
	if n == fileHeaderSize && bytes.Equal(head[:8], expected[:8]) {
		r.offset = fileHeaderSize
		r.marked = int64(binary.BigEndian.Uint64(head[8:]))
		return nil
	}
	written := len(bytes.TrimRight(head[:n], "\x00"))
	if !bytes.HasPrefix(expected, head[:written]) {
		return r.corrupt(0, "it does not begin as a transaction log of version %d does", logVersion)
	}
	used, err := r.used(int64(n))
	if err != nil {
		return err
	}
	if used > int64(n) {
		return r.corrupt(0, "its header is not whole, but byte %d is not zero", used-1)
	}
	r.torn = int64(written)
	return io.EOF
}

// end judges what stands at offset and is not an entry: io.EOF if the log ends there, an error if it
// is damaged. Fewer than entryHeaderSize bytes may be left of the file.
func (r *logReader) end(checksum uint64, length int64) error {
	used, err := r.used(r.offset)
	if err != nil {
		return err
	}
	if used == r.offset {
		return io.EOF
	}
	start := r.offset + entryHeaderSize
	if lost, err := r.lacksSector(start+max(length, 0)+1, used); err != nil {
		return err
	} else if lost {
		r.torn = used - r.offset
		return io.EOF
	}
	if checksum == 0 && length == 0 && start < r.size {
		return r.corrupt(r.offset, "the log ends here, but byte %d is not zero", used-1)
	}
	rest := make([]byte, used-r.offset)
	if err := r.readAt(rest, r.offset); err != nil {
		return err
	}
	if length < 0 || wholeUnderOtherLength(checksum, rest) {
		return r.corrupt(r.offset, "an entry's length, %d, is wrong", length)
	}
	if behind := r.offset + r.laterEntry(rest); behind > r.offset {
		return r.corrupt(r.offset, "this is no entry, but there is one at byte %d", behind)
	}
	behind := start
	if length > 0 {
		behind = start + length + 1
	}
	if length > 0 && behind <= used && rest[behind-1-r.offset] != 0 {
		return r.corrupt(r.offset, "an entry's checksum or its end mark is wrong")
	}
	if used > behind {
		return r.corrupt(r.offset, "an entry is not whole, but the log goes on behind it up to byte %d", used)
	}
	r.torn = used - r.offset
	return io.EOF
}

// lacksSector tells whether the entry from offset to end was never synced and has lost a sector. Used is where
// the file's last byte ends that is not zero.
func (r *logReader) lacksSector(end, used int64) (bool, error) {
	const alwaysZero = 4 // bytes, of the checksum
	if !r.newest || r.offset < r.marked {
		return false, nil
	}
	var sector [sectorSize]byte
	for at := r.offset / sectorSize * sectorSize; at < end && at+sectorSize <= used; at += sectorSize {
		from := max(at, r.offset+alwaysZero)
		if from >= at+sectorSize {
			continue
		}
		part := sector[from-at:]
		if err := r.readAt(part, from); err != nil {
			return false, err
		}
		if bytes.Equal(part, zeros[:len(part)]) {
			return true, nil
		}
	}
	return false, nil
}

// wholeUnderOtherLength tells whether rest begins with an entry that is whole but for its length,
// which must then have been damaged after it was written.
func wholeUnderOtherLength(checksum uint64, rest []byte) bool {
	const modulus = 65521 // Adler-32's
	a, b := uint32(1), uint32(0)
	for _, next := range rest[min(entryHeaderSize, len(rest)):] {
		if next == entryEnd && uint64(b<<16|a) == checksum {
			return true
		}
		a = (a + uint32(next)) % modulus
		b = (b + a) % modulus
	}
	return false
}

// laterEntry returns where in rest, behind its beginning, there is a whole entry that is newer than
// those read so far, or 0. A znode's data may look like an entry too, but not like one of the future.
func (r *logReader) laterEntry(rest []byte) int64 {
	const highBytes = 4 // of a checksum, always zero
	for at := 1; at+entryHeaderSize < len(rest); at++ {
		if binary.BigEndian.Uint32(rest[at:]) != 0 {
			continue
		}
		length := int64(int32(binary.BigEndian.Uint32(rest[at+2*highBytes:])))
		end := int64(at) + entryHeaderSize + length
		if length < zxidOffset+8 || end >= int64(len(rest)) || rest[end] != entryEnd {
			continue
		}
		payload := rest[at+entryHeaderSize : end]
		if adler32.Checksum(payload) == binary.BigEndian.Uint32(rest[at+highBytes:]) && zxidIn(payload) > r.last {
			return int64(at)
		}
	}
	return 0
}

// zeros is what preallocated room reads as.
var zeros [readBufferSize]byte

// used returns the end of the last byte at or behind offset that is not zero, or offset.
func (r *logReader) used(offset int64) (int64, error) {
	used := offset
	chunk := make([]byte, min(readBufferSize, r.size-offset))
	for at := offset; at < r.size; {
		n := min(int64(len(chunk)), r.size-at)
		if err := r.readAt(chunk[:n], at); err != nil {
			return 0, err
		}
		if !bytes.Equal(chunk[:n], zeros[:n]) {
			used = at + int64(len(bytes.TrimRight(chunk[:n], "\x00")))
		}
		at += n
	}
	return used, nil
}
