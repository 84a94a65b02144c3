package pipeline

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// tokens is a throttle without more.
func tokens(count int, fillTime time.Duration, fillCount int) ConnectionThrottle {
	return ConnectionThrottle{Tokens: count, FillTime: fillTime, FillCount: fillCount}
}

func TestConnectionThrottle(t *testing.T) {
	const start = time.Hour
	for _, test := range []struct {
		name   string
		config ConnectionThrottle
		at     []time.Duration
		want   []bool
	}{
		{"off", ConnectionThrottle{}, []time.Duration{0, 0, 0}, []bool{true, true, true}},
		{"a burst", tokens(2, time.Second, 1), []time.Duration{0, 0, 0}, []bool{true, true, false}},
		{"filled again", tokens(2, time.Second, 1),
			[]time.Duration{0, 0, 999 * time.Millisecond, time.Second, time.Second},
			[]bool{true, true, false, true, false}},
		{"what is left of a time counts", tokens(1, time.Second, 1),
			[]time.Duration{0, 1900 * time.Millisecond, 2 * time.Second}, []bool{true, true, true}},
		{"all at once", tokens(1, time.Second, math.MaxInt), []time.Duration{0, time.Second, time.Second}, []bool{true, true, false}},
		{"never more than there may be", tokens(2, time.Millisecond, 3),
			[]time.Duration{time.Hour, time.Hour, time.Hour}, []bool{true, true, false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			throttle := newConnectionThrottle(test.config, nil, start)
			var got []bool
			for _, at := range test.at {
				got = append(got, throttle.take(1, start+at))
			}
			require.Equal(t, test.want, got)
		})
	}
}

// TestConnectionThrottleDropsAtRandom: the share of those that it closes goes up while there are no tokens, stays while
// some lack, and comes down when none do.
func TestConnectionThrottleDropsAtRandom(t *testing.T) {
	const step, fill = 11 * time.Millisecond, time.Hour
	config := tokens(4, fill, 4)
	config.FreezeTime, config.DropIncrease, config.DropDecrease, config.DecreaseRatio = 10*time.Millisecond, 0.4, 0.7, 0.25
	throttle := newConnectionThrottle(config, rand.New(rand.NewPCG(1, 2)), 0)
	for range 4 {
		require.True(t, throttle.take(1, 0))
	}
	now := time.Duration(0)
	for _, want := range []float64{0.4, 0.8, 1, 1} {
		now += step
		require.False(t, throttle.take(1, now), "there are no tokens")
		require.False(t, throttle.take(1, now), "one change in a time")
		require.InDelta(t, want, throttle.drop, 1e-9)
	}
	for _, want := range []float64{0.3, 0} {
		throttle.tokens = 3 // a quarter lacks
		now += step
		throttle.take(1, now)
		require.InDelta(t, want, throttle.drop, 1e-9)
	}
	throttle.drop, throttle.tokens = 0.5, 2
	throttle.take(1, now+step)
	require.Equal(t, 0.5, throttle.drop, "more than a quarter lacks")
	config.Tokens, config.FillCount = 1_000_000, 1
	throttle = newConnectionThrottle(config, rand.New(rand.NewPCG(1, 2)), 0)
	throttle.drop = 0.3
	taken := 0
	for range 10_000 {
		if throttle.take(1, 0) {
			taken++
		}
	}
	require.InDelta(t, 7000, taken, 200)
}

// TestSessionsHaveWeights: tokens are counted in global sessions.
func TestSessionsHaveWeights(t *testing.T) {
	weights := SessionWeights{Global: 3, Local: 1, Renewed: 2}
	require.Equal(t, SessionWeights{5, 5, 5}, tokens(1, time.Second, 1).Weighted(SessionWeights{3, 5, 2}).Weights)
	for _, test := range []struct {
		name    string
		options []func(*Config)
		want    int // new sessions with two tokens
	}{
		{"global", nil, 2},
		{"local", []func(*Config){withRole(Leader), func(c *Config) { c.LocalSessions = true }}, 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			throttled := func(c *Config) { c.ConnectionThrottle = tokens(2, time.Second, 1).Weighted(weights) }
			w := newWorld(t, append(test.options, throttled)...)
			require.Equal(t, test.want, w.handshakes(10))
		})
	}
	t.Run("renewed", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.ConnectionThrottle = tokens(2, time.Second, 1).Weighted(weights) })
		c := w.connect()
		_, response := c.resume()
		require.Equal(t, c.session, response.SessionID)
		require.Equal(t, 1, w.server.throttle.tokens)
	})
}

// logged makes a world's server write its log into the builder.
func logged(into *strings.Builder) func(*Config) {
	return func(c *Config) { c.Log = slog.New(slog.NewTextHandler(into, nil)) }
}

// handshakes opens so many connections with new sessions, and returns how many got one.
func (w *world) handshakes(count int) (sessions int) {
	for range count {
		c := w.open()
		if c.handshake(jute.ConnectRequest{TimeOut: c.timeout, Passwd: make([]byte, 16)}).SessionID != 0 {
			sessions++
		} else {
			require.True(w.t, c.isClosed())
		}
	}
	return sessions
}

func TestClientsThatComeTooFast(t *testing.T) {
	var log strings.Builder
	w := newWorld(t, logged(&log), func(c *Config) { c.ConnectionThrottle = tokens(5, time.Second, 2) })
	require.Equal(t, 5, w.handshakes(8))
	w.pass(time.Second)
	require.Equal(t, 2, w.handshakes(8))
	require.Equal(t, 1, strings.Count(log.String(), "refused=3"), "one line for all")
}

// TestSessionsHaveABound: whoever has a session keeps it, and can come back to it.
func TestSessionsHaveABound(t *testing.T) {
	for _, role := range []Role{Standalone, Leader} {
		t.Run(role.String(), func(t *testing.T) {
			var log strings.Builder
			w := newWorld(t, withRole(role), logged(&log), func(c *Config) { c.SessionsMax = 3 })
			c := w.connect()
			require.Equal(t, 2, w.handshakes(5))
			_, response := c.resume()
			require.Equal(t, c.session, response.SessionID)
			w.pass(inspectionInterval)
			require.Contains(t, log.String(), "refused=3")
		})
	}
}

func TestWatchesHaveABound(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		name             string
		own, all, shares int
		want             bool
	}{
		{"none", 0, 0, 1, false},
		{"as much as one may", watchBytesMax, watchBytesMax, 1, false},
		{"more than one may", watchBytesMax + 1, watchBytesMax + 1, 1, true},
		{"many with little", mib, watchBytesAllMax, 512, false},
		{"too many with little, all the same", mib, 600 * mib, 600, true},
		{"who has little where others have much", mib, watchBytesAllMax + 1, 20, false},
		{"who has much", 60 * mib, watchBytesAllMax + 1, 20, true},
	} {
		require.Equal(t, test.want, watchesTooMuch(test.own, test.all, test.shares), test.name)
	}
}
