package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// identity names a process beyond doubt: a pid may be used again, but not with the same start time
// since the same boot.
type identity struct {
	PID int `json:"pid"`
	// Start is the start time in clock ticks since boot, as /proc/<pid>/stat has it.
	Start uint64 `json:"start"`
}

// runRecord is what a run file holds.
type runRecord struct {
	Run     string     `json:"run"`
	Boot    string     `json:"boot"`
	Owner   identity   `json:"owner"`
	Members []identity `json:"members"`
}

// A runFile lists the processes of a running ensemble on disk, for Clean.
type runFile struct {
	path  string
	mutex sync.Mutex
	// record is what stands in the file.
	record runRecord
}

// runDir is where run files are; a directory for each user, so that nobody meets another's files.
func runDir() string { return filepath.Join(os.TempDir(), fmt.Sprintf("ordeal-%d", os.Getuid())) }

// newRunFile makes the file. Several ensembles of one process may have the same run name.
func newRunFile(run string) (*runFile, error) {
	if err := os.MkdirAll(runDir(), 0o700); err != nil {
		return nil, fmt.Errorf("directory of run files: %w", err)
	}
	owner, err := identify(os.Getpid())
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(runDir(), "run-*.json")
	if err != nil {
		return nil, fmt.Errorf("run file: %w", err)
	}
	f := &runFile{path: file.Name(), record: runRecord{Run: run, Boot: bootID(), Owner: owner}}
	return f, errors.Join(file.Close(), f.write())
}

// add lists one more process.
func (f *runFile) add(pid int) error {
	member, err := identify(pid)
	if err != nil {
		return err
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.record.Members = append(f.record.Members, member)
	return f.write()
}

// drop forgets a process that has ended.
func (f *runFile) drop(pid int) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	members := f.record.Members[:0]
	for _, member := range f.record.Members {
		if member.PID != pid {
			members = append(members, member)
		}
	}
	f.record.Members = members
	return f.write()
}

// write replaces the file in one step, so that a kill at any moment leaves a whole one.
func (f *runFile) write() error {
	text, err := json.Marshal(f.record)
	if err != nil {
		return fmt.Errorf("run file %s: %w", f.path, err)
	}
	next := f.path + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("run file: %w", err)
	}
	return os.Rename(next, f.path)
}

func (f *runFile) remove() error { return os.Remove(f.path) }

// Clean ends the processes that killed runs left behind, and only those: processes whose pid and
// start time stand in the file of a run the ordeal process of which is gone. It returns a line for
// each thing done.
func Clean(ctx context.Context) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(runDir(), "run-*.json*"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files)
	var lines []string
	var failures []error
	for _, path := range files {
		done, err := cleanRun(ctx, path)
		lines = append(lines, done...)
		if err != nil {
			failures = append(failures, fmt.Errorf("clean %s: %w", path, err))
		}
	}
	return lines, errors.Join(failures...)
}

func cleanRun(ctx context.Context, path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // its run has ended meanwhile
	}
	if err != nil {
		return nil, err
	}
	if len(text) == 0 || strings.HasSuffix(path, ".next") {
		return nil, removeStale(path)
	}
	var record runRecord
	if err := json.Unmarshal(text, &record); err != nil {
		return nil, fmt.Errorf("not a run file: %w", err)
	}
	sameBoot := record.Boot == bootID()
	if sameBoot && record.Owner.alive() {
		return nil, nil
	}
	var lines []string
	for _, member := range record.Members {
		if !sameBoot || !member.alive() {
			continue
		}
		if err := unix.Kill(-member.PID, unix.SIGKILL); err != nil {
			return lines, fmt.Errorf("kill process group %d: %w", member.PID, err)
		}
		if err := gone(ctx, member); err != nil {
			return lines, err
		}
		lines = append(lines, fmt.Sprintf("killed process %d of run %s", member.PID, record.Run))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return lines, err
	}
	return append(lines, fmt.Sprintf("removed the run file of run %s", record.Run)), nil
}

// staleAfter is when an empty or half-written run file can't belong to a run that is just starting.
const staleAfter = time.Minute

func removeStale(path string) error {
	info, err := os.Stat(path)
	if err != nil || time.Since(info.ModTime()) < staleAfter {
		return nil
	}
	return os.Remove(path)
}

// gonePoll is how often a killed process that is not our child is looked for.
const gonePoll = 5 * time.Millisecond

func gone(ctx context.Context, process identity) error {
	for process.alive() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d does not end: %w", process.PID, ctx.Err())
		case <-time.After(gonePoll):
		}
	}
	return nil
}

// identify reads the start time of a process.
func identify(pid int) (identity, error) {
	state, start, err := stat(pid)
	if err == nil && state == "Z" {
		err = os.ErrProcessDone
	}
	return identity{PID: pid, Start: start}, err
}

// alive tells whether this very process still runs.
func (i identity) alive() bool {
	now, err := identify(i.PID)
	return err == nil && now == i
}

// stat reads the state and start time from /proc/<pid>/stat: fields 3 and 22. The second field, the
// program's name in brackets, may itself hold spaces and brackets.
func stat(pid int) (state string, start uint64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const first, startField = 3, 22
	if len(fields) <= startField-first {
		return "", 0, fmt.Errorf("/proc/%d/stat has %d fields after the name, expected more than %d", pid, len(fields), startField-first)
	}
	start, err = strconv.ParseUint(fields[startField-first], 10, 64)
	return fields[0], start, err
}

func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
