// Command ordeal puts ZooKeeper-style ensembles through faults and proves, from what their clients
// saw, whether they kept their promises. This package reads flags, wires the others together and
// prints what they say. It must not know how a run is done or judged: what a flag means is decided
// where it is carried out.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"ordeal/harness"
)

// Exit codes (design.md, Verdicts).
const (
	exitValid     = 0
	exitViolation = 1
	exitUnknown   = 2
	exitFailed    = 3
	exitUsage     = 64
)

// exit is an error that ends the program with a code of its own. If message is empty, what had to be
// said has been said, and a command that repeats it printed.
type exit struct {
	code    int
	message string
}

func (e exit) Error() string { return e.message }

func main() { os.Exit(run(os.Args[1:])) }

// run is the whole program. It returns the exit code.
func run(arguments []string) int {
	command := newRoot()
	command.SetArgs(arguments)
	return report(command.ExecuteContext(context.Background()), arguments)
}

// program is how this program was called.
func program() string { return os.Args[0] }

// again prints a command of this program that repeats or shows what ended badly.
func again(out io.Writer, arguments ...string) {
	fmt.Fprintln(out, "repeat it: "+harness.Command(append([]string{program()}, arguments...)...))
}

// report prints an error of the command with these arguments, with a command that shows or repeats it,
// and turns it into an exit code.
func report(err error, arguments []string) int {
	if err == nil {
		return exitValid
	}
	code := exitFailed
	var ended exit
	var wrong harness.UsageError
	switch {
	case errors.As(err, &ended):
		code = ended.code
	case errors.As(err, &wrong):
		code = exitUsage
	}
	message := err.Error()
	switch {
	case message == "":
		return code // all has been said
	case code == exitUsage:
		fmt.Fprintf(os.Stderr, "ordeal: %s\n%s shows what is possible\n", message, harness.Command(program(), "--help"))
	default:
		fmt.Fprintln(os.Stderr, "ordeal: "+message)
		again(os.Stderr, arguments...)
	}
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "ordeal",
		Short: "Put ZooKeeper-style ensembles through faults, and prove whether they kept their promises",
		Long: `Ordeal launches an ensemble of its own ZooKeeper-compatible server, of Apache ZooKeeper, or of any
image; drives concurrent clients while nemeses kill leaders and cut links; heals; and judges the
recorded history: linearizability, session order, watches, ephemerals, durability, convergence.

Exit codes: 0 valid · 1 violation · 2 unknown · 3 the run failed or did too little · 64 usage.`,
		Example: `  ordeal run                                   # three members, all workloads, the mixed nemesis
  ordeal run --implementation apache --nemesis kill-leader
  ordeal run --defect skip-trunc               # plant a bug: does the toolkit find it?
  ordeal check results/runs/latest             # judge a stored run again`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return exit{exitUsage, fmt.Sprintf("%s: %v", command.CommandPath(), err)}
	})
	root.AddCommand(newRun(), newCheck(), newNode(), newDoctor(), newClean(), newImage(), newPower(), newBench(),
		newDefects(), newWorkloads(), newNemeses(), newAgent(),
		newSearch(), newMerge(), newReplay(), newRepro())
	addCompletion(root)
	asUsage(root)
	return root
}

// asUsage makes wrong arguments of a command, and of those below it, usage errors.
func asUsage(command *cobra.Command) {
	if check := command.Args; check != nil {
		command.Args = func(command *cobra.Command, arguments []string) error {
			if err := check(command, arguments); err != nil {
				return exit{exitUsage, fmt.Sprintf("%s: %v", command.CommandPath(), err)}
			}
			return nil
		}
	}
	for _, below := range command.Commands() {
		asUsage(below)
	}
}
