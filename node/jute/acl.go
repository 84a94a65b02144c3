package jute

// The permissions of an ACL, to be or-ed together.
const (
	PermRead   int32 = 1
	PermWrite  int32 = 2
	PermCreate int32 = 4
	PermDelete int32 = 8
	PermAdmin  int32 = 16
	PermAll    int32 = 31
)

// Id names who somebody is, within an authentication scheme.
type Id struct {
	Scheme string
	ID     string
}

// Encode appends the record.
func (i Id) Encode(e *Encoder) {
	e.String(i.Scheme)
	e.String(i.ID)
}

// Decode reads the record.
func (i *Id) Decode(d *Decoder) {
	i.Scheme = d.String()
	i.ID = d.String()
}

// ACL gives somebody permissions.
type ACL struct {
	Perms int32
	Id    Id
}

// OpenACL returns the list that lets anyone do anything (Apache's OPEN_ACL_UNSAFE).
func OpenACL() []ACL {
	return []ACL{{Perms: PermAll, Id: Id{Scheme: "world", ID: "anyone"}}}
}

// Encode appends the record.
func (a ACL) Encode(e *Encoder) {
	e.Int(a.Perms)
	a.Id.Encode(e)
}

// Decode reads the record.
func (a *ACL) Decode(d *Decoder) {
	a.Perms = d.Int()
	a.Id.Decode(d)
}

// The least bytes that an element of a vector takes, by which Decoder.Count bounds the vector.
const (
	idSizeMin         = 4 + 4
	aclSizeMin        = 4 + idSizeMin
	clientInfoSizeMin = 4 + 4
)

// EncodeACLs appends a vector of ACLs; nil is encoded as count -1.
func EncodeACLs(e *Encoder, v []ACL) {
	e.count(len(v), v == nil)
	for i := range v {
		v[i].Encode(e)
	}
}

// DecodeACLs reads a vector of ACLs; nil for count -1.
func DecodeACLs(d *Decoder) []ACL {
	n := d.Count(aclSizeMin)
	if n < 0 {
		return nil
	}
	v := make([]ACL, 0, min(n, vectorRoom))
	for i := 0; i < n && d.err == nil; i++ {
		v = append(v, ACL{})
		v[i].Decode(d)
	}
	return v
}

func encodeIDs(e *Encoder, v []Id) {
	e.count(len(v), v == nil)
	for i := range v {
		v[i].Encode(e)
	}
}

func decodeIDs(d *Decoder) []Id {
	n := d.Count(idSizeMin)
	if n < 0 {
		return nil
	}
	v := make([]Id, 0, min(n, vectorRoom))
	for i := 0; i < n && d.err == nil; i++ {
		v = append(v, Id{})
		v[i].Decode(d)
	}
	return v
}
