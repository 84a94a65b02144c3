package duel

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// SuperDigest lets "super:secret" do everything. Both servers have to be given it.
const SuperDigest = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="

// tracing logs every request and both answers, to see what led to a difference.
var tracing = os.Getenv("ORDEAL_TRACE") != ""

// Duel is both servers and their clients.
type Duel struct {
	t testing.TB
	// homes are the members that clients connect to.
	homes   [][sides]Dial
	clients []*Client
	// sessions are the numbers of the sessions, from 1 in the order in which they were opened.
	sessions [sides]map[int64]int64
	clocks   [sides]clockBook
	// zxid is the newest that both told of, without its epoch. The epochs are those of each.
	zxid   int64
	epochs [sides]int64
	// renamed are the zxids of our server that stand for others of Apache's, see melee. After settled none of either does.
	renamed map[int64]int64
	settled int64
	// znodes are the paths of those that clients have created, and nobody has deleted but the end of a session.
	znodes map[string]bool
	// Requests counts what was asked.
	Requests int
	// Allowed counts the differences that are meant to be, by their name.
	Allowed map[string]int
}

// New returns a duel of Apache's server and ours, neither of which has had a client before. If they are members of
// ensembles, AddHome may add others.
func New(t testing.TB, apache, ours Dial) *Duel {
	return &Duel{t: t, homes: [][sides]Dial{{apache, ours}}, sessions: [sides]map[int64]int64{{}, {}},
		clocks: [sides]clockBook{newClockBook(), newClockBook()}, renamed: map[int64]int64{}, znodes: map[string]bool{}, Allowed: map[string]int{}}
}

// AddHome lets the players of a stream connect to further members, in turn.
func (d *Duel) AddHome(apache, ours Dial) { d.homes = append(d.homes, [sides]Dial{apache, ours}) }

// isSpread tells whether clients have different members, so that one may see a transaction later than another one.
func (d *Duel) isSpread() bool { return len(d.homes) > 1 }

// Client is one client, connected to both servers.
type Client struct {
	duel  *Duel
	home  int // its member
	wires [sides]Wire
	// shown are the newest zxids that it was told.
	shown [sides]int64
	dead  bool
	id    [sides]int64
	pass  [sides][]byte
	xid   int32
	// watches are those that this connection should have at both servers.
	watches watchBook
}

// Open connects a client that has no session yet to a member.
func (d *Duel) Open(home int) *Client {
	c := &Client{duel: d, home: home, watches: watchBook{}}
	for i, dial := range d.homes[home] {
		c.wires[i] = dial()
	}
	return c
}

// sessionTimeout is long enough for a machine with other things to do, in milliseconds.
const sessionTimeout = 40_000

// Connect opens a client with a new session.
func (d *Duel) Connect(home int) *Client {
	c := d.Open(home)
	c.handshake([sides]int64{}, [sides][]byte{make([]byte, 16), make([]byte, 16)}, 0, sessionTimeout)
	d.clients = append(d.clients, c)
	return c
}

// KeepAwake opens sessions that read all the time, and that nothing is compared of, one on each of these members
// of Apache's ensemble. They need that: with one request under way at a time a CommitProcessor may sleep for ever
// (ZOOKEEPER-4537).
func (d *Duel) KeepAwake(members ...Dial) {
	const pause = 20 * time.Millisecond
	asked := d.homes[0][apache]
	var wires []Wire
	for _, member := range members {
		d.homes[0][apache] = member
		c := d.Connect(0)
		d.clients = slices.DeleteFunc(d.clients, func(other *Client) bool { return other == c })
		wires = append(wires, c.wires[:]...)
	}
	d.homes[0][apache] = asked
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

// Stored takes what a server has on its disk of a znode, and returns it without what differs between any two servers.
// Its times have to be those that the server's clients saw. An ephemeral's owner becomes the session's number.
func (d *Duel) Stored(side int, stat jute.StatPersisted, ephemeral bool) (jute.StatPersisted, error) {
	clock := &d.clocks[side]
	if err := errors.Join(clock.note(stat.Czxid, stat.Ctime), clock.note(stat.Mzxid, stat.Mtime)); err != nil {
		return stat, err
	}
	stat.Ctime, stat.Mtime = 0, 0
	for _, zxid := range []*int64{&stat.Czxid, &stat.Mzxid, &stat.Pzxid} {
		*zxid = d.zxidAt(side, *zxid)
	}
	if ephemeral {
		stat.EphemeralOwner = d.sessions[side][stat.EphemeralOwner]
	}
	return stat, nil
}

// TimesInOrder tells what is wrong with the times that a server has shown of its transactions, on its disk as well.
func (d *Duel) TimesInOrder(side int) error { return d.clocks[side].inOrder() }
