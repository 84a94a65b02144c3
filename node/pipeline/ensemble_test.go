package pipeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/jute"
)

// ensemble is a leader, two followers and an observer, with just enough of ZAB between them: links
// that keep their order, and commits by majority. What happens next is drawn: a packet arrives, a disk
// finishes, a server works one unit.
type ensemble struct {
	t      *testing.T
	random *rand.Rand
	// servers[0] leads, the last observes.
	servers []*world
	// links[i] carries packets from (0) and to (1) server i.
	links [][2][]func()

	outstanding []disk.Entry
	acks        map[int64]int
	proposed    int64
	committed   int64
	confirming  []confirming
}

// confirming is a sync at the leader.
type confirming struct {
	ticket SyncTicket
	after  int64 // the commit that it waits for
}

const (
	ensembleSize = 4
	observer     = ensembleSize - 1
	majority     = 2 // of the three that vote
)

func newEnsemble(t *testing.T, seed uint64, syncByQuorum bool) *ensemble {
	e := &ensemble{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), acks: map[int64]int{},
		links: make([][2][]func(), ensembleSize), proposed: 1 << 32, committed: 1 << 32,
	}
	for i := range ensembleSize {
		role := Follower
		switch i {
		case 0:
			role = Leader
		case observer:
			role = Observer
		}
		w, config := emptyWorld(t, withRole(role), func(c *Config) {
			c.ServerID = int64(i + 1)
			c.SyncByQuorum = syncByQuorum
			c.Schedule = func(ready []Stage) (Stage, bool) {
				return ready[e.random.IntN(len(ready))], e.random.IntN(4) > 0
			}
		})
		w.slowDisk = true
		w.start(config, Outputs{Clients: w, Log: w, Leading: ensembleLeader{ensemble: e}, Learner: ensembleLearner{e, i}})
		e.servers = append(e.servers, w)
	}
	return e
}

func (e *ensemble) send(to int, deliver func()) { e.links[to][1] = append(e.links[to][1], deliver) }

type ensembleLeader struct {
	*ensemble
	steadyMembership
}

func (l ensembleLeader) Propose(entry disk.Entry) {
	require.Equal(l.t, l.proposed+1, entry.Zxid)
	l.proposed = entry.Zxid
	l.outstanding = append(l.outstanding, entry)
	for i := 1; i < observer; i++ {
		l.send(i, func() { require.NoError(l.t, l.servers[i].server.Proposal(entry)) })
	}
}

func (l ensembleLeader) Acknowledge(zxid int64) { l.ack(zxid) }
func (l ensembleLeader) Resign(reason string)   { l.t.Fatal(reason) }
func (l ensembleLeader) Sync(ticket SyncTicket) {
	l.confirming = append(l.confirming, confirming{ticket, l.proposed})
	if !l.servers[0].server.config.SyncByQuorum {
		l.confirm()
	}
}

func (l ensembleLeader) SendSync(learner Origin) {
	l.send(int(learner), l.servers[learner].server.SyncReceived)
}

// ack counts one, and commits what a majority has.
func (e *ensemble) ack(zxid int64) {
	e.acks[zxid]++
	for len(e.outstanding) > 0 && e.acks[e.outstanding[0].Zxid] >= majority {
		entry := e.outstanding[0]
		e.outstanding = e.outstanding[1:]
		e.committed = entry.Zxid
		for i := 1; i < ensembleSize; i++ {
			server := e.servers[i].server
			if i == observer {
				e.send(i, func() { require.NoError(e.t, server.Inform(entry)) })
			} else {
				e.send(i, func() { require.NoError(e.t, server.Commit(entry.Zxid)) })
			}
		}
		require.NoError(e.t, e.servers[0].server.Commit(entry.Zxid))
		if !e.servers[0].server.config.SyncByQuorum {
			e.confirm()
		}
	}
}

// confirm completes the syncs whose commit has come.
func (e *ensemble) confirm() {
	for len(e.confirming) > 0 && e.confirming[0].after <= e.committed {
		ticket := e.confirming[0].ticket
		e.confirming = e.confirming[1:]
		e.servers[0].server.SyncDone(ticket)
	}
}

