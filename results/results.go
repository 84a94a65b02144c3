// Package results keeps what a run leaves behind: a folder that explains itself, with the run's
// options, its history, its verdict for programs (verdict.json, junit.xml) and for people
// (report.html), and what the members left.
//
// A stored run can be opened, judged and reported again. The package knows neither drivers nor how a
// run is made; it reads histories as a stream, so that reports of long runs need little memory.
package results

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ordeal/results/history"
)

// The files of a stored run.
const (
	RunFile     = "run.json"
	HistoryFile = "history.jsonl.zst"
	VerdictFile = "verdict.json"
	JUnitFile   = "junit.xml"
	ReportFile  = "report.html"
	MembersDir  = "members"
	// PicturesDir has what checkers draw, for instance Porcupine's view of an offending partition.
	PicturesDir = "pictures"
	// Latest is a link to the newest run, beside the runs of one name and beside the names.
	Latest = "latest"
)

// Run is how a run was made: every option as it was resolved, and what was found on the machine.
type Run struct {
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
	// Command repeats the run.
	Command string `json:"command,omitempty"`

	Driver          string            `json:"driver"`
	DriverReason    string            `json:"driver_reason,omitempty"` // why this driver was taken
	Implementations []string          `json:"implementations"`         // one for each member
	Members         int               `json:"members"`
	Observers       int               `json:"observers"`
	Workloads       []string          `json:"workloads"`
	Nemeses         []string          `json:"nemeses"`
	DurationSeconds float64           `json:"duration_s"` // of the load
	Clients         int               `json:"clients"`
	Rate            float64           `json:"rate"` // operations a second of all clients
	Hush            bool              `json:"hush"` // whether the load falls silent while faults are on
	Seed            uint64            `json:"seed"`
	Defect          string            `json:"defect,omitempty"`
	TickTimeMillis  int64             `json:"tick_time_ms"`
	InitLimit       int               `json:"init_limit"` // in ticks
	SyncLimit       int               `json:"sync_limit"` // in ticks
	SessionMillis   int64             `json:"session_timeout_ms"`
	Properties      map[string]string `json:"properties,omitempty"`

	StrictSync       bool    `json:"strict_sync"`
	KnownWeakSync    bool    `json:"known_weak_sync"`
	StrictDisk       bool    `json:"strict_disk"`
	KnownWeakDisk    bool    `json:"known_weak_disk"`
	CheckSeconds     float64 `json:"check_time_s"`
	CheckMemoryBytes int64   `json:"check_memory_bytes"`

	// Versions names what ran: implementation versions, image digests, engine, kernel.
	Versions map[string]string `json:"versions,omitempty"`
	// Skipped are the faults that this driver could not give, and why.
	Skipped []Skipped `json:"faults_skipped,omitempty"`
}

// Skipped is a fault that was left out.
type Skipped struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Folder is one stored run.
type Folder struct {
	Dir string
}

// nameForm keeps names of runs apart from paths.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

// nameMax is the length of a run's name that Name makes, in bytes: folders and what drivers leave on a
// machine are called so, with more added.
const nameMax = 120

// Name makes a name of a run out of any text. What a name can't have becomes '_'; what is too long is cut,
// and a hash of it keeps it apart from others with the same beginning.
func Name(text string) string {
	name := strings.Map(func(r rune) rune {
		if !nameForm.MatchString("x" + string(r)) {
			return '_'
		}
		return r
	}, text)
	if len(name) > nameMax {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(text)) // which never fails
		tail := fmt.Sprintf("-%08x", hash.Sum32())
		name = name[:nameMax-len(tail)] + tail
	}
	if !nameForm.MatchString(name) || name == Latest {
		name = "run-" + name
	}
	return name
}

// CheckName refuses a name that no run's folder can have.
func CheckName(name string) error {
	if !nameForm.MatchString(name) || name == Latest {
		return fmt.Errorf("a run cannot be named %q: use letters, digits, '.', '_', '+' and '-', and not %q", name, Latest)
	}
	return nil
}

