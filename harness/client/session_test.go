package client_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ordeal/harness/client"
	"ordeal/node/jute"
	"ordeal/results/history"
)

const (
	sessionTimeout = 9 * time.Second
	connectTimeout = 2 * time.Second
	requestTimeout = 5 * time.Second
)

// script drives a session by hand: it plays the network, the clock and the members.
type script struct {
	t       *testing.T
	session *client.Session
	now     time.Duration
	events  history.Memory
	attempt client.Attempt // the latest
	closed  int            // connections given up
	frames  [][]byte       // sent and not yet looked at, each without its length
}

func newScript(t *testing.T, members ...int) *script {
	return &script{t: t, session: client.NewSession(client.Config{
		Client: 1, Workload: "test", Members: members, SessionTimeout: sessionTimeout,
		ConnectTimeout: connectTimeout, RequestTimeout: requestTimeout, Numbers: new(client.Numbers),
	})}
}

// take carries out what the session wants.
func (s *script) take() {
	ready := s.session.Ready()
	s.events = append(s.events, ready.Events...)
	if ready.Close {
		s.closed++
		s.frames = nil
	}
	if ready.Attach != nil {
		s.attempt = *ready.Attach
	}
	for data := ready.Send; len(data) > 0; {
		n := binary.BigEndian.Uint32(data)
		s.frames = append(s.frames, data[4:4+n])
		data = data[4+n:]
	}
}

func (s *script) submit(requests ...history.Request) {
	for _, request := range requests {
		s.session.Submit(s.now, request)
	}
	s.take()
}

func (s *script) elapse(d time.Duration) {
	s.now += d
	s.session.Tick(s.now)
	s.take()
}

func (s *script) connected() {
	s.session.Connected(s.now, s.attempt.Number)
	s.take()
}

func (s *script) lost() {
	s.session.Lost(s.now, s.attempt.Number, "broken")
	s.take()
}

func (s *script) receive(records ...jute.Record) {
	var e jute.Encoder
	for _, r := range records {
		r.Encode(&e)
	}
	s.session.Received(s.now, s.attempt.Number, e.Bytes())
	s.take()
}

// frame returns the next frame sent.
func (s *script) frame() []byte {
	s.t.Helper()
	require.NotEmpty(s.t, s.frames, "nothing was sent")
	frame := s.frames[0]
	s.frames = s.frames[1:]
	return frame
}

// request returns the header of the next frame sent.
func (s *script) request() jute.RequestHeader {
	s.t.Helper()
	var header jute.RequestHeader
	header.Decode(jute.NewDecoder(s.frame()))
	return header
}

// handshake lets the member accept the session; it returns what the client asked for.
func (s *script) handshake() jute.ConnectRequest {
	s.t.Helper()
	s.connected()
	var request jute.ConnectRequest
	require.NoError(s.t, jute.Unmarshal(s.frame(), &request))
	id := request.SessionID
	if id == 0 {
		id = 0x100
	}
	s.receive(jute.ConnectResponse{TimeOut: request.TimeOut, SessionID: id, Passwd: jute.SessionPassword(id)})
	return request
}

func (s *script) expire() {
	s.t.Helper()
	s.connected()
	s.frame()
	s.receive(jute.ConnectResponse{Passwd: make([]byte, jute.PasswordSize)})
}

// returned is the last result.
func (s *script) returned() history.Result {
	s.t.Helper()
	for i := len(s.events) - 1; i >= 0; i-- {
		if s.events[i].Kind == history.Return {
			return *s.events[i].Result
		}
	}
	s.t.Fatal("nothing has returned")
	return history.Result{}
}

func (s *script) fired() []string {
	var all []string
	for _, e := range s.events {
		if e.Kind == history.WatchFired {
			all = append(all, e.Watch.Type+" "+e.Watch.Path+e.Text)
		}
	}
	return all
}

func header(xid int32, zxid int64) jute.ReplyHeader { return jute.ReplyHeader{Xid: xid, Zxid: zxid} }

func failing(xid int32, zxid int64, code jute.Code) jute.ReplyHeader {
	return jute.ReplyHeader{Xid: xid, Zxid: zxid, Err: code}
}