type ensembleLearner struct {
	*ensemble
	i int
}

func (l ensembleLearner) toLeader(deliver func()) {
	l.links[l.i][0] = append(l.links[l.i][0], deliver)
}

func (l ensembleLearner) Forward(request Forwarded) {
	l.toLeader(func() { l.servers[0].server.LearnerRequest(Origin(l.i), request) })
}

func (l ensembleLearner) Acknowledge(zxid int64) {
	require.NotEqual(l.t, observer, l.i, "an observer acknowledges nothing")
	l.toLeader(func() { l.ack(zxid) })
}

func (l ensembleLearner) Revalidate(session int64, timeoutMs int32) {
	l.toLeader(func() {
		valid := l.servers[0].server.LearnerRevalidate(Origin(l.i), session, timeoutMs)
		l.send(l.i, func() { l.servers[l.i].server.Revalidated(session, valid) })
	})
}

// step lets one thing happen; false if nothing can.
func (e *ensemble) step() bool {
	var can []func()
	for i, w := range e.servers {
		for direction := range 2 {
			if queue := &e.links[i][direction]; len(*queue) > 0 {
				can = append(can, func() {
					deliver := (*queue)[0]
					*queue = (*queue)[1:]
					deliver()
				})
			}
		}
		if len(w.tickets) > 0 {
			can = append(can, func() {
				ticket := w.tickets[0]
				w.tickets = w.tickets[1:]
				w.server.Synced(ticket)
			})
		}
		if len(w.server.readyStages(nil)) > 0 {
			can = append(can, w.server.Work)
		}
	}
	if len(e.confirming) > 0 && e.confirming[0].after <= e.committed {
		can = append(can, e.confirm)
	}
	if len(can) == 0 {
		return false
	}
	can[e.random.IntN(len(can))]()
	return true
}

func (e *ensemble) drain() {
	for e.step() {
		continue
	}
}

// player is a client that writes growing numbers to a znode of its own and reads everybody's.
type player struct {
	e      *ensemble
	name   string
	client *testClient
	// sent are the requests of the connection that are not answered yet.
	sent []asked
	// written is the last number sent, acked the greatest that was acknowledged, seen what was read.
	written, acked int
	// settled is true once a write of this connection was answered: none of an earlier connection can
	// take effect any more.
	settled bool
	seen    map[string]int
	zxid    int64
}

type asked struct {
	xid     int32
	op      jute.OpCode
	path    string
	number  int            // a write's
	atLeast map[string]int // what holds after a sync
}

func (e *ensemble) newPlayer(name string, server int) *player {
	w := e.servers[server]
	c := w.open()
	c.sendFrame(jute.Marshal(jute.ConnectRequest{TimeOut: 40_000}))
	e.drain()
	c.finishHandshake()
	p := &player{e: e, name: name, client: c, seen: map[string]int{}}
	c.send(jute.OpCreate, &jute.CreateRequest{Path: "/" + name, Data: []byte("0"), ACL: jute.OpenACL()})
	e.drain()
	require.Len(e.t, c.receive(), 1)
	return p
}

// finishHandshake takes the answer to a ConnectRequest; false if the connection was closed instead.
func (c *testClient) finishHandshake() bool {
	frames := c.take()
	if len(frames) == 0 {
		require.True(c.w.t, c.isClosed())
		return false
	}
	var response jute.ConnectResponse
	require.NoError(c.w.t, jute.Unmarshal(frames[0], &response))
	require.NotZero(c.w.t, response.SessionID, "the session is refused")
	c.session, c.password, c.timeout = response.SessionID, response.Passwd, response.TimeOut
	return true
}

