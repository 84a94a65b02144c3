package jute

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MaxBufferDefault is Apache's jute.maxbuffer: the longest frame that a client may send, in bytes.
const MaxBufferDefault = 0xfffff

// MaxFieldDefault bounds one string or buffer between servers and on disk, in bytes: jute.maxbuffer
// and its extrasize together (protocol.md section 1).
const MaxFieldDefault = 2 * MaxBufferDefault

// ErrTruncated says that a record ended before its last field.
var ErrTruncated = errors.New("jute: record ends early")

// Decoder reads jute primitives, from a byte slice or from a stream. The first error sticks: every
// later read returns a zero value, and Err tells what went wrong.
//
// One that only concrete types' Decode methods see stays off the heap: take must let nothing of it escape.
type Decoder struct {
	data     []byte
	offset   int
	stream   io.Reader
	maxField int
	maxTotal int // what may still be read; negative for everything
	err      error
	scratch  []byte // of a stream
}

// NewDecoder reads from data. Buffers that it returns share data's memory. A field may be as long as
// data is: whoever read data has seen to its length.
func NewDecoder(data []byte) *Decoder {
	return &Decoder{data: data, maxField: max(MaxFieldDefault, len(data)), maxTotal: -1}
}

// Reset makes a decoder, which may be a zero one, read from data as one of NewDecoder does.
func (d *Decoder) Reset(data []byte) {
	*d = Decoder{data: data, maxField: max(MaxFieldDefault, len(data)), maxTotal: -1}
}

// scratchSize is the length of the longest primitive in bytes.
const scratchSize = 8

// NewStreamDecoder reads from stream exactly what is asked for and not a byte more. Give it a
// buffered reader.
func NewStreamDecoder(stream io.Reader) *Decoder {
	return &Decoder{stream: stream, maxField: MaxFieldDefault, maxTotal: -1, scratch: make([]byte, scratchSize)}
}

// SetMaxField bounds the length of a single string or buffer, in bytes.
func (d *Decoder) SetMaxField(n int) { d.maxField = n }

// SetMaxTotal bounds what is read from now on, in bytes; -1 lifts the bound. No memory is taken for a field
// that goes beyond it.
func (d *Decoder) SetMaxTotal(n int) { d.maxTotal = n }

// Err is the first error met, or nil.
func (d *Decoder) Err() error { return d.err }

// Fail records an error found by a caller, for instance a value that makes no sense.
func (d *Decoder) Fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// Remaining is the number of bytes left in a slice decoder; always 0 for a stream.
func (d *Decoder) Remaining() int { return len(d.data) - d.offset }

// Rest returns what is left of a slice decoder and consumes it.
func (d *Decoder) Rest() []byte {
	rest := d.data[d.offset:]
	d.offset = len(d.data)
	return rest
}

// Finish returns the first error met, or an error if bytes are left over.
func (d *Decoder) Finish() error {
	if d.err == nil && d.Remaining() > 0 {
		d.err = fmt.Errorf("jute: %d bytes left over after the record", d.Remaining())
	}
	return d.err
}

// take returns the next n bytes, or nil after an error. Bytes of a stream go into scratch if they
// fit, into fresh memory otherwise.
func (d *Decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if d.maxTotal >= 0 {
		if n > d.maxTotal {
			d.err = fmt.Errorf("jute: a record is too long: %d bytes are to follow, %d more are allowed", n, d.maxTotal)
			return nil
		}
		d.maxTotal -= n
	}
	if d.stream != nil {
		return d.takeFromStream(n)
	}
	if d.Remaining() < n {
		d.err = ErrTruncated
		return nil
	}
	b := d.data[d.offset : d.offset+n : d.offset+n]
	d.offset += n
	return b
}

func (d *Decoder) takeFromStream(n int) []byte {
	var b []byte
	if n > len(d.scratch) {
		b = make([]byte, n)
	} else {
		b = d.scratch[:n]
	}
	if _, err := io.ReadFull(d.stream, b); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = ErrTruncated
		}
		d.err = err
		return nil
	}
	return b
}

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Bool reads one byte; anything but 0 is true.
func (d *Decoder) Bool() bool { return d.Byte() != 0 }

// Int reads four bytes.
func (d *Decoder) Int() int32 {
	if b := d.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// Long reads eight bytes.
func (d *Decoder) Long() int64 {
	if b := d.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// length reads the length of a string or buffer: -1 stands for null.
func (d *Decoder) length() int {
	n := int(d.Int())
	if d.err != nil {
		return -1
	}
	if n < -1 || n > d.maxField {
		d.err = fmt.Errorf("jute: unreasonable length %d, at most %d is allowed", n, d.maxField)
		return -1
	}
	return n
}

// Buffer reads a length and bytes; nil for length -1.
func (d *Decoder) Buffer() []byte {
	n := d.length()
	if n < 0 {
		return nil
	}
	if n == 0 {
		return []byte{}
	}
	b := d.take(n)
	if d.stream != nil && n <= len(d.scratch) {
		b = append([]byte(nil), b...)
	}
	return b
}

// String reads a length and bytes; "" for null.
func (d *Decoder) String() string {
	n := d.length()
	if n <= 0 {
		return ""
	}
	return string(d.take(n))
}

// Count reads the number of elements of a vector: -1 stands for null. Of a slice decoder it is
// bounded by the bytes that are left, at least sizeMin for each element, so that no memory is taken
// for elements that cannot be there.
func (d *Decoder) Count(sizeMin int) int {
	n := int(d.Int())
	if d.err != nil {
		return -1
	}
	if n < -1 {
		return 0 // Java's loop over the elements then ends at once
	}
	if n > d.maxField || (d.stream == nil && n > 0 && n*sizeMin > d.Remaining()) {
		d.err = fmt.Errorf("jute: unreasonable vector of %d elements with %d bytes left", n, d.Remaining())
		return -1
	}
	return n
}

// vectorRoom is for how many elements room is made at first, so that a hostile count on a stream costs no memory
// before its elements arrive.
const vectorRoom = 1024

// Strings reads a vector of strings; nil for count -1.
func (d *Decoder) Strings() []string {
	n := d.Count(4)
	if n < 0 {
		return nil
	}
	v := make([]string, 0, min(n, vectorRoom))
	for i := 0; i < n && d.err == nil; i++ {
		v = append(v, d.String())
	}
	return v
}
