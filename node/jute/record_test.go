package jute

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// records makes an empty one of every record, for tests that hold for all.
var records = []func() Message{
	func() Message { return &Id{} }, func() Message { return &ACL{} },
	func() Message { return &Stat{} }, func() Message { return &StatPersisted{} },
	func() Message { return &ConnectRequest{} }, func() Message { return &ConnectResponse{} },
	func() Message { return &SessionTimeout{} },
	func() Message { return &RequestHeader{} }, func() Message { return &ReplyHeader{} },
	func() Message { return &CreateRequest{} }, func() Message { return &CreateTTLRequest{} },
	func() Message { return &DeleteRequest{} }, func() Message { return &DeleteContainerRequest{} },
	func() Message { return &ExistsRequest{} }, func() Message { return &GetDataRequest{} },
	func() Message { return &SetDataRequest{} }, func() Message { return &GetACLRequest{} },
	func() Message { return &SetACLRequest{} }, func() Message { return &GetChildrenRequest{} },
	func() Message { return &GetChildren2Request{} }, func() Message { return &SyncRequest{} },
	func() Message { return &CheckVersionRequest{} }, func() Message { return &ReconfigRequest{} },
	func() Message { return &CheckWatchesRequest{} }, func() Message { return &RemoveWatchesRequest{} },
	func() Message { return &AuthPacket{} }, func() Message { return &SetWatches{} },
	func() Message { return &SetWatches2{} }, func() Message { return &GetSASLRequest{} },
	func() Message { return &GetEphemeralsRequest{} }, func() Message { return &GetAllChildrenNumberRequest{} },
	func() Message { return &AddWatchRequest{} }, func() Message { return &CreateSessionRequest{} },
	func() Message { return &CreateResponse{} }, func() Message { return &Create2Response{} },
	func() Message { return &ExistsResponse{} }, func() Message { return &GetDataResponse{} },
	func() Message { return &SetDataResponse{} }, func() Message { return &GetACLResponse{} },
	func() Message { return &SetACLResponse{} }, func() Message { return &GetChildrenResponse{} },
	func() Message { return &GetChildren2Response{} }, func() Message { return &SyncResponse{} },
	func() Message { return &ReconfigResponse{} }, func() Message { return &SetSASLResponse{} },
	func() Message { return &GetEphemeralsResponse{} }, func() Message { return &GetAllChildrenNumberResponse{} },
	func() Message { return &ErrorResponse{} }, func() Message { return &ClientInfo{} },
	func() Message { return &WhoAmIResponse{} }, func() Message { return &WatcherEvent{} },
	func() Message { return &MultiHeader{} }, func() Message { return &MultiRequest{} },
	func() Message { return &MultiResponse{} },
	func() Message { return &QuorumPacket{} }, func() Message { return &LearnerInfo{} },
	func() Message { return &ForwardedRequest{} }, func() Message { return &RevalidateRequest{} },
	func() Message { return &RevalidateResponse{} }, func() Message { return &LeaderInfo{} },
	func() Message { return &AckEpoch{} }, func() Message { return &CommitAndActivate{} },
	func() Message { return &InformAndActivate{} }, func() Message { return &PingTouches{} },
	func() Message { return &TxnHeader{} }, func() Message { return &CreateTxn{} },
	func() Message { return &CreateContainerTxn{} }, func() Message { return &CreateTTLTxn{} },
	func() Message { return &DeleteTxn{} }, func() Message { return &SetDataTxn{} },
	func() Message { return &SetACLTxn{} }, func() Message { return &CheckVersionTxn{} },
	func() Message { return &CreateSessionTxn{} }, func() Message { return &CloseSessionTxn{} },
	func() Message { return &ErrorTxn{} }, func() Message { return &MultiTxn{} },
	func() Message { return &SubTxn{Type: OpError, Txn: &ErrorTxn{}} }, func() Message { return &TxnDigest{} },
}