// act sends something.
func (p *player) act(players []*player) {
	request := asked{op: jute.OpGetData, path: "/" + players[p.e.random.IntN(len(players))].name}
	var body jute.Record = jute.GetDataRequest{Path: request.path}
	switch p.e.random.IntN(6) {
	case 0, 1:
		p.written++
		request.op, request.path, request.number = jute.OpSetData, "/"+p.name, p.written
		body = jute.SetDataRequest{Path: request.path, Data: []byte(strconv.Itoa(p.written)), Version: -1}
	case 2:
		request.op, request.atLeast = jute.OpSync, map[string]int{}
		for _, other := range players {
			request.atLeast["/"+other.name] = other.acked
		}
		body = jute.SyncRequest{Path: "/"}
	case 3:
		request.op, body = jute.OpPing, nil
	}
	request.xid = p.client.send(request.op, body)
	p.sent = append(p.sent, request)
}

// hear takes the answers that came and holds the server to its promises.
func (p *player) hear() {
	own := "/" + p.name
	for _, m := range p.client.receive() {
		require.NotEmpty(p.e.t, p.sent, "an answer to nothing")
		request := p.sent[0]
		p.sent = p.sent[1:]
		require.Equal(p.e.t, request.xid, m.header.Xid, "%s: answers come in the order of requests", p.name)
		require.Equal(p.e.t, jute.Ok, m.header.Err)
		require.GreaterOrEqual(p.e.t, m.header.Zxid, p.zxid, "%s: zxids do not go back", p.name)
		p.zxid = m.header.Zxid
		switch request.op {
		case jute.OpSetData:
			p.acked, p.settled = request.number, true
			p.seen[own] = max(p.seen[own], request.number)
		case jute.OpSync:
			for path, number := range request.atLeast {
				p.seen[path] = max(p.seen[path], number)
			}
		case jute.OpGetData:
			var response jute.GetDataResponse
			require.NoError(p.e.t, jute.Unmarshal(m.body, &response))
			number, err := strconv.Atoi(string(response.Data))
			require.NoError(p.e.t, err)
			require.GreaterOrEqual(p.e.t, number, p.seen[request.path], "%s reads %s", p.name, request.path)
			if request.path == own && p.settled {
				require.Equal(p.e.t, p.acked, number, "%s reads its own writes, all that it sent before and none that it sent after", p.name)
			}
			p.seen[request.path] = number
		}
	}
}

// move resumes the session at a server that will have it.
func (p *player) move() {
	old := p.client
	if !old.isClosed() {
		old.w.server.ClientClosed(old.conn)
	}
	p.sent, p.settled = nil, false
	for {
		c := p.e.servers[p.e.random.IntN(ensembleSize)].open()
		c.xid = old.xid
		c.sendFrame(jute.Marshal(jute.ConnectRequest{SessionID: old.session, Passwd: old.password, TimeOut: 40_000, LastZxidSeen: p.zxid}))
		for c.w.server.connections[c.conn] != nil && len(c.w.frames[c.conn]) == 0 {
			require.True(p.e.t, p.e.step(), "a handshake is never finished")
		}
		if c.finishHandshake() {
			p.client = c
			return
		}
		p.e.step()
	}
}

// TestEnsembleKeepsItsPromises: answers in order, own writes read, no going back in time, reads after a
// sync, sessions that move; and in the end all servers have the same tree and the same log.
func TestEnsembleKeepsItsPromises(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			e := newEnsemble(t, seed, seed%2 == 0)
			var players []*player
			for i := range 5 {
				players = append(players, e.newPlayer(fmt.Sprint("p", i), i%ensembleSize))
			}
			for range 400 {
				p := players[e.random.IntN(len(players))]
				switch e.random.IntN(40) {
				case 0, 1, 2, 3, 4, 5, 6, 7, 8:
					p.act(players)
				case 9:
					if e.random.IntN(4) == 0 {
						p.move()
					}
				default:
					e.step()
				}
				p.hear()
				require.False(t, p.client.isClosed())
			}
			e.drain()
			for _, p := range players {
				p.hear()
				require.Empty(t, p.sent, "%s waits for answers", p.name)
			}
			e.requireEqual()
		})
	}
}

