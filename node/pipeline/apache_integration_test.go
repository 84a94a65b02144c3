//go:build integration

package pipeline

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// These tests ask the same of Apache ZooKeeper and of a standalone Server and compare every answer,
// watch event and end of a connection. Times and session ids are translated; zxids have to be equal.
//
// They leave out what this server answers otherwise on purpose: exists without READ (ZOOKEEPER-2590),
// create2 in a multi (ZOOKEEPER-4026), check alone (ZOOKEEPER-2623), createSession and deleteContainer
// from a client, null lists in setWatches, and what takes Apache 3.8.0 down or makes it log a zxid
// twice: createTTL with flags of a container, a reconfig that cannot be read.

const apacheClassPath = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-nop.jar"

// startApache runs a standalone server and returns its address.
func startApache(t *testing.T) string {
	t.Helper()
	for _, file := range strings.Split(apacheClassPath, ":") {
		if _, err := os.Stat(file); err != nil {
			requireOrSkip(t, "Apache ZooKeeper is not installed: apt-get install zookeeper libslf4j-java")
		}
	}
	java, err := exec.LookPath("java")
	if err != nil {
		requireOrSkip(t, "java is not installed: apt-get install openjdk-17-jre-headless")
	}
	port := freePort(t)
	dir := t.TempDir()
	config := fmt.Sprintf("tickTime=2000\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\nextendedTypesEnabled=true\n", dir, port)
	path := filepath.Join(dir, "zoo.cfg")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, java, "-Xmx256m", "-cp", apacheClassPath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", path)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		cancel()
		_ = command.Wait() // it was killed: its exit status says nothing
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		defer conn.Close()
		// A server that is about to start may accept and never answer.
		if conn.SetDeadline(time.Now().Add(time.Second)) != nil {
			return false
		}
		if _, err = conn.Write([]byte("srvr")); err != nil {
			return false
		}
		answer, _ := io.ReadAll(conn)
		return strings.Contains(string(answer), "Mode: standalone")
	}, 30*time.Second, 50*time.Millisecond, "Apache ZooKeeper does not serve")
	return address
}

func requireOrSkip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// freePort finds a port below the ephemeral range.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(10_000)
		if listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			require.NoError(t, listener.Close())
			return port
		}
	}
	t.Fatal("no free port between 20000 and 30000")
	return 0
}

// wire is one client's connection to one of the two servers.
type wire interface {
	write(frame []byte)
	// read returns the next frame, or nil once the connection is closed.
	read() []byte
}

type apacheWire struct {
	t    *testing.T
	conn net.Conn
}

func dialApache(t *testing.T, address string) *apacheWire {
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &apacheWire{t: t, conn: conn}
}

func (w *apacheWire) write(frame []byte) {
	_, _ = w.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
}

