package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// interruptibleProgram is the variable with which this test binary is the program interruptible.
const interruptibleProgram = "ORDEAL_TEST_INTERRUPTIBLE"

// The scripts run this test binary as the program "ordeal".
func TestMain(m *testing.M) {
	if os.Getenv(interruptibleProgram) != "" {
		interruptible()
	}
	testscript.Main(leakless{m}, map[string]func(){"ordeal": main})
}

// leakless are tests that must not leave a goroutine behind.
type leakless struct{ testscript.TestingM }

// Run runs the tests. What it returns is the exit code.
func (l leakless) Run() int {
	code := l.TestingM.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScripts runs what needs no members: a line of a script is a line that a user could type.
func TestScripts(t *testing.T) {
	testscript.Run(t, parameters("testdata/script"))
}

func parameters(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			// Scripts see the machine as the user does, save for their own folder.
			for _, name := range []string{"PATH", "HOME", "DOCKER_HOST", "TMPDIR"} {
				if value, set := os.LookupEnv(name); set && name != "TMPDIR" {
					env.Setenv(name, value)
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "await": await},
	}
}

// repeats is the line that every exit but 0 must print: a command that shows or repeats it.
var repeats = regexp.MustCompile(`(?m)^(repeat it: \S+ .+|\S+ --help shows what is possible)$`)

// exits runs a program and wants its exit code, and of every code but 0 one command that shows or repeats
// it: "exits 64 ordeal run --members 0".
func exits(script *testscript.TestScript, negated bool, arguments []string) {
	if negated || len(arguments) < 2 {
		script.Fatalf("usage: exits CODE PROGRAM [ARGUMENT...]")
	}
	err := script.Exec(arguments[1], arguments[2:]...)
	code := 0
	if err != nil {
		var exit interface{ ExitCode() int }
		if !asExit(err, &exit) {
			script.Fatalf("%s: %v", strings.Join(arguments[1:], " "), err)
		}
		code = exit.ExitCode()
	}
	if want := arguments[0]; fmt.Sprint(code) != want {
		script.Fatalf("%s: exit code %d, want %s", strings.Join(arguments[1:], " "), code, want)
	}
	if said := repeats.FindAllString(script.ReadFile("stderr"), -1); code != 0 && len(said) != 1 {
		script.Fatalf("%s: want one command that shows or repeats it, got %q", strings.Join(arguments[1:], " "), said)
	}
}

// awaitLimit ends a script that would wait for ever; awaitEvery is how often await looks.
const (
	awaitLimit = 2 * time.Minute
	awaitEvery = 50 * time.Millisecond
)

// await waits until a file that a program in the background writes has a line that matches. The
// file may be still to come: "await 'load ' err".
func await(script *testscript.TestScript, negated bool, arguments []string) {
	if negated || len(arguments) != 2 {
		script.Fatalf("usage: await PATTERN FILE")
	}
	wanted, err := regexp.Compile("(?m)" + arguments[0])
	script.Check(err)
	path, limit := script.MkAbs(arguments[1]), time.After(awaitLimit)
	again := time.NewTicker(awaitEvery)
	defer again.Stop()
	for {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			script.Check(err)
		}
		if wanted.Match(text) {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			script.Fatalf("no line of %s matches %q after %v; it says: %s", arguments[1], wanted, awaitLimit, text)
		}
	}
}

func asExit(err error, exit *interface{ ExitCode() int }) bool {
	found, ok := err.(interface{ ExitCode() int })
	if ok {
		*exit = found
	}
	return ok
}

// TestEveryCommandHasAnExample: also those that only hold others, and those that the library brings.
func TestEveryCommandHasAnExample(t *testing.T) {
	var look func(command *cobra.Command)
	look = func(command *cobra.Command) {
		if !command.Hidden {
			require.NotEmpty(t, command.Example, command.CommandPath())
		}
		for _, below := range command.Commands() {
			if !command.Hidden {
				look(below)
			}
		}
	}
	look(newRoot())
}