// requireEqual compares all servers' trees and logs.
func (e *ensemble) requireEqual() {
	leader := e.servers[0]
	for i, w := range e.servers[1:] {
		require.Equal(e.t, leader.tree.Digest(), w.tree.Digest(), "server %d", i+1)
		require.Equal(e.t, leader.tree.LastZxid(), w.tree.LastZxid())
		require.Equal(e.t, leader.tree.Sessions(), w.tree.Sessions())
		require.Equal(e.t, leader.log, w.log)
		require.Equal(e.t, w.log, w.applied)
		require.Zero(e.t, w.server.Outstanding())
		require.True(e.t, w.server.unapplied.empty())
	}
}

// TestMovedSession: a write that the old server still sends is refused, and closes the connection that
// it came from without an answer.
func TestMovedSession(t *testing.T) {
	e := newEnsemble(t, 1, false)
	p := e.newPlayer("p", 1)
	old := p.client
	old.send(jute.OpSetData, jute.SetDataRequest{Path: "/p", Data: []byte("late"), Version: -1})
	held := e.links[1][0] // what the old server wants to tell the leader
	e.links[1][0] = nil

	c := e.servers[2].open()
	c.sendFrame(jute.Marshal(jute.ConnectRequest{SessionID: old.session, Passwd: old.password, TimeOut: 40_000}))
	e.drain()
	require.True(t, c.finishHandshake())
	c.xid = 100
	c.send(jute.OpSetData, jute.SetDataRequest{Path: "/p", Data: []byte("new"), Version: -1})
	e.drain()
	require.Len(t, c.receive(), 1)

	e.links[1][0] = held
	e.drain()
	require.Empty(t, old.receive())
	require.True(t, old.isClosed())
	require.False(t, c.isClosed())
	data, _, _ := e.servers[0].tree.GetData("/p")
	require.Equal(t, "new", string(data))
	e.requireEqual()
}

// TestLeaderOwnsASessionThatComesToIt: requests that a learner forwards afterwards are refused.
func TestLeaderOwnsASessionThatComesToIt(t *testing.T) {
	e := newEnsemble(t, 2, false)
	p := e.newPlayer("p", 1)
	c := e.servers[0].open()
	c.sendFrame(jute.Marshal(jute.ConnectRequest{SessionID: p.client.session, Passwd: p.client.password, TimeOut: 40_000}))
	require.True(t, c.finishHandshake())
	p.client.send(jute.OpSetData, jute.SetDataRequest{Path: "/p", Version: -1})
	e.drain()
	require.True(t, p.client.isClosed())
	c.send(jute.OpGetData, jute.GetDataRequest{Path: "/p"})
	e.drain()
	require.Len(t, c.receive(), 1)
}

// TestLearnersKeepSessionsAlive by what rides on their PINGs, and only so.
func TestLearnersKeepSessionsAlive(t *testing.T) {
	e := newEnsemble(t, 3, false)
	p, silent := e.newPlayer("p", 1), e.newPlayer("silent", 1)
	leader, learner := e.servers[0], e.servers[1]
	learner.server.Touches()
	for range 45 {
		for _, w := range e.servers {
			w.now.Elapsed += time.Second
			w.server.Tick(w.now)
		}
		p.client.send(jute.OpPing, nil)
		touches := learner.server.Touches()
		require.Equal(t, []jute.SessionTimeout{{SessionID: p.client.session, TimeOut: 40_000}}, touches)
		leader.server.LearnerTouch(touches)
		e.drain()
	}
	require.True(t, leader.tree.HasSession(p.client.session))
	require.False(t, p.client.isClosed())
	require.False(t, leader.tree.HasSession(silent.client.session))
	require.True(t, silent.client.isClosed(), "its server closes it when the leader's closeSession is applied")
	e.requireEqual()
}

func TestRevalidateOfADeadSession(t *testing.T) {
	e := newEnsemble(t, 4, false)
	c := e.servers[1].open()
	c.sendFrame(jute.Marshal(jute.ConnectRequest{SessionID: 77, Passwd: jute.SessionPassword(77), TimeOut: 5000}))
	e.drain()
	frames := c.take()
	require.Len(t, frames, 1)
	var response jute.ConnectResponse
	require.NoError(t, jute.Unmarshal(frames[0], &response))
	require.Zero(t, response.TimeOut)
	require.True(t, c.isClosed())
}

