package ensemble

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"ordeal/results/history"
)

// End is how one process of a member ended, from start to exit.
type End struct {
	Member         int
	Implementation Implementation
	How            string // "exit status 2", "signal: killed"
	// Asked says that a fault or the harness ended it. What ends unasked has crashed.
	Asked bool
	// Log is the file that holds what it printed, from the byte LogFrom on.
	Log     string
	LogFrom int64
}

// Events are what there is to tell of the end: each panic, fatal error or data race that Go's runtime
// wrote into the log, though the process was asked to end or went on after it, and then the end itself.
// The error says that the log could not be read; there are events all the same.
func (e End) Events() ([]history.Event, error) {
	alarms, last, err := ReadLog(e.Log, e.LogFrom)
	if e.Implementation == Apache {
		alarms = nil // the words are those of Go's runtime
	}
	var events []history.Event
	tell := func(state history.State, text string) {
		events = append(events, history.Event{Kind: history.Member, Member: e.Member, State: state, Text: text})
	}
	for _, alarm := range alarms {
		tell(history.Crashed, "its log has: "+alarm)
	}
	if e.Asked {
		tell(history.Exited, e.How)
	} else {
		tell(history.Crashed, fmt.Sprintf("ended by itself (%s); its last log lines:\n%s", e.How, last))
	}
	return events, err
}

const (
	lastLines    = 20  // how many lines of a log tell how a process ended
	maxAlarms    = 10  // reported from one process
	maxLineBytes = 512 // taken of each line
)

// ReadLog looks through what a process wrote: for a panic, a fatal error or a data race of Go's
// runtime, and for its last lines.
func ReadLog(path string, from int64) (alarms []string, last string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, "", fmt.Errorf("log: %w", err)
	}
	defer file.Close()
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return nil, "", fmt.Errorf("log %s: %w", path, err)
	}
	reader := bufio.NewReader(file)
	var lines []string
	for {
		line, err := readLine(reader)
		if errors.Is(err, io.EOF) && line == "" {
			return alarms, strings.Join(lines, "\n"), nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return alarms, strings.Join(lines, "\n"), fmt.Errorf("log %s: %w", path, err)
		}
		if isAlarm(line) && len(alarms) < maxAlarms {
			alarms = append(alarms, line)
		}
		lines = append(lines, line)
		if len(lines) > lastLines {
			lines = lines[1:]
		}
	}
}

// readLine reads a line of any length and returns its beginning.
func readLine(reader *bufio.Reader) (string, error) {
	var line strings.Builder
	for {
		part, more, err := reader.ReadLine()
		if room := maxLineBytes - line.Len(); room > 0 {
			line.Write(part[:min(len(part), room)])
		}
		if err != nil || !more {
			if err == nil && line.Len() == 0 {
				return " ", nil // an empty line is not the end
			}
			return line.String(), err
		}
	}
}

func isAlarm(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") ||
		strings.HasPrefix(line, "WARNING: DATA RACE")
}
