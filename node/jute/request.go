package jute

// RequestHeader stands before every request of a client.
type RequestHeader struct {
	Xid  int32
	Type OpCode
}

// Encode appends the record.
func (r RequestHeader) Encode(e *Encoder) {
	e.Int(r.Xid)
	e.Int(int32(r.Type))
}

// Decode reads the record.
func (r *RequestHeader) Decode(d *Decoder) {
	r.Xid = d.Int()
	r.Type = OpCode(d.Int())
}

// CreateRequest asks for create, create2 and createContainer.
type CreateRequest struct {
	Path  string
	Data  []byte
	ACL   []ACL
	Flags int32
}

// Encode appends the record.
func (r CreateRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Buffer(r.Data)
	EncodeACLs(e, r.ACL)
	e.Int(r.Flags)
}

// Decode reads the record.
func (r *CreateRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Data = d.Buffer()
	r.ACL = DecodeACLs(d)
	r.Flags = d.Int()
}

// CreateTTLRequest asks for createTTL.
type CreateTTLRequest struct {
	Path  string
	Data  []byte
	ACL   []ACL
	Flags int32
	TTL   int64 // ms
}

// Encode appends the record.
func (r CreateTTLRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Buffer(r.Data)
	EncodeACLs(e, r.ACL)
	e.Int(r.Flags)
	e.Long(r.TTL)
}

// Decode reads the record.
func (r *CreateTTLRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Data = d.Buffer()
	r.ACL = DecodeACLs(d)
	r.Flags = d.Int()
	r.TTL = d.Long()
}

// DeleteRequest asks for delete.
type DeleteRequest struct {
	Path    string
	Version int32 // -1 for any
}

// Encode appends the record.
func (r DeleteRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Int(r.Version)
}

// Decode reads the record.
func (r *DeleteRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Version = d.Int()
}

// ExistsRequest asks for exists.
type ExistsRequest struct {
	Path  string
	Watch bool
}

// Encode appends the record.
func (r ExistsRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Bool(r.Watch)
}

// Decode reads the record.
func (r *ExistsRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Watch = d.Bool()
}

// GetDataRequest asks for getData.
type GetDataRequest struct {
	Path  string
	Watch bool
}

// Encode appends the record.
func (r GetDataRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Bool(r.Watch)
}

// Decode reads the record.
func (r *GetDataRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Watch = d.Bool()
}

// SetDataRequest asks for setData.
type SetDataRequest struct {
	Path    string
	Data    []byte
	Version int32 // -1 for any
}

// Encode appends the record.
func (r SetDataRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Buffer(r.Data)
	e.Int(r.Version)
}

// Decode reads the record.
func (r *SetDataRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Data = d.Buffer()
	r.Version = d.Int()
}

// GetACLRequest asks for getACL.
type GetACLRequest struct {
	Path string
}

// Encode appends the record.
func (r GetACLRequest) Encode(e *Encoder) {
	e.String(r.Path)
}

// Decode reads the record.
func (r *GetACLRequest) Decode(d *Decoder) {
	r.Path = d.String()
}

// SetACLRequest asks for setACL.
type SetACLRequest struct {
	Path    string
	ACL     []ACL
	Version int32 // -1 for any
}

// Encode appends the record.
func (r SetACLRequest) Encode(e *Encoder) {
	e.String(r.Path)
	EncodeACLs(e, r.ACL)
	e.Int(r.Version)
}

// Decode reads the record.
func (r *SetACLRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.ACL = DecodeACLs(d)
	r.Version = d.Int()
}

// GetChildrenRequest asks for getChildren.
type GetChildrenRequest struct {
	Path  string
	Watch bool
}

// Encode appends the record.
func (r GetChildrenRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Bool(r.Watch)
}

// Decode reads the record.
func (r *GetChildrenRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Watch = d.Bool()
}

// GetChildren2Request asks for getChildren2.
type GetChildren2Request struct {
	Path  string
	Watch bool
}

// Encode appends the record.
func (r GetChildren2Request) Encode(e *Encoder) {
	e.String(r.Path)
	e.Bool(r.Watch)
}

// Decode reads the record.
func (r *GetChildren2Request) Decode(d *Decoder) {
	r.Path = d.String()
	r.Watch = d.Bool()
}