// TestWritesWaitBehindALearnersUnconfirmedSync: Apache's followers match SYNC and COMMIT with their
// own requests in order.
func TestWritesWaitBehindALearnersUnconfirmedSync(t *testing.T) {
	w := newWorld(t, withRole(Leader), func(c *Config) { c.SyncByQuorum = true })
	w.slowDisk = true
	session := func(id int64) {
		w.server.LearnerRequest(5, Forwarded{Session: id, Type: jute.OpCreateSession, Body: jute.Marshal(jute.CreateSessionRequest{TimeOut: 9000})})
	}
	write := Forwarded{Session: 1, Cxid: 1, Type: jute.OpCreate, Body: jute.Marshal(createOf("/n-", 2)), Authinfo: nil}
	sync := Forwarded{Session: 1, Cxid: 2, Type: jute.OpSync, Body: jute.Marshal(jute.SyncRequest{Path: "/"})}
	session(1)
	w.server.LearnerRequest(5, write)
	w.server.LearnerRequest(5, sync)
	w.server.LearnerRequest(5, sync)
	require.Len(t, w.proposed, 2)
	require.Equal(t, []SyncTicket{1, 2}, w.syncs, "syncs may go together")
	w.server.LearnerRequest(5, write)
	w.server.LearnerRequest(5, sync)
	require.Len(t, w.proposed, 2, "a write behind the syncs waits")
	w.server.LearnerRequest(6, Forwarded{Session: 2, Type: jute.OpCreateSession, Body: jute.Marshal(jute.CreateSessionRequest{TimeOut: 9000})})
	require.Len(t, w.proposed, 3, "another learner's does not")
	w.server.SyncDone(1)
	require.Len(t, w.proposed, 3)
	w.server.SyncDone(2)
	require.Equal(t, []Origin{5, 5}, w.syncsSent)
	require.Len(t, w.proposed, 4)
	require.Equal(t, []SyncTicket{1, 2, 3}, w.syncs)
}

// TestCommitThatDoesNotFit: a follower must not go on when its leader commits something else.
func TestCommitThatDoesNotFit(t *testing.T) {
	entry := disk.Entry{Zxid: 5, Payload: jute.EncodePayload(jute.TxnHeader{Zxid: 5, Type: jute.OpError}, &jute.ErrorTxn{}, nil)}
	w := newWorld(t, withRole(Follower))
	require.ErrorContains(t, w.server.Commit(5), "nothing")
	require.NoError(t, w.server.Proposal(entry))
	require.ErrorContains(t, w.server.Commit(6), "0x5")
	require.Error(t, w.server.Proposal(disk.Entry{Zxid: 6, Payload: []byte("garbage")}))
	require.Error(t, w.server.Proposal(disk.Entry{Zxid: 6, Payload: entry.Payload}))
	require.NoError(t, w.server.Commit(5))
	require.Equal(t, int64(5), w.tree.LastZxid())

	leader := newWorld(t, withRole(Leader))
	require.Panics(t, func() { _ = leader.server.Commit(5) })
}

// TestFollowerAcksWhatIsOnDisk and not before, each transaction for itself; it may apply earlier.
func TestFollowerAcksWhatIsOnDisk(t *testing.T) {
	w := newWorld(t, withRole(Follower))
	w.slowDisk = true
	entryOf := func(zxid int64) disk.Entry {
		return disk.Entry{Zxid: zxid, Payload: jute.EncodePayload(jute.TxnHeader{Zxid: zxid, Type: jute.OpError}, &jute.ErrorTxn{}, nil)}
	}
	require.NoError(t, w.server.Adopt(entryOf(4)))
	for zxid := int64(5); zxid < 8; zxid++ {
		require.NoError(t, w.server.Proposal(entryOf(zxid)))
	}
	require.NoError(t, w.server.Commit(4))
	require.NoError(t, w.server.Commit(5))
	require.Equal(t, int64(5), w.tree.LastZxid())
	require.Empty(t, w.acked)
	require.Len(t, w.log, 3, "what was adopted is in the log already")
	w.finishSyncs()
	require.Equal(t, []int64{5, 6, 7}, w.acked)
	require.Equal(t, []disk.Entry{entryOf(6), entryOf(7)}, w.server.Shutdown())
}

