package sim

import (
	"encoding/binary"
	"time"

	"ordeal/harness/client"
	"ordeal/node/peer"
	"ordeal/results/history"
	"ordeal/workloads"
)

// connection is a client's connection to a member.
type connection struct {
	id                 peer.Conn
	driver             *driver
	attempt            uint64
	member             *member
	toServer, toClient pipe
	clientOpen         bool
	serverOpen         bool
	// outstanding is how many frames the member has not answered; answered says that the handshake is.
	outstanding int
	answered    bool
}

// dial tries to reach a member: it is refused at once if the member is down, and hangs where the way is
// cut.
func (w *World) dial(d *driver, attempt client.Attempt) {
	m := w.members[attempt.Member-1]
	there, back := w.ways[0][m.id], w.ways[m.id][0]
	w.after(w.latency(there)+back.base, func() {
		if d.attempt != attempt.Number || there.cut() || back.cut() {
			return
		}
		if !m.up {
			d.input(func(s *client.Session) { s.Lost(w.now, attempt.Number, "refused") })
			return
		}
		w.lastConn++
		n := &connection{id: w.lastConn, driver: d, attempt: attempt.Number, member: m, clientOpen: true, serverOpen: true}
		n.toServer.open(w, there, n)
		n.toClient.open(w, back, n)
		m.conns = append(m.conns, n)
		d.connection = n
		n.toServer.push(parcel{opened: true})
		d.input(func(s *client.Session) { s.Connected(w.now, attempt.Number) })
	})
}

// take implements pipeEnds.
func (n *connection) take(p *pipe, item parcel) {
	if p == &n.toServer {
		n.atServer(item)
	} else {
		n.atClient(item)
	}
}

func (n *connection) atServer(item parcel) {
	if !n.serverOpen {
		return
	}
	m := n.member
	switch {
	case item.opened:
		m.input(func(p *peer.Peer) { p.ClientConnected(n.id, "127.0.0.1") })
	case item.closed:
		n.serverOpen = false
		m.dropConn(n)
		m.input(func(p *peer.Peer) { p.ClientClosed(n.id) })
	default:
		n.world().note(hashFrame, m.id, int64(n.driver.number))
		n.world().noteBytes(item.bytes)
		m.give(&input{connection: n, frame: item.bytes})
	}
}

func (n *connection) world() *World { return n.member.world }

// frame gives a member a client's frame; a plain read is answered beside the pipeline where the
// server would do so.
func (n *connection) frame(p *peer.Peer, frame []byte) {
	if !n.serverOpen {
		return
	}
	if n.world().config.FastReads && n.outstanding == 0 && n.answered {
		if reply, ok := p.ReadNow(n.id, frame); ok {
			n.world().coverage.hit("fast-read")
			n.toClient.push(parcel{bytes: reply})
			return
		}
	}
	n.outstanding++
	p.ClientFrame(n.id, frame)
}

func (n *connection) atClient(item parcel) {
	if !n.clientOpen {
		return
	}
	w := n.world()
	if item.closed {
		n.clientOpen = false
		n.driver.input(func(s *client.Session) { s.Lost(w.now, n.attempt, "closed by the member") })
		return
	}
	w.note(hashReply, n.driver.number, int64(n.member.id))
	w.noteBytes(item.bytes)
	n.driver.session.Received(w.now, n.attempt, item.bytes)
	n.driver.pump()
}

func (n *connection) clientCloses() {
	if n.clientOpen {
		n.clientOpen = false
		n.toServer.push(parcel{closed: true})
	}
}

func (n *connection) serverCloses() {
	if n.serverOpen {
		n.serverOpen = false
		n.toClient.push(parcel{closed: true})
	}
}

func (n *connection) reset() {
	n.toServer.broken, n.toClient.broken = true, true
	n.atServer(parcel{closed: true})
	n.atClient(parcel{closed: true})
}

