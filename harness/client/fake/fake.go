// Package fake is a scripted ensemble for tests of the client and of what runs on it: its members share
// sessions and one register, and end connections at chosen points. It must not be used outside tests.
package fake

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/harness/client"
	"ordeal/node/jute"
)

// Ensemble is what the members share.
type Ensemble struct {
	mu       sync.Mutex
	sessions map[int64]bool // whether it is alive
	lastID   int64
	zxid     int64
	value    string
	version  int32
	seen     []jute.ConnectRequest
}

// NewEnsemble returns an ensemble without members.
func NewEnsemble() *Ensemble { return &Ensemble{sessions: map[int64]bool{}, zxid: 100} }

// ExpireAll ends every session.
func (f *Ensemble) ExpireAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.sessions)
}

// Seen returns the handshakes that clients have asked for so far.
func (f *Ensemble) Seen() []jute.ConnectRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// Hook decides what a member does with a request: answer it, or end the connection before or after
// carrying it out.
type Hook func(header jute.RequestHeader) Verdict

// Verdict is what becomes of a request.
type Verdict int

// The verdicts.
const (
	Answer     Verdict = iota
	DropBefore         // the connection ends, the request is not carried out
	DropAfter          // carried out, but the connection ends before the reply
	DropWithin         // half of the reply is sent
	Silent             // carried out, never answered
)

// Once returns a hook that does something to the first request of a type, and answers the rest.
func Once(op jute.OpCode, what Verdict) Hook {
	var done atomic.Bool
	return func(header jute.RequestHeader) Verdict {
		if header.Type == op && done.CompareAndSwap(false, true) {
			return what
		}
		return Answer
	}
}

// Member starts a member. A nil hook answers everything.
func (f *Ensemble) Member(t testing.TB, number int, h Hook) client.Member {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	serving.Go(func() {
		for {
			socket, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[socket] = true
			mu.Unlock()
			serving.Go(func() {
				defer socket.Close()
				f.serve(socket, h)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for socket := range open {
			_ = socket.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return client.Member{Number: number, Address: listener.Addr().String()}
}

func (f *Ensemble) serve(socket net.Conn, h Hook) {
	reader := bufio.NewReader(socket)
	writer := bufio.NewWriter(socket)
	frame, err := readFrame(reader)
	if err != nil {
		return
	}
	var connect jute.ConnectRequest
	if jute.Unmarshal(frame, &connect) != nil {
		return
	}
	response := f.connect(connect)
	writeFrame(writer, jute.Marshal(response))
	if writer.Flush() != nil || response.TimeOut == 0 {
		return
	}
	for {
		frame, err := readFrame(reader)
		if err != nil {
			return
		}
		decoder := jute.NewDecoder(frame)
		var header jute.RequestHeader
		header.Decode(decoder)
		what := Answer
		if h != nil {
			what = h(header)
		}
		if what == DropBefore {
			return
		}
		reply := f.carryOut(header, decoder, response.SessionID)
		switch what {
		case DropAfter:
			return
		case DropWithin:
			_, _ = writer.Write(binary.BigEndian.AppendUint32(nil, uint32(len(reply))))
			_, _ = writer.Write(reply[:len(reply)/2])
			_ = writer.Flush()
			return
		case Silent:
			continue
		}
		writeFrame(writer, reply)
		if reader.Buffered() == 0 && writer.Flush() != nil {
			return
		}
	}
}

func (f *Ensemble) connect(request jute.ConnectRequest) jute.ConnectResponse {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, request)
	id := request.SessionID
	switch {
	case id == 0:
		f.lastID++
		id = f.lastID
		f.sessions[id] = true
	case !f.sessions[id]:
		return jute.ConnectResponse{Passwd: make([]byte, jute.PasswordSize)}
	}
	return jute.ConnectResponse{TimeOut: request.TimeOut, SessionID: id, Passwd: jute.SessionPassword(id)}
}

func (f *Ensemble) carryOut(header jute.RequestHeader, d *jute.Decoder, session int64) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	var e jute.Encoder
	reply := func(body jute.Record) {
		jute.ReplyHeader{Xid: header.Xid, Zxid: f.zxid}.Encode(&e)
		if body != nil {
			body.Encode(&e)
		}
	}
	switch header.Type {
	case jute.OpSetData:
		var request jute.SetDataRequest
		request.Decode(d)
		f.zxid++
		f.version++
		f.value = string(request.Data)
		reply(jute.SetDataResponse{Stat: jute.Stat{Version: f.version, Mzxid: f.zxid}})
	case jute.OpGetData:
		reply(jute.GetDataResponse{Data: []byte(f.value), Stat: jute.Stat{Version: f.version}})
	case jute.OpSync:
		reply(jute.SyncResponse{Path: "/"})
	case jute.OpCloseSession:
		delete(f.sessions, session)
		reply(nil)
	case jute.OpPing, jute.OpSetWatches:
		reply(nil)
	default:
		jute.ReplyHeader{Xid: header.Xid, Zxid: f.zxid, Err: jute.Unimplemented}.Encode(&e)
	}
	return e.Bytes()
}

func readFrame(reader *bufio.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(reader, length[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	_, err := io.ReadFull(reader, frame)
	return frame, err
}

// writeFrame leaves errors to the next Flush.
func writeFrame(writer *bufio.Writer, frame []byte) {
	_, _ = writer.Write(binary.BigEndian.AppendUint32(nil, uint32(len(frame))))
	_, _ = writer.Write(frame)
}
