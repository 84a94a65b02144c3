package server

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/tree"
)

// endless is a stream that repeats itself, and counts what was read of it.
type endless struct {
	pattern []byte
	read    int
}

func (e *endless) Read(buffer []byte) (int, error) {
	n := copy(buffer, e.pattern[e.read%len(e.pattern):])
	e.read += n
	return n, nil
}

func knownLearner(yes bool) *atomic.Bool {
	known := &atomic.Bool{}
	known.Store(yes)
	return known
}

// What a leader reads of a packet is bounded, and of a stranger's packet tightly.
func TestPacketsOfLearnersAreBounded(t *testing.T) {
	const fieldMax = 100_000
	identity := jute.Marshal(jute.Id{Scheme: "digest", ID: string(bytes.Repeat([]byte("x"), 1000))})
	identities := concat(long(0), integer(-1), integer(fieldMax))
	for _, test := range []struct {
		name    string
		known   bool
		packet  []byte
		forever []byte
		most    int // bytes read beyond what the buffer takes at once
		err     string
	}{
		{"a stranger's SNAP", false, integer(jute.PacketSnap), []byte{0}, 4, "SNAP is not for a leader"},
		{"a learner's SNAP", true, integer(jute.PacketSnap), []byte{0}, 4, "SNAP is not for a leader"},
		{"a learner's PROPOSAL", true, integer(jute.PacketProposal), []byte{0}, 4, "PROPOSAL is not for a leader"},
		{"a stranger's data", false, concat(integer(jute.PacketFollowerInfo), long(0), integer(strangerPacketMax)), []byte{0}, 16, "FOLLOWERINFO: jute: a record is too long"},
		{"a stranger's identities", false, concat(integer(jute.PacketFollowerInfo), identities), identity, 2 * strangerPacketMax, "a record is too long"},
		{"a learner's identities", true, concat(integer(jute.PacketRequest), identities), identity, packetFieldsMax * fieldMax, "REQUEST: jute: a record is too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			forever := &endless{pattern: test.forever}
			reader := newLearnerReader(io.MultiReader(bytes.NewReader(test.packet), forever), fieldMax, knownLearner(test.known))
			_, err := reader.next()
			require.ErrorContains(t, err, test.err)
			require.LessOrEqual(t, forever.read, test.most+learnerBufferSize)
		})
	}
}

// A learner that was answered may send the longest request, of a client with many identities.
func TestLongestPacketOfALearner(t *testing.T) {
	const fieldMax = 100_000
	request := &jute.QuorumPacket{Type: jute.PacketRequest, Data: make([]byte, fieldMax), Authinfo: []jute.Id{{Scheme: "digest", ID: string(make([]byte, fieldMax-100))}}}
	info := &jute.QuorumPacket{Type: jute.PacketFollowerInfo, Data: jute.Marshal(jute.LearnerInfo{ServerID: 3})}
	known := knownLearner(false)
	reader := newLearnerReader(bytes.NewReader(concat(jute.Marshal(info), jute.Marshal(request), jute.Marshal(request))), fieldMax, known)
	message, err := reader.next()
	require.NoError(t, err)
	require.Equal(t, info, message.Packet)
	known.Store(true)
	for range 2 {
		message, err = reader.next()
		require.NoError(t, err)
		require.Equal(t, request, message.Packet)
	}
}

// overTheWire is a message as a packetWriter and a flow send it.
func overTheWire(message *peer.LearnerMessage) []byte {
	item := (&packetWriter{lock: &sync.Mutex{}}).item(message)
	var wire bytes.Buffer
	wire.Write(item.data)
	_ = stream(&wire, item.behind) // a buffer takes everything
	return wire.Bytes()
}

// plantedTree is a tree with so many znodes and so much data in each of them.
func plantedTree(znodes, dataSize int) *tree.Tree {
	t := tree.New(tree.Options{})
	for i := range znodes {
		header := jute.TxnHeader{Zxid: t.LastZxid() + 1, Type: jute.OpCreate}
		t.Apply(header, &jute.CreateTxn{Path: fmt.Sprintf("/%d", i), Data: make([]byte, dataSize), ACL: jute.OpenACL(), ParentCVersion: -1})
	}
	return t
}

// A leader's tree may be as large as it is.
func TestSnapOfALeader(t *testing.T) {
	const fieldMax = 1000
	whole := plantedTree(20, fieldMax)
	snap := overTheWire(&peer.LearnerMessage{Packet: &jute.QuorumPacket{Type: jute.PacketSnap, Zxid: whole.LastZxid()}, Outgoing: whole.Snapshot()})
	ping := &jute.QuorumPacket{Type: jute.PacketPing}
	reader := newLeaderReader(bytes.NewReader(concat(snap, jute.Marshal(ping))), fieldMax, tree.Options{})
	message, err := reader.next()
	require.NoError(t, err)
	require.Equal(t, whole.NodeCount(), message.Incoming.NodeCount())
	message, err = reader.next()
	require.NoError(t, err)
	require.Equal(t, ping, message.Packet)
}
