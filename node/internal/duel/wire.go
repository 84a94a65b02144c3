package duel

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait; it only ends tests that fail.
const patience = 2 * time.Minute

// Dial opens a connection to a server.
type Dial func() Wire

// Wire is one client's connection to one server.
type Wire interface {
	// Write sends frames, all at once, without waiting for the answer to any.
	Write(frames ...[]byte)
	// Read returns the next frame, or nil once the connection is closed.
	Read() []byte
}

// TCP dials the server at an address.
func TCP(t testing.TB, address string) Dial {
	return func() Wire {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return &tcpWire{t: t, conn: conn, reader: bufio.NewReader(conn)}
	}
}

type tcpWire struct {
	t      testing.TB
	conn   net.Conn
	reader *bufio.Reader
}

func (w *tcpWire) Write(frames ...[]byte) {
	var all []byte
	for _, frame := range frames {
		all = append(binary.BigEndian.AppendUint32(all, uint32(len(frame))), frame...)
	}
	_, _ = w.conn.Write(all) // if it is closed, Read says so
}

func (w *tcpWire) Read() []byte {
	require.NoError(w.t, w.conn.SetReadDeadline(time.Now().Add(patience)))
	var length [4]byte
	if _, err := io.ReadFull(w.reader, length[:]); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.t.Fatalf("the server at %s neither answers nor closes", w.conn.RemoteAddr())
		}
		return nil
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(w.reader, frame); err != nil {
		return nil
	}
	return frame
}