func event(what jute.EventType, path string) jute.WatcherEvent {
	return jute.WatcherEvent{Type: what, State: jute.StateSyncConnected, Path: path}
}

func TestSessionConnectsOnlyWhenAsked(t *testing.T) {
	s := newScript(t, 1, 2)
	s.elapse(time.Minute)
	require.Zero(t, s.attempt)
	_, waits := s.session.NextDeadline()
	require.False(t, waits)

	s.submit(getValue)
	require.Equal(t, client.Attempt{Number: 1, Member: 1}, s.attempt)
	request := s.handshake()
	require.Zero(t, request.SessionID)
	require.Len(t, request.Passwd, jute.PasswordSize)
	require.Equal(t, int32(9000), request.TimeOut)
	require.Equal(t, jute.RequestHeader{Xid: 1, Type: jute.OpGetData}, s.request())
	s.receive(header(1, 7), jute.GetDataResponse{Data: []byte("v"), Stat: jute.Stat{Version: 3, Mzxid: 5}})
	require.Equal(t, history.Result{
		Outcome: history.OK, Answered: true, Zxid: 7, Xid: 1, Value: "v", Stat: &history.Stat{Version: 3, Mzxid: 5},
	}, s.returned())
	connected := s.events[0]
	require.Equal(t, history.Connected, connected.State)
	require.Equal(t, "0x100", connected.SessionID)
	require.Equal(t, 9000, connected.Count)
	require.Equal(t, []history.EventKind{history.Session, history.Call, history.Return},
		[]history.EventKind{s.events[0].Kind, s.events[1].Kind, s.events[2].Kind})
}

func TestSessionTriesMembersInTurnAndThenRests(t *testing.T) {
	s := newScript(t, 3, 1, 2)
	s.submit(getValue)
	for _, member := range []int{3, 1, 2} {
		require.Equal(t, member, s.attempt.Member)
		s.lost()
	}
	require.Equal(t, uint64(3), s.attempt.Number, "all have refused: a pause")
	next, waits := s.session.NextDeadline()
	require.True(t, waits)
	require.Greater(t, next, s.now)
	s.elapse(next - s.now)
	require.Equal(t, client.Attempt{Number: 4, Member: 3}, s.attempt)
	require.Empty(t, states(s.events), "a failed attempt is no change of the session")
}

func TestSessionResumesOnAnotherMember(t *testing.T) {
	s := newScript(t, 1, 2)
	s.submit(
		history.Request{Kind: history.Get, Path: "/d", Watch: true},
		history.Request{Kind: history.Exists, Path: "/e", Watch: true},
		history.Request{Kind: history.Exists, Path: "/there", Watch: true},
		history.Request{Kind: history.Children, Path: "/c", Watch: true},
		history.Request{Kind: history.Get, Path: "/missing", Watch: true},
	)
	s.handshake()
	s.receive(header(1, 40), jute.GetDataResponse{})
	s.receive(failing(2, 41, jute.NoNode))
	s.receive(header(3, 42), jute.ExistsResponse{})
	s.receive(header(4, 43), jute.GetChildren2Response{Children: []string{}})
	s.receive(failing(5, 43, jute.NoNode))
	s.lost()
	require.Equal(t, 2, s.attempt.Member)
	s.submit(setValue)
	request := s.handshake()
	require.Equal(t, int64(0x100), request.SessionID)
	require.Equal(t, jute.SessionPassword(0x100), request.Passwd)
	require.Equal(t, int64(43), request.LastZxidSeen)
	require.Equal(t, []history.State{history.Connected, history.Disconnected, history.Resumed}, states(s.events))

	frame := s.frame()
	var head jute.RequestHeader
	var watches jute.SetWatches
	decoder := jute.NewDecoder(frame)
	head.Decode(decoder)
	watches.Decode(decoder)
	require.NoError(t, decoder.Finish())
	require.Equal(t, jute.XidSetWatches, head.Xid)
	require.Equal(t, jute.SetWatches{
		RelativeZxid: 43, DataWatches: []string{"/d", "/there"}, ExistWatches: []string{"/e"}, ChildWatches: []string{"/c"},
	}, watches)
	require.Equal(t, jute.OpSetData, s.request().Type, "user requests come after the watches")
}

