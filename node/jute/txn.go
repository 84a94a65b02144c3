package jute

import "fmt"

// Txn is the body of a transaction: a pointer to one of the records below.
type Txn interface {
	Message
	isTxn()
}

func (*CreateTxn) isTxn()          {}
func (*CreateContainerTxn) isTxn() {}
func (*CreateTTLTxn) isTxn()       {}
func (*DeleteTxn) isTxn()          {}
func (*SetDataTxn) isTxn()         {}
func (*SetACLTxn) isTxn()          {}
func (*CheckVersionTxn) isTxn()    {}
func (*CreateSessionTxn) isTxn()   {}
func (*CloseSessionTxn) isTxn()    {}
func (*ErrorTxn) isTxn()           {}
func (*MultiTxn) isTxn()           {}

// CreateTxn is a transaction of type create or create2.
type CreateTxn struct {
	Path      string
	Data      []byte
	ACL       []ACL
	Ephemeral bool
	// ParentCVersion is the parent's count of creations after this one; -1 stands for one more than
	// it is, which is what logs older than 3.4 mean by leaving it out.
	ParentCVersion int32
}

// Encode appends the record.
func (t CreateTxn) Encode(e *Encoder) {
	e.String(t.Path)
	e.Buffer(t.Data)
	EncodeACLs(e, t.ACL)
	e.Bool(t.Ephemeral)
	e.Int(t.ParentCVersion)
}

// Decode reads the record from a slice decoder.
func (t *CreateTxn) Decode(d *Decoder) {
	t.Path = d.String()
	t.Data = d.Buffer()
	t.ACL = DecodeACLs(d)
	t.Ephemeral = d.Bool()
	t.ParentCVersion = -1
	if d.Remaining() > 0 {
		t.ParentCVersion = d.Int()
	}
}

// CloseSessionTxn is a transaction of type closeSession.
type CloseSessionTxn struct {
	// Paths2Delete lists the session's ephemeral znodes as the leader knew them, those among them
	// that were still on their way into the tree. It is nil in logs older than 3.6.
	Paths2Delete []string
}

// Encode appends the record.
func (t CloseSessionTxn) Encode(e *Encoder) { e.Strings(t.Paths2Delete) }

// Decode reads the record from a slice decoder.
func (t *CloseSessionTxn) Decode(d *Decoder) {
	t.Paths2Delete = nil
	if d.Remaining() > 0 {
		t.Paths2Delete = d.Strings()
	}
}

// MultiTxn is a transaction of type multi. If one of its Txns is of type error then none of them
// takes effect (protocol.md 2.9).
type MultiTxn struct {
	Txns []SubTxn
}

// SubTxn is one part of a MultiTxn.
type SubTxn struct {
	Type OpCode
	Txn  Txn
}

const subTxnSizeMin = 4 + 4

// Encode appends the record.
func (t MultiTxn) Encode(e *Encoder) {
	e.count(len(t.Txns), t.Txns == nil)
	for i := range t.Txns {
		t.Txns[i].Encode(e)
	}
}

// Decode reads the record.
func (t *MultiTxn) Decode(d *Decoder) {
	t.Txns = nil
	n := d.Count(subTxnSizeMin)
	if n < 0 {
		return
	}
	t.Txns = make([]SubTxn, 0, min(n, vectorRoom))
	for i := 0; i < n && d.err == nil; i++ {
		t.Txns = append(t.Txns, SubTxn{})
		t.Txns[i].Decode(d)
	}
}

// errorTxnSize is the length of an ErrorTxn in bytes.
const errorTxnSize = 4

// Encode appends the record.
func (t SubTxn) Encode(e *Encoder) {
	e.Int(int32(t.Type))
	e.Buffer(Marshal(t.Txn))
}

