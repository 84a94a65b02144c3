package duel

import (
	"maps"
	"math/rand/v2"
	"slices"

	"ordeal/node/jute"
)

// How rare the rarer events of a stream are: once in so many requests.
const (
	closeEvery     = 150
	comeBackEvery  = 100
	authEvery      = 80
	nonsenseEvery  = 40
	oddPathEvery   = 25
	reconfigEvery  = 400
	setWatchesEach = 60
	weedEvery      = 3000
	quotaEvery     = 70
)

// streamClients is how many clients share a stream.
const streamClients = 3

// Stream plays so many requests one at a time, and so many of which several are under way at a time, of clients who close
// their sessions and come back now and then. The first difference ends the test.
func (d *Duel) Stream(seed uint64, single, together int) {
	s := &stream{Duel: d, random: rand.New(rand.NewPCG(seed, 0))}
	for i := range streamClients {
		s.players = append(s.players, d.Connect(i%len(d.homes)))
	}
	s.players[0].ask(jute.OpAuth, jute.AuthPacket{Scheme: "digest", Auth: []byte("user:secret")})
	asked := 0
	for start := d.Requests; d.Requests-start < single+together; {
		if alone := d.Requests - start - asked; alone*together <= asked*single {
			s.step()
		} else {
			before := d.Requests
			s.crowd()
			asked += d.Requests - before
		}
		if d.t.Failed() {
			d.t.Fatalf("seed %d: the servers differ at request %d", seed, d.Requests-start)
		}
	}
	d.Connect(0).ask(jute.OpDelete, nowhere) // so that the first member knows of everything
}

type stream struct {
	*Duel
	random  *rand.Rand
	players []*Client
	// within is the subtree that requests keep to, see melee; empty for everywhere.
	within string
}

func (s *stream) oneIn(n int) bool { return s.random.IntN(n) == 0 }

func (s *stream) step() {
	i := s.anyPlayer()
	c := s.players[i]
	switch {
	case s.oneIn(closeEvery):
		c.ask(jute.OpCloseSession, nil)
		s.players[i] = s.Connect(c.home)
	case s.oneIn(comeBackEvery):
		s.comeBack(i)
	case s.oneIn(authEvery):
		c.ask(jute.OpAuth, s.authPacket())
	case s.oneIn(setWatchesEach):
		c.play(s.setWatches(c))
	case s.oneIn(weedEvery):
		s.weed()
	case s.oneIn(quotaEvery):
		for _, r := range s.quota(c) {
			c.play(r)
		}
	case s.oneIn(nonsenseEvery):
		if r, ok := s.nonsense(c); ok {
			c.play(r)
		}
	default:
		c.ask(s.request(s.persistent(c)))
	}
}

// anyPlayer is one that is connected.
func (s *stream) anyPlayer() int {
	i := s.random.IntN(len(s.players))
	s.revive(i)
	return i
}

// revive lets a player come back that sent something that was answered by a closed connection.
func (s *stream) revive(i int) {
	if s.players[i].dead {
		s.comeBack(i)
	}
}

// persistent tells whether a client sets only watches that stay. The others set only those that fire once: a
// connection has one mode for a path in Apache 3.8.0 (ZOOKEEPER-4466), and several in our server.
func (s *stream) persistent(c *Client) bool { return c == s.players[streamClients-1] }

// mode is that of persistent watches on a path, one for each, for the same reason.
func mode(path string) int32 {
	if len(path) > 1 && path[1] < 'c' {
		return jute.AddWatchPersistent
	}
	return jute.AddWatchPersistentRecursive
}

// comeBack resumes a session over a new connection, or begins a new one where it cannot.
func (s *stream) comeBack(i int) {
	c := s.players[i]
	c.dead = true
	again := s.Open(c.home)
	again.xid = c.xid
	again.handshake(c.id, c.pass, 0, sessionTimeout)
	if again.id[apache] == 0 {
		s.players[i] = s.Connect(c.home)
		return
	}
	s.clients = append(s.clients, again)
	s.players[i] = again
	again.play(s.setWatches(again))
}

// weed deletes what was created, as a client who may do everything: among thousands of znodes, or under those that
// nobody may change, requests would not meet any more.
func (s *stream) weed() {
	c := s.Connect(0)
	c.ask(jute.OpAuth, jute.AuthPacket{Scheme: "digest", Auth: []byte("super:secret")})
	c.ask(jute.OpSetACL, jute.SetACLRequest{Path: "/", ACL: jute.OpenACL(), Version: -1})
	var requests []request
	paths := slices.Sorted(maps.Keys(s.znodes))
	clear(s.znodes)                               // the end of a session may have deleted some
	for _, path := range slices.Backward(paths) { // children before their parent
		requests = append(requests, c.request(jute.OpDelete, jute.DeleteRequest{Path: path, Version: -1}))
	}
	for some := range slices.Chunk(requests, burstMax) {
		c.play(some...)
	}
	c.ask(jute.OpCloseSession, nil)
}

// setWatches asks as clients do after they have come back.
func (s *stream) setWatches(c *Client) request {
	zxid := max(s.zxid-int64(s.random.IntN(20)), s.settled)
	paths := func() []string {
		paths := []string{}
		for range s.random.IntN(4) {
			paths = append(paths, s.plainPath())
		}
		return paths
	}
	request := jute.SetWatches2{RelativeZxid: zxid, DataWatches: []string{}, ExistWatches: []string{}, ChildWatches: []string{},
		PersistentWatches: []string{}, PersistentRecursiveWatches: []string{}}
	if s.persistent(c) {
		for _, path := range paths() {
			if mode(path) == jute.AddWatchPersistent {
				request.PersistentWatches = append(request.PersistentWatches, path)
			} else {
				request.PersistentRecursiveWatches = append(request.PersistentRecursiveWatches, path)
			}
		}
		return c.request(jute.OpSetWatches2, request)
	}
	request.DataWatches, request.ExistWatches, request.ChildWatches = paths(), paths(), paths()
	if s.oneIn(2) {
		return c.request(jute.OpSetWatches, jute.SetWatches{RelativeZxid: zxid, DataWatches: request.DataWatches,
			ExistWatches: request.ExistWatches, ChildWatches: request.ChildWatches})
	}
	return c.request(jute.OpSetWatches2, request)
}
