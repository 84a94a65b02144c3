package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ordeal/node/freeport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test: it is long, since it only ends tests that fail.
const patience = 20 * time.Second

// logBuffer collects log lines.
type logBuffer struct {
	lock   sync.Mutex
	buffer bytes.Buffer
}

func (b *logBuffer) Write(line []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.buffer.Write(line)
}

func (b *logBuffer) String() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.buffer.String()
}

// running is a server that a test started.
type running struct {
	t      *testing.T
	config *Config
	log    *logBuffer
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// start runs a server until the test ends, or it is stopped.
func start(t *testing.T, config *Config) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, config: config, log: &logBuffer{}, cancel: cancel, ended: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	go func() {
		defer close(r.ended)
		r.err = Run(ctx, config, log)
	}()
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("log of member %d:\n%s", config.MyID, r.log)
		}
	})
	return r
}

// stop ends the server and returns how it ended.
func (r *running) stop() error {
	r.cancel()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.t.Error("the server does not end")
	}
	return r.err
}

func (r *running) eventually(condition func() bool, message string, args ...any) {
	r.t.Helper()
	require.Eventually(r.t, condition, patience, 5*time.Millisecond, append([]any{message}, args...)...)
}

func (r *running) logs(text string) {
	r.t.Helper()
	r.eventually(func() bool { return strings.Contains(r.log.String(), text) }, "a log line with %q", text)
}

func (r *running) clientAddress() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.config.ClientPort))
}

// dial connects, and waits for a server that has just been started.
func (r *running) dial(address string) net.Conn {
	r.t.Helper()
	var tcp net.Conn
	r.eventually(func() bool {
		var err error
		tcp, err = net.Dial("tcp", address)
		return err == nil
	}, "a connection to %s", address)
	r.t.Cleanup(func() { tcp.Close() })
	require.NoError(r.t, tcp.SetDeadline(time.Now().Add(patience)))
	return tcp
}

// word asks a four-letter word.
func (r *running) word(word string) string {
	r.t.Helper()
	tcp := r.dial(r.clientAddress())
	defer tcp.Close()
	_, err := tcp.Write([]byte(word))
	require.NoError(r.t, err)
	answer, err := io.ReadAll(tcp)
	require.NoError(r.t, err)
	return string(answer)
}

func (r *running) mode() string {
	_, after, _ := strings.Cut(r.word("srvr"), "Mode: ")
	mode, _, _ := strings.Cut(after, "\n")
	return mode
}

// standaloneConfig is that of a server by itself, with all words allowed.
func standaloneConfig(t *testing.T, more string, properties map[string]string) *Config {
	t.Helper()
	dir := t.TempDir()
	path := writeFile(t, filepath.Join(dir, "zoo.cfg"), fmt.Sprintf("tickTime=200\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\n4lw.commands.whitelist=*\nadmin.enableServer=false\n%s", dir, freeport.Take(t), more))
	config, err := LoadConfig(path, properties)
	require.NoError(t, err)
	return config
}

// ensembleConfigs are those of so many members on the loopback interface, with ids from 1 on, and behind them of one in
// each of the further roles.
func ensembleConfigs(t *testing.T, members int, more ...string) []*Config {
	t.Helper()
	lines := ""
	for id := 1; id <= members+len(more); id++ {
		role := "participant"
		if id > members {
			role = more[id-members-1]
		}
		lines += fmt.Sprintf("server.%d=127.0.0.1:%d:%d:%s\n", id, freeport.Take(t), freeport.Take(t), role)
	}
	var configs []*Config
	for id := 1; id <= members+len(more); id++ {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "myid"), strconv.Itoa(id)+"\n")
		path := writeFile(t, filepath.Join(dir, "zoo.cfg"), fmt.Sprintf(
			"tickTime=200\ninitLimit=25\nsyncLimit=10\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\n4lw.commands.whitelist=*\nadmin.enableServer=false\n%s", dir, freeport.Take(t), lines))
		config, err := LoadConfig(path, nil)
		require.NoError(t, err)
		configs = append(configs, config)
	}
	return configs
}

// requireClosed waits for the other side to close the connection without a further byte.
func requireClosed(t *testing.T, tcp net.Conn) {
	t.Helper()
	rest, err := io.ReadAll(tcp)
	if err != nil {
		require.ErrorContains(t, err, "reset", "the connection must be closed")
	}
	require.Empty(t, rest)
}
