package harness

import (
	"encoding/csv"
	"fmt"
	"regexp"
	"strings"

	"ordeal/harness/ensemble"
)

// ProgramDefault is how the program is called in commands that repeat something, where nobody says.
const ProgramDefault = "ordeal"

// plainWord is a word that a shell leaves as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// Command joins words into a line from which a POSIX shell makes the same words again.
func Command(words ...string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		if !plainWord.MatchString(word) {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		quoted[i] = word
	}
	return strings.Join(quoted, " ")
}

// rerun is a command that repeats the run, as far as real time lets it.
func (p Plan) rerun() string {
	words := []string{p.Program, "run", "--implementation", p.implementation(), "--members", fmt.Sprint(p.Members)}
	flag := func(wanted bool, name string, value ...any) {
		if wanted {
			words = append(words, name)
			for _, v := range value {
				words = append(words, fmt.Sprint(v))
			}
		}
	}
	flag(p.Observers > 0, "--observers", p.Observers)
	words = append(words, "--driver", p.Driver, "--workload", strings.Join(p.Workloads, ","),
		"--nemesis", strings.Join(p.Nemeses, ","), "--duration", p.Duration.String(),
		"--clients", fmt.Sprint(p.Clients), "--rate", fmt.Sprintf("%g/s", p.Rate), "--seed", fmt.Sprint(p.Seed))
	flag(p.Defect != "", "--defect", p.Defect)
	flag(p.Hush, "--hush")
	flag(p.TickTime != DefaultTickTime, "--tick-time", p.TickTime)
	flag(p.InitLimit != DefaultInitLimit, "--init-limit", p.InitLimit)
	flag(p.SyncLimit != DefaultSyncLimit, "--sync-limit", p.SyncLimit)
	for _, name := range ensemble.SortedNames(p.Properties) {
		words = append(words, "--property", property(name, p.Properties[name]))
	}
	words = append(words, judging(p.StrictSync, p.StrictDisk)...)
	flag(p.CheckTime != DefaultCheckTime, "--check-time", p.CheckTime)
	flag(p.CheckMemory != DefaultCheckMemory, "--check-memory", p.CheckMemory)
	flag(p.Out != DefaultOut, "--out", p.Out)
	flag(p.Name != p.defaultName(), "--name", p.Name)
	return Command(words...)
}

// again is a command that judges a stored run in the same way.
func (o CheckOptions) again(dir string) string {
	program := o.Program
	setDefault(&program, ProgramDefault)
	words := append([]string{program, "check", dir}, judging(o.StrictSync, o.StrictDisk)...)
	if o.Time > 0 {
		words = append(words, "--check-time", o.Time.String())
	}
	if o.MemoryBytes > 0 {
		words = append(words, "--check-memory", fmt.Sprint(o.MemoryBytes))
	}
	return Command(words...)
}

// judging are the flags that make checkers stricter.
func judging(strictSync, strictDisk bool) []string {
	var words []string
	if strictSync {
		words = append(words, "--strict-sync")
	}
	if strictDisk {
		words = append(words, "--strict-disk")
	}
	return words
}

// property is name=value as the flag takes it: with a second "=" it is read as a list in CSV, so that
// its commas must be quoted.
func property(name, value string) string {
	text := name + "=" + value
	if !strings.Contains(value, "=") {
		return text
	}
	var quoted strings.Builder
	writer := csv.NewWriter(&quoted)
	// A Builder takes everything.
	if err := writer.Write([]string{text}); err != nil {
		panic(fmt.Sprintf("harness: expected to quote the property %q, found: %v", text, err))
	}
	writer.Flush()
	return strings.TrimSuffix(quoted.String(), "\n")
}