func (w *apacheWire) read() []byte {
	require.NoError(w.t, w.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	var length [4]byte
	if _, err := io.ReadFull(w.conn, length[:]); err != nil {
		require.NotErrorIs(w.t, err, os.ErrDeadlineExceeded, "Apache neither answers nor closes")
		return nil
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(w.conn, frame); err != nil {
		return nil
	}
	return frame
}

type ownWire struct {
	world *world
	conn  Conn
}

func (w *ownWire) write(frame []byte) {
	w.world.server.ClientFrame(w.conn, frame)
	w.world.settle()
}

func (w *ownWire) read() []byte {
	frames := w.world.frames[w.conn]
	if len(frames) == 0 {
		require.True(w.world.t, w.world.closed[w.conn], "our server neither answers nor closes")
		return nil
	}
	w.world.frames[w.conn] = frames[1:]
	return frames[0]
}

// pair is one client, connected to both servers.
type pair struct {
	duel  *duel
	wires [2]wire
	dead  bool
	id    [2]int64
	pass  [2][]byte
	xid   int32
}

// duel is both servers and their clients.
type duel struct {
	t        *testing.T
	address  string
	world    *world
	clients  []*pair
	sessions [2]map[int64]string
}

func newDuel(t *testing.T) *duel {
	return &duel{
		t: t, address: startApache(t),
		world:    newWorld(t, func(c *Config) { c.ExtendedTypes = true }),
		sessions: [2]map[int64]string{{}, {}},
	}
}

func (d *duel) open() *pair {
	d.world.conns++
	d.world.server.ClientConnected(d.world.conns, "127.0.0.1")
	return &pair{duel: d, wires: [2]wire{dialApache(d.t, d.address), &ownWire{d.world, d.world.conns}}}
}

func (d *duel) connect() *pair {
	p := d.open()
	p.handshake([2]int64{}, [2][]byte{make([]byte, 16), make([]byte, 16)}, 0, 10_000)
	d.clients = append(d.clients, p)
	return p
}

// handshake compares the answers to a ConnectRequest.
func (p *pair) handshake(ids [2]int64, passwords [2][]byte, seen int64, timeout int32) {
	var answers [2]string
	for i, wire := range p.wires {
		wire.write(jute.Marshal(jute.ConnectRequest{SessionID: ids[i], Passwd: passwords[i], LastZxidSeen: seen, TimeOut: timeout}))
		frame := wire.read()
		if frame == nil {
			answers[i] = "closed"
			continue
		}
		var response jute.ConnectResponse
		require.NoError(p.duel.t, jute.Unmarshal(frame, &response))
		p.id[i], p.pass[i] = response.SessionID, response.Passwd
		if response.SessionID != 0 && p.duel.sessions[i][response.SessionID] == "" {
			p.duel.sessions[i][response.SessionID] = fmt.Sprintf("session %d", len(p.duel.sessions[i]))
		}
		answers[i] = fmt.Sprint(response.TimeOut, p.duel.sessions[i][response.SessionID])
		if response.SessionID == 0 {
			answers[i] += fmt.Sprint(response.Passwd, wire.read() == nil)
		}
	}
	assert.Equal(p.duel.t, answers[0], answers[1], "handshake: Apache, ours")
}

// ask sends a request to both and compares everything that comes back to any client.
func (p *pair) ask(op jute.OpCode, body jute.Record) {
	p.xid++
	xid := p.xid
	switch op {
	case jute.OpAuth:
		xid = jute.XidAuth
	case jute.OpSetWatches, jute.OpSetWatches2:
		xid = jute.XidSetWatches
	}
	p.askFrame(fmt.Sprintf("%s %+v", op, body), xid, op, requestFrame(xid, op, body))
}

func (p *pair) askFrame(what string, xid int32, op jute.OpCode, frame []byte) {
	p.duel.t.Helper()
	var answers [2][]string
	for i, wire := range p.wires {
		wire.write(frame)
		answers[i] = p.collect(i, xid, op)
	}
	p.dead = strings.HasSuffix(answers[0][len(answers[0])-1], "closed")
	assert.Equal(p.duel.t, answers[0], answers[1], "%s: Apache, ours", what)
	for j, other := range p.duel.clients {
		if other.dead {
			continue
		}
		for i, wire := range other.wires {
			wire.write(requestFrame(jute.XidPing, jute.OpPing, nil))
			answers[i] = other.collect(i, jute.XidPing, jute.OpPing)
			if op == jute.OpCloseSession { // Apache deletes ephemerals in the order of a hash table
				slices.Sort(answers[i])
			}
		}
		assert.Equal(p.duel.t, answers[0], answers[1], "%s: what client %d hears: Apache, ours", what, j)
	}
}

// collect reads up to the reply with this xid, or to the end.
func (p *pair) collect(i int, xid int32, op jute.OpCode) []string {
	var heard []string
	for {
		frame := p.wires[i].read()
		if frame == nil {
			return append(heard, "closed")
		}
		d := jute.NewDecoder(frame)
		var header jute.ReplyHeader
		header.Decode(d)
		if header.Xid == jute.XidNotification && xid != jute.XidNotification {
			var event jute.WatcherEvent
			event.Decode(d)
			heard = append(heard, fmt.Sprintf("%+v %+v %x", header, event, d.Rest()))
			continue
		}
		heard = append(heard, fmt.Sprintf("%+v %s", header, p.duel.render(i, op, d)))
		if header.Xid == xid {
			if op == jute.OpCloseSession || header.Err == jute.Unimplemented || header.Err == jute.AuthFailed {
				heard = append(heard, "then "+map[bool]string{true: "closed", false: "open"}[p.wires[i].read() == nil])
			}
			return heard
		}
	}
}

// render turns a reply's body into words, without what must differ.
func (d *duel) render(i int, op jute.OpCode, decoder *jute.Decoder) string {
	if decoder.Remaining() == 0 {
		return "-"
	}
	var body jute.Decodable
	switch op {
	case jute.OpCreate:
		body = &jute.CreateResponse{}
	case jute.OpCreate2, jute.OpCreateContainer, jute.OpCreateTTL:
		body = &jute.Create2Response{}
	case jute.OpExists, jute.OpSetData, jute.OpSetACL:
		body = &jute.ExistsResponse{}
	case jute.OpGetData:
		body = &jute.GetDataResponse{}
	case jute.OpGetACL:
		body = &jute.GetACLResponse{}
	case jute.OpGetChildren, jute.OpGetEphemerals:
		response := &jute.GetChildrenResponse{}
		response.Decode(decoder)
		return fmt.Sprintf("%q %x", sorted(response.Children), decoder.Rest())
	case jute.OpGetChildren2:
		response := &jute.GetChildren2Response{}
		response.Decode(decoder)
		response.Children = sorted(response.Children)
		d.forget(i, &response.Stat)
		return fmt.Sprintf("%+v %x", response, decoder.Rest())
	case jute.OpMulti, jute.OpMultiRead:
		response := &jute.MultiResponse{}
		response.Decode(decoder)
		return d.renderMulti(i, response, decoder)
	case jute.OpWhoAmI:
		body = &jute.WhoAmIResponse{}
	default:
		return fmt.Sprintf("%x", decoder.Rest())
	}
	body.Decode(decoder)
	return d.renderRecord(i, body) + fmt.Sprintf(" %x %v", decoder.Rest(), decoder.Err())
}

func (d *duel) renderRecord(i int, body any) string {
	switch body := body.(type) {
	case *jute.Create2Response:
		d.forget(i, &body.Stat)
	case *jute.ExistsResponse:
		d.forget(i, &body.Stat)
	case *jute.SetDataResponse:
		d.forget(i, &body.Stat)
	case *jute.GetDataResponse:
		d.forget(i, &body.Stat)
	case *jute.GetACLResponse:
		d.forget(i, &body.Stat)
	case *jute.GetChildrenResponse:
		body.Children = sorted(body.Children)
	case *jute.WhoAmIResponse: // Apache's order is that of a hash table
		slices.SortFunc(body.ClientInfo, func(a, b jute.ClientInfo) int {
			return strings.Compare(a.AuthScheme+a.User, b.AuthScheme+b.User)
		})
	}
	return fmt.Sprintf("%+v", body)
}

func (d *duel) renderMulti(i int, response *jute.MultiResponse, decoder *jute.Decoder) string {
	var b strings.Builder
	for _, result := range response.Results {
		fmt.Fprintf(&b, "%s %s %s; ", result.Type, result.Err, d.renderRecord(i, result.Body))
	}
	fmt.Fprintf(&b, "%x %v", decoder.Rest(), decoder.Err())
	return b.String()
}

// forget replaces what differs between any two servers: times, and a session's number by its name.
func (d *duel) forget(i int, stat *jute.Stat) {
	if stat.Ctime > 1_000_000 {
		stat.Ctime = 1
	}
	if stat.Mtime > 1_000_000 {
		stat.Mtime = 1
	}
	if stat.EphemeralOwner != 0 {
		name := d.sessions[i][stat.EphemeralOwner]
		require.NotEmpty(d.t, name, "ephemeral owner %#x", stat.EphemeralOwner)
		stat.EphemeralOwner = int64(name[len(name)-1])
	}
}
