package server

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ordeal/node/election"
	"ordeal/node/jute"
)

// These tests run member 2 of three and speak for the members 1 and 3 over raw sockets.

// long and integer are jute's primitives.
func long(v int64) []byte    { return binary.BigEndian.AppendUint64(nil, uint64(v)) }
func integer(v int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }

func concat(parts ...[]byte) []byte {
	var all []byte
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

// header is an election header of the present layout.
func header(id int64, address string) []byte {
	return concat(long(electionProtocol), long(id), integer(int32(len(address))), []byte(address))
}

func readNotification(t *testing.T, tcp net.Conn) election.Notification {
	t.Helper()
	var length [4]byte
	_, err := io.ReadFull(tcp, length[:])
	require.NoError(t, err)
	data := make([]byte, binary.BigEndian.Uint32(length[:]))
	_, err = io.ReadFull(tcp, data)
	require.NoError(t, err)
	n, err := election.DecodeNotification(data)
	require.NoError(t, err)
	return n
}

// readUntil reads notifications until one fits: others may still be under way.
func readUntil(t *testing.T, tcp net.Conn, fits func(election.Notification) bool) election.Notification {
	t.Helper()
	for {
		if n := readNotification(t, tcp); fits(n) {
			return n
		}
	}
}

func write(t *testing.T, tcp net.Conn, data ...[]byte) {
	t.Helper()
	_, err := tcp.Write(concat(data...))
	require.NoError(t, err)
}

func writeNotification(t *testing.T, tcp net.Conn, n election.Notification) {
	t.Helper()
	data := n.Encode()
	write(t, tcp, integer(int32(len(data))), data)
}

// call connects to a member's election port as somebody.
func call(t *testing.T, r *running, greeting []byte) net.Conn {
	t.Helper()
	tcp := r.dial(r.config.self().ElectionAddress())
	write(t, tcp, greeting)
	return tcp
}

func TestElectionHeadersOfAllVersions3720(t *testing.T) {
	for name, greeting := range map[string][]byte{
		"one address":       header(3, "127.0.0.1:3888"),
		"several addresses": concat(long(electionProtocolMultiAddress), long(3), integer(7), []byte("a:1|b:2")),
		"the bare id":       long(3),
	} {
		t.Run(name, func(t *testing.T) {
			configs := ensembleConfigs(t, 3)
			r := start(t, configs[1])
			n := readNotification(t, call(t, r, greeting))
			require.Equal(t, election.Looking, n.State)
			require.EqualValues(t, 2, n.Leader)
			require.EqualValues(t, 1, n.ElectionEpoch, "%+v", n)
			require.Equal(t, configs[1].Membership.String(), n.Config)
		})
	}
}

func TestElectionCallersThatAreRefused(t *testing.T) {
	r := start(t, ensembleConfigs(t, 3)[1])
	for _, test := range []struct {
		name     string
		greeting []byte
		log      string
	}{
		{"a stranger", header(9, "h:1"), "server 9 is not in the membership"},
		{"itself", header(2, "h:1"), "claims to be this server"},
		{"another version", concat(long(-1), long(3), integer(3), []byte("h:1")), "unknown version -1"},
		{"no address", concat(long(electionProtocol), long(3), integer(0)), "an election address of 0 bytes"},
		{"a negative address", concat(long(electionProtocol), long(3), integer(-5)), "an election address of -5 bytes"},
		{"an endless address", concat(long(electionProtocol), long(3), integer(2049)), "an election address of 2049 bytes"},
		{"a client", []byte("ruok\nruok\n"), "is not in the membership"},
	} {
		t.Run(test.name, func(t *testing.T) {
			requireClosed(t, call(t, r, test.greeting))
			r.logs(test.log)
		})
	}
	require.EqualValues(t, 2, readNotification(t, call(t, r, header(3, "h:1"))).Leader, "others are not hurt")
}

func TestCallersThatSayNothing(t *testing.T) {
	t.Parallel()
	config := ensembleConfigs(t, 3)[1]
	config.SyncLimit = 1000 // they may be silent for longer than the test lasts
	r := start(t, config)
	first := r.dial(config.self().ElectionAddress())
	for range handshakesMax + 3 {
		r.dial(config.self().ElectionAddress())
	}
	r.logs("too many election connections at once")
	requireClosed(t, first)
	three := call(t, r, header(3, "h:1"))
	require.EqualValues(t, 2, readNotification(t, three).Leader, "a server gets in at once")

	// The learner port is no different.
	writeNotification(t, three, election.Notification{State: election.Looking, Leader: 2, ElectionEpoch: 1, Version: 2})
	first = r.dial(config.self().QuorumAddress())
	for range handshakesMax + 3 {
		r.dial(config.self().QuorumAddress())
	}
	r.logs("too many learners that say nothing")
	requireClosed(t, first)
	learner := r.dial(config.self().QuorumAddress())
	write(t, learner, jute.Marshal(&jute.QuorumPacket{Type: jute.PacketFollowerInfo, Data: jute.Marshal(jute.LearnerInfo{
		ServerID: 3, ProtocolVersion: jute.LearnerProtocolVersion,
	})}))
	packet := &jute.QuorumPacket{}
	decoder := jute.NewStreamDecoder(learner)
	packet.Decode(decoder)
	require.NoError(t, decoder.Err())
	require.EqualValues(t, jute.PacketLeaderInfo, packet.Type)
}

func TestLastNotificationIsRepeatedOnAFreshConnection(t *testing.T) {
	r := start(t, ensembleConfigs(t, 3)[1])
	first := call(t, r, header(3, "h:1"))
	want := readNotification(t, first)
	second := call(t, r, header(3, "h:1"))
	require.Equal(t, want, readNotification(t, second))
	// The newer connection took the place of the older one.
	_, err := io.Copy(io.Discard, first)
	if err != nil {
		require.ErrorContains(t, err, "reset")
	}
}

// The connection that the larger id makes is the one that is kept: a smaller one that calls is
// hung up on and called back.
func TestSmallerIdIsCalledBack(t *testing.T) {
	configs := ensembleConfigs(t, 3)
	one, _ := configs[1].Membership.Server(1)
	listener, err := net.Listen("tcp", one.ElectionAddress())
	require.NoError(t, err)
	defer listener.Close()
	r := start(t, configs[1])
	answer := func() net.Conn {
		tcp, err := listener.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { tcp.Close() })
		want := header(2, configs[1].self().ElectionAddress())
		got := make([]byte, len(want))
		_, err = io.ReadFull(tcp, got)
		require.NoError(t, err)
		require.Equal(t, want, got)
		return tcp
	}
	first := answer()
	require.EqualValues(t, 2, readNotification(t, first).Leader)

	requireClosed(t, call(t, r, header(1, "h:1")))
	second := answer()
	require.EqualValues(t, 2, readNotification(t, second).Leader)
	_, err = io.Copy(io.Discard, first)
	if err != nil {
		require.ErrorContains(t, err, "reset")
	}
}

