package server

import (
	"io"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/server/metrics"
	"ordeal/node/tree"
)

// TestProposalsBehindASnapshotAreBounded: what is proposed while a learner takes long over its snapshot waits for it, up
// to a bound. Then it is cut off, which is told, and nothing more is kept for it.
func TestProposalsBehindASnapshotAreBounded(t *testing.T) {
	near, far := socketPair(t)
	written := &logBuffer{}
	registry := metrics.NewRegistry()
	link := &learnerLink{id: 1, tcp: near, out: newFlow(learnerQueueMax)}
	p := &learnerPort{
		log: slog.New(slog.NewTextHandler(written, nil)), metrics: registry, open: map[peer.Link]*learnerLink{1: link},
		diffs: syncsUnderWay{told: registry.Summary(metrics.InflightDiffCount)}, snaps: syncsUnderWay{told: registry.Summary(metrics.InflightSnapCount)},
	}
	drained := make(chan error, 1)
	go func() { drained <- link.out.drain(t.Context(), near) }()

	state := tree.New(tree.Options{})
	create := &jute.CreateTxn{Path: "/large", Data: make([]byte, 64<<20), ACL: jute.OpenACL()}
	state.Apply(jute.TxnHeader{Zxid: 1, Type: jute.OpCreate}, create)
	writer := &packetWriter{lock: &sync.Mutex{}}
	send := func(message peer.LearnerMessage) {
		p.deliver([]peer.LearnerOutput{{Link: 1, Message: message}}, writer)
	}
	send(peer.LearnerMessage{Packet: &jute.QuorumPacket{Type: jute.PacketSnap, Zxid: 1}, Outgoing: state.Snapshot()})
	proposal := peer.LearnerMessage{Packet: &jute.QuorumPacket{Type: jute.PacketProposal, Zxid: 2, Data: make([]byte, 1<<20)}}
	sent := 0
	for ; sent < 2*learnerQueueMax>>20 && written.String() == ""; sent++ {
		send(proposal)
		require.LessOrEqual(t, link.out.queued(), learnerQueueMax)
	}
	require.InDelta(t, learnerQueueMax>>20, sent, 2)
	require.Contains(t, written.String(), "learner does not keep up and is cut off")
	<-drained                       // with an error if that met it in the midst of a write
	_, _ = io.Copy(io.Discard, far) // what was on its way
	_, err := near.Write([]byte{0})
	require.Error(t, err, "the connection is closed")
	send(proposal)
	require.Empty(t, link.out.items, "nothing is kept")
}
