package server

import (
	"encoding/binary"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"ordeal/node/jute"
	"ordeal/node/pipeline"
	"ordeal/node/server/metrics"
)

// TestSettingsHaveTheirEffect: what a key is set to arrives where it counts.
func TestSettingsHaveTheirEffect(t *testing.T) {
	for _, test := range []struct {
		line string
		want any
		get  func(*Config) any
	}{
		{"clientPortListenBacklog=7", 7, func(c *Config) any { return c.ClientBacklog }},
		{"connectToLearnerMasterLimit=3", 3, func(c *Config) any { return c.ConnectLimit }},
		{"fsync.warningthresholdms=20", 20 * time.Millisecond, func(c *Config) any { return c.tuning.fsyncWarning }},
		{"znode.container.checkIntervalMs=500", 500 * time.Millisecond, func(c *Config) any { return c.tuning.containers.CheckInterval }},
		{"znode.container.maxPerMinute=5", 5, func(c *Config) any { return c.tuning.containers.PerMinuteMax }},
		{"znode.container.maxNeverUsedIntervalMs=9", 9 * time.Millisecond, func(c *Config) any { return c.tuning.containers.NeverUsedMax }},
		{"txnLogSizeLimitInKb=16", int64(16 << 10), func(c *Config) any { return c.tuning.logSizeMax }},
		{"txnLogSizeLimitInKb=-1", int64(0), func(c *Config) any { return c.tuning.logSizeMax }},
		{"connection_throttle_tokens=4\nconnection_throttle_freeze_time=0", time.Duration(1), func(c *Config) any { return c.tuning.connectionThrottle.FreezeTime }},
		{"connection_throttle_tokens=4\nconnection_throttle_weight_enabled=true\nconnection_throttle_fill_count=2\nconnection_throttle_local_session_weight=2\n" +
			"connection_throttle_freeze_time=10\nconnection_throttle_drop_increase=0.5\nconnection_throttle_drop_decrease=.1\nconnection_throttle_decrease_ratio=0.2",
			pipeline.ConnectionThrottle{
				Tokens: 12, FillTime: time.Millisecond, FillCount: 6, FreezeTime: 10 * time.Millisecond, DropIncrease: 0.5, DropDecrease: 0.1,
				DecreaseRatio: 0.2, Weights: pipeline.SessionWeights{Global: 3, Local: 2, Renewed: 2},
			}, func(c *Config) any { return c.tuning.connectionThrottle }},
	} {
		c, _, err := load(t, standaloneText+test.line, nil)
		require.NoError(t, err)
		require.Equal(t, test.want, test.get(c), test.line)
		require.Empty(t, c.Warnings)
	}
}

// TestSettingsWithoutEffectAreTold: nobody is left in the belief that a key does what it does in Apache's server.
func TestSettingsWithoutEffectAreTold(t *testing.T) {
	for _, one := range withoutEffect {
		for value, warned := range map[string]bool{one.otherwise: false, "77": true} {
			c, _, err := load(t, standaloneText+one.key+"="+value, nil)
			require.NoError(t, err)
			c2, _, err := load(t, standaloneText, map[string]string{"zookeeper." + one.key: value})
			require.NoError(t, err)
			require.Equal(t, c.Warnings, c2.Warnings)
			if !warned {
				require.Empty(t, c.Warnings)
				continue
			}
			require.Equal(t, []string{one.key + "=77 has no effect: " + one.instead}, c.Warnings)
		}
	}
}

// TestBacklog: in the state of a listener the system tells its backlog where it otherwise tells of segments.
func TestBacklog(t *testing.T) {
	for backlog, want := range map[int]func(uint32){
		3: func(found uint32) { require.EqualValues(t, 3, found) },
		0: func(found uint32) { require.Greater(t, found, uint32(3), "what the system allows") },
	} {
		s := &shell{config: &Config{ClientBacklog: backlog}}
		listener, err := s.listenWithBacklog(t.Context(), "client", "127.0.0.1:0")
		require.NoError(t, err)
		raw, err := listener.(*net.TCPListener).SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			require.NoError(t, err)
			want(info.Sacked)
		}))
		require.NoError(t, listener.Close())
	}
}

// TestLogsAreBounded: with txnLogSizeLimitInKb a log is followed by another, and a restart finds all that they hold.
func TestLogsAreBounded(t *testing.T) {
	config := standaloneConfig(t, "txnLogSizeLimitInKb=4\npreAllocSize=0\n", nil)
	r := start(t, config)
	tcp := connect(t, r)
	for xid := int32(1); xid <= 10; xid++ {
		write(t, tcp, ask(xid, jute.OpCreate, jute.Marshal(&jute.CreateRequest{
			Path: "/" + strings.Repeat("n", int(xid)), Data: make([]byte, 3000), ACL: jute.OpenACL(),
		})))
		readFrame(t, tcp)
	}
	require.NoError(t, r.stop())
	logs, err := filepath.Glob(filepath.Join(config.logDir(), "log.*"))
	require.NoError(t, err)
	require.Greater(t, len(logs), 3)
	r = start(t, config)
	tcp = connect(t, r)
	write(t, tcp, ask(1, jute.OpExists, jute.Marshal(&jute.ExistsRequest{Path: "/" + strings.Repeat("n", 10)})))
	require.Zero(t, binary.BigEndian.Uint32(readFrame(t, tcp)[12:]), "the reply's code")
}

// TestSlowFsyncsAreTold and counted, past fsync.warningthresholdms.
func TestSlowFsyncsAreTold(t *testing.T) {
	config := standaloneConfig(t, "fsync.warningthresholdms=20\n", nil)
	written := &logBuffer{}
	registry := metrics.NewRegistry()
	s := &shell{config: config, log: slog.New(slog.NewTextHandler(written, nil)), metrics: registry, times: newDiskTimes(registry), client: &clientPort{stats: newServerStats(registry)}}
	s.synced(20 * time.Millisecond)
	require.Empty(t, written.String())
	s.synced(21 * time.Millisecond)
	require.Contains(t, written.String(), "an fsync of the log took long")
	require.EqualValues(t, 1, s.client.stats.slowFsyncs.Load())
}
