package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	lastLines    = 20  // how many lines of a log tell how a process ended
	maxAlarms    = 10  // reported from one process
	maxLineBytes = 512 // taken of each line
)

// readLog looks through what a process wrote: for a panic, a fatal error or a data race of Go's
// runtime, and for its last lines.
func readLog(path string, from int64) (alarms []string, last string, err error) {
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
