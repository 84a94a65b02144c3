package peer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/election"
	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/tree"
	"ordeal/node/zab"
)

// Fuzz tests give a peer sequences of packets, among time, disk, clients and the ends of connections. The
// bytes of an input are steps: one byte says which, and what it needs follows.
const (
	stepPacket  byte = iota // a QuorumPacket, and behind a SNAP the tree
	stepEarlier             // a QuorumPacket on the connection before the newest
	stepTime
	stepDisk
	stepConnect
	stepClose
	stepClient // a client's frame, as a buffer
	stepKinds
)

// stepsMax bounds one input.
const stepsMax = 200

// play hands out the steps of an input until they end or make no sense.
func play(input []byte, step func(kind byte, d *jute.Decoder)) {
	d := jute.NewDecoder(input)
	for range stepsMax {
		kind := d.Byte() % stepKinds
		if d.Err() != nil {
			return
		}
		step(kind, d)
	}
}

// played is the input that says so.
func played(steps ...any) []byte {
	e := jute.NewEncoder(nil)
	for _, step := range steps {
		switch step := step.(type) {
		case byte:
			e.Byte(step)
		case *jute.QuorumPacket:
			e.Byte(stepPacket)
			step.Encode(e)
		case *tree.Tree:
			snapshot := step.Snapshot()
			for done := false; !done; {
				var chunk []byte
				chunk, done = snapshot.Next(100)
				e.Raw(chunk)
			}
			e.String(jute.SnapSignature)
		case []byte:
			e.Byte(stepClient)
			e.Buffer(step)
		}
	}
	return e.Bytes()
}

func packet(packetType int32, zxid int64, data jute.Record) *jute.QuorumPacket {
	p := &jute.QuorumPacket{Type: packetType, Zxid: zxid}
	if data != nil {
		p.Data = jute.Marshal(data)
	}
	return p
}

func connectFrame() []byte {
	return jute.Marshal(jute.ConnectRequest{TimeOut: 1000, Passwd: make([]byte, jute.PasswordSize)})
}

// carryOut lets the disk do all that was asked of it. It has nothing to go back to.
func (b *bench) carryOut() {
	for len(b.disk) > 0 {
		operation := b.disk[0]
		b.disk = b.disk[1:]
		if operation.Ticket == 0 {
			continue
		}
		result := disk.Result{Ticket: operation.Ticket}
		if operation.Kind == disk.Truncate {
			result.Err = disk.ErrNothingBefore
		}
		b.peer.DiskDone(result)
		b.take()
	}
}

// clientFrame is a client's frame, on one connection that is made once the peer serves.
func (b *bench) clientFrame(frame []byte) {
	if !b.clientConnected && b.peer.State().Serving {
		b.clientConnected = true
		b.peer.ClientConnected(1, "127.0.0.1")
	}
	b.peer.ClientFrame(1, frame)
}

// FuzzLearnersPackets plays hostile learners of a leader, which may drop them and give up, but goes on.
func FuzzLearnersPackets(f *testing.F) {
	info := func(id int64) *jute.QuorumPacket {
		return packet(jute.PacketFollowerInfo, 0, jute.LearnerInfo{ServerID: id, ProtocolVersion: jute.LearnerProtocolVersion})
	}
	newLeader := zab.EpochStart(1)
	ackEpoch := packet(jute.PacketAckEpoch, 0, jute.AckEpoch{Epoch: 0})
	forwarded := func(session int64, op jute.OpCode, body jute.Record) *jute.QuorumPacket {
		p := packet(jute.PacketRequest, -1, jute.ForwardedRequest{SessionID: session, Cxid: 1, Type: op, Body: jute.Marshal(body)})
		p.Authinfo = []jute.Id{{Scheme: "ip", ID: "10.0.0.2"}}
		return p
	}
	synchronised := []any{info(2), stepDisk, ackEpoch, stepDisk, packet(jute.PacketAck, newLeader, nil), stepDisk, packet(jute.PacketAck, newLeader, nil)}
	f.Add(played(synchronised...))
	f.Add(played(append(synchronised,
		forwarded(7, jute.OpCreateSession, jute.CreateSessionTxn{TimeOut: 1000}), stepDisk, packet(jute.PacketAck, newLeader+1, nil),
		packet(jute.PacketRevalidate, -1, jute.RevalidateRequest{SessionID: 7, TimeOut: 1000}),
		forwarded(7, jute.OpCreate, jute.CreateRequest{Path: "/a", ACL: jute.OpenACL()}), stepDisk, packet(jute.PacketAck, newLeader+2, nil),
		forwarded(7, jute.OpSync, jute.SyncRequest{Path: "/a"}), stepTime,
		packet(jute.PacketPing, newLeader+2, jute.PingTouches{{SessionID: 7, TimeOut: 1000}}),
		stepConnect, info(3), ackEpoch, packet(jute.PacketAck, newLeader, nil), stepClose,
	)...))
	f.Add(played(append(synchronised, connectFrame(), stepDisk, packet(jute.PacketAck, newLeader+1, nil), create(1, "/b"), stepDisk, stepClose)...))
	f.Add(played(packet(jute.PacketObserverInfo, zab.EpochStart(9), jute.LearnerInfo{ServerID: 9, ProtocolVersion: jute.LearnerProtocolVersion, ConfigVersion: 1})))
	f.Fuzz(func(t *testing.T, input []byte) {
		b := newBench(t, func(*peer.Config) {})
		b.settle()
		b.elect()
		link := peer.Link(1)
		b.peer.LearnerConnected(link, "10.0.0.2")
		play(input, func(kind byte, d *jute.Decoder) {
			switch kind {
			case stepPacket, stepEarlier:
				message := peer.LearnerMessage{Packet: &jute.QuorumPacket{}}
				if message.Packet.Decode(d); d.Err() == nil {
					b.peer.LearnerPacket(link-peer.Link(kind-stepPacket), message)
				}
			case stepTime:
				b.pass(100 * time.Millisecond)
			case stepDisk:
				b.carryOut()
			case stepConnect:
				link++
				b.peer.LearnerConnected(link, "10.0.0.2")
			case stepClose:
				b.peer.LearnerClosed(link)
			case stepClient:
				b.clientFrame(d.Buffer())
			}
			b.take()
			require.NoError(t, b.ready.Fatal, "no learner may end its leader's process")
		})
		b.carryOut()
		require.NoError(t, b.ready.Fatal)
	})
}

