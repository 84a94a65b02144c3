package jute

// Stat is what a client sees of a znode beside its data (protocol.md section 1).
type Stat struct {
	Czxid          int64
	Mzxid          int64
	Ctime          int64 // ms since 1970
	Mtime          int64 // ms since 1970
	Version        int32
	Cversion       int32 // creations and deletions of children
	Aversion       int32
	EphemeralOwner int64 // session, or 0
	DataLength     int32 // bytes
	NumChildren    int32
	Pzxid          int64
}

// statSize is the length of a Stat's encoding in bytes.
const statSize = 68

// Encode appends the record, 68 bytes.
func (s Stat) Encode(e *Encoder) {
	e.Long(s.Czxid)
	e.Long(s.Mzxid)
	e.Long(s.Ctime)
	e.Long(s.Mtime)
	e.Int(s.Version)
	e.Int(s.Cversion)
	e.Int(s.Aversion)
	e.Long(s.EphemeralOwner)
	e.Int(s.DataLength)
	e.Int(s.NumChildren)
	e.Long(s.Pzxid)
}

// Decode reads the record.
func (s *Stat) Decode(d *Decoder) {
	s.Czxid = d.Long()
	s.Mzxid = d.Long()
	s.Ctime = d.Long()
	s.Mtime = d.Long()
	s.Version = d.Int()
	s.Cversion = d.Int()
	s.Aversion = d.Int()
	s.EphemeralOwner = d.Long()
	s.DataLength = d.Int()
	s.NumChildren = d.Int()
	s.Pzxid = d.Long()
}

// StatPersisted is what a snapshot keeps of a znode beside its data. Its Cversion counts creations
// only, and its EphemeralOwner may stand for a container or a time to live (protocol.md 2.8, 2.10).
type StatPersisted struct {
	Czxid          int64
	Mzxid          int64
	Ctime          int64 // ms since 1970
	Mtime          int64 // ms since 1970
	Version        int32
	Cversion       int32
	Aversion       int32
	EphemeralOwner int64
	Pzxid          int64
}

// Encode appends the record, 60 bytes.
func (s StatPersisted) Encode(e *Encoder) {
	e.Long(s.Czxid)
	e.Long(s.Mzxid)
	e.Long(s.Ctime)
	e.Long(s.Mtime)
	e.Int(s.Version)
	e.Int(s.Cversion)
	e.Int(s.Aversion)
	e.Long(s.EphemeralOwner)
	e.Long(s.Pzxid)
}

// Decode reads the record.
func (s *StatPersisted) Decode(d *Decoder) {
	s.Czxid = d.Long()
	s.Mzxid = d.Long()
	s.Ctime = d.Long()
	s.Mtime = d.Long()
	s.Version = d.Int()
	s.Cversion = d.Int()
	s.Aversion = d.Int()
	s.EphemeralOwner = d.Long()
	s.Pzxid = d.Long()
}
