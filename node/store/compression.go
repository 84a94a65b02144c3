package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
)

// Compression says how a snapshot is stored: zookeeper.snapshot.compression.method.
type Compression string

// The compressions that Apache's server reads and writes.
const (
	Plain  Compression = ""
	Gzip   Compression = "gz"
	Snappy Compression = "snappy"
)

// ParseCompression reads the property's value.
func ParseCompression(word string) (Compression, error) {
	switch c := Compression(word); c {
	case Plain, Gzip, Snappy:
		return c, nil
	}
	return Plain, fmt.Errorf("snapshot.compression.method %q is unknown; use %q, %q or nothing", word, Gzip, Snappy)
}

func (c Compression) suffix() string {
	if c == Plain {
		return ""
	}
	return "." + string(c)
}

// splitCompression takes a snapshot's name apart.
func splitCompression(name string) (stem string, compression Compression) {
	for _, c := range []Compression{Gzip, Snappy} {
		if stem, ok := strings.CutSuffix(name, c.suffix()); ok {
			return stem, c
		}
	}
	return name, Plain
}

// reader returns what was written through writer.
func (c Compression) reader(stored *bufio.Reader) (io.Reader, error) {
	switch c {
	case Gzip:
		return gzip.NewReader(stored)
	case Snappy:
		return newSnappyReader(stored)
	}
	return stored, nil
}

// writer compresses into stored. Close ends the compressed stream and leaves stored open.
func (c Compression) writer(stored io.Writer) (io.WriteCloser, error) {
	switch c {
	case Gzip:
		return gzip.NewWriter(stored), nil
	case Snappy:
		_, err := stored.Write(snappyHeader)
		return &snappyWriter{stored: stored}, err
	}
	return plainWriter{stored}, nil
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }

// snappyHeader begins a stream of the Java library snappy-java: magic, version, compatible version.
// Blocks follow, each behind its length in four bytes.
var snappyHeader = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}

const (
	// snappyBlockSize is how many bytes are compressed together (snappy-java's default).
	snappyBlockSize = 32 << 10
	// snappyBlockMax bounds what one block of a file read may claim to hold, in bytes.
	snappyBlockMax = 16 << 20
)

type snappyWriter struct {
	stored  io.Writer
	pending []byte
	block   []byte
}

func (w *snappyWriter) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		n := min(snappyBlockSize-len(w.pending), len(rest))
		w.pending, rest = append(w.pending, rest[:n]...), rest[n:]
		if len(w.pending) == snappyBlockSize {
			if err := w.flush(); err != nil {
				return len(data) - len(rest), err
			}
		}
	}
	return len(data), nil
}

func (w *snappyWriter) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	w.block = s2.EncodeSnappy(w.block[:cap(w.block)], w.pending)
	w.pending = w.pending[:0]
	if err := binary.Write(w.stored, binary.BigEndian, uint32(len(w.block))); err != nil {
		return err
	}
	_, err := w.stored.Write(w.block)
	return err
}

func (w *snappyWriter) Close() error { return w.flush() }

type snappyReader struct {
	stored io.Reader
	block  []byte
	plain  []byte
	unread []byte
}

func newSnappyReader(stored io.Reader) (*snappyReader, error) {
	head := make([]byte, len(snappyHeader))
	if _, err := io.ReadFull(stored, head); err != nil {
		return nil, fmt.Errorf("snappy header: %w", err)
	}
	if magic := snappyHeader[:8]; !bytes.Equal(head[:8], magic) {
		return nil, errors.New("no snappy header")
	}
	return &snappyReader{stored: stored}, nil
}

func (r *snappyReader) Read(into []byte) (int, error) {
	for len(r.unread) == 0 {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(into, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

func (r *snappyReader) fill() error {
	var head [4]byte
	if _, err := io.ReadFull(r.stored, head[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length > snappyBlockMax {
		return fmt.Errorf("a snappy block of %d bytes", length)
	}
	if cap(r.block) < int(length) {
		r.block = make([]byte, length)
	}
	r.block = r.block[:length]
	if _, err := io.ReadFull(r.stored, r.block); err != nil {
		return fmt.Errorf("snappy block: %w", err)
	}
	size, err := s2.DecodedLen(r.block)
	if err != nil {
		return fmt.Errorf("snappy block: %w", err)
	}
	if size > snappyBlockMax {
		return fmt.Errorf("a snappy block that holds %d bytes", size)
	}
	r.plain, err = s2.Decode(r.plain[:cap(r.plain)], r.block)
	if err != nil {
		return fmt.Errorf("snappy block: %w", err)
	}
	r.unread = r.plain
	return nil
}
