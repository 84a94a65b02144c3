package jute

// ReplyHeader stands before every reply of a server.
type ReplyHeader struct {
	Xid  int32
	Zxid int64
	Err  Code
}

// Encode appends the record.
func (r ReplyHeader) Encode(e *Encoder) {
	e.Int(r.Xid)
	e.Long(r.Zxid)
	e.Int(int32(r.Err))
}

// Decode reads the record.
func (r *ReplyHeader) Decode(d *Decoder) {
	r.Xid = d.Int()
	r.Zxid = d.Long()
	r.Err = Code(d.Int())
}

// CreateResponse answers create.
type CreateResponse struct {
	Path string
}

// Encode appends the record.
func (r CreateResponse) Encode(e *Encoder) {
	e.String(r.Path)
}

// Decode reads the record.
func (r *CreateResponse) Decode(d *Decoder) {
	r.Path = d.String()
}

// Create2Response answers create2, createContainer and createTTL.
type Create2Response struct {
	Path string
	Stat Stat
}

// Encode appends the record.
func (r Create2Response) Encode(e *Encoder) {
	e.String(r.Path)
	r.Stat.Encode(e)
}

// Decode reads the record.
func (r *Create2Response) Decode(d *Decoder) {
	r.Path = d.String()
	r.Stat.Decode(d)
}

// ExistsResponse answers exists.
type ExistsResponse struct {
	Stat Stat
}

// Encode appends the record.
func (r ExistsResponse) Encode(e *Encoder) {
	r.Stat.Encode(e)
}

// Decode reads the record.
func (r *ExistsResponse) Decode(d *Decoder) {
	r.Stat.Decode(d)
}

// GetDataResponse answers getData.
type GetDataResponse struct {
	Data []byte
	Stat Stat
}

// Encode appends the record.
func (r GetDataResponse) Encode(e *Encoder) {
	e.Buffer(r.Data)
	r.Stat.Encode(e)
}

// Decode reads the record.
func (r *GetDataResponse) Decode(d *Decoder) {
	r.Data = d.Buffer()
	r.Stat.Decode(d)
}

// SetDataResponse answers setData.
type SetDataResponse struct {
	Stat Stat
}

// Encode appends the record.
func (r SetDataResponse) Encode(e *Encoder) {
	r.Stat.Encode(e)
}

// Decode reads the record.
func (r *SetDataResponse) Decode(d *Decoder) {
	r.Stat.Decode(d)
}

// GetACLResponse answers getACL.
type GetACLResponse struct {
	ACL  []ACL
	Stat Stat
}

// Encode appends the record.
func (r GetACLResponse) Encode(e *Encoder) {
	EncodeACLs(e, r.ACL)
	r.Stat.Encode(e)
}

// Decode reads the record.
func (r *GetACLResponse) Decode(d *Decoder) {
	r.ACL = DecodeACLs(d)
	r.Stat.Decode(d)
}

// SetACLResponse answers setACL.
type SetACLResponse struct {
	Stat Stat
}

// Encode appends the record.
func (r SetACLResponse) Encode(e *Encoder) {
	r.Stat.Encode(e)
}

// Decode reads the record.
func (r *SetACLResponse) Decode(d *Decoder) {
	r.Stat.Decode(d)
}

// GetChildrenResponse answers getChildren.
type GetChildrenResponse struct {
	Children []string
}

// Encode appends the record.
func (r GetChildrenResponse) Encode(e *Encoder) {
	e.Strings(r.Children)
}

// Decode reads the record.
func (r *GetChildrenResponse) Decode(d *Decoder) {
	r.Children = d.Strings()
}

// GetChildren2Response answers getChildren2.
type GetChildren2Response struct {
	Children []string
	Stat     Stat
}

// Encode appends the record.
func (r GetChildren2Response) Encode(e *Encoder) {
	e.Strings(r.Children)
	r.Stat.Encode(e)
}

