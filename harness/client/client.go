// Package client is the recording ZooKeeper client. It shows what other clients hide: every
// reconnect, xid and zxid, and operations whose outcome is not known. Each call, return, watch event
// and change of the session goes into a history.
//
// Session is the protocol as a pure state machine; a simulator runs it as it is. Client is the shell
// around it: sockets, clock, goroutines. Walk reads a member's whole tree, Probe asks for its state.
//
// What is recorded of an operation:
//   - ok: the member answered without an error. Only an abandoned session's end needs no answer.
//   - failed and answered: the member answered with an error. Nothing was changed.
//   - failed, not answered: a read whose reply did not come (ConnectionLoss, OperationTimeout), or any
//     operation that was certainly never sent (ConnectionLoss; SessionExpired if its session ended while
//     it waited). An unsent one has no member and no xid.
//   - unknown: a write was sent and its reply did not come, or the answer was an error of the server's
//     inside that does not tell (SystemError and the like).
//
// An operation without an answer for RequestTimeout gives the connection up, as Apache's client does;
// the session goes on with another member. A session event's Text says why a connection was lost, its
// Zxid is the greatest that the session has seen, its Count the negotiated timeout in milliseconds.
//
// The package knows the wire and the history. It must not know workloads, drivers or faults.
package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"ordeal/node/jute"
	"ordeal/results/history"
)

// What Options' durations and InFlight are if left 0.
const (
	SessionTimeoutDefault = 10 * time.Second
	ConnectTimeoutDefault = 2 * time.Second
	RequestTimeoutDefault = 5 * time.Second
	InFlightDefault       = 1024
)

// Member is a server to which clients connect.
type Member struct {
	Number  int
	Address string // host:port
}

// Options say who the client is, where it connects and where it records.
type Options struct {
	Client   int // number of the client, from 1; no other client of the history has it
	Workload string
	Members  []Member
	// Seed chooses the order in which members are tried.
	Seed uint64
	// SessionTimeout is asked for; the member has the last word.
	SessionTimeout time.Duration
	ConnectTimeout time.Duration // for a connection and its handshake
	RequestTimeout time.Duration // for an operation, from its start to its reply
	// InFlight bounds the operations started and not yet answered.
	InFlight int

	Recorder history.Recorder
	Now      func() time.Duration // the history's clock
	Numbers  *Numbers             // shared by all clients of the history
}

func (o *Options) fillDefault() error {
	switch {
	case o.Client < 1:
		return fmt.Errorf("client: number %d, it must be at least 1", o.Client)
	case len(o.Members) == 0:
		return fmt.Errorf("client %d: no members to connect to", o.Client)
	case o.Recorder == nil || o.Now == nil || o.Numbers == nil:
		return fmt.Errorf("client %d: a recorder, a clock and numbers are needed", o.Client)
	}
	setDefault(&o.SessionTimeout, SessionTimeoutDefault)
	setDefault(&o.ConnectTimeout, ConnectTimeoutDefault)
	setDefault(&o.RequestTimeout, RequestTimeoutDefault)
	setDefault(&o.InFlight, InFlightDefault)
	return nil
}

