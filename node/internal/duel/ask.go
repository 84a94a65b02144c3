package duel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"

	"ordeal/node/jute"
)

// request is one that a client sends to both servers.
type request struct {
	xid    int32
	op     jute.OpCode
	says   jute.Record // what the servers read in it, nil if that is nothing
	frames [sides][]byte
}

// request puts a number on a body.
func (c *Client) request(op jute.OpCode, body jute.Record) request {
	xid := c.nextXid()
	switch op {
	case jute.OpAuth:
		xid = jute.XidAuth
	case jute.OpSetWatches, jute.OpSetWatches2:
		xid = jute.XidSetWatches
	case jute.OpPing:
		xid = jute.XidPing
	}
	r := requestOf(xid, op, requestFrame(xid, op, body))
	for i := range sides { // the epoch is each server's own
		switch body := body.(type) {
		case jute.SetWatches:
			body.RelativeZxid |= c.duel.epochs[i]
			r.frames[i] = requestFrame(xid, op, body)
		case jute.SetWatches2:
			body.RelativeZxid |= c.duel.epochs[i]
			r.frames[i] = requestFrame(xid, op, body)
		}
	}
	return r
}

func (c *Client) nextXid() int32 {
	c.xid++
	return c.xid
}

// requestOf is the request of any bytes.
func requestOf(xid int32, op jute.OpCode, frame []byte) request {
	return request{xid: xid, op: op, says: readable(op, frame), frames: [sides][]byte{frame, frame}}
}

func requestFrame(xid int32, op jute.OpCode, body jute.Record) []byte {
	var e jute.Encoder
	jute.RequestHeader{Xid: xid, Type: op}.Encode(&e)
	if body != nil {
		body.Encode(&e)
	}
	return e.Bytes()
}

// String says what the request asks, and what it is in bytes if nobody can read it.
func (r request) String() string {
	if r.says == nil {
		return fmt.Sprintf("%s as %x", r.op, r.frames[ours])
	}
	multi, is := r.says.(*jute.MultiRequest)
	if !is {
		return fmt.Sprintf("%s %+v", r.op, r.says)
	}
	var operations []string
	for _, op := range multi.Ops {
		operations = append(operations, fmt.Sprintf("%s %+v", op.Type, op.Request))
	}
	return fmt.Sprintf("%s of %s", r.op, strings.Join(operations, "; "))
}

func framesOf(requests []request, side int) [][]byte {
	var all [][]byte
	for _, r := range requests {
		all = append(all, r.frames[side])
	}
	return all
}

// ask sends a request to both and compares everything that comes back to any client.
func (c *Client) ask(op jute.OpCode, body jute.Record) {
	c.duel.t.Helper()
	c.play(c.request(op, body))
}

// play sends requests to both, without waiting for the answer to one before the next, and compares everything that
// comes back to any client.
func (c *Client) play(requests ...request) {
	d := c.duel
	d.t.Helper()
	for i, wire := range c.wires {
		wire.Write(framesOf(requests, i)...)
	}
	var all [sides][]segment
	for i := range c.wires {
		all[i] = c.hear(i, requests)
	}
	c.judge(requests, all)
	if slices.ContainsFunc(requests, func(r request) bool { return mayFireWatches(r.op) }) {
		d.listen(requests)
	}
}

// hear reads what comes for requests at one side.
func (c *Client) hear(i int, requests []request) []segment {
	var xids []int32
	for _, r := range requests {
		xids = append(xids, r.xid)
	}
	segments := cut(c.wires[i].Read, xids)
	end := &segments[len(segments)-1]
	if !end.closed && (requests[len(segments)-1].op == jute.OpCloseSession || end.header.Err == jute.Unimplemented || end.header.Err == jute.AuthFailed) {
		end.closed = c.wires[i].Read() == nil
	}
	for _, one := range segments {
		c.duel.epochs[i] = max(c.duel.epochs[i], one.header.Zxid&^0xffffffff)
	}
	return segments
}

// judge compares what was heard for requests, one after the other, and keeps the books.
func (c *Client) judge(requests []request, all [sides][]segment) {
	d := c.duel
	d.t.Helper()
	d.Requests += len(requests)
	for k, r := range requests {
		var answers [sides][]heard
		var effects []effect
		for i := range sides {
			if k >= len(all[i]) {
				assert.Fail(d.t, "a connection has ended", "%s: %s's has, the other one has not", requests[k-1], names[i])
				return
			}
			words := d.render(i, r.op, r.says, all[i][k])
			answers[i] = append(slices.Clone(all[i][k].events), c.inTime(i, r, words.heard))
			if i == apache {
				effects = words.effects
			}
		}
		if tracing {
			d.t.Logf("session %d: %s: %v; %v", d.sessions[ours][c.id[ours]], r, answers[apache], answers[ours])
		}
		c.dead = last(answers[apache]).closed
		c.compare(k, requests, answers, all[apache])
		d.happened(effects)
		c.watches.asked(r.says, answers)
		if c.dead {
			return
		}
	}
}

