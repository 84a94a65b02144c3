package pipeline

import (
	"encoding/binary"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/internal/duel"
	"ordeal/node/jute"
)

// These tests play a duel of our server with itself: it has to find nothing, and to find everything that is
// broken on purpose.

// dialWorld connects clients to the server of a world.
func dialWorld(w *world) duel.Dial { return dialBroken(w, func(queue []frame) bool { return false }) }

// frame is one that waits for a client.
type frame []byte

func (f frame) xid() int32    { return int32(binary.BigEndian.Uint32(f)) }
func (f frame) isEvent() bool { return f.xid() == jute.XidNotification }
func (f frame) isReply() bool { return f.xid() > 0 }
func (f frame) header() (header jute.ReplyHeader) {
	header.Decode(jute.NewDecoder(f))
	return header
}

// dialBroken lets spoil change what waits for a client, until it has.
func dialBroken(w *world, spoil func(queue []frame) bool) duel.Dial {
	spoilt := false
	return func() duel.Wire {
		w.conns++
		w.server.ClientConnected(w.conns, "127.0.0.1")
		return &worldWire{w, w.conns, func(queue []frame) { spoilt = spoilt || spoil(queue) }}
	}
}

type worldWire struct {
	world *world
	conn  Conn
	spoil func(queue []frame)
}

// Write lets the disk work only when all frames have been read.
func (w *worldWire) Write(frames ...[]byte) {
	w.world.slowDisk = true
	for _, frame := range frames {
		w.world.server.ClientFrame(w.conn, frame)
	}
	w.world.slowDisk = false
	w.world.settle()
	var queue []frame
	for _, one := range w.world.frames[w.conn] {
		queue = append(queue, one)
	}
	w.spoil(queue)
	for i := range queue {
		w.world.frames[w.conn][i] = queue[i]
	}
}

func (w *worldWire) Read() []byte {
	frames := w.world.frames[w.conn]
	if len(frames) == 0 {
		require.True(w.world.t, w.world.closed[w.conn], "our server neither answers nor closes")
		return nil
	}
	w.world.frames[w.conn] = frames[1:]
	return frames[0]
}

func extended(c *Config) { c.ExtendedTypes, c.SuperDigest = true, duel.SuperDigest }

// The parts of a stream, as numbers of requests.
const (
	duelSingle   = 500
	duelTogether = 5000
)

func TestOurServerDoesNotDifferFromItself(t *testing.T) {
	for seed := range uint64(4) {
		d := duel.New(t, dialWorld(newWorld(t, extended)), dialWorld(newWorld(t, extended)))
		d.Stream(seed, duelSingle, duelTogether)
	}
}

// judgement is a test that may fail.
type judgement struct {
	testing.TB
	failed bool
}

func (j *judgement) Errorf(string, ...any) { j.failed = true }
func (j *judgement) Fatalf(string, ...any) { j.FailNow() }
func (j *judgement) Failed() bool          { return j.failed }
func (j *judgement) FailNow() {
	j.failed = true
	runtime.Goexit()
}

func TestADuelFindsWhatIsBroken(t *testing.T) {
	const headerSize, statSize = 16, 68
	// neighbours breaks the first two frames beside each other that are what they should be.
	neighbours := func(these func(a, b frame) bool, spoil func(a, b *frame)) func([]frame) bool {
		return func(queue []frame) bool {
			for i := 1; i < len(queue); i++ {
				if these(queue[i-1], queue[i]) {
					spoil(&queue[i-1], &queue[i])
					return true
				}
			}
			return false
		}
	}
	swap := func(a, b *frame) { *a, *b = *b, *a }
	rewrite := func(f *frame, change func(header *jute.ReplyHeader)) {
		header := f.header()
		change(&header)
		*f = append(jute.Marshal(header), (*f)[headerSize:]...)
	}
	bothReplies := func(a, b frame) bool { return a.isReply() && b.isReply() }
	bothEvents := func(a, b frame) bool { return a.isEvent() && b.isEvent() && !slices.Equal(a, b) }
	for name, spoil := range map[string]func([]frame) bool{
		"two answers swapped":                     neighbours(bothReplies, swap),
		"an event behind the answer to a request": neighbours(func(a, b frame) bool { return a.isEvent() && b.isReply() }, swap),
		"an event before its time":                neighbours(func(a, b frame) bool { return a.isReply() && b.isEvent() }, swap),
		"an event behind the answer to a ping":    neighbours(func(a, b frame) bool { return a.isEvent() && b.xid() == jute.XidPing }, swap),
		"two events swapped":                      neighbours(bothEvents, swap),
		"an event told twice":                     neighbours(bothEvents, func(a, b *frame) { *b = *a }),
		"another error in the middle of a burst": neighbours(bothReplies, func(a, _ *frame) {
			rewrite(a, func(header *jute.ReplyHeader) { header.Err = jute.SystemError })
		}),
		"another zxid in the middle of a burst": neighbours(bothReplies, func(a, _ *frame) {
			rewrite(a, func(header *jute.ReplyHeader) { header.Zxid++ })
		}),
		"another xid in the middle of a burst": neighbours(bothReplies, func(a, _ *frame) {
			rewrite(a, func(header *jute.ReplyHeader) { header.Xid++ })
		}),
		"another pzxid in the middle of a burst": neighbours(func(a, b frame) bool { return bothReplies(a, b) && len(a) == headerSize+statSize }, func(a, _ *frame) {
			(*a)[len(*a)-1] ^= 1
		}),
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(4) {
				j := &judgement{TB: t}
				broken := false
				d := duel.New(j, dialWorld(newWorld(t, extended)), dialBroken(newWorld(t, extended), func(queue []frame) bool {
					broken = broken || spoil(queue)
					return broken
				}))
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					d.Stream(seed, duelSingle, duelTogether)
				}()
				<-ended
				require.True(t, broken)
				require.True(t, j.failed)
			}
		})
	}
}