// toClient carries out what a peer wants of a client's connection.
func (m *member) toClient(output peer.ClientOutput) {
	for _, n := range m.conns {
		if n.id != output.Conn {
			continue
		}
		if output.Frame != nil {
			n.answered = true
			if !output.Event {
				n.outstanding--
			}
			n.toClient.push(parcel{bytes: output.Frame})
		}
		if output.Close {
			n.serverCloses()
			m.dropConn(n)
		}
		return
	}
}

func (m *member) dropConn(n *connection) {
	for i, other := range m.conns {
		if other == n {
			m.conns = append(m.conns[:i:i], m.conns[i+1:]...)
			return
		}
	}
}

// driver is a client: a session, and what decides on its operations: a workload's machine, a script,
// or a list of requests that must be answered.
type driver struct {
	world   *World
	number  int
	session *client.Session

	machine workloads.Client
	gap     time.Duration // between operations, on average
	steps   uint64
	moves   uint64

	list    []history.Request // requests that are repeated until they are answered
	ready   []history.Request // of a script: their time has come
	working bool              // operations may begin

	connection *connection
	attempt    uint64
	busy       bool
	request    history.Request
	plan       uint64 // the event of the next step: those planned before are overtaken
	waits      bool   // for the time of its next step, or for a notice
	timerAt    time.Duration
	// stepPlanned and timerRuns are methods, as values: those cost memory each time.
	stepPlanned, timerRuns func()
	lost                   int // operations of unknown outcome
	done                   int // operations that were answered
}

func (w *World) newDriver(workload string, number int, members []int) *driver {
	c := &w.config
	d := &driver{world: w, number: number, timerAt: -1}
	d.session = client.NewSession(client.Config{
		Client: number, Workload: workload, Members: members, SessionTimeout: c.SessionTimeout,
		ConnectTimeout: max(c.SessionTimeout/2, 10*c.Latency), RequestTimeout: max(2*c.SessionTimeout, time.Second),
		Numbers: &w.numbers,
	})
	d.stepPlanned, d.timerRuns = d.plannedStep, d.timer
	return d
}

// input gives the session one input and carries out what it wants then.
func (d *driver) input(do func(*client.Session)) {
	do(d.session)
	d.pump()
}

func (d *driver) pump() {
	w := d.world
	for {
		ready := d.session.Ready()
		if len(ready.Events) == 0 && !ready.Close && ready.Attach == nil && ready.Send == nil {
			d.session.Reuse(ready.Events)
			break
		}
		var returned *history.Result
		for i := range ready.Events {
			e := &ready.Events[i]
			w.record(*e)
			switch e.Kind {
			case history.Return:
				if w.trace != nil {
					w.tell("client %d  ← %s", d.number, resultWord(e.Result))
				}
				returned = e.Result
			case history.Call:
				if w.trace != nil {
					w.tell("client %d  → member %d: %s", d.number, e.Member, requestWord(e.Request))
				}
			case history.WatchFired, history.Session:
				if w.trace != nil && e.Kind == history.Session {
					w.tell("client %d  session %s %s at member %d", d.number, e.SessionID, e.State, e.Member)
				}
				if d.machine != nil {
					d.machine.Notify(*e)
					d.noticed()
				}
			}
		}
		d.session.Reuse(ready.Events)
		if ready.Close && d.connection != nil {
			d.connection.clientCloses()
			d.connection = nil
		}
		if ready.Attach != nil {
			d.attempt = ready.Attach.Number
			w.dial(d, *ready.Attach)
		}
		if len(ready.Send) > 0 && d.connection != nil {
			d.send(ready.Send)
		}
		if returned != nil {
			d.returned(*returned)
		}
	}
	d.arm()
}

// send splits what the session sends into frames.
func (d *driver) send(data []byte) {
	for len(data) >= 4 {
		size := int(binary.BigEndian.Uint32(data))
		d.connection.toServer.push(parcel{bytes: data[4 : 4+size : 4+size]})
		data = data[4+size:]
	}
}

// arm sees to it that the session is told the time when it wants to be.
func (d *driver) arm() {
	deadline, any := d.session.NextDeadline()
	if !any || d.timerAt >= 0 && d.timerAt <= deadline {
		return
	}
	w := d.world
	at := max(deadline, w.now)
	d.timerAt = at
	w.after(at-w.now, d.timerRuns)
}