func TestSessionExpired(t *testing.T) {
	s := newScript(t, 1)
	s.submit(history.Request{Kind: history.Get, Path: "/d", Watch: true})
	s.handshake()
	s.receive(header(1, 40), jute.GetDataResponse{})
	s.lost()
	s.elapse(time.Second)
	s.submit(setValue)
	s.expire()
	require.Equal(t, []history.State{history.Connected, history.Disconnected, history.Expired}, states(s.events))
	require.Equal(t, history.Result{Outcome: history.Failed, Error: "SessionExpired"}, s.returned(), "it waited for the session that is gone")
	require.False(t, s.session.Alive())
	_, waits := s.session.NextDeadline()
	require.False(t, waits, "a new session waits for an operation")

	s.submit(setValue)
	s.elapse(time.Second)
	request := s.handshake()
	require.Zero(t, request.SessionID)
	require.Zero(t, request.LastZxidSeen)
	require.Equal(t, jute.OpSetData, s.request().Type, "the watches went with the session")
}

func TestSessionPingsAndNoticesSilence(t *testing.T) {
	s := newScript(t, 1, 2)
	s.submit(getValue)
	s.handshake()
	s.request()
	s.receive(header(1, 1), jute.GetDataResponse{})
	for range 5 {
		next, _ := s.session.NextDeadline()
		require.Equal(t, s.now+sessionTimeout/3, next)
		s.elapse(sessionTimeout / 3)
		require.Equal(t, jute.RequestHeader{Xid: jute.XidPing, Type: jute.OpPing}, s.request())
		s.receive(header(jute.XidPing, 99))
	}
	s.elapse(sessionTimeout / 3)
	require.Empty(t, s.closed)
	s.elapse(sessionTimeout / 3)
	require.Equal(t, 1, s.closed, "two thirds of the timeout in silence")
	last := s.events[len(s.events)-1]
	require.Equal(t, history.Disconnected, last.State)
	require.Equal(t, "nothing heard for 6s", last.Text)
	require.Equal(t, int64(1), last.Zxid, "a ping shows no state")
	require.Equal(t, 2, s.attempt.Member)
}

func TestSessionConnectingTakesTooLong(t *testing.T) {
	s := newScript(t, 1, 2)
	s.submit(getValue)
	s.elapse(connectTimeout)
	require.Equal(t, 2, s.attempt.Member)
	s.connected()
	s.elapse(connectTimeout)
	require.Equal(t, 2, s.closed, "no answer to the handshake either")
	s.elapse(connectTimeout)
	require.Equal(t, history.Result{Outcome: history.Failed, Error: "ConnectionLoss"}, s.returned())
}

func TestSessionOperationTakesTooLong(t *testing.T) {
	s := newScript(t, 1, 2)
	s.submit(setValue, getValue)
	s.handshake()
	old := s.attempt
	s.elapse(requestTimeout - time.Second)
	s.receive(header(jute.XidPing, 0))
	s.submit(setValue)
	s.elapse(time.Second)
	results := outcomes(t, s.events)
	require.Equal(t, []history.Result{
		{Outcome: history.Unknown, Error: "OperationTimeout", Xid: 1},
		{Outcome: history.Failed, Error: "OperationTimeout", Xid: 2},
		{Outcome: history.Unknown, Error: "ConnectionLoss", Xid: 3},
	}, results)
	s.session.Received(s.now, old.Number, jute.Marshal(header(1, 9)))
	s.take()
	require.Len(t, outcomes(t, s.events), 3, "a late reply is nobody's")
	require.Equal(t, int64(0x100), s.handshake().SessionID)
}

func TestSessionRepliesOutOfOrderAreShown(t *testing.T) {
	s := newScript(t, 1)
	s.submit(setValue, setValue)
	s.handshake()
	s.receive(header(2, 9), jute.SetDataResponse{})
	s.receive(header(1, 8), jute.SetDataResponse{})
	results := outcomes(t, s.events)
	require.Equal(t, int32(2), results[0].Xid)
	require.Equal(t, int32(1), results[1].Xid)
}

