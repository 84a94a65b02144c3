package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"ordeal/node/jute"
)

const (
	// znodes are read and written by the load, at random.
	znodes     = 1000
	valueBytes = 1024
	// connections share what is in flight. They are spread over the members.
	connections = 16
	// inFlightAll is the number of requests in flight where it is not one.
	inFlightAll = 1024
	root        = "/ordeal-bench"
	// latencyMax is the longest time that a histogram tells, in microseconds.
	latencyMax = 60_000_000
)

// load is one kind of load.
type load struct {
	name        string
	short       string // on the command line
	connections int
	inFlight    int // of each connection
	readsOfTen  int // how many of ten requests read
}

var loads = []load{
	{short: "writes", name: "writes, 1,024 in flight", connections: connections, inFlight: inFlightAll / connections},
	{short: "reads", name: "reads, 1,024 in flight", connections: connections, inFlight: inFlightAll / connections, readsOfTen: 10},
	{short: "mix", name: "9 reads : 1 write, 1,024 in flight", connections: connections, inFlight: inFlightAll / connections, readsOfTen: 9},
	{short: "single", name: "one write at a time", connections: 1, inFlight: 1},
}

func znode(i int) string { return fmt.Sprintf("%s/%04d", root, i) }

var value = make([]byte, valueBytes)

// prepare makes the znodes that the load uses.
func prepare(ctx context.Context, address string, data []byte) error {
	c, err := connect(ctx, address)
	if err != nil {
		return err
	}
	if _, err := c.do(jute.OpCreate, jute.CreateRequest{Path: root, ACL: jute.OpenACL()}); err != nil {
		return fmt.Errorf("bench: make %s: %w", root, err)
	}
	for i := range znodes {
		code, err := c.do(jute.OpCreate, jute.CreateRequest{Path: znode(i), Data: data, ACL: jute.OpenACL()})
		if err != nil || code != jute.Ok {
			return refused("make "+znode(i), code, err)
		}
	}
	return c.close()
}

// run puts the load on the members for a while.
func (l load) run(ctx context.Context, servers *servers, duration time.Duration) (Measured, error) {
	addresses := servers.addresses()
	clients := make([]*connection, l.connections)
	for i := range clients {
		c, err := connect(ctx, addresses[i%len(addresses)])
		if err != nil {
			return Measured{}, err
		}
		defer c.socket.Close()
		clients[i] = c
	}
	latencies := make([]*hdrhistogram.Histogram, l.connections)
	before, err := servers.processor()
	if err != nil {
		return Measured{}, err
	}
	ownBefore := ownProcessor()
	start := time.Now()
	until := start.Add(duration)
	group, groupCtx := errgroup.WithContext(ctx)
	for i, c := range clients {
		latencies[i] = newHistogram()
		group.Go(func() error {
			return c.drive(groupCtx, l.inFlight, until, l.asker(c, uint64(i)), latencies[i])
		})
	}
	if err := group.Wait(); err != nil {
		return Measured{}, fmt.Errorf("bench: %s: %w", l.name, err)
	}
	took := time.Since(start)
	own := ownProcessor() - ownBefore
	after, err := servers.processor()
	if err != nil {
		return Measured{}, err
	}
	for _, c := range clients {
		if err := c.close(); err != nil {
			return Measured{}, fmt.Errorf("bench: %s: close a session: %w", l.name, err)
		}
	}
	for _, one := range latencies[1:] {
		latencies[0].Merge(one)
	}
	return Measured{
		Seconds: took.Seconds(), Latency: latencies[0], Servers: after - before, Generator: own,
	}, nil
}

// asker returns what puts the next request of a connection.
func (l load) asker(c *connection, seed uint64) func() {
	random := rand.New(rand.NewPCG(seed, 1))
	paths := make([]string, znodes)
	for i := range paths {
		paths[i] = znode(i)
	}
	return func() {
		path := paths[random.IntN(znodes)]
		if random.IntN(10) < l.readsOfTen {
			c.request(jute.OpGetData, jute.GetDataRequest{Path: path})
			return
		}
		c.request(jute.OpSetData, jute.SetDataRequest{Path: path, Data: value, Version: -1})
	}
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, latencyMax, 3) }

// Measured is what a load did in one round.
type Measured struct {
	Seconds float64
	Latency *hdrhistogram.Histogram // microseconds
	// Servers and Generator are the processor time that the members together, and the load itself, took.
	Servers, Generator time.Duration
}

// keepBest keeps the round with the higher rate: whatever else a machine does can only slow a round
// down, so the best one tells most of the server.
func (m *Measured) keepBest(other Measured) {
	if m.Latency == nil || other.Rate() > m.Rate() {
		*m = other
	}
}

// Rate is operations a second.
func (m Measured) Rate() float64 { return float64(m.Latency.TotalCount()) / m.Seconds }

// PerOperation is the processor time that the members together took for an operation, in microseconds.
func (m Measured) PerOperation() float64 {
	return float64(m.Servers.Microseconds()) / float64(m.Latency.TotalCount())
}

// Percentile is a latency in milliseconds.
func (m Measured) Percentile(p float64) float64 {
	return float64(m.Latency.ValueAtPercentile(p)) / 1000
}
