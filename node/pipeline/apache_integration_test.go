//go:build integration

package pipeline

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/internal/duel"
)

// These tests compare the standalone chain by itself with Apache ZooKeeper. The whole server is compared in
// node/server.

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

func (w *worldWire) Write(frame []byte) {
	w.world.server.ClientFrame(w.conn, frame)
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

func newDuel(t *testing.T) *duel.Duel {
	apache := duel.StartApache(t)
	return duel.New(t, duel.TCP(t, apache.Address), dialWorld(newWorld(t, func(c *Config) { c.ExtendedTypes, c.SuperDigest = true, duel.SuperDigest })))
}

func TestIntegrationScriptAgainstApache(t *testing.T) { newDuel(t).Script() }

func TestIntegrationStreamAgainstApache(t *testing.T) { newDuel(t).Stream(1, 4000) }