func TestMalformedNotifications3769(t *testing.T) {
	r := start(t, ensembleConfigs(t, 3)[1])
	tcp := call(t, r, header(3, "h:1"))
	vote := election.Notification{State: election.Looking, Leader: 3, ElectionEpoch: 1, Version: 2}
	write(t, tcp, integer(10), make([]byte, 10))
	write(t, tcp, integer(44), make([]byte, 40), integer(-2))
	writeNotification(t, tcp, vote)
	readUntil(t, tcp, func(n election.Notification) bool { return n.Leader == 3 })
	r.logs("malformed notification ignored")

	for _, length := range []int32{0, -1, notificationMax + 1} {
		tcp = call(t, r, header(3, "h:1"))
		readNotification(t, tcp)
		write(t, tcp, integer(length))
		_, err := io.Copy(io.Discard, tcp)
		if err != nil {
			require.ErrorContains(t, err, "reset")
		}
		r.logs("want 1 to 524288")
	}
	require.EqualValues(t, 3, readNotification(t, call(t, r, header(3, "h:1"))).Leader)
}

func TestNewestNotificationWins(t *testing.T) {
	e := newElectionPeer(nil, newElectionPort(ensembleConfigs(t, 3)[1].Membership, ensembleConfigs(t, 3)[1].self(), 0).self, 0)
	e.send([]byte("old"))
	e.send([]byte("new"))
	here, there := net.Pipe()
	defer there.Close()
	go func() {
		defer here.Close()
		_ = e.flush(here)
		_ = e.flush(here) // nothing is left
	}()
	data, err := io.ReadAll(there)
	require.NoError(t, err)
	require.Equal(t, "\x00\x00\x00\x03new", string(data))
}

// reconfigurable is member 2 of three where servers may join.
func reconfigurable(t *testing.T) *running {
	config := ensembleConfigs(t, 3)[1]
	config.Reconfig = true
	return start(t, config)
}