// TestShutdownAppendsWhatIsQueued: what was taken from the leader may be in the tree already, and so has
// to be in the log.
func TestShutdownAppendsWhatIsQueued(t *testing.T) {
	w := newWorld(t, withRole(Follower), func(c *Config) {
		c.Schedule = func(ready []Stage) (Stage, bool) { return StageCommit, slices.Contains(ready, StageCommit) }
	})
	entry := disk.Entry{Zxid: 5, Payload: jute.EncodePayload(jute.TxnHeader{Zxid: 5, Type: jute.OpError}, &jute.ErrorTxn{}, nil)}
	require.NoError(t, w.server.Proposal(entry))
	require.NoError(t, w.server.Commit(5))
	require.Equal(t, int64(5), w.tree.LastZxid())
	require.Empty(t, w.log)
	require.Empty(t, w.server.Shutdown())
	require.Equal(t, []disk.Entry{entry}, w.log)
}

// TestWhatOnlyAnApacheFollowerForwards: it takes a check alone, and the end of a container, from its clients, and waits
// for a commit. The leader refuses by a transaction that the follower recognises.
func TestWhatOnlyAnApacheFollowerForwards(t *testing.T) {
	for op, body := range map[jute.OpCode][]byte{
		jute.OpCheck:           jute.Marshal(jute.CheckVersionRequest{Path: "/", Version: -1}),
		jute.OpDeleteContainer: []byte("/zookeeper"),
	} {
		w := newWorld(t, withRole(Leader))
		w.server.LearnerRequest(7, Forwarded{Session: 5, Cxid: 3, Type: op, Body: body})
		w.settle()
		require.Len(t, w.applied, 1)
		header, txn, digest := w.lastTxn()
		require.Equal(t, jute.TxnHeader{ClientID: 5, Cxid: 3, Zxid: 1<<32 + 1, Time: w.now.Wall, Type: jute.OpError}, header)
		require.Equal(t, &jute.ErrorTxn{Err: jute.Unimplemented}, txn)
		require.Nil(t, digest)

		w.server.LearnerRequest(7, Forwarded{Session: 5, Cxid: 4, Type: jute.OpGetData})
		require.Len(t, w.log, 1, "for a read nobody waits")
	}
}

// TestCommitOfAnotherRequestWithTheSameNumber: a client that took its session here counts its requests anew, while one
// that it sent to another server is still to be committed. An error may be any request's.
func TestCommitOfAnotherRequestWithTheSameNumber(t *testing.T) {
	w := newWorld(t, withRole(Follower))
	c := w.open()
	const session = 2<<56 + 1
	c.sendFrame(jute.Marshal(jute.ConnectRequest{SessionID: session, Passwd: jute.SessionPassword(session), TimeOut: 10_000}))
	w.server.Revalidated(session, true)
	c.take()
	xid := c.send(jute.OpCreate, createOf("/here", jute.FlagPersistent))
	header := jute.TxnHeader{ClientID: session, Cxid: xid, Zxid: 1<<32 + 1, Type: jute.OpSetData}
	w.propose(header, &jute.SetDataTxn{Path: "/", Data: []byte("from there")})
	require.Empty(t, c.receive(), "that was not the create")
	data, _, _ := w.tree.GetData("/")
	require.Equal(t, "from there", string(data))
	header.Zxid++
	header.Type = jute.OpError
	w.propose(header, &jute.ErrorTxn{Err: jute.NodeExists})
	replies := c.receive()
	require.Len(t, replies, 1)
	require.Equal(t, jute.ReplyHeader{Xid: xid, Zxid: header.Zxid, Err: jute.NodeExists}, replies[0].header)
}