// roundTrip checks that arbitrary values of a record come back as they were, and that no proper
// prefix of their bytes is taken for a whole one, except where optional says that a tail may be
// missing.
func roundTrip[T any, P interface {
	*T
	Message
}](t *testing.T, optional ...string) {
	t.Helper()
	generator := rapid.Make[T]()
	t.Run(fmt.Sprintf("%T", *new(T)), rapid.MakeCheck(func(t *rapid.T) {
		value := generator.Draw(t, "value")
		data := Marshal(P(&value))
		var back T
		require.NoError(t, Unmarshal(data, P(&back)))
		require.Equal(t, value, back)
		if len(optional) > 0 || len(data) == 0 {
			return
		}
		cut := rapid.IntRange(0, len(data)-1).Draw(t, "cut")
		require.Error(t, Unmarshal(data[:cut:cut], P(new(T))), "cut short")
		require.Error(t, Unmarshal(append(data, 0), P(new(T))), "a byte too many")
	}))
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	roundTrip[Id](t)
	roundTrip[ACL](t)
	roundTrip[Stat](t)
	roundTrip[StatPersisted](t)
	roundTrip[SessionTimeout](t)
	roundTrip[RequestHeader](t)
	roundTrip[ReplyHeader](t)
	roundTrip[CreateRequest](t)
	roundTrip[CreateTTLRequest](t)
	roundTrip[DeleteRequest](t)
	roundTrip[DeleteContainerRequest](t, "the path is what there is")
	roundTrip[ExistsRequest](t)
	roundTrip[GetDataRequest](t)
	roundTrip[SetDataRequest](t)
	roundTrip[GetACLRequest](t)
	roundTrip[SetACLRequest](t)
	roundTrip[GetChildrenRequest](t)
	roundTrip[GetChildren2Request](t)
	roundTrip[SyncRequest](t)
	roundTrip[CheckVersionRequest](t)
	roundTrip[ReconfigRequest](t)
	roundTrip[CheckWatchesRequest](t)
	roundTrip[RemoveWatchesRequest](t)
	roundTrip[AuthPacket](t)
	roundTrip[SetWatches](t)
	roundTrip[SetWatches2](t)
	roundTrip[GetSASLRequest](t)
	roundTrip[GetEphemeralsRequest](t)
	roundTrip[GetAllChildrenNumberRequest](t)
	roundTrip[AddWatchRequest](t)
	roundTrip[CreateSessionRequest](t)
	roundTrip[CreateResponse](t)
	roundTrip[Create2Response](t)
	roundTrip[ExistsResponse](t)
	roundTrip[GetDataResponse](t)
	roundTrip[SetDataResponse](t)
	roundTrip[GetACLResponse](t)
	roundTrip[SetACLResponse](t)
	roundTrip[GetChildrenResponse](t)
	roundTrip[GetChildren2Response](t)
	roundTrip[SyncResponse](t)
	roundTrip[ReconfigResponse](t)
	roundTrip[SetSASLResponse](t)
	roundTrip[GetEphemeralsResponse](t)
	roundTrip[GetAllChildrenNumberResponse](t)
	roundTrip[ErrorResponse](t)
	roundTrip[ClientInfo](t)
	roundTrip[WhoAmIResponse](t)
	roundTrip[WatcherEvent](t)
	roundTrip[MultiHeader](t)
	roundTrip[QuorumPacket](t)
	roundTrip[LearnerInfo](t, "old learners send less")
	roundTrip[RevalidateRequest](t)
	roundTrip[RevalidateResponse](t)
	roundTrip[LeaderInfo](t)
	roundTrip[AckEpoch](t)
	roundTrip[CommitAndActivate](t)
	roundTrip[TxnHeader](t)
	roundTrip[CreateTxn](t, "the version of logs before 3.4")
	roundTrip[CreateContainerTxn](t)
	roundTrip[CreateTTLTxn](t)
	roundTrip[DeleteTxn](t)
	roundTrip[SetDataTxn](t)
	roundTrip[SetACLTxn](t)
	roundTrip[CheckVersionTxn](t)
	roundTrip[CreateSessionTxn](t)
	roundTrip[CloseSessionTxn](t, "logs before 3.6")
	roundTrip[ErrorTxn](t)
	roundTrip[TxnDigest](t)
}

