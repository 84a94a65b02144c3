package jute

import "fmt"

// The types of a QuorumPacket, with ZooKeeper's numbers.
const (
	PacketRequest           int32 = 1
	PacketProposal          int32 = 2
	PacketAck               int32 = 3
	PacketCommit            int32 = 4
	PacketPing              int32 = 5
	PacketRevalidate        int32 = 6
	PacketSync              int32 = 7
	PacketInform            int32 = 8
	PacketCommitAndActivate int32 = 9
	PacketNewLeader         int32 = 10
	PacketFollowerInfo      int32 = 11
	PacketUpToDate          int32 = 12
	PacketDiff              int32 = 13
	PacketTrunc             int32 = 14
	PacketSnap              int32 = 15
	PacketObserverInfo      int32 = 16
	PacketLeaderInfo        int32 = 17
	PacketAckEpoch          int32 = 18
	PacketInformAndActivate int32 = 19
)

var packetNames = [...]string{
	PacketRequest:           "REQUEST",
	PacketProposal:          "PROPOSAL",
	PacketAck:               "ACK",
	PacketCommit:            "COMMIT",
	PacketPing:              "PING",
	PacketRevalidate:        "REVALIDATE",
	PacketSync:              "SYNC",
	PacketInform:            "INFORM",
	PacketCommitAndActivate: "COMMITANDACTIVATE",
	PacketNewLeader:         "NEWLEADER",
	PacketFollowerInfo:      "FOLLOWERINFO",
	PacketUpToDate:          "UPTODATE",
	PacketDiff:              "DIFF",
	PacketTrunc:             "TRUNC",
	PacketSnap:              "SNAP",
	PacketObserverInfo:      "OBSERVERINFO",
	PacketLeaderInfo:        "LEADERINFO",
	PacketAckEpoch:          "ACKEPOCH",
	PacketInformAndActivate: "INFORMANDACTIVATE",
}

// PacketName is ZooKeeper's name of a QuorumPacket's type.
func PacketName(packetType int32) string {
	if packetType >= PacketRequest && packetType <= PacketInformAndActivate {
		return packetNames[packetType]
	}
	return fmt.Sprintf("unknown packet %d", packetType)
}

// LearnerProtocolVersion is the version of the learner protocol that ZooKeeper 3.4 and later speak.
const LearnerProtocolVersion int32 = 0x10000

// SnapSignature follows the tree that is streamed behind a SNAP packet.
const SnapSignature = "BenWasHere"

// QuorumPacket is what leader and learners exchange (protocol.md section 5). It has no frame: read it from a stream
// decoder, or from a slice.
type QuorumPacket struct {
	Type     int32 // PacketRequest, PacketProposal, …
	Zxid     int64
	Data     []byte
	Authinfo []Id
}

// Encode appends the record.
func (r QuorumPacket) Encode(e *Encoder) {
	e.Int(r.Type)
	e.Long(r.Zxid)
	e.Buffer(r.Data)
	encodeIDs(e, r.Authinfo)
}

// Size is the length of the encoding in bytes.
func (r *QuorumPacket) Size() int {
	size := 4 + 8 + 4 + len(r.Data) + 4
	for _, id := range r.Authinfo {
		size += 4 + len(id.Scheme) + 4 + len(id.ID)
	}
	return size
}

// Decode reads the record.
func (r *QuorumPacket) Decode(d *Decoder) {
	r.Type = d.Int()
	r.DecodeBehindType(d)
}

// DecodeBehindType reads the fields behind Type, for readers that look at the type first.
func (r *QuorumPacket) DecodeBehindType(d *Decoder) {
	r.Zxid = d.Long()
	r.Data = d.Buffer()
	r.Authinfo = decodeIDs(d)
}

// RevalidateRequest is the data of a learner's REVALIDATE.
type RevalidateRequest struct {
	SessionID int64
	TimeOut   int32 // ms
}

// Encode appends the record.
func (r RevalidateRequest) Encode(e *Encoder) {
	e.Long(r.SessionID)
	e.Int(r.TimeOut)
}

// Decode reads the record.
func (r *RevalidateRequest) Decode(d *Decoder) {
	r.SessionID = d.Long()
	r.TimeOut = d.Int()
}

// RevalidateResponse is the data of a leader's REVALIDATE.
type RevalidateResponse struct {
	SessionID int64
	Valid     bool
}

// Encode appends the record.
func (r RevalidateResponse) Encode(e *Encoder) {
	e.Long(r.SessionID)
	e.Bool(r.Valid)
}

// Decode reads the record.
func (r *RevalidateResponse) Decode(d *Decoder) {
	r.SessionID = d.Long()
	r.Valid = d.Bool()
}

