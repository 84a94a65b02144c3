package peer_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/election"
	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/quorum"
	"ordeal/node/tree"
)

// bench is one peer without a world: the test carries out what it wants.
type bench struct {
	t     *testing.T
	peer  *peer.Peer
	now   peer.Now
	disk  []disk.Operation // asked for and not done
	ready peer.Ready       // all but the disk, since the last reset
	// clientConnected is whether clientFrame has made its connection.
	clientConnected bool
}

func newBench(t *testing.T, change func(*peer.Config)) *bench {
	membership, err := quorum.Parse("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2")
	require.NoError(t, err)
	config := peer.Config{
		MyID: 1, Membership: membership, TickTime: 100 * time.Millisecond, InitLimit: 10, SyncLimit: 5,
		SessionTimeoutMin: 200 * time.Millisecond, SessionTimeoutMax: 2 * time.Second,
		SnapCount: 4, CommitLogCount: 10, LeaderServes: true, Random: rand.New(rand.NewPCG(1, 1)),
	}
	change(&config)
	b := &bench{t: t}
	b.peer = peer.New(config, &disk.State{Tree: tree.New(config.Tree)}, b.now)
	b.take()
	return b
}

func (b *bench) take() {
	ready := b.peer.Ready()
	b.disk = append(b.disk, ready.Disk...)
	b.ready.Notifications = append(b.ready.Notifications, ready.Notifications...)
	b.ready.Leader = append(b.ready.Leader, ready.Leader...)
	b.ready.Learners = append(b.ready.Learners, ready.Learners...)
	b.ready.Clients = append(b.ready.Clients, ready.Clients...)
	if ready.LearnerPort != nil {
		b.ready.LearnerPort = ready.LearnerPort
	}
	if ready.Fatal != nil {
		b.ready.Fatal = ready.Fatal
	}
}

func (b *bench) pass(span time.Duration) {
	b.now.Elapsed += span
	b.peer.Tick(b.now)
	b.take()
}

// settle carries out all disk operations, and what comes of them.
func (b *bench) settle() {
	for len(b.disk) > 0 {
		operation := b.disk[0]
		b.disk = b.disk[1:]
		if operation.Ticket != 0 {
			b.peer.DiskDone(disk.Result{Ticket: operation.Ticket})
			b.take()
		}
	}
}

// frames are what was sent to a client.
func (b *bench) frames(conn peer.Conn) (frames [][]byte, closed bool) {
	for _, output := range b.ready.Clients {
		if output.Conn == conn && output.Frame != nil {
			frames = append(frames, output.Frame)
		}
		closed = closed || output.Conn == conn && output.Close
	}
	return frames, closed
}

func (b *bench) connect(conn peer.Conn) {
	b.peer.ClientConnected(conn, "127.0.0.1")
	b.peer.ClientFrame(conn, jute.Marshal(jute.ConnectRequest{TimeOut: 1000, Passwd: make([]byte, jute.PasswordSize)}))
	b.take()
}

// elect makes server 1 the leader in the eyes of its election.
func (b *bench) elect() {
	vote := b.ready.Notifications[len(b.ready.Notifications)-1].Message
	vote.State = election.Looking
	for _, from := range []int64{2, 3} {
		vote.Leader = 1
		b.peer.ReceiveNotification(from, vote)
	}
	b.take()
	b.pass(300 * time.Millisecond)
}

func create(xid int32, path string) []byte {
	var e jute.Encoder
	jute.RequestHeader{Xid: xid, Type: jute.OpCreate}.Encode(&e)
	jute.CreateRequest{Path: path, ACL: jute.OpenACL()}.Encode(&e)
	return e.Bytes()
}

func TestStandaloneServesAtOnceAndTakesSnapshots(t *testing.T) {
	b := newBench(t, func(c *peer.Config) { c.Standalone = true })
	require.Equal(t, "standalone", b.peer.State().Role)
	b.connect(1)
	b.settle()
	snapshots := 0
	for i := range 12 {
		b.peer.ClientFrame(1, create(int32(i+1), "/n"+string(rune('a'+i))))
		b.take()
		for _, operation := range b.disk {
			if operation.Kind == disk.TakeSnapshot {
				snapshots++
			}
		}
		b.settle()
	}
	frames, closed := b.frames(1)
	require.Len(t, frames, 13)
	require.False(t, closed)
	require.GreaterOrEqual(t, snapshots, 2)
	state := b.peer.State()
	require.True(t, state.Serving)
	require.Equal(t, "broadcast", state.Phase)
	require.EqualValues(t, 13, state.LastZxid)
	require.Equal(t, 1, state.Sessions)
	_, ok := b.peer.ReadNow(1, func() []byte {
		var e jute.Encoder
		jute.RequestHeader{Xid: 99, Type: jute.OpGetData}.Encode(&e)
		jute.GetDataRequest{Path: "/na"}.Encode(&e)
		return e.Bytes()
	}())
	require.True(t, ok)
}

func TestAFailedDiskEndsTheServer(t *testing.T) {
	b := newBench(t, func(c *peer.Config) { c.Standalone = true })
	b.connect(1)
	require.NotEmpty(t, b.disk)
	last := b.disk[len(b.disk)-1]
	require.Equal(t, disk.Sync, last.Kind)
	b.peer.DiskDone(disk.Result{Ticket: last.Ticket, Err: errors.New("EIO")})
	b.take()
	require.ErrorContains(t, b.ready.Fatal, "EIO")
	require.Equal(t, "stopped", b.peer.State().Role)
	frames, closed := b.frames(1)
	require.Empty(t, frames, "an answer although the disk has failed")
	require.True(t, closed)
}

