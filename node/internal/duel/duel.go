//go:build integration

package duel

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// Dial opens a connection to a server.
type Dial func() Wire

// Wire is one client's connection to one server.
type Wire interface {
	// Write sends one frame.
	Write(frame []byte)
	// Read returns the next frame, or nil once the connection is closed.
	Read() []byte
}

// TCP dials the server at an address.
func TCP(t *testing.T, address string) Dial {
	return func() Wire {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return &tcpWire{t: t, conn: conn}
	}
}

type tcpWire struct {
	t    *testing.T
	conn net.Conn
}

func (w *tcpWire) Write(frame []byte) {
	_, _ = w.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
}

func (w *tcpWire) Read() []byte {
	require.NoError(w.t, w.conn.SetReadDeadline(time.Now().Add(patience)))
	var length [4]byte
	if _, err := io.ReadFull(w.conn, length[:]); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.t.Fatalf("the server at %s neither answers nor closes", w.conn.RemoteAddr())
		}
		return nil
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(w.conn, frame); err != nil {
		return nil
	}
	return frame
}

// tracing logs every request and both answers, to see what led to a difference.
var tracing = os.Getenv("ORDEAL_TRACE") != ""

// Duel is both servers and their clients.
type Duel struct {
	t       *testing.T
	dials   [sides]Dial
	clients []*Client
	// sessions are the numbers of the sessions, from 1 in the order in which they were opened.
	sessions [sides]map[int64]int64
	// watches are those of all connections that ever were.
	watches []watchBook
	clocks  [sides]clockBook
	// zxid is the newest that both told of, without its epoch.
	zxid int64
	// created are the paths that were told as created.
	created []string
	// Requests counts what was asked.
	Requests int
	// Allowed counts the differences that are meant to be, by their name.
	Allowed map[string]int
}

// New returns a duel of Apache's server and ours, neither of which has had a client before.
func New(t *testing.T, apache, ours Dial) *Duel {
	return &Duel{t: t, dials: [sides]Dial{apache, ours}, sessions: [sides]map[int64]int64{{}, {}},
		clocks: [sides]clockBook{newClockBook(), newClockBook()}, Allowed: map[string]int{}}
}

// Client is one client, connected to both servers.
type Client struct {
	duel  *Duel
	wires [sides]Wire
	dead  bool
	id    [sides]int64
	pass  [sides][]byte
	xid   int32
	// watches are those that this connection should have at both servers.
	watches watchBook
}

// Open connects a client that has no session yet.
func (d *Duel) Open() *Client {
	c := &Client{duel: d, watches: watchBook{}}
	d.watches = append(d.watches, c.watches)
	for i, dial := range d.dials {
		c.wires[i] = dial()
	}
	return c
}

// sessionTimeout is long enough for a machine with other things to do, in milliseconds.
const sessionTimeout = 40_000

// Connect opens a client with a new session.
func (d *Duel) Connect() *Client {
	c := d.Open()
	c.handshake([sides]int64{}, [sides][]byte{make([]byte, 16), make([]byte, 16)}, 0, sessionTimeout)
	d.clients = append(d.clients, c)
	return c
}

// KeepAwake opens sessions that read all the time, and that nothing is compared of, one on each of these members
// of Apache's ensemble. They need that: with one request under way at a time a CommitProcessor may sleep for ever
// (ZOOKEEPER-4537).
func (d *Duel) KeepAwake(members ...Dial) {
	const pause = 20 * time.Millisecond
	asked := d.dials[apache]
	var wires []Wire
	for _, member := range members {
		d.dials[apache] = member
		c := d.Connect()
		d.clients = slices.DeleteFunc(d.clients, func(other *Client) bool { return other == c })
		wires = append(wires, c.wires[:]...)
	}
	d.dials[apache] = asked
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for _, wire := range wires {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(pause):
				}
				wire.Write(requestFrame(1, jute.OpExists, jute.ExistsRequest{Path: "/"}))
				if wire.Read() == nil {
					return // the server was stopped
				}
			}
		})
	}
	d.t.Cleanup(func() {
		close(stop)
		readers.Wait()
	})
}

