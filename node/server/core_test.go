package server

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/tree"
)

// recorded plays the disk, which is always done, and the ports of a core, and keeps what clients get.
type recorded struct {
	core   *core
	frames [][]peer.ClientOutput // of each step
}

func (r *recorded) membership(peer.Membership) {}
func (r *recorded) others(*peer.Ready)         {}
func (r *recorded) diskFull() bool             { return false }
func (r *recorded) disk(operations []disk.Operation) {
	for _, operation := range operations {
		if operation.Ticket != 0 {
			r.core.results.put(disk.Result{Ticket: operation.Ticket})
		}
	}
}

func (r *recorded) clients(frames []peer.ClientOutput) {
	if len(frames) > 0 {
		r.frames = append(r.frames, slices.Clone(frames))
	}
}

// newRecordedCore is a standalone server, unless change makes it another one, without sockets and files.
func newRecordedCore(change func(*peer.Config)) (*core, *recorded) {
	r := &recorded{}
	c := &core{
		clock: newClock(), log: slog.New(slog.DiscardHandler), outputs: r,
		inputs: make(chan input, inputsQueued), more: make(chan struct{}, 1), results: results{arrived: make(chan struct{}, 1)},
	}
	r.core = c
	config := peer.Config{
		Standalone: true, TickTime: time.Second, SessionTimeoutMin: time.Second, SessionTimeoutMax: time.Minute,
		SnapCount: 1000, CommitLogCount: 10, LeaderServes: true, Random: rand.New(rand.NewPCG(1, 1)), Log: c.log,
	}
	change(&config)
	c.peer = peer.New(config, &disk.State{Tree: tree.New(tree.Options{})}, c.clock.now())
	return c, r
}

// Replies leave the core step by step, so that those to a whole batch of large reads are never all in memory
// before their connections see them.
func TestLargeRepliesLeaveInSteps(t *testing.T) {
	c, r := newRecordedCore(func(*peer.Config) {})
	const conn, dataSize = 1, 900_000
	require.True(t, c.tell(t.Context(), func(p *peer.Peer) { p.ClientConnected(conn, "127.0.0.1") }))
	tell := func(frame []byte) {
		require.True(t, c.tell(t.Context(), func(p *peer.Peer) { p.ClientFrame(conn, frame) }))
		c.help() // the disk has answered
	}
	tell(jute.Marshal(jute.ConnectRequest{TimeOut: 10_000, Passwd: make([]byte, 16)}))
	tell(concat(integer(1), integer(int32(jute.OpCreate)), jute.Marshal(jute.CreateRequest{Path: "/large", Data: make([]byte, dataSize), ACL: jute.OpenACL()})))
	require.Len(t, r.frames, 2, "a session and the znode")
	r.frames = nil

	c.turn.Lock() // the reads come while somebody else drives the core
	for xid := range int32(batchMax) {
		get := concat(integer(xid), integer(int32(jute.OpGetData)), pathAndWatch("/large", 0))
		require.True(t, c.tell(t.Context(), func(p *peer.Peer) { p.ClientFrame(conn, get) }))
	}
	c.turn.Unlock()
	c.help()
	xid := uint32(0)
	for _, step := range r.frames {
		bytes := 0
		for _, output := range step {
			require.Equal(t, xid, binary.BigEndian.Uint32(output.Frame), "replies keep their order")
			xid++
			bytes += len(output.Frame)
		}
		require.Less(t, bytes, repliesMax+dataSize+1000)
	}
	require.EqualValues(t, batchMax, xid)
}
