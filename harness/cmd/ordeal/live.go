package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ordeal/harness"
)

// plainEvery is how often a line is printed where no line can be redrawn.
const plainEvery = 5 * time.Second

// live is the line that lives while a run goes on. On a terminal it is redrawn in place; elsewhere, or
// with NO_COLOR, a plain line is printed now and then. Everything else that goes to the same place
// must be written through it.
type live struct {
	mu     sync.Mutex
	out    io.Writer
	redraw bool
	drawn  bool
	phase  string
	last   time.Time
}

func newLive(out io.Writer) *live {
	return &live{out: out, redraw: isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// columns is the width of a terminal, or 0 where nobody knows.
func columns(out io.Writer) int {
	file, ok := out.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// cut shortens a line to a terminal's width: a line that wraps could not be redrawn in place.
func cut(line string, columns int) string {
	letters := []rune(line)
	if columns == 0 || len(letters) <= columns {
		return line
	}
	return string(letters[:columns-1]) + "…"
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// show draws the progress.
func (l *live) show(p harness.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := describe(p)
	if l.redraw {
		fmt.Fprint(l.out, "\r\x1b[K"+cut(line, columns(l.out))) // the width may change
		l.drawn = true
		return
	}
	if p.Phase == l.phase && p.Detail == "" && time.Since(l.last) < plainEvery {
		return
	}
	l.phase, l.last = p.Phase, time.Now()
	fmt.Fprintln(l.out, line)
}

// Write prints text of others above the line.
func (l *live) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	return l.out.Write(text)
}

// end removes the line.
func (l *live) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
}

func (l *live) clear() {
	if l.drawn {
		fmt.Fprint(l.out, "\r\x1b[K")
		l.drawn = false
	}
}

// describe is one line: the phase, and in the load how far it is, what came back, who leads, and
// which faults are on.
func describe(p harness.Progress) string {
	if p.Phase != harness.PhaseLoad {
		return strings.TrimSpace(p.Phase + " " + p.Detail)
	}
	parts := []string{fmt.Sprintf("%s %2.0fs of %.0fs", p.Phase, p.Elapsed.Seconds(), p.Planned.Seconds()),
		fmt.Sprintf("%d ok, %d failed, %d unknown", p.OK, p.Failed, p.Unknown),
		fmt.Sprintf("%d of %d serve", p.Serving, p.Members)}
	if p.Leader != 0 {
		parts = append(parts, fmt.Sprintf("member %d leads epoch %d", p.Leader, p.Epoch))
	} else {
		parts = append(parts, "no leader")
	}
	for _, fault := range p.Active {
		parts = append(parts, "! "+fault.String())
	}
	return strings.Join(parts, " · ")
}
