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
func EncodeACLs(e *Encoder, v []ACL) { encodeVector(e, v) }

// DecodeACLs reads a vector of ACLs; nil for count -1.
func DecodeACLs(d *Decoder) []ACL { return decodeVector[ACL](d, aclSizeMin) }

func encodeVector[T Record](e *Encoder, v []T) {
	if v == nil {
		e.Int(-1)
		return
	}
	e.Int(int32(len(v)))
	for i := range v {
		v[i].Encode(e)
	}
}

// decodeVector reads a count and that many records. The first allocation is bounded, so that a
// hostile count on a stream costs no memory before its elements arrive.
func decodeVector[T any, P interface {
	*T
	Decodable
}](d *Decoder, sizeMin int) []T {
	n := d.Count(sizeMin)
	if n < 0 {
		return nil
	}
	v := make([]T, 0, min(n, 1024))
	for i := 0; i < n && d.Err() == nil; i++ {
		var element T
		P(&element).Decode(d)
		v = append(v, element)
	}
	return v
}