// handshake compares the answers to a ConnectRequest.
func (c *Client) handshake(ids [sides]int64, passwords [sides][]byte, seen int64, timeout int32) {
	c.duel.Requests++
	var answers [sides]string
	for i, wire := range c.wires {
		wire.Write(jute.Marshal(jute.ConnectRequest{SessionID: ids[i], Passwd: passwords[i], LastZxidSeen: seen, TimeOut: timeout}))
		frame := wire.Read()
		if frame == nil {
			answers[i] = "closed"
			continue
		}
		var response jute.ConnectResponse
		require.NoError(c.duel.t, jute.Unmarshal(frame, &response))
		c.id[i], c.pass[i] = response.SessionID, response.Passwd
		if response.SessionID != 0 && c.duel.sessions[i][response.SessionID] == 0 {
			c.duel.sessions[i][response.SessionID] = int64(len(c.duel.sessions[i]) + 1)
		}
		answers[i] = fmt.Sprint(response.TimeOut, " session ", c.duel.sessions[i][response.SessionID])
		if response.SessionID == 0 {
			answers[i] += fmt.Sprint(response.Passwd, wire.Read() == nil)
		}
	}
	assert.Equal(c.duel.t, answers[apache], answers[ours], "handshake: Apache, ours")
}

// ask sends a request to both and compares everything that comes back to any client.
func (c *Client) ask(op jute.OpCode, body jute.Record) {
	c.duel.t.Helper()
	c.xid++
	xid := c.xid
	switch op {
	case jute.OpAuth:
		xid = jute.XidAuth
	case jute.OpSetWatches, jute.OpSetWatches2:
		xid = jute.XidSetWatches
	case jute.OpPing:
		xid = jute.XidPing
	}
	c.askFrame(fmt.Sprintf("%s %+v", op, body), xid, op, body, requestFrame(xid, op, body))
}

// askFrame sends any bytes. The body is what they stand for, if anything.
func (c *Client) askFrame(what string, xid int32, op jute.OpCode, body jute.Record, frame []byte) {
	d := c.duel
	d.t.Helper()
	d.Requests++
	if multi := (jute.MultiRequest{}); op == jute.OpMulti && body == nil {
		multi.Decode(jute.NewDecoder(frame[requestHeaderSize:]))
		body = multi
	}
	var answers [sides][]heard
	for _, wire := range c.wires {
		wire.Write(frame)
	}
	for i := range c.wires {
		answers[i] = c.collect(i, xid, op, body)
	}
	if tracing {
		d.t.Logf("session %d: %s: %v; %v", d.sessions[ours][c.id[ours]], what, answers[apache], answers[ours])
	}
	c.dead = last(answers[apache]).closed
	request := readable(op, body, frame)
	if !slices.Equal(answers[apache], answers[ours]) {
		name, allowed := c.asker().allowed(request, answers)
		if !allowed {
			assert.Equal(d.t, answers[apache], answers[ours], "%s: Apache, ours", what)
		}
		d.Allowed[name]++
		if name == existsWithoutRead {
			c.dropWatch(request)
		}
	}
	c.watches.asked(request, answers)
	for _, match := range createdPath.FindAllStringSubmatch(last(answers[apache]).body, -1) {
		d.created = append(d.created, match[1])
	}
	if !mayFireWatches(op) {
		return
	}
	d.clients = slices.DeleteFunc(d.clients, func(c *Client) bool { return c.dead })
	for _, other := range d.clients {
		for _, wire := range other.wires {
			wire.Write(requestFrame(jute.XidPing, jute.OpPing, nil))
		}
	}
	for j, other := range d.clients {
		for i := range other.wires {
			answers[i] = other.collect(i, jute.XidPing, jute.OpPing, nil)
			if op == jute.OpCloseSession {
				sortEvents(answers[i])
			}
		}
		other.watches.fired(answers[apache])
		if !slices.Equal(answers[apache], answers[ours]) {
			assert.Equal(d.t, answers[apache], answers[ours], "%s: what client %d hears: Apache, ours", what, j)
		}
	}
}