// follow makes server 3 the leader in the eyes of this peer's election, and connects the peer to it. It
// returns the number of the connection.
func (b *bench) follow() (attempt uint64) {
	vote := b.ready.Notifications[len(b.ready.Notifications)-1].Message
	vote.State, vote.Leader = election.Looking, 3
	for _, from := range []int64{2, 3} {
		b.peer.ReceiveNotification(from, vote)
	}
	b.take()
	b.pass(300 * time.Millisecond)
	for _, command := range b.ready.Leader {
		attempt = max(attempt, command.Attempt)
	}
	b.peer.LeaderConnected(attempt)
	b.take()
	return attempt
}

// FuzzLeadersPackets plays a hostile leader of a follower, which may leave it, or stop where the leader has
// broken the protocol.
func FuzzLeadersPackets(f *testing.F) {
	payload := func(zxid int64, op jute.OpCode, txn jute.Txn) *jute.QuorumPacket {
		data := jute.EncodePayload(jute.TxnHeader{ClientID: 7, Zxid: zxid, Type: op}, txn, nil)
		return &jute.QuorumPacket{Type: jute.PacketProposal, Zxid: zxid, Data: data}
	}
	old, newLeader := zab.EpochStart(1), zab.EpochStart(2)
	session := payload(old+1, jute.OpCreateSession, &jute.CreateSessionTxn{TimeOut: 1000})
	planted := payload(old+2, jute.OpCreate, &jute.CreateTxn{Path: "/a", ACL: jute.OpenACL(), ParentCVersion: -1})
	later := payload(newLeader+1, jute.OpSetData, &jute.SetDataTxn{Path: "/a", Version: 1})
	leaderInfo := packet(jute.PacketLeaderInfo, newLeader, jute.LeaderInfo{ProtocolVersion: jute.LearnerProtocolVersion})
	membership := &jute.QuorumPacket{Type: jute.PacketNewLeader, Zxid: newLeader, Data: []byte("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nversion=0")}
	upToDate := packet(jute.PacketUpToDate, -1, nil)
	byDiff := []any{
		leaderInfo, stepDisk, packet(jute.PacketDiff, old+2, nil), session, packet(jute.PacketCommit, old+1, nil), planted,
		packet(jute.PacketCommit, old+2, nil), membership, stepDisk, later, upToDate, stepDisk,
	}
	whole := tree.New(tree.Options{})
	whole.Apply(jute.TxnHeader{Zxid: old + 1, Type: jute.OpCreate}, &jute.CreateTxn{Path: "/s", Data: []byte("x"), ACL: jute.OpenACL(), ParentCVersion: -1})
	bySnap := []any{leaderInfo, stepDisk, packet(jute.PacketSnap, old+1, nil), whole, membership, stepDisk, upToDate, stepDisk}
	f.Add(played(byDiff...))
	f.Add(played(bySnap...))
	f.Add(played(append(byDiff,
		packet(jute.PacketCommit, newLeader+1, nil), connectFrame(), stepDisk, create(1, "/b"), packet(jute.PacketPing, newLeader, nil),
		packet(jute.PacketRevalidate, -1, jute.RevalidateResponse{SessionID: 7, Valid: true}), packet(jute.PacketSync, 0, nil), stepTime, stepClose,
	)...))
	f.Add(played(leaderInfo, stepDisk, packet(jute.PacketTrunc, 0, nil), membership, stepDisk, upToDate))
	f.Add(played(leaderInfo, stepDisk, packet(jute.PacketDiff, 0, nil), packet(jute.PacketCommitAndActivate, old+1, jute.CommitAndActivate{DesignatedLeader: 1})))
	f.Fuzz(func(t *testing.T, input []byte) {
		b := newBench(t, func(*peer.Config) {})
		b.settle()
		attempt := b.follow()
		play(input, func(kind byte, d *jute.Decoder) {
			if b.ready.Fatal != nil {
				return
			}
			switch kind {
			case stepPacket, stepEarlier:
				if message, ok := fromLeader(d); ok {
					b.peer.LeaderPacket(attempt-uint64(kind-stepPacket), message)
				}
			case stepTime:
				b.pass(100 * time.Millisecond)
			case stepDisk:
				b.carryOut()
			case stepConnect:
				attempt = b.follow()
			case stepClose:
				b.peer.LeaderClosed(attempt, errors.New("reset"))
			case stepClient:
				b.clientFrame(d.Buffer())
			}
			b.take()
		})
		b.carryOut()
	})
}

// fromLeader reads a packet and, behind a SNAP, the tree.
func fromLeader(d *jute.Decoder) (message peer.LearnerMessage, ok bool) {
	message.Packet = &jute.QuorumPacket{}
	message.Packet.Decode(d)
	if d.Err() == nil && message.Packet.Type == jute.PacketSnap {
		incoming, err := tree.ReadSnapshot(d, tree.Options{})
		if d.Fail(err); err == nil && d.String() == jute.SnapSignature {
			message.Incoming = incoming
		}
	}
	return message, d.Err() == nil
}