// LeaderInfo is the data of LEADERINFO.
type LeaderInfo struct {
	ProtocolVersion int32 // LearnerProtocolVersion
}

// Encode appends the record.
func (r LeaderInfo) Encode(e *Encoder) {
	e.Int(r.ProtocolVersion)
}

// Decode reads the record.
func (r *LeaderInfo) Decode(d *Decoder) {
	r.ProtocolVersion = d.Int()
}

// AckEpoch is the data of ACKEPOCH.
type AckEpoch struct {
	Epoch int32 // the learner's current epoch; -1 if it had accepted this epoch before
}

// Encode appends the record.
func (r AckEpoch) Encode(e *Encoder) {
	e.Int(r.Epoch)
}

// Decode reads the record.
func (r *AckEpoch) Decode(d *Decoder) {
	r.Epoch = d.Int()
}

// CommitAndActivate is the data of COMMITANDACTIVATE.
type CommitAndActivate struct {
	DesignatedLeader int64
}

// Encode appends the record.
func (r CommitAndActivate) Encode(e *Encoder) {
	e.Long(r.DesignatedLeader)
}

// Decode reads the record.
func (r *CommitAndActivate) Decode(d *Decoder) {
	r.DesignatedLeader = d.Long()
}

// String describes the packet for logs.
func (r QuorumPacket) String() string {
	return fmt.Sprintf("%s zxid %#x, %d bytes", PacketName(r.Type), r.Zxid, len(r.Data))
}

// LearnerInfo is the data of FOLLOWERINFO and OBSERVERINFO. Versions before 3.5 leave out the last
// field, those before 3.4 the last two.
type LearnerInfo struct {
	ServerID        int64
	ProtocolVersion int32
	ConfigVersion   int64
}

// Encode appends the record, 20 bytes.
func (l LearnerInfo) Encode(e *Encoder) {
	e.Long(l.ServerID)
	e.Int(l.ProtocolVersion)
	e.Long(l.ConfigVersion)
}

// Decode reads the record from a slice decoder; what a newer version adds is skipped.
func (l *LearnerInfo) Decode(d *Decoder) {
	*l = LearnerInfo{ServerID: d.Long()}
	if d.Remaining() > 0 {
		l.ProtocolVersion = d.Int()
	}
	if d.Remaining() > 0 {
		l.ConfigVersion = d.Long()
	}
	d.Rest()
}

// ForwardedRequest is the data of REQUEST: a client's write on its way to the leader.
type ForwardedRequest struct {
	SessionID int64
	Cxid      int32
	Type      OpCode
	Body      []byte // without the RequestHeader
}

// Encode appends the record.
func (f ForwardedRequest) Encode(e *Encoder) {
	e.Long(f.SessionID)
	e.Int(f.Cxid)
	e.Int(int32(f.Type))
	e.Raw(f.Body)
}

// Size is the length of the encoding in bytes.
func (f *ForwardedRequest) Size() int { return 8 + 4 + 4 + len(f.Body) }

// Decode reads the record from a slice decoder.
func (f *ForwardedRequest) Decode(d *Decoder) {
	f.SessionID = d.Long()
	f.Cxid = d.Int()
	f.Type = OpCode(d.Int())
	f.Body = d.Rest()
}

// InformAndActivate is the data of INFORMANDACTIVATE.
type InformAndActivate struct {
	DesignatedLeader int64
	Payload          []byte // the transaction, as in PROPOSAL
}

// Encode appends the record.
func (i InformAndActivate) Encode(e *Encoder) {
	e.Long(i.DesignatedLeader)
	e.Raw(i.Payload)
}

// Decode reads the record from a slice decoder.
func (i *InformAndActivate) Decode(d *Decoder) {
	i.DesignatedLeader = d.Long()
	i.Payload = d.Rest()
}

// PingTouches is the data of a learner's PING: the sessions that were heard of since the last one.
type PingTouches []SessionTimeout

// Encode appends the record.
func (p PingTouches) Encode(e *Encoder) {
	for _, touch := range p {
		touch.Encode(e)
	}
}

// Decode reads the record from a slice decoder.
func (p *PingTouches) Decode(d *Decoder) {
	*p = nil
	if d.Remaining() == 0 {
		return // as most of a quiet ensemble's are
	}
	touches := make(PingTouches, 0, d.Remaining()/SessionTimeoutSize)
	for d.Err() == nil && d.Remaining() > 0 {
		var touch SessionTimeout
		touch.Decode(d)
		touches = append(touches, touch)
	}
	*p = touches
}
