package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"ordeal/harness"
)

// terminal opens a pseudo-terminal of this width. What is written to the first file is read from the second.
func terminal(t *testing.T, columns uint16) (inside, outside *os.File) {
	outside, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = outside.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(outside.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(outside.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	inside, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = inside.Close() })
	require.NoError(t, unix.IoctlSetWinsize(int(inside.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	return inside, outside
}

var underLoad = harness.Progress{Phase: harness.PhaseLoad, Elapsed: 5 * time.Second, Planned: 30 * time.Second, OK: 1234, Serving: 3, Members: 3, Leader: 2, Epoch: 7}

func TestTheLineIsCutToTheTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	whole := describe(underLoad)
	for columns, want := range map[uint16]int{30: 30, 60: 60, 0: utf8.RuneCountInString(whole), 200: utf8.RuneCountInString(whole)} {
		inside, outside := terminal(t, columns)
		l := newLive(inside)
		l.show(underLoad)
		text := make([]byte, 1<<10)
		n, err := outside.Read(text)
		require.NoError(t, err)
		line, redrawn := strings.CutPrefix(string(text[:n]), "\r\x1b[K")
		require.True(t, redrawn)
		require.Equal(t, want, utf8.RuneCountInString(line), "%d columns: %q", columns, line)
	}
}

// Without a terminal, or where no escapes are wanted, lines are plain and whole.
func TestPlainLines(t *testing.T) {
	for name, variables := range map[string][2]string{"NO_COLOR": {"NO_COLOR", "1"}, "a terminal that knows no escapes": {"TERM", "dumb"}} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(variables[0], variables[1])
			inside, outside := terminal(t, 30)
			newLive(inside).show(underLoad)
			text := make([]byte, 1<<10)
			n, err := outside.Read(text)
			require.NoError(t, err)
			require.Equal(t, describe(underLoad)+"\r\n", string(text[:n]))
		})
	}
	var out bytes.Buffer
	l := newLive(&out)
	l.show(underLoad)
	l.end()
	require.Equal(t, describe(underLoad)+"\n", out.String())
}