// Create makes root/name/time/, the time being when the run started, with its members' folder, and
// points the links named latest at it. Two runs of one name that start in the same second get folders
// of their own.
func Create(root, name string, started time.Time) (*Folder, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	parent := filepath.Join(root, name)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("make the results folder: %w", err)
	}
	dir, err := makeNew(filepath.Join(parent, started.UTC().Format("20060102T150405Z")))
	if err != nil {
		return nil, fmt.Errorf("make the results folder: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("find the results folder: %w", err)
	}
	if err := os.Mkdir(filepath.Join(dir, MembersDir), 0o755); err != nil {
		return nil, fmt.Errorf("make the members' folder: %w", err)
	}
	time := filepath.Base(dir)
	if err := errors.Join(link(filepath.Join(parent, Latest), time), link(filepath.Join(root, Latest), filepath.Join(name, time))); err != nil {
		return nil, fmt.Errorf("point %q at the new run: %w", Latest, err)
	}
	return &Folder{Dir: dir}, nil
}

// makeNew makes a folder of this name, or the first free one of name-2, name-3, …
func makeNew(name string) (string, error) {
	const most = 1000
	dir := name
	for i := 2; i < most; i++ {
		err := os.Mkdir(dir, 0o755)
		if !errors.Is(err, fs.ErrExist) {
			return dir, err
		}
		dir = name + "-" + strconv.Itoa(i)
	}
	return "", fmt.Errorf("%s and %d more exist already", name, most)
}

// link points a symbolic link at target, in one step, so that it is never missing.
func link(name, target string) error {
	temporary := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}

// Open opens a stored run; dir may be a link such as latest.
func Open(dir string) (*Folder, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("open the stored run: %w", err)
	}
	if _, err := os.Stat(filepath.Join(real, HistoryFile)); err != nil {
		return nil, fmt.Errorf("%s is no stored run: it has no %s (%w)", dir, HistoryFile, err)
	}
	if real, err = filepath.Abs(real); err != nil {
		return nil, fmt.Errorf("open the stored run: %w", err)
	}
	return &Folder{Dir: real}, nil
}

// Path is the place of one of the run's files.
func (f *Folder) Path(name string) string { return filepath.Join(f.Dir, name) }

// Pictures makes the folder for what checkers draw, and returns it.
func (f *Folder) Pictures() (string, error) {
	dir := f.Path(PicturesDir)
	return dir, os.MkdirAll(dir, 0o755)
}

// History opens the recorded history.
func (f *Folder) History() (*history.File, error) { return history.Open(f.Path(HistoryFile)) }

// SaveRun writes run.json.
func (f *Folder) SaveRun(run Run) error { return f.saveJSON(RunFile, run) }

// Run reads run.json.
func (f *Folder) Run() (Run, error) {
	var run Run
	return run, f.loadJSON(RunFile, &run)
}

// SaveVerdict writes verdict.json.
func (f *Folder) SaveVerdict(verdict Verdict) error { return f.saveJSON(VerdictFile, verdict) }

// Verdict reads verdict.json.
func (f *Folder) Verdict() (Verdict, error) {
	var verdict Verdict
	return verdict, f.loadJSON(VerdictFile, &verdict)
}

// Save writes everything that follows from a run and its verdict: run.json, verdict.json, junit.xml and
// report.html, for which it reads the history. It writes what it can, and returns all errors.
func (f *Folder) Save(run Run, verdict Verdict) error {
	return errors.Join(f.SaveRun(run), f.SaveVerdict(verdict), f.SaveReports(run, verdict))
}

// SaveReports writes junit.xml and report.html.
func (f *Folder) SaveReports(run Run, verdict Verdict) error {
	junit, err := JUnit(run, verdict)
	if err == nil {
		err = f.write(JUnitFile, junit)
	}
	log, openErr := f.History()
	if openErr != nil {
		return errors.Join(err, openErr)
	}
	report, reportErr := Report(run, verdict, log)
	if reportErr == nil {
		reportErr = f.write(ReportFile, report)
	}
	return errors.Join(err, reportErr)
}

func (f *Folder) saveJSON(name string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return f.write(name, append(data, '\n'))
}

func (f *Folder) loadJSON(name string, value any) error {
	data, err := os.ReadFile(f.Path(name))
	if err != nil {
		return fmt.Errorf("read the stored run: %w", err)
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("read %s: %w", f.Path(name), err)
	}
	return nil
}

// write replaces a file in one step: a full disk leaves the old one.
func (f *Folder) write(name string, data []byte) error {
	temporary := f.Path("." + name)
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(temporary))
	}
	return os.Rename(temporary, f.Path(name))
}