func TestSessionGivesUpAMemberThatMakesNoSense(t *testing.T) {
	for text, frame := range map[string][]byte{
		"answered request 7":    jute.Marshal(header(7, 1)),
		"request 1 makes no":    append(jute.Marshal(header(1, 1)), 1, 2, 3),
		"reply makes no sense":  {1, 2},
		"watch event makes no ": jute.Marshal(header(jute.XidNotification, 1)),
	} {
		s := newScript(t, 1, 2)
		s.submit(setValue)
		s.handshake()
		s.session.Received(s.now, s.attempt.Number, frame)
		s.take()
		require.Equal(t, history.Unknown, s.returned().Outcome, text)
		for _, e := range s.events {
			if e.State == history.Disconnected {
				require.Contains(t, e.Text, text)
			}
		}
		require.Equal(t, 2, s.attempt.Member)
	}
}

func TestSessionSyncAndRead(t *testing.T) {
	syncGet := history.Request{Kind: history.SyncGet, Path: "/a"}
	for name, test := range map[string]struct {
		play    func(s *script)
		outcome history.Outcome
		error   string
	}{
		"both answered": {func(s *script) {
			s.receive(header(1, 8), jute.SyncResponse{Path: "/a"})
			s.receive(header(2, 8), jute.GetDataResponse{Data: []byte("v")})
		}, history.OK, ""},
		"sync failed": {func(s *script) {
			s.receive(failing(1, 8, jute.NoAuth))
			s.receive(header(2, 8), jute.GetDataResponse{Data: []byte("v")})
		}, history.Failed, "NoAuth"},
		"connection lost between the two": {func(s *script) {
			s.receive(header(1, 8), jute.SyncResponse{Path: "/a"})
			s.lost()
		}, history.Failed, "ConnectionLoss"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, 1)
			s.submit(syncGet)
			s.handshake()
			require.Equal(t, jute.RequestHeader{Xid: 1, Type: jute.OpSync}, s.request())
			require.Equal(t, jute.RequestHeader{Xid: 2, Type: jute.OpGetData}, s.request())
			test.play(s)
			result := outcomes(t, s.events)[0]
			require.Equal(t, test.outcome, result.Outcome)
			require.Equal(t, test.error, result.Error)
			require.Equal(t, int32(2), result.Xid)
		})
	}
}

func TestSessionWritesThatMayHaveHappened(t *testing.T) {
	for code, want := range map[jute.Code]history.Outcome{
		jute.BadVersion: history.Failed, jute.NoNode: history.Failed, jute.SessionExpired: history.Failed,
		jute.SystemError: history.Unknown, jute.ConnectionLoss: history.Unknown, jute.OperationTimeout: history.Unknown,
	} {
		s := newScript(t, 1)
		s.submit(setValue)
		s.handshake()
		s.receive(failing(1, 12, code))
		require.Equal(t, history.Result{Outcome: want, Error: code.String(), Answered: true, Zxid: 12, Xid: 1}, s.returned())
	}
}

func TestSessionIsAbandoned(t *testing.T) {
	abandon := history.Request{Kind: history.AbandonSession}
	s := newScript(t, 1)
	s.submit(abandon)
	require.Equal(t, history.Failed, s.returned().Outcome, "there is no session")
	s.submit(getValue)
	s.handshake()
	s.request()
	s.receive(header(1, 5), jute.GetDataResponse{})
	s.submit(setValue, abandon, getValue)
	require.Equal(t, 1, s.closed)
	require.Empty(t, s.frames, "the member is told nothing")
	require.Equal(t, []history.State{history.Connected, history.Abandoned}, states(s.events))
	require.Equal(t, history.Result{Outcome: history.OK}, s.returned())
	require.Zero(t, s.handshake().SessionID)
	require.Equal(t, jute.RequestHeader{Xid: 1, Type: jute.OpGetData}, s.request())
}

