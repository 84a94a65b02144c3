package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ordeal/checkers"
	"ordeal/harness/sim"
)

func newReplay() *cobra.Command {
	var options sim.Options
	var strategy, save string
	var until time.Duration
	var quiet bool
	command := &cobra.Command{
		Use:   "replay FILE|SEED",
		Short: "Repeat a simulated run, event by event, and say what happens",
		Long: `Repeat a simulated run from a stored script or from a seed, and print who sent what to whom, what
reached which disk and who leads which epoch, in virtual time. The same events happen again: the hash
over all of them is equal, and a script that names its hash is checked against it. A seed is replayed
with the flags that the search had.`,
		Example: `  ordeal replay results/search/seed-17.sim
  ordeal replay 17 --defect skip-trunc --until 3s`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			if err := checkDraw(&options, strategy); err != nil {
				return err
			}
			return replay(command, arguments[0], options, until, quiet, save)
		},
	}
	f := command.Flags()
	f.DurationVar(&until, "until", 0, "end the transcript at this virtual time")
	f.BoolVarP(&quiet, "quiet", "q", false, "print the report alone")
	f.StringVar(&save, "save", "", "write the run's decisions into this file")
	addDrawFlags(command, &options, &strategy)
	return command
}

func replay(command *cobra.Command, what string, options sim.Options, until time.Duration, quiet bool, save string) error {
	out := bufio.NewWriter(command.OutOrStdout())
	watch := sim.Observation{Until: until}
	if !quiet {
		watch.Trace = transcript(out)
	}
	var script *sim.Script
	var outcome *sim.Outcome
	repeat := []string{"replay", what}
	if seed, err := strconv.ParseUint(what, 10, 64); err == nil {
		config := sim.Draw(seed, options)
		outcome = sim.Run(config, watch)
		script = outcome.Script(config)
		script.Hash = 0 // there is nothing to compare with
		repeat = append(repeat, drawFlags(options)...)
	} else {
		for _, name := range []string{"members", "defect", "workload", "strategy"} {
			if command.Flags().Changed(name) {
				return exit{exitUsage, fmt.Sprintf("--%s is for seeds: the script %s says it all", name, what)}
			}
		}
		if script, err = readScript(what); err != nil {
			return err
		}
		outcome = sim.Replay(script, watch)
	}
	if save != "" {
		saved := outcome.Script(script.Config)
		if until > 0 {
			saved.Hash = 0 // that of the whole run is not known
		}
		if err := os.WriteFile(save, []byte(saved.Format()), 0o644); err != nil {
			return fmt.Errorf("save the decisions: %w", err)
		}
	}
	code := reportOutcome(out, script, outcome, until)
	if err := out.Flush(); err != nil {
		return err
	}
	if code == exitValid {
		return nil
	}
	again(command.ErrOrStderr(), repeat...)
	return exit{code: code}
}

// transcript prints what happens, a line each.
func transcript(out io.Writer) func(time.Duration, string) {
	return func(at time.Duration, line string) { fmt.Fprintf(out, "%14.6fs  %s\n", at.Seconds(), line) }
}

func readScript(name string) (*sim.Script, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read a script (a seed is a number): %w", err)
	}
	script, err := sim.Parse(string(text))
	if err != nil {
		return nil, exit{exitUsage, fmt.Sprintf("%s: %v", name, err)}
	}
	return script, nil
}

// reportOutcome prints what came of a simulated run and returns the exit code.
func reportOutcome(out io.Writer, script *sim.Script, outcome *sim.Outcome, until time.Duration) int {
	c := script.Config
	fmt.Fprintf(out, "\n%d voters, %d observers, workload %s, seed %d, defect %s: %d decisions, %d events in %.3f s of virtual time, hash %016x\n",
		c.Voters, c.Observers, c.Workload, c.Seed, orNone(c.Defect), len(script.Decisions), outcome.Events, outcome.Virtual.Seconds(), outcome.Hash)
	code := exitValid
	switch {
	case outcome.Violation != nil:
		fmt.Fprintf(out, "VIOLATION of %s at %.6fs: %s\n", outcome.Violation.Guarantee, outcome.Violation.At.Seconds(), outcome.Violation.Text)
		if promise := sim.Promise(outcome.Violation.Guarantee); promise != "" {
			fmt.Fprintf(out, "  promised: %s\n", promise)
		}
		code = exitViolation
	case until > 0:
		fmt.Fprintf(out, "ended at %v, as asked\n", until)
	case outcome.Unknown != "":
		fmt.Fprintf(out, "UNKNOWN: %s\n", outcome.Unknown)
		code = exitUnknown
	default:
		fmt.Fprintln(out, "VALID: every promise held")
	}
	for _, r := range outcome.Results {
		if r.Verdict == checkers.Skipped {
			continue
		}
		fmt.Fprintf(out, "  %s %s (%d judged)\n", marks[r.Verdict], r.Name, r.Judged)
	}
	if script.Hash != 0 && script.Hash != outcome.Hash && until == 0 {
		fmt.Fprintf(out, "the script was written with hash %016x: the node or the simulator has changed since\n", script.Hash)
	}
	return code
}

func orNone(word string) string {
	if word == "" {
		return "none"
	}
	return word
}
