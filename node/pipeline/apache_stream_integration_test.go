//go:build integration

package pipeline

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"ordeal/node/jute"
)

// streamLength is the number of requests of a random stream.
const streamLength = 4000

// TestAgainstApacheStream plays a random stream of three clients, who close their sessions and come
// back now and then, over a few znodes, so that requests meet.
func TestAgainstApacheStream(t *testing.T) {
	const seed = 1
	d := newDuel(t)
	random := rand.New(rand.NewPCG(seed, 0))
	players := []*pair{d.connect(), d.connect(), d.connect()}
	players[0].ask(jute.OpAuth, jute.AuthPacket{Scheme: "digest", Auth: []byte("user:secret")})
	for step := range streamLength {
		if t.Failed() {
			t.Fatalf("seed %d, step %d: the answers differ", seed, step)
		}
		i := random.IntN(len(players))
		switch op, body := randomRequest(random); {
		case random.IntN(150) == 0:
			players[i].ask(jute.OpCloseSession, nil)
			players[i] = d.connect()
		case random.IntN(100) == 0:
			players[i] = d.comeBack(players[i], random)
		default:
			players[i].ask(op, body)
		}
	}
}

// comeBack resumes a session over a new connection, with some watches.
func (d *duel) comeBack(p *pair, random *rand.Rand) *pair {
	p.dead = true
	again := d.open()
	again.xid = p.xid
	d.clients = append(d.clients, again)
	again.handshake(p.id, p.pass, 0, 10_000)
	zxid := d.world.tree.LastZxid() - int64(random.IntN(20))
	paths := func() []string { return []string{randomPath(random), randomPath(random)} }
	again.ask(jute.OpSetWatches, jute.SetWatches{RelativeZxid: zxid, DataWatches: paths(), ExistWatches: paths(), ChildWatches: paths()})
	return again
}

func randomPath(random *rand.Rand) string {
	path := fmt.Sprintf("/%c", 'a'+random.IntN(4))
	if random.IntN(2) == 0 {
		path += fmt.Sprintf("/%c", 'a'+random.IntN(3))
	}
	return path
}

func randomRequest(random *rand.Rand) (jute.OpCode, jute.Record) {
	path := randomPath(random)
	watch := random.IntN(3) == 0
	version := int32(random.IntN(4) - 1)
	switch random.IntN(16) {
	case 0, 1, 2:
		op := []jute.OpCode{jute.OpCreate, jute.OpCreate2}[random.IntN(2)]
		return op, randomCreate(random, path)
	case 3, 4:
		return jute.OpDelete, jute.DeleteRequest{Path: path, Version: version}
	case 5, 6:
		return jute.OpSetData, jute.SetDataRequest{Path: path, Data: fmt.Appendf(nil, "%d", random.IntN(1000)), Version: version}
	case 7:
		acl := []jute.ACL{{Perms: int32(random.IntN(16)) | 1, Id: jute.Id{Scheme: "world", ID: "anyone"}}, {Perms: 31, Id: jute.Id{Scheme: "auth"}}}
		return jute.OpSetACL, jute.SetACLRequest{Path: path, ACL: acl[:1+random.IntN(2)], Version: version}
	case 8:
		return jute.OpGetData, jute.GetDataRequest{Path: path, Watch: watch}
	case 9:
		return jute.OpExists, jute.ExistsRequest{Path: path, Watch: watch}
	case 10:
		return jute.OpGetChildren2, jute.GetChildren2Request{Path: path, Watch: watch}
	case 11:
		return jute.OpGetChildren, jute.GetChildrenRequest{Path: path, Watch: watch}
	case 12:
		return jute.OpGetACL, jute.GetACLRequest{Path: path}
	case 13:
		return jute.OpSync, jute.SyncRequest{Path: path}
	case 14:
		return jute.OpGetEphemerals, jute.GetEphemeralsRequest{PrefixPath: path}
	}
	return jute.OpMulti, randomMulti(random)
}

func randomCreate(random *rand.Rand, path string) *jute.CreateRequest {
	request := createOf(path, int32(random.IntN(4)))
	if random.IntN(4) == 0 {
		request.ACL = []jute.ACL{{Perms: 31, Id: jute.Id{Scheme: "auth"}}, {Perms: 13, Id: jute.Id{Scheme: "ip", ID: "127.0.0.0/8"}}}
	}
	return request
}

// randomMulti leaves out create2 (ZOOKEEPER-4026).
func randomMulti(random *rand.Rand) jute.MultiRequest {
	var request jute.MultiRequest
	for range random.IntN(4) {
		path := randomPath(random)
		op := jute.MultiOp{Type: jute.OpCreate, Request: randomCreate(random, path)}
		switch random.IntN(4) {
		case 0:
			op = jute.MultiOp{Type: jute.OpDelete, Request: &jute.DeleteRequest{Path: path, Version: -1}}
		case 1:
			op = jute.MultiOp{Type: jute.OpSetData, Request: &jute.SetDataRequest{Path: path, Data: []byte("m"), Version: -1}}
		case 2:
			op = jute.MultiOp{Type: jute.OpCheck, Request: &jute.CheckVersionRequest{Path: path, Version: int32(random.IntN(3) - 1)}}
		}
		request.Ops = append(request.Ops, op)
	}
	return request
}
