package pipeline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
	"ordeal/node/jute"
)

func TestHandshakeGivesASession(t *testing.T) {
	for _, test := range []struct {
		name         string
		asked, given int32
	}{
		{"below the least", 10, 4000}, {"above the most", 1_000_000, 40_000}, {"between", 7000, 7000}, {"nonsense", -1, 4000},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			response := w.open().handshake(jute.ConnectRequest{TimeOut: test.asked, Passwd: []byte{}})
			require.Equal(t, test.given, response.TimeOut)
			require.Equal(t, jute.SessionPassword(response.SessionID), response.Passwd)
			require.Equal(t, int64(1), response.SessionID>>56, "the top byte is the server's number")
			header, txn, _ := w.lastTxn()
			require.Equal(t, jute.OpCreateSession, header.Type)
			require.Equal(t, &jute.CreateSessionTxn{TimeOut: test.given}, txn)
			require.True(t, w.tree.HasSession(response.SessionID))
		})
	}
}

func TestHandshakeOfAnOldClient(t *testing.T) {
	w := newWorld(t)
	c := w.open()
	response := c.handshake(jute.ConnectRequest{TimeOut: 5000, OmitsReadOnly: true})
	require.True(t, response.OmitsReadOnly)
	require.NotZero(t, response.SessionID)
}

func TestHandshakeThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	c := w.open()
	c.sendFrame([]byte{1, 2, 3})
	require.True(t, c.isClosed())
	require.Empty(t, c.take())
}

// TestClientThatHasSeenMore must try another server: here it would go back in time.
func TestClientThatHasSeenMore(t *testing.T) {
	w := newWorld(t)
	c := w.open()
	c.sendFrame(jute.Marshal(jute.ConnectRequest{TimeOut: 5000, LastZxidSeen: 100}))
	require.True(t, c.isClosed())
	require.Empty(t, c.take(), "it is closed without a reply")

	w = newWorld(t, withDefect(defect.ForgetSeen))
	require.NotZero(t, w.open().handshake(jute.ConnectRequest{TimeOut: 5000, LastZxidSeen: 100}).SessionID)
}

func TestSessionResumes(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	c.mustCreate("/mine", 1)
	again, response := c.resume()
	require.Equal(t, c.session, response.SessionID)
	require.True(t, c.isClosed(), "the older connection is closed")
	require.Equal(t, jute.Ok, again.ask(jute.OpExists, jute.ExistsRequest{Path: "/mine"}, &jute.ExistsResponse{}))
	stats := w.server.Connections()
	require.Len(t, stats, 1)
	require.Equal(t, c.session, stats[0].Session)
}

func TestSessionDoesNotResume(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	for name, request := range map[string]jute.ConnectRequest{
		"wrong password": {SessionID: c.session, Passwd: make([]byte, 16), TimeOut: 5000},
		"unknown":        {SessionID: 99, Passwd: jute.SessionPassword(99), TimeOut: 5000},
	} {
		t.Run(name, func(t *testing.T) {
			stranger := w.open()
			response := stranger.handshake(request)
			require.Equal(t, jute.ConnectResponse{Passwd: make([]byte, 16)}, response)
			require.True(t, stranger.isClosed())
		})
	}
}

func TestFramesBeforeTheSessionIsSettledWait(t *testing.T) {
	w := newWorld(t)
	w.slowDisk = true
	c := w.open()
	c.sendFrame(jute.Marshal(jute.ConnectRequest{TimeOut: 5000}))
	c.send(jute.OpCreate, createOf("/early", 0))
	c.send(jute.OpExists, jute.ExistsRequest{Path: "/early"})
	require.Empty(t, c.take())
	require.Equal(t, 1, w.server.Outstanding(), "what waits for the session has not entered the chain")
	require.Greater(t, w.server.RequestBytes(), len("/early")+len("/early"), "but it takes room")
	w.finishSyncs()
	frames := c.take()
	require.Len(t, frames, 3)
	require.Zero(t, w.server.Outstanding())

	greedy := w.open()
	greedy.sendFrame(jute.Marshal(jute.ConnectRequest{TimeOut: 5000}))
	for range earlyFramesMax + 1 {
		greedy.sendFrame(make([]byte, jute.MaxBufferDefault))
	}
	require.True(t, greedy.isClosed(), "there is a bound to what is kept")
	w.finishSyncs()
	require.Zero(t, w.server.Outstanding())
	require.Zero(t, w.server.RequestBytes())
}