// Decode reads the record. A type that may not stand in a multi is an error.
func (t *SubTxn) Decode(d *Decoder) {
	t.Type = OpCode(d.Int())
	data := d.Buffer()
	if d.Err() != nil {
		return
	}
	switch t.Type {
	case OpCheck:
		t.Txn = &CheckVersionTxn{}
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL, OpDelete, OpDeleteContainer, OpSetData, OpSetACL, OpError:
		t.Txn = newTxn(t.Type)
	default:
		d.Fail(fmt.Errorf("jute: a transaction of type %s cannot be part of a multi", t.Type))
		return
	}
	if t.Type == OpError && len(data) > errorTxnSize {
		// Apache's leader turns the parts of a failed multi into errors when it applies them, in the very
		// object that its sync thread may still have to log: the type is then that of an error, the bytes
		// are those of the operation that it was. Seen in a log of 3.8.0; Java reads what it needs.
		data = data[:errorTxnSize]
	}
	part := NewDecoder(data)
	decodeTxn(t.Txn, part)
	if err := part.Finish(); err != nil {
		d.Fail(fmt.Errorf("part of a multi, type %s: %w", t.Type, err))
	}
}

// newTxn returns an empty body for a transaction of this type, or nil if there is none. Check is
// missing on purpose: alone it cannot be read back by Apache's servers (ZOOKEEPER-2623).
func newTxn(op OpCode) Txn {
	switch op {
	case OpCreate, OpCreate2:
		return &CreateTxn{}
	case OpCreateContainer:
		return &CreateContainerTxn{}
	case OpCreateTTL:
		return &CreateTTLTxn{}
	case OpDelete, OpDeleteContainer:
		return &DeleteTxn{}
	case OpSetData, OpReconfig:
		return &SetDataTxn{}
	case OpSetACL:
		return &SetACLTxn{}
	case OpCreateSession:
		return &CreateSessionTxn{}
	case OpCloseSession:
		return &CloseSessionTxn{}
	case OpError:
		return &ErrorTxn{}
	case OpMulti:
		return &MultiTxn{}
	}
	return nil
}

// decodeTxn reads a transaction's body. It is a switch because a decoder that an interface's method sees has to be
// on the heap, and every transaction is decoded by every server.
func decodeTxn(into Txn, d *Decoder) {
	switch txn := into.(type) {
	case *CreateTxn:
		txn.Decode(d)
	case *CreateContainerTxn:
		txn.Decode(d)
	case *CreateTTLTxn:
		txn.Decode(d)
	case *DeleteTxn:
		txn.Decode(d)
	case *SetDataTxn:
		txn.Decode(d)
	case *SetACLTxn:
		txn.Decode(d)
	case *CheckVersionTxn:
		txn.Decode(d)
	case *CreateSessionTxn:
		txn.Decode(d)
	case *CloseSessionTxn:
		txn.Decode(d)
	case *ErrorTxn:
		txn.Decode(d)
	case *MultiTxn:
		txn.Decode(d)
	default:
		panic(fmt.Sprintf("jute: no decoding of %T", into))
	}
}

// TxnHeader stands before every transaction (protocol.md section 3), 32 bytes.
type TxnHeader struct {
	ClientID int64 // session
	Cxid     int32 // the xid of the client's request
	Zxid     int64
	Time     int64 // ms since 1970 on the leader's clock
	Type     OpCode
}

// Encode appends the record.
func (r TxnHeader) Encode(e *Encoder) {
	e.Long(r.ClientID)
	e.Int(r.Cxid)
	e.Long(r.Zxid)
	e.Long(r.Time)
	e.Int(int32(r.Type))
}

// Decode reads the record.
func (r *TxnHeader) Decode(d *Decoder) {
	r.ClientID = d.Long()
	r.Cxid = d.Int()
	r.Zxid = d.Long()
	r.Time = d.Long()
	r.Type = OpCode(d.Int())
}

// DeleteTxn is a transaction of type delete or deleteContainer.
type DeleteTxn struct {
	Path string
}

// Encode appends the record.
func (r DeleteTxn) Encode(e *Encoder) {
	e.String(r.Path)
}

// Decode reads the record.
func (r *DeleteTxn) Decode(d *Decoder) {
	r.Path = d.String()
}

// SetDataTxn is a transaction of type setData or reconfig.
type SetDataTxn struct {
	Path    string
	Data    []byte
	Version int32 // the new one
}

