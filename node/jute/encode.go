package jute

import (
	"encoding/binary"
)

// Encoder appends jute primitives to a byte slice. Its zero value is ready to use.
type Encoder struct {
	buffer []byte
}

// NewEncoder returns an encoder that appends to buffer, which may be nil.
func NewEncoder(buffer []byte) *Encoder { return &Encoder{buffer: buffer} }

// Reset makes the encoder append to buffer from now on.
func (e *Encoder) Reset(buffer []byte) { e.buffer = buffer }

// Bytes returns everything encoded so far. It shares memory with the encoder.
func (e *Encoder) Bytes() []byte { return e.buffer }

// Len is the number of bytes encoded so far.
func (e *Encoder) Len() int { return len(e.buffer) }

// Byte appends one byte.
func (e *Encoder) Byte(v byte) { e.buffer = append(e.buffer, v) }

// Bool appends one byte, 0 or 1.
func (e *Encoder) Bool(v bool) {
	if v {
		e.Byte(1)
		return
	}
	e.Byte(0)
}

// Int appends four bytes, big-endian.
func (e *Encoder) Int(v int32) { e.buffer = binary.BigEndian.AppendUint32(e.buffer, uint32(v)) }

// Long appends eight bytes, big-endian.
func (e *Encoder) Long(v int64) { e.buffer = binary.BigEndian.AppendUint64(e.buffer, uint64(v)) }

// String appends a length and the bytes of v as they are.
func (e *Encoder) String(v string) {
	e.Int(int32(len(v)))
	e.buffer = append(e.buffer, v...)
}

// Buffer appends a length and bytes; nil is encoded as length -1, which is distinct from empty.
func (e *Encoder) Buffer(v []byte) {
	if v == nil {
		e.Int(-1)
		return
	}
	e.Int(int32(len(v)))
	e.buffer = append(e.buffer, v...)
}

// Raw appends bytes without a length.
func (e *Encoder) Raw(v []byte) { e.buffer = append(e.buffer, v...) }

// count appends the number of elements of a vector.
func (e *Encoder) count(n int, null bool) {
	if null {
		n = -1
	}
	e.Int(int32(n))
}

// Strings appends a vector of strings; nil is encoded as count -1.
func (e *Encoder) Strings(v []string) {
	e.count(len(v), v == nil)
	for _, s := range v {
		e.String(s)
	}
}

// Record is anything that has a jute encoding.
type Record interface {
	Encode(*Encoder)
}

// Decodable is a record that can be read back.
type Decodable interface {
	Decode(*Decoder)
}

// Marshal returns the encoding of one record.
func Marshal(r Record) []byte {
	e := NewEncoder(make([]byte, 0, sizeHint(r)))
	r.Encode(e)
	return e.Bytes()
}

// fixedSizeHint is about the length of the small fields of a record, in bytes.
const fixedSizeHint = 64

// sizeHint is about how long the encoding of a record is, so that an encoder's buffer need not grow
// step by step for those records that are often long.
func sizeHint(r Record) int {
	switch r := r.(type) {
	case *QuorumPacket:
		return r.Size()
	case *CreateTxn:
		return fixedSizeHint + len(r.Path) + len(r.Data)
	case *SetDataTxn:
		return fixedSizeHint + len(r.Path) + len(r.Data)
	case *MultiTxn:
		size := fixedSizeHint
		for i := range r.Txns {
			size += sizeHint(r.Txns[i].Txn)
		}
		return size
	}
	return fixedSizeHint
}

// Unmarshal decodes one record and requires that nothing is left over.
func Unmarshal(data []byte, into Decodable) error {
	d := NewDecoder(data)
	into.Decode(d)
	return d.Finish()
}