// TestExpiry: a session ends between its timeout and one tick more after it was last heard of, and
// its ephemerals with it.
func TestExpiry(t *testing.T) {
	w := newWorld(t)
	c := w.connect() // 10 s
	c.mustCreate("/mine", 1)
	watcher := w.connect()
	require.Equal(t, jute.Ok, watcher.ask(jute.OpExists, jute.ExistsRequest{Path: "/mine", Watch: true}, &jute.ExistsResponse{}))
	keepAlive := func(d time.Duration) {
		for end := w.now.Elapsed + d; w.now.Elapsed < end; {
			w.pass(time.Second)
			watcher.send(jute.OpPing, nil)
		}
	}
	keepAlive(9 * time.Second)
	c.send(jute.OpPing, nil)
	keepAlive(10 * time.Second)
	require.False(t, c.isClosed(), "a ping keeps a session alive")
	keepAlive(tickTime)
	require.True(t, c.isClosed())
	require.False(t, w.tree.HasSession(c.session))
	require.Empty(t, w.tree.Ephemerals(c.session))
	header, _, _ := w.lastTxn()
	require.Equal(t, jute.OpCloseSession, header.Type)
	require.Zero(t, header.Cxid)
	var events []jute.WatcherEvent
	for _, m := range watcher.receive() {
		if m.event != nil {
			events = append(events, *m.event)
		}
	}
	require.Equal(t, []jute.WatcherEvent{{Type: jute.EventNodeDeleted, State: jute.StateSyncConnected, Path: "/mine"}}, events)
	_, response := c.resume()
	require.Zero(t, response.SessionID, "an expired session does not come back")
}

// TestReadsKeepASessionAlive even if they are answered beside the chain.
func TestReadsKeepASessionAlive(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	frame := requestFrame(1, jute.OpExists, jute.ExistsRequest{Path: "/"})
	fast := 0
	for range 400 {
		w.pass(100 * time.Millisecond)
		if _, ok := w.server.ReadNow(c.conn, frame); ok {
			fast++
		} else {
			c.sendFrame(frame)
		}
		c.take()
	}
	require.False(t, c.isClosed())
	require.Greater(t, fast, 300)
}

// TestNewLeaderGivesEverySessionAFullTimeout whatever was left of it before.
func TestNewLeaderGivesEverySessionAFullTimeout(t *testing.T) {
	w := newWorld(t)
	c := w.connect()
	w.pass(9 * time.Second)
	w.server.Shutdown()
	require.True(t, c.isClosed())
	w.server = New(w.server.config, w.tree, w.now, w.server.outputs)
	w.pass(9 * time.Second)
	again, response := c.resume()
	require.Equal(t, c.session, response.SessionID)
	require.False(t, again.isClosed())
}

func TestSessionIDsAreNotUsedTwice(t *testing.T) {
	w := newWorld(t)
	first := w.connect()
	w.server.sessionID = first.session // as after a restart with a clock that was set back
	second := w.connect()
	require.NotEqual(t, first.session, second.session)
}

func TestSilentConnectionsAreClosed(t *testing.T) {
	w := newWorld(t)
	c := w.open()
	w.pass(handshakeMax - 100*time.Millisecond)
	require.False(t, c.isClosed())
	w.pass(100*time.Millisecond + 2*inspectionInterval)
	require.True(t, c.isClosed())
}

func TestFirstSessionID(t *testing.T) {
	require.Equal(t, int64(0x03_0102030405_0000), firstSessionID(3, 0x0102030405))
	require.Equal(t, int64(0x03_0203040506_0000), firstSessionID(3, 0x010203040506), "40 bits of the time are kept")
}

func TestSessionTrackerOwners(t *testing.T) {
	tracker := newSessionTracker(1000, 0, jute.SessionExpired)
	tracker.track(1, 5000)
	require.Equal(t, jute.SessionExpired, tracker.check(2, Local), "unknown")
	require.False(t, tracker.ownsNow(1, Local))
	require.Equal(t, jute.Ok, tracker.check(1, 7), "the first that asks becomes the owner")
	require.Equal(t, jute.SessionMoved, tracker.check(1, Local))
	require.True(t, tracker.setOwner(1, Local))
	require.Equal(t, jute.Ok, tracker.check(1, Local))
	require.Equal(t, jute.SessionMoved, tracker.check(1, 7))
	tracker.setClosing(1)
	require.Equal(t, jute.SessionExpired, tracker.check(1, Local))
	require.False(t, tracker.touch(1, 5000))
	require.False(t, tracker.setOwner(1, 7))
}

// TestNeverExpireDefect: a leader with this defect keeps a silent session, and what it owns, for ever.
func TestNeverExpireDefect(t *testing.T) {
	w := newWorld(t, withDefect(defect.NeverExpire))
	c := w.connect() // 10 s
	c.mustCreate("/mine", 1)
	w.pass(time.Minute)
	require.True(t, w.tree.HasSession(c.session))
	require.NotEmpty(t, w.tree.Ephemerals(c.session))
}

// TestExpiryBuckets: the timeout is rounded up to the end of the tick that it falls into.
func TestExpiryBuckets(t *testing.T) {
	for _, test := range []struct{ touched, timeout, expires int64 }{
		{0, 4000, 6000}, {1, 4000, 6000}, {1999, 4000, 6000}, {2000, 4000, 8000}, {2500, 4499, 8000},
	} {
		tracker := newSessionTracker(2000, 0, jute.SessionExpired)
		tracker.expire(test.touched)
		tracker.track(1, int32(test.timeout))
		require.Empty(t, tracker.expire(test.expires-1))
		require.Equal(t, []int64{1}, tracker.expire(test.expires))
		require.Empty(t, tracker.expire(test.expires+10_000), "a session expires once")
	}
}