func TestSessionCloses(t *testing.T) {
	closeSession := history.Request{Kind: history.CloseSession}
	t.Run("answered", func(t *testing.T) {
		s := newScript(t, 1)
		s.submit(closeSession)
		require.Equal(t, history.Failed, s.returned().Outcome, "there is no session")
		s.submit(setValue, closeSession, getValue)
		s.handshake()
		require.Equal(t, jute.OpSetData, s.request().Type)
		require.Equal(t, jute.OpCloseSession, s.request().Type)
		require.Empty(t, s.frames, "what comes behind runs in a new session")
		s.receive(header(1, 5), jute.SetDataResponse{})
		s.receive(header(2, 6))
		require.Equal(t, history.OK, s.returned().Outcome)
		require.Zero(t, s.handshake().SessionID)
		require.Equal(t, jute.RequestHeader{Xid: 1, Type: jute.OpGetData}, s.request())
		require.Equal(t, []history.State{history.Connected, history.Closed, history.Connected}, states(s.events))
	})
	t.Run("unknown", func(t *testing.T) {
		s := newScript(t, 1)
		s.submit(getValue, closeSession)
		s.handshake()
		s.receive(header(1, 5), jute.GetDataResponse{})
		s.lost()
		require.Equal(t, history.Unknown, s.returned().Outcome)
		require.False(t, s.session.Alive(), "nobody knows; it is left to expire")
	})
	t.Run("refused", func(t *testing.T) {
		s := newScript(t, 1)
		s.submit(closeSession, getValue)
		s.submit(getValue)
		s.handshake()
		s.submit(closeSession, getValue)
		s.request()
		s.request()
		s.receive(header(1, 5), jute.GetDataResponse{})
		s.receive(header(2, 5), jute.GetDataResponse{})
		s.receive(failing(3, 5, jute.SessionExpired))
		require.Equal(t, jute.OpCloseSession, s.request().Type)
		require.Equal(t, jute.OpGetData, s.request().Type, "the session goes on")
	})
}

func TestSessionWatches(t *testing.T) {
	arm := func(s *script) {
		s.submit(
			history.Request{Kind: history.Get, Path: "/a", Watch: true},
			history.Request{Kind: history.Children, Path: "/a", Watch: true},
		)
		s.handshake()
		s.receive(header(1, 5), jute.GetDataResponse{})
		s.receive(header(2, 5), jute.GetChildren2Response{})
	}
	t.Run("fire once", func(t *testing.T) {
		s := newScript(t, 1)
		arm(s)
		s.receive(header(jute.XidNotification, -1), event(jute.EventNodeDataChanged, "/a"))
		s.receive(header(jute.XidNotification, -1), event(jute.EventNodeDataChanged, "/a"))
		require.Equal(t, []string{"changed /a", "changed /ano watch was left for this event"}, s.fired())
	})
	t.Run("a delete uses up both", func(t *testing.T) {
		s := newScript(t, 1)
		arm(s)
		s.receive(header(jute.XidNotification, 77), event(jute.EventNodeDeleted, "/a"))
		s.receive(header(jute.XidNotification, -1), event(jute.EventNodeChildrenChanged, "/a"))
		require.Equal(t, []string{"deleted /a", "children /ano watch was left for this event"}, s.fired())
		require.Equal(t, int64(77), s.events[len(s.events)-2].Zxid, "from 3.9 on the event has its zxid")
	})
	t.Run("a delete told twice on return", func(t *testing.T) {
		s := newScript(t, 1)
		arm(s)
		s.lost()
		s.elapse(time.Second)
		s.handshake()
		s.receive(header(jute.XidNotification, -1), event(jute.EventNodeDeleted, "/a"))
		s.receive(header(jute.XidNotification, -1), event(jute.EventNodeDeleted, "/a"))
		s.receive(header(jute.XidSetWatches, 9))
		require.Equal(t, []string{"deleted /a"}, s.fired())
		s.receive(header(jute.XidNotification, -1), event(jute.EventNodeDeleted, "/a"))
		require.Len(t, s.fired(), 2, "later it is one too many")
	})
}