// Decode reads the record.
func (r *GetChildren2Response) Decode(d *Decoder) {
	r.Children = d.Strings()
	r.Stat.Decode(d)
}

// SyncResponse answers sync.
type SyncResponse struct {
	Path string
}

// Encode appends the record.
func (r SyncResponse) Encode(e *Encoder) {
	e.String(r.Path)
}

// Decode reads the record.
func (r *SyncResponse) Decode(d *Decoder) {
	r.Path = d.String()
}

// ReconfigResponse answers reconfig.
type ReconfigResponse struct {
	Data []byte // the text of the new configuration
	Stat Stat
}

// Encode appends the record.
func (r ReconfigResponse) Encode(e *Encoder) {
	e.Buffer(r.Data)
	r.Stat.Encode(e)
}

// Decode reads the record.
func (r *ReconfigResponse) Decode(d *Decoder) {
	r.Data = d.Buffer()
	r.Stat.Decode(d)
}

// SetSASLResponse answers sasl.
type SetSASLResponse struct {
	Token []byte
}

// Encode appends the record.
func (r SetSASLResponse) Encode(e *Encoder) {
	e.Buffer(r.Token)
}

// Decode reads the record.
func (r *SetSASLResponse) Decode(d *Decoder) {
	r.Token = d.Buffer()
}

// GetEphemeralsResponse answers getEphemerals.
type GetEphemeralsResponse struct {
	Ephemerals []string
}

// Encode appends the record.
func (r GetEphemeralsResponse) Encode(e *Encoder) {
	e.Strings(r.Ephemerals)
}

// Decode reads the record.
func (r *GetEphemeralsResponse) Decode(d *Decoder) {
	r.Ephemerals = d.Strings()
}

// GetAllChildrenNumberResponse answers getAllChildrenNumber.
type GetAllChildrenNumberResponse struct {
	TotalNumber int32
}

// Encode appends the record.
func (r GetAllChildrenNumberResponse) Encode(e *Encoder) {
	e.Int(r.TotalNumber)
}

// Decode reads the record.
func (r *GetAllChildrenNumberResponse) Decode(d *Decoder) {
	r.TotalNumber = d.Int()
}

// ErrorResponse answers addWatch, and stands for a failed operation in the answer to a multi.
type ErrorResponse struct {
	Err Code
}

// Encode appends the record.
func (r ErrorResponse) Encode(e *Encoder) {
	e.Int(int32(r.Err))
}

// Decode reads the record.
func (r *ErrorResponse) Decode(d *Decoder) {
	r.Err = Code(d.Int())
}

// ClientInfo is one identity of a connection.
type ClientInfo struct {
	AuthScheme string
	User       string
}

// Encode appends the record.
func (r ClientInfo) Encode(e *Encoder) {
	e.String(r.AuthScheme)
	e.String(r.User)
}

// Decode reads the record.
func (r *ClientInfo) Decode(d *Decoder) {
	r.AuthScheme = d.String()
	r.User = d.String()
}

// WhoAmIResponse answers whoAmI.
type WhoAmIResponse struct {
	ClientInfo []ClientInfo
}

// Encode appends the record.
func (r WhoAmIResponse) Encode(e *Encoder) {
	e.count(len(r.ClientInfo), r.ClientInfo == nil)
	for i := range r.ClientInfo {
		r.ClientInfo[i].Encode(e)
	}
}

// Decode reads the record.
func (r *WhoAmIResponse) Decode(d *Decoder) {
	r.ClientInfo = nil
	n := d.Count(clientInfoSizeMin)
	if n < 0 {
		return
	}
	r.ClientInfo = make([]ClientInfo, 0, min(n, vectorRoom))
	for i := 0; i < n && d.err == nil; i++ {
		r.ClientInfo = append(r.ClientInfo, ClientInfo{})
		r.ClientInfo[i].Decode(d)
	}
}