// The sizes and bytes are protocol.md's.
func TestRecordsHaveZooKeepersBytes(t *testing.T) {
	for _, c := range []struct {
		name   string
		record Record
		hex    string
	}{
		{"null and empty are distinct", GetDataResponse{}, "ffffffff" + strings.Repeat("00", 68)},
		{"empty data", GetDataResponse{Data: []byte{}}, "00000000" + strings.Repeat("00", 68)},
		{"stored stat", StatPersisted{Czxid: 1, Pzxid: 2}, "0000000000000001" + strings.Repeat("00", 44) + "0000000000000002"},
		{"create", CreateRequest{Path: "/a", Data: []byte("x"), ACL: OpenACL(), Flags: FlagEphemeral},
			"00000002" + "2f61" + "00000001" + "78" +
				"00000001" + "0000001f" + "00000005" + "776f726c64" + "00000006" + "616e796f6e65" + "00000001"},
		{"header of a ping", RequestHeader{Xid: XidPing, Type: OpPing}, "fffffffe" + "0000000b"},
		{"reply with an error", ReplyHeader{Xid: 1, Zxid: 2, Err: NoNode}, "00000001" + "0000000000000002" + "ffffff9b"},
		{"event", WatcherEvent{Type: EventNodeDeleted, State: StateSyncConnected, Path: "/a"}, "00000002" + "00000003" + "00000002" + "2f61"},
		{"end of a multi", MultiRequest{}, "ffffffff" + "01" + "ffffffff"},
		{"check in a multi", MultiRequest{Ops: []MultiOp{{Type: OpCheck, Request: &CheckVersionRequest{Path: "/a", Version: 7}}}},
			"0000000d" + "00" + "ffffffff" + "00000002" + "2f61" + "00000007" + "ffffffff" + "01" + "ffffffff"},
		{"failed multi", MultiResponse{Results: []MultiResult{{Type: OpError}, {Type: OpError, Err: BadVersion}}},
			"ffffffff" + "00" + "00000000" + "00000000" +
				"ffffffff" + "00" + "ffffff99" + "ffffff99" + "ffffffff" + "01" + "ffffffff"},
		{"multi that succeeded", MultiResponse{Results: []MultiResult{{Type: OpDelete}, {Type: OpCreate, Body: &CreateResponse{Path: "/a"}}}},
			"00000002" + "00" + "00000000" + "00000001" + "00" + "00000000" + "00000002" + "2f61" + "ffffffff" + "01" + "ffffffff"},
		{"ACK", QuorumPacket{Type: PacketAck, Zxid: 5}, "00000003" + "0000000000000005" + "ffffffff" + "ffffffff"},
		{"learner info", LearnerInfo{ServerID: 3, ProtocolVersion: LearnerProtocolVersion, ConfigVersion: 4},
			"0000000000000003" + "00010000" + "0000000000000004"},
		{"REQUEST", ForwardedRequest{SessionID: 1, Cxid: 2, Type: OpSync, Body: []byte{9}}, "0000000000000001" + "00000002" + "00000009" + "09"},
		{"PING", PingTouches{{SessionID: 1, TimeOut: 2}}, "0000000000000001" + "00000002"},
		{"connect of a client before 3.4", ConnectRequest{Passwd: []byte{}, OmitsReadOnly: true}, strings.Repeat("00", 28)},
		{"connect", ConnectRequest{Passwd: []byte{}, ReadOnly: true}, strings.Repeat("00", 28) + "01"},
		{"refused session", ConnectResponse{Passwd: make([]byte, PasswordSize)}, strings.Repeat("00", 16) + "00000010" + strings.Repeat("00", 17)},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.hex, hex.EncodeToString(Marshal(c.record)))
		})
	}
}

func TestConnectRecordsRememberWhetherReadOnlyWasThere(t *testing.T) {
	for _, omitted := range []bool{false, true} {
		request := ConnectRequest{LastZxidSeen: 1, TimeOut: 2, SessionID: 3, Passwd: []byte("p"), OmitsReadOnly: omitted}
		var request2 ConnectRequest
		require.NoError(t, Unmarshal(Marshal(request), &request2))
		require.Equal(t, request, request2)
		response := ConnectResponse{TimeOut: 2, SessionID: 3, Passwd: []byte("p"), OmitsReadOnly: omitted}
		var response2 ConnectResponse
		require.NoError(t, Unmarshal(Marshal(response), &response2))
		require.Equal(t, response, response2)
	}
}