func setDefault[T time.Duration | int](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

// Answer is what came of an operation.
type Answer struct {
	Result history.Result
	// Notices are the watch and session events since the previous answer, all of them before this one.
	Notices []history.Event
}

// Pending is an operation that was started.
type Pending struct {
	request history.Request
	answer  chan Answer // holds one, so that nobody waits for the caller
	ended   <-chan struct{}
}

// Answer waits for the outcome. It comes at the latest some time after RequestTimeout. Only the first
// call gets it.
func (p *Pending) Answer() Answer {
	a, _ := p.wait(context.Background()) // never ends before its answer
	return a
}

func (p *Pending) wait(ctx context.Context) (Answer, error) {
	select {
	case a := <-p.answer:
		return a, nil
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	case <-p.ended:
	}
	select {
	case a := <-p.answer:
		return a, nil
	default: // it came after the end, and is not recorded
		return Answer{Result: history.Result{Outcome: history.Failed, Error: jute.ConnectionLoss.String()}}, nil
	}
}

// Client is one client of the ensemble. Its methods may be called from several goroutines; the order
// of operations is that of the calls of Start.
type Client struct {
	options   Options
	addresses map[int]string // by member

	inputs chan input
	slots  chan struct{} // taken by operations started and not answered
	cancel context.CancelFunc
	ended  chan struct{} // the loop has ended; outcomes are all known

	noticed chan struct{} // notices may be there
	mu      sync.Mutex
	notices []history.Event
}

// input is one thing that happens to the loop: exactly one field is set.
type input struct {
	start     *Pending
	finish    *Pending // close the session if there is one
	prefer    int
	connected *connection
	received  *received
	lost      *lost
}

type received struct {
	attempt uint64
	frame   []byte
}

type lost struct {
	attempt uint64
	err     error
}

const (
	// inputsMax bounds what waits for the loop; a reader beyond it stops reading.
	inputsMax = 256
	// noticesMax bounds the notices of a client whose owner asks for none; the oldest go.
	noticesMax = 4096
)

// New returns a client that connects when its first operation is started. Close ends it.
func New(options Options) (*Client, error) {
	if err := options.fillDefault(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		options: options, addresses: map[int]string{},
		inputs: make(chan input, inputsMax), slots: make(chan struct{}, options.InFlight),
		cancel: cancel, ended: make(chan struct{}), noticed: make(chan struct{}, 1),
	}
	config := Config{
		Client: options.Client, Workload: options.Workload,
		SessionTimeout: options.SessionTimeout, ConnectTimeout: options.ConnectTimeout,
		RequestTimeout: options.RequestTimeout, Numbers: options.Numbers,
	}
	for _, m := range options.Members {
		config.Members = append(config.Members, m.Number)
		c.addresses[m.Number] = m.Address
	}
	random := rand.New(rand.NewPCG(options.Seed, uint64(options.Client)))
	random.Shuffle(len(config.Members), func(i, j int) {
		config.Members[i], config.Members[j] = config.Members[j], config.Members[i]
	})
	l := &loop{client: c, ctx: ctx, session: NewSession(config), pending: map[int64]*Pending{}}
	go l.run()
	return c, nil
}

// Start sends an operation behind those started before, without waiting for their outcome. It waits
// only while InFlight operations have none.
func (c *Client) Start(request history.Request) *Pending {
	p := c.newPending(request)
	select {
	case c.slots <- struct{}{}:
		c.post(input{start: p})
	case <-c.ended:
	}
	return p
}

func (c *Client) newPending(request history.Request) *Pending {
	return &Pending{request: request, answer: make(chan Answer, 1), ended: c.ended}
}

// Do performs one operation. When the context ends before its outcome is known it is left to itself,
// and the answer says so: a later Return stands in the history.
func (c *Client) Do(ctx context.Context, request history.Request) (Answer, error) {
	return c.Start(request).wait(ctx)
}

// Prefer moves the session to the given member, if it answers. Operations in flight lose their
// connection, so ask when there are none.
func (c *Client) Prefer(member int) { c.post(input{prefer: member}) }

// Noticed gets a value when Notices may have something new.
func (c *Client) Noticed() <-chan struct{} { return c.noticed }

// Notices returns the watch and session events that came since the last answer, or the last call.
func (c *Client) Notices() []history.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	notices := c.notices
	c.notices = nil
	return notices
}

// Close closes the session, if there is one, as an operation that is recorded, and ends the client
// with all its goroutines. When the context ends first, or the member does not answer, the session is
// left to expire, and the error says so. Operations without an outcome get one.
func (c *Client) Close(ctx context.Context) error {
	p := c.newPending(history.Request{})
	c.post(input{finish: p})
	a, err := p.wait(ctx)
	if err == nil && a.Result.Outcome != history.OK {
		err = errors.New(a.Result.Error)
	}
	c.cancel()
	<-c.ended
	if err != nil {
		return fmt.Errorf("client %d: session not closed: %w", c.options.Client, err)
	}
	return nil
}

// post hands an input to the loop, if it has not ended.
func (c *Client) post(in input) {
	select {
	case c.inputs <- in:
	case <-c.ended:
	}
}

func (c *Client) addNotice(e history.Event) {
	c.mu.Lock()
	if len(c.notices) >= noticesMax {
		c.notices = c.notices[1:]
	}
	c.notices = append(c.notices, e)
	c.mu.Unlock()
	select {
	case c.noticed <- struct{}{}:
	default:
	}
}

// loop owns the session: everything that happens passes through it.
type loop struct {
	client     *Client
	ctx        context.Context
	session    *Session
	pending    map[int64]*Pending
	connection *connection // the latest attempt's, once it stands
	giveUp     context.CancelFunc
	tasks      sync.WaitGroup // dialling, reading, writing
}

// batchMax bounds the inputs taken before the session's wishes are carried out.
const batchMax = 64