// SyncRequest asks for sync.
type SyncRequest struct {
	Path string
}

// Encode appends the record.
func (r SyncRequest) Encode(e *Encoder) {
	e.String(r.Path)
}

// Decode reads the record.
func (r *SyncRequest) Decode(d *Decoder) {
	r.Path = d.String()
}

// CheckVersionRequest asks for check, in a multi.
type CheckVersionRequest struct {
	Path    string
	Version int32 // -1 for any
}

// Encode appends the record.
func (r CheckVersionRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Int(r.Version)
}

// Decode reads the record.
func (r *CheckVersionRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Version = d.Int()
}

// ReconfigRequest asks for reconfig.
type ReconfigRequest struct {
	JoiningServers string
	LeavingServers string
	NewMembers     string
	CurConfigID    int64 // -1 for any
}

// Encode appends the record.
func (r ReconfigRequest) Encode(e *Encoder) {
	e.String(r.JoiningServers)
	e.String(r.LeavingServers)
	e.String(r.NewMembers)
	e.Long(r.CurConfigID)
}

// Decode reads the record.
func (r *ReconfigRequest) Decode(d *Decoder) {
	r.JoiningServers = d.String()
	r.LeavingServers = d.String()
	r.NewMembers = d.String()
	r.CurConfigID = d.Long()
}

// CheckWatchesRequest asks for checkWatches.
type CheckWatchesRequest struct {
	Path string
	Type int32 // WatcherChildren, WatcherData, WatcherAny
}

// Encode appends the record.
func (r CheckWatchesRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Int(r.Type)
}

// Decode reads the record.
func (r *CheckWatchesRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Type = d.Int()
}

// RemoveWatchesRequest asks for removeWatches.
type RemoveWatchesRequest struct {
	Path string
	Type int32 // WatcherChildren, WatcherData, WatcherAny
}

// Encode appends the record.
func (r RemoveWatchesRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Int(r.Type)
}

// Decode reads the record.
func (r *RemoveWatchesRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Type = d.Int()
}

// AuthPacket asks for auth.
type AuthPacket struct {
	Type   int32
	Scheme string
	Auth   []byte
}

// Encode appends the record.
func (r AuthPacket) Encode(e *Encoder) {
	e.Int(r.Type)
	e.String(r.Scheme)
	e.Buffer(r.Auth)
}

// Decode reads the record.
func (r *AuthPacket) Decode(d *Decoder) {
	r.Type = d.Int()
	r.Scheme = d.String()
	r.Auth = d.Buffer()
}

// SetWatches gives a server the watches of a client that comes back.
type SetWatches struct {
	RelativeZxid int64 // the last that the client saw
	DataWatches  []string
	ExistWatches []string
	ChildWatches []string
}

// Encode appends the record.
func (r SetWatches) Encode(e *Encoder) {
	e.Long(r.RelativeZxid)
	e.Strings(r.DataWatches)
	e.Strings(r.ExistWatches)
	e.Strings(r.ChildWatches)
}

// Decode reads the record.
func (r *SetWatches) Decode(d *Decoder) {
	r.RelativeZxid = d.Long()
	r.DataWatches = d.Strings()
	r.ExistWatches = d.Strings()
	r.ChildWatches = d.Strings()
}

// SetWatches2 is SetWatches with persistent watches.
type SetWatches2 struct {
	RelativeZxid               int64 // the last that the client saw
	DataWatches                []string
	ExistWatches               []string
	ChildWatches               []string
	PersistentWatches          []string
	PersistentRecursiveWatches []string
}

// Encode appends the record.
func (r SetWatches2) Encode(e *Encoder) {
	e.Long(r.RelativeZxid)
	e.Strings(r.DataWatches)
	e.Strings(r.ExistWatches)
	e.Strings(r.ChildWatches)
	e.Strings(r.PersistentWatches)
	e.Strings(r.PersistentRecursiveWatches)
}

// Decode reads the record.
func (r *SetWatches2) Decode(d *Decoder) {
	r.RelativeZxid = d.Long()
	r.DataWatches = d.Strings()
	r.ExistWatches = d.Strings()
	r.ChildWatches = d.Strings()
	r.PersistentWatches = d.Strings()
	r.PersistentRecursiveWatches = d.Strings()
}

