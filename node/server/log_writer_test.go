package server

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/peer"
)

// reluctant is a log's reader that takes nothing until it is told to.
type reluctant struct {
	logBuffer
	takes chan struct{}
}

func (r *reluctant) Write(data []byte) (int, error) {
	<-r.takes
	return r.logBuffer.Write(data)
}

func TestLogWriterKeepsLinesWholeAndInOrder(t *testing.T) {
	var got logBuffer
	w := NewLogWriter(&got)
	var want bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(io.MultiWriter(w, &want), "line %d\n", i)
	}
	w.Flush()
	require.Equal(t, want.String(), got.String())
	fmt.Fprintln(w, "the last")
	w.Close()
	require.Equal(t, want.String()+"the last\n", got.String())
}

func TestLogWriterDoesNotWaitForItsReader(t *testing.T) {
	reader := &reluctant{takes: make(chan struct{})}
	w := NewLogWriter(reader)
	line := []byte(strings.Repeat("x", logBytesMax/4-1) + "\n")
	for range 20 {
		n, err := w.Write(line)
		require.NoError(t, err)
		require.Len(t, line, n)
	}
	close(reader.takes)
	w.Close()
	lines := strings.Split(strings.TrimSpace(reader.String()), "\n")
	kept, lost := 0, 0
	for _, one := range lines {
		if one == string(line[:len(line)-1]) {
			kept++
			continue
		}
		_, count, found := strings.Cut(one, "does not keep up\" lines=")
		require.True(t, found, one)
		more := 0
		_, err := fmt.Sscan(count, &more)
		require.NoError(t, err)
		lost += more
	}
	require.Equal(t, 20, kept+lost, "each line is there or counted")
	require.Positive(t, lost)
}

// What was logged before the core breaks one of its own rules is written before the panic ends the process.
func TestLogIsFlushedBeforeAPanic(t *testing.T) {
	var got logBuffer
	w := NewLogWriter(&got)
	defer w.Close()
	c, _ := newRecordedCore(func(*peer.Config) {})
	c.beforePanic = w.Flush
	log := slog.New(slog.NewTextHandler(w, nil))
	require.True(t, c.add(t.Context(), func(*peer.Peer) {
		log.Info("the last word")
		panic("a broken rule")
	}))
	require.PanicsWithValue(t, "a broken rule", c.help)
	require.Contains(t, got.String(), "the last word")
}
