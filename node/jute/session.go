package jute

import "encoding/binary"

// PasswordSize is the length of a session's password in bytes.
const PasswordSize = 16

// ConnectRequest is the first frame of a client's connection (protocol.md 2.2).
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    int64
	TimeOut         int32 // ms
	SessionID       int64 // 0 asks for a new session
	Passwd          []byte
	ReadOnly        bool // a read-only server will do
	// OmitsReadOnly is true if the client is so old that it leaves ReadOnly out; then the response
	// must leave it out as well.
	OmitsReadOnly bool
}

// Encode appends the record.
func (r ConnectRequest) Encode(e *Encoder) {
	e.Int(r.ProtocolVersion)
	e.Long(r.LastZxidSeen)
	e.Int(r.TimeOut)
	e.Long(r.SessionID)
	e.Buffer(r.Passwd)
	if !r.OmitsReadOnly {
		e.Bool(r.ReadOnly)
	}
}

// Decode reads the record from a slice decoder.
func (r *ConnectRequest) Decode(d *Decoder) {
	r.ProtocolVersion = d.Int()
	r.LastZxidSeen = d.Long()
	r.TimeOut = d.Int()
	r.SessionID = d.Long()
	r.Passwd = d.Buffer()
	r.ReadOnly, r.OmitsReadOnly = decodeReadOnly(d)
}

// ConnectResponse answers a ConnectRequest. TimeOut 0 says that the session is no more.
type ConnectResponse struct {
	ProtocolVersion int32
	TimeOut         int32 // ms, as negotiated
	SessionID       int64
	Passwd          []byte
	ReadOnly        bool // this is a read-only server
	OmitsReadOnly   bool // for clients so old that they do not know ReadOnly
}

// Encode appends the record.
func (r ConnectResponse) Encode(e *Encoder) {
	e.Int(r.ProtocolVersion)
	e.Int(r.TimeOut)
	e.Long(r.SessionID)
	e.Buffer(r.Passwd)
	if !r.OmitsReadOnly {
		e.Bool(r.ReadOnly)
	}
}

// Decode reads the record from a slice decoder.
func (r *ConnectResponse) Decode(d *Decoder) {
	r.ProtocolVersion = d.Int()
	r.TimeOut = d.Int()
	r.SessionID = d.Long()
	r.Passwd = d.Buffer()
	r.ReadOnly, r.OmitsReadOnly = decodeReadOnly(d)
}

func decodeReadOnly(d *Decoder) (readOnly, omitted bool) {
	if d.Remaining() == 0 {
		return false, true
	}
	return d.Bool(), false
}

// SessionPassword returns the password of a session. Every server derives the same one, which is
// what lets a session move between servers, Apache's among them: the bytes are those of
// java.util.Random seeded with the session id and a fixed secret (protocol.md 2.3).
func SessionPassword(sessionID int64) []byte {
	const (
		secret     = 0xB3415C00 // SessionTrackerImpl's superSecret
		multiplier = 0x5DEECE66D
		increment  = 0xB
		mask       = 1<<48 - 1
	)
	seed := ((uint64(sessionID) ^ secret) ^ multiplier) & mask
	password := make([]byte, 0, PasswordSize)
	for len(password) < PasswordSize {
		seed = (seed*multiplier + increment) & mask
		password = binary.LittleEndian.AppendUint32(password, uint32(seed>>16))
	}
	return password
}

// SessionTimeout is a session with its timeout, as snapshots and PING packets list them.
type SessionTimeout struct {
	SessionID int64
	TimeOut   int32 // ms
}

// SessionTimeoutSize is the length of an encoded SessionTimeout in bytes.
const SessionTimeoutSize = 12

// Encode appends the record.
func (s SessionTimeout) Encode(e *Encoder) {
	e.Long(s.SessionID)
	e.Int(s.TimeOut)
}

// Decode reads the record.
func (s *SessionTimeout) Decode(d *Decoder) {
	s.SessionID = d.Long()
	s.TimeOut = d.Int()
}