func TestAFailedSnapshotIsNoReasonToStop(t *testing.T) {
	b := newBench(t, func(c *peer.Config) { c.Standalone, c.SnapCount = true, 2 })
	b.connect(1)
	b.settle()
	for i := range 4 {
		b.peer.ClientFrame(1, create(int32(i+1), "/n"+string(rune('a'+i))))
		b.take()
		for _, operation := range b.disk {
			if operation.Ticket != 0 {
				result := disk.Result{Ticket: operation.Ticket}
				if operation.Kind == disk.TakeSnapshot {
					result.Err = errors.New("ENOSPC")
				}
				b.peer.DiskDone(result)
			}
		}
		b.disk = nil
		b.take()
	}
	require.NoError(t, b.ready.Fatal)
	frames, _ := b.frames(1)
	require.Len(t, frames, 5)
}

func TestStopClosesEverything(t *testing.T) {
	b := newBench(t, func(c *peer.Config) { c.Standalone = true })
	b.connect(1)
	b.settle()
	b.peer.Stop()
	b.take()
	_, closed := b.frames(1)
	require.True(t, closed)
	require.Equal(t, "stopped", b.peer.State().Role)
	b.connect(2)
	_, closed = b.frames(2)
	require.True(t, closed)
}

func TestTheLearnerPortIsOpenWhileLeading(t *testing.T) {
	b := newBench(t, func(*peer.Config) {})
	require.Nil(t, b.ready.LearnerPort)
	b.settle()
	b.elect()
	require.Equal(t, "leading", b.peer.State().Role)
	require.EqualValues(t, 1, b.peer.State().LeaderID)
	require.True(t, *b.ready.LearnerPort)
	require.Equal(t, "discovery", b.peer.State().Phase)
	b.peer.LearnerConnected(7, "10.0.0.2")
	b.pass(2 * time.Second) // nobody comes
	require.False(t, *b.ready.LearnerPort)
	require.Equal(t, peer.LearnerOutput{Link: 7, Close: true}, b.ready.Learners[len(b.ready.Learners)-1])
	require.Equal(t, "looking", b.peer.State().Role)
	require.EqualValues(t, -1, b.peer.State().LeaderID, "0 is a server's id")
	b.peer.LearnerConnected(8, "10.0.0.2")
	b.take()
	require.Equal(t, peer.LearnerOutput{Link: 8, Close: true}, b.ready.Learners[len(b.ready.Learners)-1])
}

// TestALeaderThatSleptEndsNoSession: it is no leader any more when it wakes, whatever its clock says of sessions.
func TestALeaderThatSleptEndsNoSession(t *testing.T) {
	b := newBench(t, func(*peer.Config) {})
	b.elect()
	b.settle()
	const link = 9
	b.peer.LearnerConnected(link, "10.0.0.2")
	fromLearner := func(packetType int32, zxid int64, data jute.Record) {
		packet := &jute.QuorumPacket{Type: packetType, Zxid: zxid}
		if data != nil {
			packet.Data = jute.Marshal(data)
		}
		b.peer.LearnerPacket(link, peer.LearnerMessage{Packet: packet})
		b.take()
		b.settle()
	}
	fromLearner(jute.PacketFollowerInfo, 0, jute.LearnerInfo{ServerID: 2, ProtocolVersion: jute.LearnerProtocolVersion})
	fromLearner(jute.PacketAckEpoch, 0, jute.AckEpoch{})
	fromLearner(jute.PacketAck, 1<<32, nil)
	require.True(t, b.peer.State().Serving)
	fromLearner(jute.PacketRequest, -1, jute.ForwardedRequest{
		SessionID: 2<<56 + 1, Type: jute.OpCreateSession, Body: jute.Marshal(jute.CreateSessionRequest{TimeOut: 1000}),
	})
	fromLearner(jute.PacketAck, 1<<32+1, nil)
	require.Equal(t, 1, b.peer.State().Sessions)

	b.pass(3 * time.Second)
	for _, operation := range b.disk {
		require.NotEqual(t, disk.Append, operation.Kind, "it logs %#x after it has given up", operation.Entry.Zxid)
	}
	b.settle()
	require.Equal(t, "looking", b.peer.State().Role)
	require.Equal(t, 1, b.peer.State().Sessions)
	require.EqualValues(t, 1<<32+1, b.ready.Notifications[len(b.ready.Notifications)-1].Message.Zxid)
}

func TestClientsAreRefusedByAServerThatDoesNotServe(t *testing.T) {
	b := newBench(t, func(*peer.Config) {})
	b.connect(1)
	_, closed := b.frames(1)
	require.True(t, closed)
}

func TestWhatAnEarlierConnectionStillDeliversIsIgnored(t *testing.T) {
	b := newBench(t, func(*peer.Config) {})
	b.peer.LeaderConnected(1)
	b.peer.LeaderPacket(1, peer.LearnerMessage{Packet: &jute.QuorumPacket{Type: jute.PacketLeaderInfo}})
	b.peer.LeaderClosed(1, errors.New("reset"))
	b.peer.LearnerPacket(1, peer.LearnerMessage{Packet: &jute.QuorumPacket{Type: jute.PacketAck}})
	b.peer.LearnerClosed(1)
	b.take()
	require.Empty(t, b.ready.Leader)
	require.Empty(t, b.ready.Learners)
	require.Equal(t, "looking", b.peer.State().Role)
}

func TestTimeMustNotGoBack(t *testing.T) {
	b := newBench(t, func(*peer.Config) {})
	b.pass(time.Second)
	require.Panics(t, func() { b.peer.Tick(peer.Now{}) })
}