// compare compares what was heard for the request k among some that were sent together.
func (c *Client) compare(k int, requests []request, answers [sides][]heard, theirs []segment) {
	d, r := c.duel, requests[k]
	d.t.Helper()
	if slices.Equal(answers[apache], answers[ours]) || r.op == jute.OpCloseSession && alikeButForDeletions(answers[apache], answers[ours]) {
		return
	}
	exists, isExists := r.says.(*jute.ExistsRequest)
	leavesWatch := isExists && exists.Watch
	alone := len(requests) == 1
	who := asker{own: c.watches, all: d.books(c.home), unreadable: c.refusedNow}
	if !alone {
		who.unreadable = func(path string) bool { return refusedNext(path, requests[k+1:], theirs[k+1:]) }
	}
	name, allowed := who.allowed(r.says, answers)
	if !allowed || leavesWatch && !alone { // who asked for more already has a watch on one side only
		assert.Equal(d.t, answers[apache], answers[ours], "%s, %d of %d sent together: Apache, ours", r, k+1, len(requests))
		return
	}
	d.Allowed[name]++
	if name == existsWithoutRead && leavesWatch {
		c.dropWatch(exists.Path)
	}
}

// refusedNow asks Apache's server whether it refuses a client a znode's data.
func (c *Client) refusedNow(path string) bool {
	if c.dead {
		return false
	}
	r := c.request(jute.OpGetData, jute.GetDataRequest{Path: path})
	c.wires[apache].Write(r.frames[apache])
	segments := c.hear(apache, []request{r})
	return segments[0].header.Err == jute.NoAuth
}

// refusedNext is refusedNow for a request within a burst: it looks for a getData among those that came next.
func refusedNext(path string, requests []request, theirs []segment) bool {
	for i, r := range requests {
		read, is := r.says.(*jute.GetDataRequest)
		if !is || i >= len(theirs) {
			return false
		}
		if read.Path == path {
			return theirs[i].header.Err == jute.NoAuth
		}
	}
	return false
}

// dropWatch takes back the watch that an exists may have set on one side only.
func (c *Client) dropWatch(path string) {
	r := c.request(jute.OpRemoveWatches, jute.RemoveWatchesRequest{Path: path, Type: jute.WatcherData})
	for i, wire := range c.wires {
		wire.Write(r.frames[i])
		c.hear(i, []request{r})
	}
	c.watches.drop(path, jute.WatcherData)
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

// listen compares what requests have let all clients hear.
func (d *Duel) listen(requests []request) {
	d.t.Helper()
	ends := slices.ContainsFunc(requests, func(r request) bool { return r.op == jute.OpCloseSession })
	for j, heardOf := range d.hearAll() {
		var answers [sides][]heard
		for i := range sides {
			answers[i] = append(slices.Clone(heardOf.segments[i].events), heardOf.answer(i))
		}
		heardOf.client.watches.fired(answers[apache])
		if slices.Equal(answers[apache], answers[ours]) || ends && alikeButForDeletions(answers[apache], answers[ours]) {
			continue
		}
		assert.Equal(d.t, answers[apache], answers[ours], "%v: what client %d hears: Apache, ours", requests, j)
	}
}

// inTime checks an answer's zxid against those before it, and takes it away where members may lag behind one another.
func (c *Client) inTime(i int, r request, answer heard) heard {
	d := c.duel
	zxid := answer.header.Zxid
	if zxid <= 0 {
		return answer // none, or that of a part of a melee
	}
	if zxid < c.shown[i] {
		assert.Fail(d.t, "time goes back", "%s: %s is answered at zxid %#x, something before it was at %#x", names[i], r, zxid, c.shown[i])
	}
	c.shown[i] = zxid
	d.zxid = max(d.zxid, zxid)
	if d.isSpread() && !consumesZxid(r.op) {
		answer.header.Zxid = 0
	}
	return answer
}

// lastWords is what a client heard up to the answer to a request that all are behind that there is to hear.
type lastWords struct {
	client   *Client
	request  request
	segments [sides]segment
}

func (l lastWords) answer(i int) heard {
	d := l.client.duel
	answer := l.client.inTime(i, l.request, d.render(i, l.request.op, l.request.says, l.segments[i]).heard)
	if d.isSpread() {
		answer.header.Zxid = 0 // all clients have asked at the same time
	}
	return answer
}

// nowhere cannot be carried out: nothing is changed, but a transaction says so.
var nowhere = jute.DeleteRequest{Path: "/none/none", Version: -1}

// hearAll lets every client hear what there is to hear. What comes behind the answer to the last request comes before the
// answer to a ping. A member that may lag needs to be asked for a write, since sync does not wait for what a leader
// has committed and not yet applied.
func (d *Duel) hearAll() []lastWords {
	d.clients = slices.DeleteFunc(d.clients, func(c *Client) bool { return c.dead })
	var all []lastWords
	for _, c := range d.clients {
		one := lastWords{client: c, request: requestOf(jute.XidPing, jute.OpPing, requestFrame(jute.XidPing, jute.OpPing, nil))}
		if d.isSpread() {
			one.request = c.request(jute.OpDelete, nowhere)
		}
		for i, wire := range c.wires {
			wire.Write(one.request.frames[i])
		}
		all = append(all, one)
	}
	for j := range all {
		for i := range sides {
			all[j].segments[i] = all[j].client.hear(i, []request{all[j].request})[0]
		}
	}
	return all
}

// happened notes what was done to znodes: that watches have fired, and what there is.
func (d *Duel) happened(effects []effect) {
	for _, one := range effects {
		for _, c := range d.clients {
			for _, event := range one.events() {
				c.watches.happened(event)
			}
		}
		switch one.kind {
		case jute.EventNodeCreated:
			d.znodes[one.path] = true
		case jute.EventNodeDeleted:
			delete(d.znodes, one.path)
		}
	}
}

// books are those of the watches of all connections to a member that there are.
func (d *Duel) books(home int) []watchBook {
	var all []watchBook
	for _, c := range d.clients {
		if !c.dead && c.home == home {
			all = append(all, c.watches)
		}
	}
	return all
}
