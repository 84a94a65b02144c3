package pipeline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// TestThrottlerIsMeasured: who had to wait, who waited too long, and who had gone before his turn.
func TestThrottlerIsMeasured(t *testing.T) {
	told := map[Measure]int64{}
	w := newWorld(t, func(c *Config) {
		c.ThrottleMax, c.ThrottledOpWait, c.SessionTimeoutMax = 1, time.Second, time.Hour
		c.Measured = func(what Measure, value int64) { told[what] += value }
	})
	patient, gone := w.connect(), w.connect()
	clear(told)
	w.slowDisk = true
	patient.send(jute.OpCreate, createOf("/first", 0))
	patient.send(jute.OpCreate, createOf("/second", 0))
	gone.send(jute.OpCreate, createOf("/third", 0))
	require.EqualValues(t, 2, told[RequestWaits])
	w.server.ClientClosed(gone.conn)
	w.pass(2 * time.Second)
	w.finishSyncs()
	require.EqualValues(t, 1, told[OpThrottled])
	require.EqualValues(t, 1, told[StaleRequestDropped])
	require.EqualValues(t, 2000, told[ThrottleTime])
}
