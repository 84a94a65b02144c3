package server

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// socketPair is both ends of a connection.
func socketPair(t *testing.T) (near, far net.Conn) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	near, err = net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	far, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return near, far
}

// What is pushed, what the writer writes and what the socket did not take at once arrives in order.
func TestFlowKeepsItsOrderWhoeverWrites(t *testing.T) {
	near, far := socketPair(t)
	f := newFramedFlow(64 << 20)
	written := make(chan error, 1)
	go func() { written <- f.drain(t.Context(), near) }()
	const frames = 3000
	for i := range frames {
		data := make([]byte, 4+i%5*i) // up to 12 KB: more than the socket takes while nobody reads
		binary.BigEndian.PutUint32(data, uint32(i))
		require.True(t, f.put(flowItem{data: data}))
		if i%3 != 0 {
			f.push()
		}
	}
	f.end()
	received := make(chan []byte, 1)
	go func() {
		all, _ := io.ReadAll(far)
		received <- all
	}()
	require.NoError(t, <-written)
	near.Close()
	rest := <-received
	for i := range frames {
		size := int(binary.BigEndian.Uint32(rest))
		require.Equal(t, 4+i%5*i, size)
		require.EqualValues(t, i, binary.BigEndian.Uint32(rest[4:]))
		rest = rest[4+size:]
	}
	require.Empty(t, rest)
	require.Zero(t, f.queued())
}

func TestSocketReaderTellsTheEndAndTheClosing(t *testing.T) {
	near, far := socketPair(t)
	reader := newEager(near, func() {})
	_, err := far.Write([]byte("word"))
	require.NoError(t, err)
	require.NoError(t, far.Close())
	all, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.Equal(t, "word", string(bytes.TrimSpace(all)))
	require.NoError(t, near.Close())
	_, err = reader.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	require.True(t, quietly(err))
}