func TestLearnerInfoOfOldLearnersIsShorter(t *testing.T) {
	full := LearnerInfo{ServerID: 3, ProtocolVersion: LearnerProtocolVersion, ConfigVersion: 4}
	data := Marshal(full)
	for _, c := range []struct {
		data []byte
		want LearnerInfo
	}{
		{data[:8], LearnerInfo{ServerID: 3}},
		{data[:12], LearnerInfo{ServerID: 3, ProtocolVersion: LearnerProtocolVersion}},
		{data, full},
		{append(bytes.Clone(data), 1, 2, 3), full},
	} {
		var got LearnerInfo
		require.NoError(t, Unmarshal(c.data, &got))
		require.Equal(t, c.want, got)
	}
}

func TestRawTailsKeepTheirBytes(t *testing.T) {
	forwarded := ForwardedRequest{SessionID: 1, Cxid: 2, Type: OpCreate, Body: []byte{1, 2, 3}}
	var forwarded2 ForwardedRequest
	require.NoError(t, Unmarshal(Marshal(forwarded), &forwarded2))
	require.Equal(t, forwarded, forwarded2)

	inform := InformAndActivate{DesignatedLeader: 1, Payload: []byte{1, 2, 3}}
	var inform2 InformAndActivate
	require.NoError(t, Unmarshal(Marshal(inform), &inform2))
	require.Equal(t, inform, inform2)

	touches := PingTouches{{SessionID: 1, TimeOut: 2}, {SessionID: 3, TimeOut: 4}}
	var touches2 PingTouches
	require.NoError(t, Unmarshal(Marshal(touches), &touches2))
	require.Equal(t, touches, touches2)
	require.ErrorIs(t, Unmarshal(Marshal(touches)[:13], &touches2), ErrTruncated)
}

// The vectors were computed with java.util.Random (protocol.md 2.3).
func TestSessionPasswordsAreApaches(t *testing.T) {
	for id, want := range map[int64]string{
		0x1:               "054cc74a37327db215e702e20c73f005",
		0x100000000000001: "054cc74a37327db215e702e20c73f005",
		0x1000abcdef12345: "e7702c0c2452d662998db73ba0a4f013",
	} {
		require.Equal(t, want, hex.EncodeToString(SessionPassword(id)), "session %#x", id)
	}
}

func TestCodesAndOpsHaveZooKeepersNames(t *testing.T) {
	require.Equal(t, "NoNode", Code(-101).String())
	require.EqualError(t, BadVersion, "BadVersion")
	require.Equal(t, "unknown code -9999", Code(-9999).String())
	require.Equal(t, "setWatches2", OpCode(105).String())
	require.Equal(t, "unknown op 10", OpCode(10).String())
	require.False(t, OpCode(10).Known())
	require.Equal(t, "UPTODATE", PacketName(12))
	require.Equal(t, "unknown packet 0", PacketName(0))
	require.Equal(t, "NodeDataChanged", EventType(3).String())
}

func TestMultiRequestComesBack(t *testing.T) {
	request := MultiRequest{Ops: []MultiOp{
		{OpCreate, &CreateRequest{Path: "/a", ACL: OpenACL()}},
		{OpCreate2, &CreateRequest{Path: "/b", ACL: OpenACL()}},
		{OpCreateContainer, &CreateRequest{Path: "/c", Flags: FlagContainer}},
		{OpCreateTTL, &CreateTTLRequest{Path: "/d", Flags: FlagPersistentTTL, TTL: 5}},
		{OpDelete, &DeleteRequest{Path: "/e", Version: -1}},
		{OpSetData, &SetDataRequest{Path: "/f", Data: []byte("x")}},
		{OpCheck, &CheckVersionRequest{Path: "/g", Version: 3}},
		{OpGetData, &GetDataRequest{Path: "/h"}},
		{OpGetChildren, &GetChildrenRequest{Path: "/i"}},
	}}
	var back MultiRequest
	require.NoError(t, Unmarshal(Marshal(request), &back))
	require.Equal(t, request, back)
}