// createdPath finds what was created in the words of a reply.
var createdPath = regexp.MustCompile(`&\{Path:(/[^ }]+)`)

// asker is what the rules of what is allowed may know of a client.
func (c *Client) asker() asker {
	return asker{
		own: c.watches, all: c.duel.watches,
		unreadable: func(path string) bool {
			if c.dead {
				return false
			}
			c.xid++
			c.wires[apache].Write(requestFrame(c.xid, jute.OpGetData, jute.GetDataRequest{Path: path}))
			return last(c.collect(apache, c.xid, jute.OpGetData, nil)).header.Err == jute.NoAuth
		},
	}
}

// dropWatch takes back the watch that an exists may have set on one side only.
func (c *Client) dropWatch(request jute.Record) {
	exists, ok := request.(*jute.ExistsRequest)
	if !ok || !exists.Watch {
		return
	}
	c.xid++
	body := jute.RemoveWatchesRequest{Path: exists.Path, Type: jute.WatcherData}
	for i, wire := range c.wires {
		wire.Write(requestFrame(c.xid, jute.OpRemoveWatches, body))
		c.collect(i, c.xid, jute.OpRemoveWatches, body)
	}
	c.watches.drop(exists.Path, jute.WatcherData)
}

// mayFireWatches is false for requests that nobody but the asker hears of.
func mayFireWatches(op jute.OpCode) bool {
	switch op {
	case jute.OpExists, jute.OpGetData, jute.OpGetChildren, jute.OpGetChildren2, jute.OpGetACL, jute.OpPing, jute.OpWhoAmI,
		jute.OpGetEphemerals, jute.OpGetAllChildrenNumber, jute.OpMultiRead, jute.OpCheckWatches, jute.OpSync:
		return false
	}
	return true
}

// collect reads up to the reply with this xid, or to the end.
func (c *Client) collect(i int, xid int32, op jute.OpCode, body jute.Record) []heard {
	var all []heard
	for {
		frame := c.wires[i].Read()
		if frame == nil {
			return append(all, heard{closed: true})
		}
		decoder := jute.NewDecoder(frame)
		var one heard
		one.header.Decode(decoder)
		one.header.Zxid = withoutEpoch(one.header.Zxid)
		if one.header.Xid == jute.XidNotification && xid != jute.XidNotification {
			one.event.Decode(decoder)
			one.body = fmt.Sprintf("%x", decoder.Rest())
			all = append(all, one)
			continue
		}
		one.body = c.duel.render(i, op, body, decoder)
		if one.header.Xid == xid {
			c.duel.zxid = max(c.duel.zxid, one.header.Zxid)
			if op == jute.OpCloseSession || one.header.Err == jute.Unimplemented || one.header.Err == jute.AuthFailed {
				one.closed = c.wires[i].Read() == nil
			}
			all = append(all, one)
			if op == jute.OpCloseSession {
				sortEvents(all)
			}
			return all
		}
		all = append(all, one)
	}
}

// sortEvents sorts what came before the reply: Apache deletes ephemerals in the order of a hash table.
func sortEvents(all []heard) {
	slices.SortFunc(all[:len(all)-1], func(a, b heard) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}

// withoutEpoch leaves the counter of a zxid; a negative one stands for none.
func withoutEpoch(zxid int64) int64 {
	if zxid < 0 {
		return zxid
	}
	return zxid & 0xffffffff
}

// render turns a reply's body into words, without what must differ.
func (d *Duel) render(i int, op jute.OpCode, request jute.Record, decoder *jute.Decoder) string {
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
		body = &jute.GetChildrenResponse{}
	case jute.OpGetChildren2:
		body = &jute.GetChildren2Response{}
	case jute.OpMulti, jute.OpMultiRead:
		response := &jute.MultiResponse{}
		response.Decode(decoder)
		return d.renderMulti(i, request, response, decoder)
	case jute.OpWhoAmI:
		body = &jute.WhoAmIResponse{}
	default:
		return fmt.Sprintf("%x", decoder.Rest())
	}
	body.Decode(decoder)
	return d.renderRecord(i, body) + fmt.Sprintf(" %x %v", decoder.Rest(), decoder.Err())
}