func TestSessionRestoresManyWatchesInBatches(t *testing.T) {
	s := newScript(t, 1)
	const watches = 5000
	for i := range watches {
		s.submit(history.Request{Kind: history.Get, Path: fmt.Sprintf("/%0100d", i), Watch: true})
	}
	s.handshake()
	for i := range watches {
		s.receive(header(int32(i+1), 5), jute.GetDataResponse{})
	}
	s.lost()
	s.elapse(time.Second)
	s.handshake()
	require.Greater(t, len(s.frames), 3)
	total := 0
	for _, frame := range s.frames {
		require.Less(t, len(frame), 200<<10)
		var head jute.RequestHeader
		var batch jute.SetWatches
		decoder := jute.NewDecoder(frame)
		head.Decode(decoder)
		batch.Decode(decoder)
		total += len(batch.DataWatches)
	}
	require.Equal(t, watches, total)
}

func TestSessionRefusesTheWrongSessionAndReadOnlyMembers(t *testing.T) {
	s := newScript(t, 1)
	s.submit(getValue)
	s.handshake()
	s.lost()
	s.elapse(time.Second)
	for text, response := range map[string]jute.ConnectResponse{
		"session 0x100 was resumed as 0x999": {TimeOut: 9000, SessionID: 0x999},
		"the member is read-only":            {TimeOut: 9000, SessionID: 0x100, ReadOnly: true},
	} {
		s.connected()
		s.frame()
		s.receive(response)
		last := s.events[len(s.events)-1]
		require.Equal(t, history.Note, last.Kind)
		require.Equal(t, text, last.Text)
		s.elapse(time.Second)
	}
}

// Whatever happens, in whatever order: every operation returns exactly once, never before its call,
// and the session always says when it must be woken.
func TestSessionReturnsEveryOperationOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 0))
		s := newScript(t, 1, 2, 3)
		requests := []history.Request{
			setValue, getValue, {Kind: history.SyncGet, Path: "/a"}, {Kind: history.CloseSession},
			{Kind: history.Children, Path: "/a", Watch: true}, {Kind: history.Exists, Path: "/a", Watch: true},
		}
		submitted := 0
		for range rapid.IntRange(1, 300).Draw(r, "steps") {
			switch random.IntN(9) {
			case 0, 1:
				s.submit(requests[random.IntN(len(requests))])
				submitted++
			case 2:
				s.connected()
			case 3:
				if random.IntN(5) == 0 {
					s.lost()
				}
			case 4:
				if next, ok := s.session.NextDeadline(); ok {
					s.elapse(max(0, next-s.now))
				}
			case 5:
				s.elapse(time.Duration(random.Int64N(int64(time.Second))))
			case 6:
				if len(s.frames) > 0 && random.IntN(10) == 0 {
					s.receive(jute.ConnectResponse{TimeOut: int32(random.IntN(2) * 9000), SessionID: 0x100})
					break
				}
				if len(s.frames) > 0 {
					s.receive(jute.ConnectResponse{TimeOut: 9000, SessionID: 0x100})
				}
			case 7, 8:
				if len(s.frames) > 0 {
					head := s.request()
					s.receive(failing(head.Xid, int64(random.IntN(100)), []jute.Code{jute.NoNode, jute.Ok}[random.IntN(2)]))
				}
			}
		}
		s.session.Stop(s.now)
		s.take()
		require.Len(t, outcomes(t, s.events), submitted)
	})
}

// A member's bytes may be anything: the session takes them or gives the connection up.
func FuzzSessionReceived(f *testing.F) {
	f.Add(jute.Marshal(header(1, 7)), jute.Marshal(event(jute.EventNodeDeleted, "/a")))
	f.Add([]byte{}, []byte{0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := newScript(t, 1, 2)
		s.submit(getValue, history.Request{Kind: history.Multi, Parts: []history.Request{setValue}}, history.Request{Kind: history.Children, Path: "/a", Watch: true})
		s.connected()
		s.session.Received(s.now, s.attempt.Number, first)
		s.take()
		s.handshakeIfAsked()
		s.session.Received(s.now, s.attempt.Number, second)
		s.session.Received(s.now, s.attempt.Number, first)
		s.session.Stop(s.now)
		s.take()
		require.Len(t, outcomes(t, s.events), 3)
	})
}

// handshakeIfAsked completes a handshake that random bytes have spoiled.
func (s *script) handshakeIfAsked() {
	if !s.session.Alive() {
		s.elapse(time.Second)
		s.connected()
		s.receive(jute.ConnectResponse{TimeOut: 9000, SessionID: 0x100})
	}
}