func TestMultiResponseComesBack(t *testing.T) {
	response := MultiResponse{Results: []MultiResult{
		{Type: OpCreate, Body: &CreateResponse{Path: "/a"}},
		{Type: OpCreate2, Body: &Create2Response{Path: "/b", Stat: Stat{Czxid: 1}}},
		{Type: OpSetData, Body: &SetDataResponse{Stat: Stat{Version: 2}}},
		{Type: OpDelete}, {Type: OpCheck},
		{Type: OpGetData, Body: &GetDataResponse{Data: []byte("x")}},
		{Type: OpGetChildren, Body: &GetChildrenResponse{Children: []string{"a"}}},
		{Type: OpError, Err: NoNode},
	}}
	for _, result := range response.Results {
		alone := len(Marshal(MultiResponse{Results: []MultiResult{result}})) - len(Marshal(multiEnd))
		if result.Type == OpError || result.Type == OpGetData || result.Type == OpGetChildren {
			require.Equal(t, alone, result.Size(), "%+v", result)
		}
	}
	var back MultiResponse
	require.NoError(t, Unmarshal(Marshal(response), &back))
	require.Equal(t, response, back)
}

func TestMultiRefusesOtherOps(t *testing.T) {
	data := Marshal(MultiHeader{Type: OpSync, Err: -1})
	require.ErrorContains(t, Unmarshal(data, &MultiRequest{}), "sync cannot be part of a multi")
	require.ErrorContains(t, Unmarshal(data, &MultiResponse{}), "sync cannot be the result of a multi")
}

func TestEveryOpWithABodyHasItsRequest(t *testing.T) {
	bodyless := map[OpCode]bool{
		OpNotification: true, OpPing: true, OpCloseSession: true, OpWhoAmI: true, OpError: true,
	}
	for op := range opNames {
		require.Equal(t, bodyless[op], NewRequest(op) == nil, op.String())
	}
}

// A stream decoder must not read ahead: on a learner's connection the raw bytes of a snapshot
// follow a packet.
func TestQuorumPacketsAreReadFromAStream(t *testing.T) {
	packets := []QuorumPacket{
		{Type: PacketProposal, Zxid: 0x100000001, Data: []byte("payload"), Authinfo: []Id{{"ip", "127.0.0.1"}}},
		{Type: PacketSnap, Zxid: 7, Data: []byte{}},
		{Type: PacketPing, Zxid: 9},
	}
	var e Encoder
	for _, p := range packets {
		p.Encode(&e)
	}
	stream := bytes.NewReader(append(e.Bytes(), "rest"...))
	d := NewStreamDecoder(stream)
	for _, want := range packets {
		var got QuorumPacket
		got.Decode(d)
		require.NoError(t, d.Err())
		require.Equal(t, want, got)
	}
	rest, err := io.ReadAll(stream)
	require.NoError(t, err)
	require.Equal(t, "rest", string(rest))
}

func TestHostileLengthsAreRefusedAndCostNothing(t *testing.T) {
	huge := []byte{0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}
	million := []byte{0, 0x0f, 0, 0, 0, 0, 0, 0}
	negative := []byte{0xff, 0xff, 0xff, 0xfe}
	d := NewDecoder(negative)
	require.Empty(t, DecodeACLs(d), "as in Java")
	require.NoError(t, d.Err())
	for _, data := range [][]byte{huge, negative} {
		for name, read := range map[string]func(*Decoder){
			"buffer": func(d *Decoder) { d.Buffer() },
			"string": func(d *Decoder) { _ = d.String() },
			"vector": func(d *Decoder) { DecodeACLs(d) },
		} {
			if name == "vector" && len(data) == len(negative) {
				continue
			}
			d := NewDecoder(data)
			read(d)
			require.ErrorContains(t, d.Err(), "unreasonable", name)
			d = NewStreamDecoder(bytes.NewReader(data))
			read(d)
			require.ErrorContains(t, d.Err(), "unreasonable", name)
		}
	}
	d = NewDecoder(million)
	require.Nil(t, d.Strings())
	require.ErrorContains(t, d.Err(), "unreasonable vector")

	// A stream may promise many elements: memory is taken as they arrive.
	d = NewStreamDecoder(bytes.NewReader(million))
	allocated := testing.AllocsPerRun(1, func() { DecodeACLs(NewStreamDecoder(bytes.NewReader(million))) })
	require.Less(t, allocated, 20.0)
	DecodeACLs(d)
	require.Error(t, d.Err())
}

func TestFirstErrorSticks(t *testing.T) {
	d := NewDecoder([]byte{0, 0, 0, 9})
	require.Empty(t, d.String())
	require.ErrorIs(t, d.Err(), ErrTruncated)
	require.Zero(t, d.Long())
	d.Fail(io.EOF)
	require.ErrorIs(t, d.Finish(), ErrTruncated)
}