func (d *Duel) renderRecord(i int, body any) string {
	switch body := body.(type) {
	case *jute.Create2Response:
		d.forget(i, &body.Stat)
	case *jute.ExistsResponse:
		d.forget(i, &body.Stat)
	case *jute.SetDataResponse:
		d.forget(i, &body.Stat)
	case *jute.GetDataResponse:
		d.forget(i, &body.Stat)
	case *jute.GetACLResponse: // what "auth" stands for comes out of a hash table
		d.forget(i, &body.Stat)
		SortACL(body.ACL)
	case *jute.GetChildrenResponse:
		slices.Sort(body.Children)
	case *jute.GetChildren2Response:
		slices.Sort(body.Children)
		d.forget(i, &body.Stat)
	case *jute.WhoAmIResponse: // Apache's order is that of a hash table
		slices.SortFunc(body.ClientInfo, func(a, b jute.ClientInfo) int {
			return strings.Compare(a.AuthScheme+a.User, b.AuthScheme+b.User)
		})
	}
	return fmt.Sprintf("%+v", body)
}

// SortACL sorts a list by perms and identity.
func SortACL(list []jute.ACL) {
	slices.SortFunc(list, func(a, b jute.ACL) int {
		return cmp.Or(cmp.Compare(a.Perms, b.Perms), cmp.Compare(a.Id.Scheme, b.Id.Scheme), cmp.Compare(a.Id.ID, b.Id.ID))
	})
}

func (d *Duel) renderMulti(i int, request jute.Record, response *jute.MultiResponse, decoder *jute.Decoder) string {
	asked, _ := request.(jute.MultiRequest)
	var b strings.Builder
	for j, result := range response.Results {
		if j < len(asked.Ops) && asked.Ops[j].Type == jute.OpCreate2 {
			d.Allowed[create2InMulti]++
			result = asCreate(result)
		}
		fmt.Fprintf(&b, "%s %s %s; ", result.Type, result.Err, d.renderRecord(i, result.Body))
	}
	fmt.Fprintf(&b, "%x %v", decoder.Rest(), decoder.Err())
	return b.String()
}

// forget replaces what differs between any two servers: times, epochs, and a session's id by its number. That the
// times belong to the zxids is seen first.
func (d *Duel) forget(i int, stat *jute.Stat) {
	require.NoError(d.t, d.clocks[i].note(stat.Czxid, stat.Ctime), "%s's czxid and ctime in %+v", names[i], *stat)
	require.NoError(d.t, d.clocks[i].note(stat.Mzxid, stat.Mtime), "%s's mzxid and mtime in %+v", names[i], *stat)
	const longAgo = 1_000_000 // times below are not times but 0
	if stat.Ctime > longAgo {
		stat.Ctime = 1
	}
	if stat.Mtime > longAgo {
		stat.Mtime = 1
	}
	for _, zxid := range []*int64{&stat.Czxid, &stat.Mzxid, &stat.Pzxid} {
		*zxid = withoutEpoch(*zxid)
	}
	if stat.EphemeralOwner != 0 {
		number := d.sessions[i][stat.EphemeralOwner]
		require.NotZero(d.t, number, "ephemeral owner %#x", stat.EphemeralOwner)
		stat.EphemeralOwner = number
	}
}

// Session is the number of the session with this id at either server, the same at both; 0 if it was never opened
// here.
func (d *Duel) Session(id int64) int64 { return max(d.sessions[apache][id], d.sessions[ours][id]) }

func requestFrame(xid int32, op jute.OpCode, body jute.Record) []byte {
	var e jute.Encoder
	jute.RequestHeader{Xid: xid, Type: op}.Encode(&e)
	if body != nil {
		body.Encode(&e)
	}
	return e.Bytes()
}