// A server that wants to join is called back at the address that it says, and at the next one if the first
// was wrong.
func TestStrangerIsCalledBackWhereItSays(t *testing.T) {
	r := reconfigurable(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	requireClosed(t, call(t, r, header(0, "127.0.0.1:1")))
	requireClosed(t, call(t, r, header(0, listener.Addr().String())))
	tcp, err := listener.Accept()
	require.NoError(t, err)
	defer tcp.Close()
	want := header(2, r.config.self().ElectionAddress())
	got := make([]byte, len(want))
	_, err = io.ReadFull(tcp, got)
	require.NoError(t, err)
	require.Equal(t, want, got)
	writeNotification(t, tcp, election.Notification{State: election.Looking, Leader: 0, ElectionEpoch: 1, Version: 2})
	readUntil(t, tcp, func(n election.Notification) bool { return n.Leader == 2 })
}

// Strangers cannot keep others out, nor take the place of members.
func TestTooManyStrangers(t *testing.T) {
	r := reconfigurable(t)
	first := call(t, r, header(100, "127.0.0.1:1"))
	r.logs("a server outside the membership asks for it")
	for i := range strangersMax {
		call(t, r, header(int64(101+i), "127.0.0.1:1"))
	}
	r.logs("too many servers outside the membership")
	requireClosed(t, first)
	require.EqualValues(t, 2, readNotification(t, call(t, r, header(3, "h:1"))).Leader)
}

// A stranger that has no connection is forgotten after a while, and is not called on and on.
func TestStrangersAreForgotten(t *testing.T) {
	config := ensembleConfigs(t, 3)[1]
	p := newElectionPort(config.Membership, config.self(), time.Millisecond)
	p.log, p.group, p.strangers, p.strangerPatience = slog.New(slog.DiscardHandler), &errgroup.Group{}, true, time.Millisecond
	require.NotNil(t, p.find(t.Context(), 9, "127.0.0.1:1"))
	require.NoError(t, p.group.Wait(), "nobody serves it any more")
	require.Len(t, p.peers, 2, "the members")
	require.Nil(t, p.find(t.Context(), 9, "no address"))
}

// The learner port listens only while its server leads (protocol.md 12, item 11).
func TestLearnerPortListensOnlyForALeader(t *testing.T) {
	r := start(t, ensembleConfigs(t, 3)[1])
	three := call(t, r, header(3, "h:1"))
	readNotification(t, three)
	learnerPort := r.config.self().QuorumAddress()
	_, err := net.Dial("tcp", learnerPort)
	require.ErrorContains(t, err, "refused")

	writeNotification(t, three, election.Notification{State: election.Looking, Leader: 2, ElectionEpoch: 1, Version: 2})
	learner := r.dial(learnerPort)

	// Bad bytes end a learner's connection, and only that.
	for name, words := range map[string][]byte{
		"an unknown type":   concat(integer(99), long(0), integer(-1), integer(-1)),
		"an absurd length":  concat(integer(jute.PacketFollowerInfo), long(0), integer(1<<30)),
		"a negative length": concat(integer(jute.PacketFollowerInfo), long(0), integer(-7)),
		"an absurd vector":  concat(integer(jute.PacketFollowerInfo), long(0), integer(-1), integer(1<<30)),
		"a SNAP":            integer(jute.PacketSnap), // what follows it may have no end, so it is not waited for
		"a long first word": concat(integer(jute.PacketFollowerInfo), long(0), integer(strangerPacketMax)),
		"endless identities": concat(integer(jute.PacketFollowerInfo), long(0), integer(-1), integer(1<<20),
			bytes.Repeat(concat(integer(2), []byte("ip"), integer(2), []byte("::")), strangerPacketMax/12)),
		"no FOLLOWERINFO": concat(integer(jute.PacketAck), long(0), integer(-1), integer(-1)),
		"words":           []byte("GET / HTTP/1.1\r\nHost: zookeeper\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			tcp := r.dial(learnerPort)
			write(t, tcp, words)
			requireClosed(t, tcp)
		})
	}
	r.logs("learner connection ends")

	info := jute.Marshal(&jute.QuorumPacket{Type: jute.PacketFollowerInfo, Data: jute.Marshal(&jute.LearnerInfo{ServerID: 3, ProtocolVersion: jute.LearnerProtocolVersion})})
	write(t, learner, info)
	packet := &jute.QuorumPacket{}
	packet.Decode(jute.NewStreamDecoder(learner))
	require.Equal(t, jute.PacketLeaderInfo, packet.Type)
	require.EqualValues(t, 1<<32, packet.Zxid)
}

// A leader that talks nonsense is left, and another is looked for.
func TestLeaderThatTalksNonsense(t *testing.T) {
	configs := ensembleConfigs(t, 3)
	leader, _ := configs[1].Membership.Server(3)
	listener, err := net.Listen("tcp", leader.QuorumAddress())
	require.NoError(t, err)
	defer listener.Close()
	r := start(t, configs[1])
	three := call(t, r, header(3, "h:1"))
	writeNotification(t, three, election.Notification{State: election.Looking, Leader: 3, ElectionEpoch: 1, Version: 2})

	tcp, err := listener.Accept()
	require.NoError(t, err)
	defer tcp.Close()
	decoder := jute.NewStreamDecoder(tcp)
	packet := &jute.QuorumPacket{}
	packet.Decode(decoder)
	require.Equal(t, jute.PacketFollowerInfo, packet.Type)
	write(t, tcp, []byte("this is no packet of a leader, but it is long enough for one"))
	readUntil(t, three, func(n election.Notification) bool { return n.State == election.Looking && n.ElectionEpoch > 1 })
}