// GetSASLRequest asks for sasl.
type GetSASLRequest struct {
	Token []byte
}

// Encode appends the record.
func (r GetSASLRequest) Encode(e *Encoder) {
	e.Buffer(r.Token)
}

// Decode reads the record.
func (r *GetSASLRequest) Decode(d *Decoder) {
	r.Token = d.Buffer()
}

// GetEphemeralsRequest asks for getEphemerals.
type GetEphemeralsRequest struct {
	PrefixPath string
}

// Encode appends the record.
func (r GetEphemeralsRequest) Encode(e *Encoder) {
	e.String(r.PrefixPath)
}

// Decode reads the record.
func (r *GetEphemeralsRequest) Decode(d *Decoder) {
	r.PrefixPath = d.String()
}

// GetAllChildrenNumberRequest asks for getAllChildrenNumber.
type GetAllChildrenNumberRequest struct {
	Path string
}

// Encode appends the record.
func (r GetAllChildrenNumberRequest) Encode(e *Encoder) {
	e.String(r.Path)
}

// Decode reads the record.
func (r *GetAllChildrenNumberRequest) Decode(d *Decoder) {
	r.Path = d.String()
}

// AddWatchRequest asks for addWatch.
type AddWatchRequest struct {
	Path string
	Mode int32 // AddWatchPersistent or AddWatchPersistentRecursive
}

// Encode appends the record.
func (r AddWatchRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Int(r.Mode)
}

// Decode reads the record.
func (r *AddWatchRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Mode = d.Int()
}

// CreateSessionRequest is the body of createSession, which servers ask of themselves.
type CreateSessionRequest struct {
	TimeOut int32 // ms
}

// Encode appends the record.
func (r CreateSessionRequest) Encode(e *Encoder) {
	e.Int(r.TimeOut)
}

// Decode reads the record.
func (r *CreateSessionRequest) Decode(d *Decoder) {
	r.TimeOut = d.Int()
}

// DeleteContainerRequest is the body of deleteContainer, which the container manager asks for: the
// bytes of the path without a length.
type DeleteContainerRequest struct {
	Path string
}

// Encode appends the record.
func (r DeleteContainerRequest) Encode(e *Encoder) { e.Raw([]byte(r.Path)) }

// Decode reads the record from a slice decoder.
func (r *DeleteContainerRequest) Decode(d *Decoder) { r.Path = string(d.Rest()) }

// Message is a record that goes both ways.
type Message interface {
	Record
	Decodable
}

// NewRequest returns an empty body for a request of this op, or nil if the op has no body or is not
// known.
func NewRequest(op OpCode) Message {
	switch op {
	case OpCreate, OpCreate2, OpCreateContainer:
		return &CreateRequest{}
	case OpCreateTTL:
		return &CreateTTLRequest{}
	case OpDelete:
		return &DeleteRequest{}
	case OpExists:
		return &ExistsRequest{}
	case OpGetData:
		return &GetDataRequest{}
	case OpSetData:
		return &SetDataRequest{}
	case OpGetACL:
		return &GetACLRequest{}
	case OpSetACL:
		return &SetACLRequest{}
	case OpGetChildren:
		return &GetChildrenRequest{}
	case OpGetChildren2:
		return &GetChildren2Request{}
	case OpSync:
		return &SyncRequest{}
	case OpCheck:
		return &CheckVersionRequest{}
	case OpMulti, OpMultiRead:
		return &MultiRequest{}
	case OpReconfig:
		return &ReconfigRequest{}
	case OpCheckWatches:
		return &CheckWatchesRequest{}
	case OpRemoveWatches:
		return &RemoveWatchesRequest{}
	case OpDeleteContainer:
		return &DeleteContainerRequest{}
	case OpAuth:
		return &AuthPacket{}
	case OpSetWatches:
		return &SetWatches{}
	case OpSetWatches2:
		return &SetWatches2{}
	case OpSASL:
		return &GetSASLRequest{}
	case OpGetEphemerals:
		return &GetEphemeralsRequest{}
	case OpGetAllChildrenNumber:
		return &GetAllChildrenNumberRequest{}
	case OpAddWatch:
		return &AddWatchRequest{}
	case OpCreateSession:
		return &CreateSessionRequest{}
	}
	return nil
}
