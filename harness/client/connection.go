package client

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

const (
	// frameBytesMax bounds a reply; a list of very many children is the longest.
	frameBytesMax = 64 << 20
	// readBufferBytes is the size of a connection's read buffer.
	readBufferBytes = 64 << 10
)

var errEnded = errors.New("the member closed the connection")

// connection is one socket with its queue of bytes to be written. The queue is bounded by what the
// session has in flight.
type connection struct {
	attempt uint64
	socket  net.Conn

	mu     sync.Mutex
	filled *sync.Cond
	queue  []byte
	closed bool
}

func newConnection(socket net.Conn, attempt uint64) *connection {
	c := &connection{attempt: attempt, socket: socket}
	c.filled = sync.NewCond(&c.mu)
	return c
}

// send queues bytes; it never waits.
func (c *connection) send(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, data...)
	c.filled.Signal()
}

// close ends both directions, and so read and write.
func (c *connection) close() {
	c.mu.Lock()
	c.closed = true
	c.filled.Signal()
	c.mu.Unlock()
	// An error of closing a socket changes nothing: the connection is given up either way.
	_ = c.socket.Close()
}

// write sends what is queued until the connection is closed or broken. The reader notices a break
// too and tells.
func (c *connection) write() {
	var spare []byte
	for {
		c.mu.Lock()
		for len(c.queue) == 0 && !c.closed {
			c.filled.Wait()
		}
		data := c.queue
		c.queue = spare[:0]
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return
		}
		if _, err := c.socket.Write(data); err != nil {
			c.close()
			return
		}
		spare = data
	}
}

// read hands on frame after frame until the connection ends, and says why it ended.
func (c *connection) read(received func(frame []byte)) error {
	reader := bufio.NewReaderSize(c.socket, readBufferBytes)
	var header [4]byte
	for {
		if _, err := io.ReadFull(reader, header[:]); err != nil {
			return ended(err)
		}
		length := int32(binary.BigEndian.Uint32(header[:]))
		if length < 0 || length > frameBytesMax {
			return fmt.Errorf("the member sent a frame of %d bytes, at most %d are sensible", length, frameBytesMax)
		}
		frame := make([]byte, length)
		if _, err := io.ReadFull(reader, frame); err != nil {
			return ended(err)
		}
		received(frame)
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errEnded
	}
	return err
}