func (l *loop) run() {
	defer close(l.client.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	armed := time.Duration(-1) // when the timer fires; -1 for never
	for {
		select {
		case in := <-l.client.inputs:
			l.take(in)
			for more := 1; more < batchMax; more++ {
				select {
				case in := <-l.client.inputs:
					l.take(in)
					continue
				default:
				}
				break
			}
		case <-timer.C:
			armed = -1
			l.session.Tick(l.client.options.Now())
		case <-l.ctx.Done():
			l.stop()
			return
		}
		l.perform(l.session.Ready())
		// An earlier deadline needs the timer set anew; for a later one it may fire in vain.
		if next, ok := l.session.NextDeadline(); ok && (armed < 0 || next < armed) {
			armed = next
			timer.Reset(max(0, next-l.client.options.Now()))
		}
	}
}

func (l *loop) take(in input) {
	now := l.client.options.Now()
	switch {
	case in.start != nil:
		l.pending[l.session.Submit(now, in.start.request)] = in.start
	case in.finish != nil:
		if !l.session.Alive() {
			in.finish.answer <- Answer{Result: history.Result{Outcome: history.OK}}
			return
		}
		l.pending[l.session.Submit(now, history.Request{Kind: history.CloseSession})] = in.finish
	case in.prefer != 0:
		l.session.Prefer(now, in.prefer)
	case in.connected != nil:
		l.attach(now, in.connected)
	case in.received != nil:
		l.session.Received(now, in.received.attempt, in.received.frame)
	case in.lost != nil:
		l.session.Lost(now, in.lost.attempt, reason(in.lost.err))
	}
}

// perform carries out what the session wants.
func (l *loop) perform(ready Ready) {
	for i := range ready.Events {
		e := &ready.Events[i]
		l.client.options.Recorder.Record(*e)
		switch e.Kind {
		case history.Return:
			l.answer(e)
		case history.WatchFired, history.Session:
			l.client.addNotice(*e)
		}
	}
	if ready.Close {
		l.disconnect()
	}
	if ready.Attach != nil {
		l.dial(*ready.Attach)
	}
	if len(ready.Send) > 0 && l.connection != nil {
		l.connection.send(ready.Send)
	}
}

func (l *loop) answer(e *history.Event) {
	p := l.pending[e.Operation]
	if p == nil {
		panic(fmt.Sprintf("client: operation %d has returned, but nobody started it", e.Operation))
	}
	delete(l.pending, e.Operation)
	p.answer <- Answer{Result: *e.Result, Notices: l.client.Notices()}
	if p.request.Kind != "" { // the session's end, asked for by Close, took no slot
		<-l.client.slots
	}
}

// stop ends the session's work and waits for the goroutines, whose last inputs it throws away.
func (l *loop) stop() {
	l.session.Stop(l.client.options.Now())
	l.perform(l.session.Ready())
	l.disconnect()
	done := make(chan struct{})
	go func() {
		l.tasks.Wait()
		close(done)
	}()
	for waiting := true; waiting; {
		select {
		case in := <-l.client.inputs:
			in.discard()
		case <-done:
			waiting = false
		}
	}
	for len(l.client.inputs) > 0 {
		in := <-l.client.inputs
		in.discard()
	}
}

func (in input) discard() {
	if in.connected != nil {
		in.connected.close()
	}
}

func (l *loop) dial(attempt Attempt) {
	ctx, cancel := context.WithTimeout(l.ctx, l.client.options.ConnectTimeout)
	l.giveUp = cancel
	address := l.client.addresses[attempt.Member]
	l.tasks.Go(func() {
		defer cancel()
		var dialer net.Dialer
		socket, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			l.client.inputs <- input{lost: &lost{attempt.Number, err}}
			return
		}
		l.client.inputs <- input{connected: newConnection(socket, attempt.Number)}
	})
}

// attach starts reading and writing, if the session still waits for this connection.
func (l *loop) attach(now time.Duration, c *connection) {
	l.session.Connected(now, c.attempt)
	if !l.session.Awaits(c.attempt) {
		c.close()
		return
	}
	l.connection = c
	l.tasks.Go(func() {
		err := c.read(func(frame []byte) {
			l.client.inputs <- input{received: &received{c.attempt, frame}}
		})
		l.client.inputs <- input{lost: &lost{c.attempt, err}}
	})
	l.tasks.Go(c.write)
}

func (l *loop) disconnect() {
	if l.giveUp != nil {
		l.giveUp()
		l.giveUp = nil
	}
	if l.connection != nil {
		l.connection.close()
		l.connection = nil
	}
}

// reason puts the end of a connection into words that do not depend on ports.
func reason(err error) string {
	var operation *net.OpError
	if errors.As(err, &operation) {
		err = operation.Err
	}
	return err.Error()
}
