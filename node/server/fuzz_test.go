package server

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/election"
	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/quorum"
	"ordeal/node/tree"
)

// Fuzz tests of what peers send, and of the files that say who the peers are.

// callerOf is a connection on which somebody says something and hangs up.
type callerOf struct {
	net.Conn
	says *bytes.Reader
}

func (c callerOf) Read(buffer []byte) (int, error) { return c.says.Read(buffer) }
func (c callerOf) SetReadDeadline(time.Time) error { return nil }
func newCaller(says []byte) callerOf               { return callerOf{says: bytes.NewReader(says)} }
func ensembleOfThree(t testing.TB) *quorum.Config {
	membership, err := quorum.Parse("server.1=127.0.0.1:1:2\nserver.2=127.0.0.1:3:4\nserver.3=127.0.0.1:5:6")
	require.NoError(t, err)
	return membership
}

// FuzzElectionPort gives an election port what a caller says: a header, and then notifications.
func FuzzElectionPort(f *testing.F) {
	vote := election.Notification{State: election.Looking, Leader: 3, ElectionEpoch: 1, PeerEpoch: 1, Version: election.NotificationVersion, Config: ensembleOfThree(f).String()}
	notification := func(n election.Notification) []byte {
		data := n.Encode()
		return concat(integer(int32(len(data))), data)
	}
	leading := vote
	leading.State, leading.ElectionEpoch = election.Leading, 1<<40
	f.Add(concat(header(3, "127.0.0.1:3888"), notification(vote)))
	f.Add(concat(long(electionProtocolMultiAddress), long(3), integer(7), []byte("a:1|b:2"), notification(vote), notification(leading)))
	f.Add(concat(long(3), integer(28), make([]byte, 28), notification(leading)))
	f.Add(concat(long(3), integer(notificationMax)))
	f.Fuzz(func(t *testing.T, says []byte) {
		c, _ := newRecordedCore(func(config *peer.Config) {
			config.Standalone, config.MyID, config.Membership, config.Reconfig = false, 2, ensembleOfThree(t), true
			config.InitLimit, config.SyncLimit = 10, 5
		})
		c.peer.Tick(c.clock.now())
		caller := newCaller(says)
		before := allocated()
		id, _, err := readElectionHeader(caller, time.Second)
		if err != nil {
			return
		}
		p := &electionPort{core: c, log: slog.New(slog.DiscardHandler)}
		require.Error(t, p.receive(t.Context(), id, caller), "the end of the connection at least")
		require.NoError(t, c.fatal)
		requireModest(t, before, len(says), 0)
	})
}

// allocated is how many bytes this process has asked for so far.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

const (
	// memoryFactor is how much memory a byte from the network may cost: the shortest znode of a snapshot, or
	// the shortest session, becomes an entry of several maps.
	memoryFactor = 100
	// memoryFloor is what the smallest input may cost: buffers and what belongs to the test.
	memoryFloor = 1 << 20
)

// requireModest holds what was allocated since then against so many bytes of input. Fields may be claimed
// that do not come.
func requireModest(t *testing.T, before uint64, size, claimed int) {
	t.Helper()
	require.Less(t, allocated()-before, uint64(memoryFactor*size+claimed+memoryFloor))
}

// FuzzPacketReader gives a leader and a learner what the other side sends.
func FuzzPacketReader(f *testing.F) {
	const fieldMax = 1 << 18
	info := &jute.QuorumPacket{Type: jute.PacketFollowerInfo, Data: jute.Marshal(jute.LearnerInfo{ServerID: 3, ProtocolVersion: jute.LearnerProtocolVersion})}
	request := &jute.QuorumPacket{Type: jute.PacketRequest, Data: jute.Marshal(jute.ForwardedRequest{SessionID: 1, Type: jute.OpSync}), Authinfo: []jute.Id{{Scheme: "ip", ID: "::1"}}}
	whole := plantedTree(3, 10)
	whole.Apply(jute.TxnHeader{ClientID: 7, Zxid: whole.LastZxid() + 1, Type: jute.OpCreateSession}, &jute.CreateSessionTxn{TimeOut: 1000})
	snap := overTheWire(&peer.LearnerMessage{Packet: &jute.QuorumPacket{Type: jute.PacketSnap, Zxid: whole.LastZxid()}, Outgoing: whole.Snapshot()})
	f.Add(concat(jute.Marshal(info), jute.Marshal(request)), false, true)
	f.Add(concat(jute.Marshal(info), jute.Marshal(request)), false, false)
	f.Add(concat(snap, jute.Marshal(&jute.QuorumPacket{Type: jute.PacketNewLeader})), true, true)
	f.Add(concat(integer(jute.PacketSnap), long(0), integer(-1), integer(-1), integer(fieldMax)), true, true)
	f.Add(concat(integer(jute.PacketRequest), long(0), integer(fieldMax)), false, true)
	f.Fuzz(func(t *testing.T, sent []byte, leader, known bool) {
		before := allocated()
		reader := newLearnerReader(bytes.NewReader(sent), fieldMax, knownLearner(known))
		if leader {
			reader = newLeaderReader(bytes.NewReader(sent), fieldMax, tree.Options{DigestEnabled: true})
		}
		var err error
		for err == nil {
			var message peer.LearnerMessage
			if message, err = reader.next(); err == nil && !leader {
				require.True(t, isForLeader(message.Packet.Type))
			}
		}
		claimed := 2 * fieldMax
		if !leader && !known {
			claimed = strangerPacketMax
		}
		requireModest(t, before, len(sent), claimed)
	})
}

// FuzzMembershipFiles gives a server that starts the files that a changing membership is kept in. What it
// takes it must take again once it is written.
func FuzzMembershipFiles(f *testing.F) {
	const present = "server.1=a:1:2:participant;3\nserver.2=b:1:2:participant;3\n"
	f.Add(present, present+"server.3=c:1:2:observer;3\nversion=200000001\n", "100000000")
	f.Add(present+"group.1=1:2\nweight.1=1\nweight.2=1\n", "", "0")
	f.Add("server.2=[::1]:1:2;[::]:3\n", "version=1", "ffffffffffffffff")
	f.Fuzz(func(t *testing.T, present, next, version string) {
		if _, err := strconv.ParseUint(version, 16, 64); err != nil {
			t.Skip("a name that no server gives")
		}
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "myid"), "2\n")
		path := filepath.Join(dir, "zoo.cfg")
		dynamic := writeFile(t, path+membershipSuffix+version, present)
		writeFile(t, path, "dataDir="+dir+"\ninitLimit=10\nsyncLimit=5\nreconfigEnabled=true\ndynamicConfigFile="+dynamic+"\n")
		if next != "" {
			writeFile(t, path+nextMembershipSuffix, next)
		}
		config, err := LoadConfig(path, nil)
		if err != nil {
			return
		}
		membership := peer.Membership{Present: config.Membership, Next: config.LastSeen}
		require.NoError(t, saveMembership(path, config.MyID, -1, membership))
		again, err := LoadConfig(path, nil)
		require.NoError(t, err, hex.EncodeToString([]byte(present)))
		require.Equal(t, config.Membership.String(), again.Membership.String())
		require.Equal(t, config.LastSeen, again.LastSeen)
	})
}
