package server

import (
	"bufio"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/tree"
)

const (
	// learnerBufferSize is that of the buffers between leader and learners.
	learnerBufferSize = 64 << 10
	// learnerQueueMax bounds the bytes that wait for one learner, or for the leader. A learner that
	// is that far behind is cut off and starts over.
	learnerQueueMax = 256 << 20
	// strangerPacketMax bounds a packet of a learner that the leader has not answered, in bytes: nobody knows
	// yet whether it belongs to the ensemble. FOLLOWERINFO and OBSERVERINFO have 40.
	strangerPacketMax = 1 << 10
	// packetFieldsMax is how many of the longest fields a packet may have room for: one for its data, one for
	// all identities of a client together.
	packetFieldsMax = 2
	// diffMax bounds the bytes that a learner is sent by a DIFF, which goes into the queue all at once and
	// must leave room there for what is proposed meanwhile. A snapshot goes out piece by piece.
	diffMax = learnerQueueMax / 2
	// snapshotNodes is how many znodes of a tree are read under one hold of the core's lock.
	snapshotNodes = 64
)

// packetReader reads learner messages from a connection.
type packetReader struct {
	decoder *jute.Decoder
	tree    tree.Options
	// packetMax bounds a packet without the tree behind it, in bytes.
	packetMax int
	// known is nil for packets of a leader. A learner may send only what is for a leader, and nothing but
	// small packets before known is true.
	known *atomic.Bool
}

// newLeaderReader reads what a leader sends.
func newLeaderReader(tcp io.Reader, fieldMax int, options tree.Options) *packetReader {
	decoder := jute.NewStreamDecoder(bufio.NewReaderSize(tcp, learnerBufferSize))
	decoder.SetMaxField(fieldMax)
	return &packetReader{decoder: decoder, tree: options, packetMax: packetFieldsMax * fieldMax}
}

// newLearnerReader reads what a learner sends. Known tells whether the leader has answered it.
func newLearnerReader(tcp io.Reader, fieldMax int, known *atomic.Bool) *packetReader {
	r := newLeaderReader(tcp, fieldMax, tree.Options{})
	r.known = known
	return r
}

// isForLeader tells whether a learner may send packets of this type.
func isForLeader(packetType int32) bool {
	switch packetType {
	case jute.PacketFollowerInfo, jute.PacketObserverInfo, jute.PacketAckEpoch,
		jute.PacketAck, jute.PacketPing, jute.PacketRequest, jute.PacketRevalidate:
		return true
	}
	return false
}

// header reads the fields in front of a packet's data, and judges by them what may follow.
func (r *packetReader) header() (packetType int32, err error) {
	r.decoder.SetMaxTotal(r.packetMax)
	packetType = r.decoder.Int()
	if err := r.decoder.Err(); err != nil {
		return 0, err
	}
	if packetType < jute.PacketRequest || packetType > jute.PacketInformAndActivate {
		return 0, fmt.Errorf("a packet of unknown type %d", packetType)
	}
	if r.known != nil {
		if !isForLeader(packetType) {
			return 0, fmt.Errorf("%s is not for a leader", jute.PacketName(packetType))
		}
		if !r.known.Load() {
			r.decoder.SetMaxTotal(strangerPacketMax)
		}
	}
	return packetType, nil
}

// next reads one packet, and the tree behind it if it is a SNAP.
func (r *packetReader) next() (peer.LearnerMessage, error) {
	packetType, err := r.header()
	if err != nil {
		return peer.LearnerMessage{}, err
	}
	packet := &jute.QuorumPacket{Type: packetType}
	packet.DecodeBehindType(r.decoder)
	if err := r.decoder.Err(); err != nil {
		return peer.LearnerMessage{}, fmt.Errorf("%s: %w", jute.PacketName(packetType), err)
	}
	message := peer.LearnerMessage{Packet: packet}
	if packet.Type != jute.PacketSnap {
		return message, nil
	}
	r.decoder.SetMaxTotal(-1)
	incoming, err := tree.ReadSnapshot(r.decoder, r.tree)
	if err != nil {
		return message, fmt.Errorf("the snapshot behind SNAP: %w", err)
	}
	signature := r.decoder.String()
	if err := r.decoder.Err(); err != nil {
		return message, fmt.Errorf("the end of the snapshot behind SNAP: %w", err)
	}
	if signature != jute.SnapSignature {
		return message, fmt.Errorf("behind the snapshot stands %q instead of %q", signature, jute.SnapSignature)
	}
	incoming.SetLastZxid(packet.Zxid)
	message.Incoming = incoming
	return message, nil
}

// packetWriter encodes learner messages. A packet that goes to several learners, one after the other,
// is encoded once. Encodings share pieces of memory, since most of them are short.
type packetWriter struct {
	lock    sync.Locker // for reading the tree
	piece   []byte
	packet  *jute.QuorumPacket // the last one
	encoded []byte
}

// pieceSize is the size of the memory that encodings share.
const pieceSize = 8 << 10

// item returns a message as it goes over the wire.
func (w *packetWriter) item(message *peer.LearnerMessage) flowItem {
	if message.Packet != w.packet {
		size := message.Packet.Size()
		if cap(w.piece)-len(w.piece) < size {
			w.piece = make([]byte, 0, max(size, pieceSize))
		}
		e := jute.NewEncoder(w.piece)
		message.Packet.Encode(e)
		w.packet, w.encoded = message.Packet, e.Bytes()[len(w.piece):]
		w.piece = e.Bytes()
	}
	item := flowItem{data: w.encoded}
	if message.Outgoing != nil {
		item.behind = &treeStream{lock: w.lock, snapshot: message.Outgoing}
	}
	return item
}

// treeStream is a fuzzy snapshot on its way to a learner, with the signature behind it.
type treeStream struct {
	lock     sync.Locker
	snapshot *tree.Snapshotter
}

func (s *treeStream) next() (chunk []byte, done bool) {
	s.lock.Lock()
	chunk, done = s.snapshot.Next(snapshotNodes)
	s.lock.Unlock()
	if done {
		e := jute.NewEncoder(chunk)
		e.String(jute.SnapSignature)
		chunk = e.Bytes()
	}
	return chunk, done
}
