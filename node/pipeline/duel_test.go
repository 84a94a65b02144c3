package pipeline

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/internal/duel"
)

// dialWorld connects clients to the server of a world.
func dialWorld(w *world) duel.Dial {
	return func() duel.Wire {
		w.conns++
		w.server.ClientConnected(w.conns, "127.0.0.1")
		return &worldWire{w, w.conns}
	}
}

type worldWire struct {
	world *world
	conn  Conn
}

// Write lets the disk work only when all frames have been read.
func (w *worldWire) Write(frames ...[]byte) {
	w.world.slowDisk = true
	for _, frame := range frames {
		w.world.server.ClientFrame(w.conn, frame)
	}
	w.world.slowDisk = false
	w.world.settle()
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

func TestDuelWithOneself(t *testing.T) {
	for seed := range uint64(5) {
		d := duel.New(t, dialWorld(newWorld(t, extended)), dialWorld(newWorld(t, extended)))
		d.Stream(seed, 1000, 10000)
	}
}