// Encode appends the record.
func (r SetDataTxn) Encode(e *Encoder) {
	e.String(r.Path)
	e.Buffer(r.Data)
	e.Int(r.Version)
}

// Decode reads the record.
func (r *SetDataTxn) Decode(d *Decoder) {
	r.Path = d.String()
	r.Data = d.Buffer()
	r.Version = d.Int()
}

// SetACLTxn is a transaction of type setACL.
type SetACLTxn struct {
	Path    string
	ACL     []ACL
	Version int32 // the new one
}

// Encode appends the record.
func (r SetACLTxn) Encode(e *Encoder) {
	e.String(r.Path)
	EncodeACLs(e, r.ACL)
	e.Int(r.Version)
}

// Decode reads the record.
func (r *SetACLTxn) Decode(d *Decoder) {
	r.Path = d.String()
	r.ACL = DecodeACLs(d)
	r.Version = d.Int()
}

// CheckVersionTxn is a transaction of type check; it stands in a MultiTxn only.
type CheckVersionTxn struct {
	Path    string
	Version int32
}

// Encode appends the record.
func (r CheckVersionTxn) Encode(e *Encoder) {
	e.String(r.Path)
	e.Int(r.Version)
}

// Decode reads the record.
func (r *CheckVersionTxn) Decode(d *Decoder) {
	r.Path = d.String()
	r.Version = d.Int()
}

// CreateContainerTxn is a transaction of type createContainer.
type CreateContainerTxn struct {
	Path           string
	Data           []byte
	ACL            []ACL
	ParentCVersion int32
}

// Encode appends the record.
func (r CreateContainerTxn) Encode(e *Encoder) {
	e.String(r.Path)
	e.Buffer(r.Data)
	EncodeACLs(e, r.ACL)
	e.Int(r.ParentCVersion)
}

// Decode reads the record.
func (r *CreateContainerTxn) Decode(d *Decoder) {
	r.Path = d.String()
	r.Data = d.Buffer()
	r.ACL = DecodeACLs(d)
	r.ParentCVersion = d.Int()
}

// CreateTTLTxn is a transaction of type createTTL.
type CreateTTLTxn struct {
	Path           string
	Data           []byte
	ACL            []ACL
	ParentCVersion int32
	TTL            int64 // ms
}

// Encode appends the record.
func (r CreateTTLTxn) Encode(e *Encoder) {
	e.String(r.Path)
	e.Buffer(r.Data)
	EncodeACLs(e, r.ACL)
	e.Int(r.ParentCVersion)
	e.Long(r.TTL)
}

// Decode reads the record.
func (r *CreateTTLTxn) Decode(d *Decoder) {
	r.Path = d.String()
	r.Data = d.Buffer()
	r.ACL = DecodeACLs(d)
	r.ParentCVersion = d.Int()
	r.TTL = d.Long()
}

// CreateSessionTxn is a transaction of type createSession.
type CreateSessionTxn struct {
	TimeOut int32 // ms
}

// Encode appends the record.
func (r CreateSessionTxn) Encode(e *Encoder) {
	e.Int(r.TimeOut)
}

// Decode reads the record.
func (r *CreateSessionTxn) Decode(d *Decoder) {
	r.TimeOut = d.Int()
}

// ErrorTxn takes the place of a request that failed, so that its server learns the outcome.
type ErrorTxn struct {
	Err Code
}

// Encode appends the record.
func (r ErrorTxn) Encode(e *Encoder) {
	e.Int(int32(r.Err))
}

// Decode reads the record.
func (r *ErrorTxn) Decode(d *Decoder) {
	r.Err = Code(d.Int())
}

// TxnDigest may follow a transaction: the digest that the tree has to have after it.
type TxnDigest struct {
	Version    int32
	TreeDigest int64
}

// Encode appends the record.
func (r TxnDigest) Encode(e *Encoder) {
	e.Int(r.Version)
	e.Long(r.TreeDigest)
}

// Decode reads the record.
func (r *TxnDigest) Decode(d *Decoder) {
	r.Version = d.Int()
	r.TreeDigest = d.Long()
}
