package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ordeal/node/jute"
)

const (
	// sessionTimeout is asked for. No pings are sent, so a connection must not be idle for longer.
	sessionTimeout = 40 * time.Second
	// connectTimeout bounds a connection with its handshake.
	connectTimeout = 5 * time.Second
	// replyTimeout ends a measurement whose server does not answer any more.
	replyTimeout = 30 * time.Second
	bufferBytes  = 64 << 10
	// replyBytesMax bounds a reply.
	replyBytesMax = 64 << 20
)

// connection is one session on one socket. One goroutine uses it at a time.
type connection struct {
	socket net.Conn
	in     *bufio.Reader
	out    []byte // frames that are not sent yet
	xid    int32
	sent   []time.Time // of requests in flight, in order
	id     int64       // of the session
	zxid   int64       // of the last reply
	passwd []byte
}

// connect opens a session.
func connect(ctx context.Context, address string) (*connection, error) {
	return attach(ctx, address, 0, make([]byte, jute.PasswordSize))
}

// attach takes up a session that another connection has left; session 0 opens a new one.
func attach(ctx context.Context, address string, session int64, passwd []byte) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var dialer net.Dialer
	socket, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("bench: connect: %w", err)
	}
	c := newConnection(socket)
	defer context.AfterFunc(ctx, func() { socket.SetDeadline(time.Unix(1, 0)) })()
	if err := c.greet(session, passwd); err != nil {
		socket.Close()
		return nil, fmt.Errorf("bench: open a session at %s: %w", address, err)
	}
	return c, nil
}

func newConnection(socket net.Conn) *connection {
	return &connection{socket: socket, in: bufio.NewReaderSize(socket, bufferBytes)}
}

func (c *connection) greet(session int64, passwd []byte) error {
	c.frame(jute.ConnectRequest{TimeOut: int32(sessionTimeout.Milliseconds()), SessionID: session, Passwd: passwd})
	if err := c.flush(); err != nil {
		return err
	}
	frame, err := c.next(nil)
	if err != nil {
		return err
	}
	var response jute.ConnectResponse
	if err := jute.Unmarshal(frame, &response); err != nil {
		return err
	}
	if response.TimeOut <= 0 {
		return errors.New("the session has expired")
	}
	c.id, c.passwd = response.SessionID, response.Passwd
	return nil
}

// frame puts records behind what is to be sent, with their length in front.
func (c *connection) frame(records ...jute.Record) {
	start := len(c.out)
	e := jute.NewEncoder(append(c.out, 0, 0, 0, 0))
	for _, record := range records {
		record.Encode(e)
	}
	c.out = e.Bytes()
	binary.BigEndian.PutUint32(c.out[start:], uint32(len(c.out)-start-4))
}

// request puts a request behind what is to be sent.
func (c *connection) request(op jute.OpCode, body jute.Record) {
	c.xid++
	c.frame(jute.RequestHeader{Xid: c.xid, Type: op}, body)
	c.sent = append(c.sent, time.Now())
}

func (c *connection) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.socket.Write(c.out)
	c.out = c.out[:0]
	return err
}

// next reads a frame, into the buffer given if that is large enough.
func (c *connection) next(buffer []byte) ([]byte, error) {
	length, err := c.in.Peek(4)
	if err != nil {
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(length)))
	if size < 0 || size > replyBytesMax {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	c.in.Discard(4)
	if cap(buffer) < size {
		buffer = make([]byte, size)
	}
	buffer = buffer[:size]
	_, err = io.ReadFull(c.in, buffer)
	return buffer, err
}

// replyHeaderBytes is the length of xid, zxid and error.
const replyHeaderBytes = 4 + 8 + 4

// reply reads the reply to the oldest request in flight, past watch events, and returns its error code
// and how long it took. What stands behind the header is not looked at.
func (c *connection) reply() (jute.Code, time.Duration, error) {
	for {
		header, err := c.in.Peek(4 + replyHeaderBytes)
		if err != nil {
			return 0, 0, err
		}
		size := int(int32(binary.BigEndian.Uint32(header)))
		xid := int32(binary.BigEndian.Uint32(header[4:]))
		zxid := int64(binary.BigEndian.Uint64(header[8:]))
		code := jute.Code(int32(binary.BigEndian.Uint32(header[16:])))
		if size < replyHeaderBytes || size > replyBytesMax {
			return 0, 0, fmt.Errorf("a reply of %d bytes", size)
		}
		if _, err := c.in.Discard(4 + size); err != nil {
			return 0, 0, err
		}
		if xid == jute.XidNotification {
			continue
		}
		if oldest := c.xid - int32(len(c.sent)) + 1; xid != oldest {
			return 0, 0, fmt.Errorf("reply %d came where %d was due", xid, oldest)
		}
		c.zxid = zxid
		took := time.Since(c.sent[0])
		c.sent = c.sent[1:]
		return code, took, nil
	}
}

// more tells whether a further reply can be read without waiting for its first bytes.
func (c *connection) more() bool { return len(c.sent) > 0 && c.in.Buffered() > 0 }

// do performs one request and waits for its reply.
func (c *connection) do(op jute.OpCode, body jute.Record) (jute.Code, error) {
	c.socket.SetDeadline(time.Now().Add(replyTimeout))
	c.request(op, body)
	if err := c.flush(); err != nil {
		return 0, err
	}
	code, _, err := c.reply()
	return code, err
}

// refused tells of a request that failed, be it the connection or the server that says so.
func refused(what string, code jute.Code, err error) error {
	if err == nil {
		err = fmt.Errorf("the server answers %s", code)
	}
	return fmt.Errorf("bench: %s: %w", what, err)
}

// nothing is the body of a request that has none.
type nothing struct{}

func (nothing) Encode(*jute.Encoder) {}

// close ends the session and the connection.
func (c *connection) close() error {
	_, err := c.do(jute.OpCloseSession, nothing{})
	return errors.Join(err, c.socket.Close())
}

// drive keeps so many requests in flight until the time is over, then waits for the last replies. ask puts one request; an error code in a reply ends it.
func (c *connection) drive(ctx context.Context, inFlight int, until time.Time, ask func(), latency *hdrhistogram.Histogram) error {
	c.socket.SetDeadline(until.Add(replyTimeout))
	defer context.AfterFunc(ctx, func() { c.socket.SetDeadline(time.Unix(1, 0)) })()
	for range inFlight {
		ask()
	}
	for len(c.sent) > 0 {
		if err := c.flush(); err != nil {
			return err
		}
		answered := 0
		for first := true; first || c.more(); first = false {
			code, took, err := c.reply()
			if err != nil {
				return err
			}
			if code != jute.Ok {
				return fmt.Errorf("the server answers %s", code)
			}
			latency.RecordValue(took.Microseconds())
			answered++
		}
		if time.Now().Before(until) {
			for range answered {
				ask()
			}
		}
	}
	return ctx.Err()
}