// timer tells the session the time, if nothing has changed when it wants to be told.
func (d *driver) timer() {
	w := d.world
	if d.timerAt != w.now {
		return
	}
	d.timerAt = -1
	if deadline, any := d.session.NextDeadline(); any && deadline <= w.now {
		d.session.Tick(w.now)
	}
	d.pump()
}

func (d *driver) returned(result history.Result) {
	d.busy = false
	if result.Outcome == history.Unknown {
		d.lost++
	}
	if result.Answered {
		d.done++
	}
	if len(d.list) > 0 && result.Answered && result.Outcome != history.Unknown {
		d.list = d.list[1:]
	}
	if d.machine != nil {
		d.machine.Return(d.request, result)
	}
	d.planStep(d.pause())
}

// pause is the time until the next operation.
func (d *driver) pause() time.Duration {
	if d.machine == nil {
		return 0
	}
	d.steps++
	return d.gap/2 + upTo(mix(d.world.source.noise^uint64(d.number)<<40^d.steps), d.gap)
}

func (d *driver) planStep(delay time.Duration) {
	d.plan = d.world.after(delay, d.stepPlanned)
}

func (d *driver) plannedStep() {
	if d.plan == d.world.happening {
		d.step()
	}
}

// noticed lets a machine that waits look at once at what it was told.
func (d *driver) noticed() {
	if d.waits {
		d.planStep(time.Nanosecond) // after what it was told of: a script then has the same order
	}
}

// step begins the next operation, if there is one.
func (d *driver) step() {
	d.waits = false
	if d.busy || !d.working {
		return
	}
	w := d.world
	switch {
	case len(d.list) > 0:
		d.submit(d.list[0])
	case len(d.ready) > 0:
		request := d.ready[0]
		d.ready = d.ready[1:]
		d.submit(request)
	case d.machine != nil && w.now < w.loadEnd && w.hushed():
		d.planStep(hushPause)
	case d.machine != nil && w.now < w.loadEnd:
		step := d.machine.Next(w.now - w.loadStart)
		switch {
		case step.Move:
			d.moves++
			to := 1 + int(mix(w.source.noise^0x6d6f7665<<32^uint64(d.number)<<24^d.moves)%uint64(len(w.members)))
			w.source.made = append(w.source.made, Decision{Op: &Op{At: w.now, Client: d.number, MoveTo: to}})
			d.move(to)
			d.planStep(time.Nanosecond) // after what comes of it: a script then has the same order
			return
		case step.Do == nil:
			d.waits = true
			d.planStep(step.Wait)
			return
		}
		w.source.made = append(w.source.made, Decision{Op: &Op{At: w.now, Client: d.number, Request: *step.Do}})
		d.submit(*step.Do)
	}
}

// move lets the session go on with another member.
func (d *driver) move(to int) {
	d.world.coverage.hit("move")
	d.input(func(s *client.Session) { s.Prefer(d.world.now, to) })
}

func (d *driver) submit(request history.Request) {
	d.busy, d.request = true, request
	d.session.Submit(d.world.now, request)
	d.pump()
}

// follow makes clients do what a script says. Operations of one moment keep the script's order, which
// is the one in which they were decided.
func (w *World) follow(script []Decision) {
	for _, decision := range script {
		if op := decision.Op; op != nil {
			d := w.clients[op.Client-1]
			w.after(op.At-w.now, func() {
				if op.MoveTo > 0 {
					d.move(op.MoveTo)
					return
				}
				d.ready = append(d.ready, op.Request)
				d.step()
			})
		}
	}
}

// idle tells whether nothing is under way or about to be.
func (d *driver) idle() bool { return !d.busy && len(d.list) == 0 && len(d.ready) == 0 }

// close ends the session, if there is one.
func (d *driver) close() {
	d.machine = nil
	if d.session.Alive() && !d.busy {
		d.submit(history.Request{Kind: history.CloseSession})
	}
}
