package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"ordeal/harness"
)

// onTerminal returns what a pseudo-terminal of this width is shown. It is closed before it is read: it hands
// on what was written piece by piece, and only its end says that this was all.
func onTerminal(t *testing.T, columns uint16, show func(inside *os.File)) string {
	outside, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer outside.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(outside.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(outside.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	inside, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(int(inside.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	show(inside)
	require.NoError(t, inside.Close())
	text, err := io.ReadAll(outside)
	require.ErrorIs(t, err, unix.EIO, "which is how a terminal ends")
	return string(text)
}

var underLoad = harness.Progress{Phase: harness.PhaseLoad, Elapsed: 5 * time.Second, Planned: 30 * time.Second, OK: 1234, Serving: 3, Members: 3, Leader: 2, Epoch: 7}

func TestTheLineIsCutToTheTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	whole := describe(underLoad)
	for columns, want := range map[uint16]int{30: 30, 60: 60, 0: utf8.RuneCountInString(whole), 200: utf8.RuneCountInString(whole)} {
		text := onTerminal(t, columns, func(inside *os.File) { newLive(inside).show(underLoad) })
		line, redrawn := strings.CutPrefix(text, "\r\x1b[K")
		require.True(t, redrawn)
		require.Equal(t, want, utf8.RuneCountInString(line), "%d columns: %q", columns, line)
	}
}

// Without a terminal, or where no escapes are wanted, lines are plain and whole.
func TestPlainLines(t *testing.T) {
	for name, variables := range map[string][2]string{"NO_COLOR": {"NO_COLOR", "1"}, "a terminal that knows no escapes": {"TERM", "dumb"}} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(variables[0], variables[1])
			text := onTerminal(t, 30, func(inside *os.File) { newLive(inside).show(underLoad) })
			require.Equal(t, describe(underLoad)+"\r\n", text)
		})
	}
	var out bytes.Buffer
	l := newLive(&out)
	l.show(underLoad)
	l.end()
	require.Equal(t, describe(underLoad)+"\n", out.String())
}
