package pipeline

import (
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

func TestConnectionThrottle(t *testing.T) {
	const start = time.Hour
	for _, test := range []struct {
		name   string
		config ConnectionThrottle
		at     []time.Duration
		want   []bool
	}{
		{"off", ConnectionThrottle{}, []time.Duration{0, 0, 0}, []bool{true, true, true}},
		{"a burst", ConnectionThrottle{2, time.Second, 1}, []time.Duration{0, 0, 0}, []bool{true, true, false}},
		{"filled again", ConnectionThrottle{2, time.Second, 1},
			[]time.Duration{0, 0, 999 * time.Millisecond, time.Second, time.Second},
			[]bool{true, true, false, true, false}},
		{"what is left of a time counts", ConnectionThrottle{1, time.Second, 1},
			[]time.Duration{0, 1900 * time.Millisecond, 2 * time.Second}, []bool{true, true, true}},
		{"all at once", ConnectionThrottle{1, time.Second, math.MaxInt}, []time.Duration{0, time.Second, time.Second}, []bool{true, true, false}},
		{"never more than there may be", ConnectionThrottle{2, time.Millisecond, 3},
			[]time.Duration{time.Hour, time.Hour, time.Hour}, []bool{true, true, false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			throttle := newConnectionThrottle(test.config, start)
			var got []bool
			for _, at := range test.at {
				got = append(got, throttle.take(start+at))
			}
			require.Equal(t, test.want, got)
		})
	}
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
	w := newWorld(t, logged(&log), func(c *Config) { c.ConnectionThrottle = ConnectionThrottle{5, time.Second, 2} })
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
