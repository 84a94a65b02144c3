package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ordeal/harness"
	"ordeal/harness/ensemble"
	"ordeal/results"
	"ordeal/results/judgement"
)

// runFlags are the flags of "ordeal run" that are not a plan's fields as they stand.
type runFlags struct {
	implementations []string
	rate            string
	json            bool
	verbose         bool
}

func newRun() *cobra.Command {
	var plan harness.Plan
	var flags runFlags
	command := &cobra.Command{
		Use:   "run",
		Short: "Run an ensemble under load and faults, and judge what its clients saw",
		Long: `Run an ensemble under load and faults, and judge what its clients saw. The run is stored in a folder
with its history, verdict, report, logs and data directories. Results go to stdout, progress and logs
to stderr. Ctrl-C once ends the load early, heals, and judges what there is; twice cleans up at once; a
third time ends the program as it stands, and leaves the rest to ordeal clean.`,
		Example: `  ordeal run
  ordeal run --implementation apache --driver process --nemesis kill-leader,partition-leader
  ordeal run --workload lock,queue --duration 2m --rate 100/s --seed 7
  ordeal run --implementation image:zookeeper:3.9 --driver container --json
  ordeal run --defect ack-before-fsync`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := refuseZeros(command); err != nil {
				return err
			}
			if err := flags.into(&plan); err != nil {
				return err
			}
			return runPlan(command, plan, flags)
		},
	}
	f := command.Flags()
	f.StringSliceVar(&flags.implementations, "implementation", []string{string(ensemble.Node)}, "what the members run: node, apache or image:REF; one for all, or one for each member")
	f.IntVar(&plan.Members, "members", 0, fmt.Sprintf("number of members, observers included (default %d)", harness.DefaultMembers))
	f.IntVar(&plan.Observers, "observers", 0, "how many of the members observe")
	f.StringVar(&plan.Driver, "driver", harness.DriverAuto, "how members are run: auto, container, process, or sim for virtual time")
	f.StringSliceVar(&plan.Workloads, "workload", nil, "what clients do (default: all workloads)")
	f.StringSliceVar(&plan.Nemeses, "nemesis", nil, "what is done to the ensemble; several take turns (default mixed)")
	f.DurationVar(&plan.Duration, "duration", harness.DefaultDuration, "length of the load")
	f.IntVar(&plan.Clients, "clients", 0, "number of concurrent clients (default: three for each workload)")
	f.StringVar(&flags.rate, "rate", fmt.Sprintf("%g/s", harness.DefaultRate), "operations a second, all clients together")
	f.BoolVar(&plan.Hush, "hush", false, "let the load fall silent while faults are on: what a recovery did wrong is not hidden by the next write")
	f.Uint64Var(&plan.Seed, "seed", 0, "seed of all choices (default: drawn, and printed)")
	f.StringVar(&plan.Out, "out", harness.DefaultOut, "folder for stored runs")
	f.StringVar(&plan.Name, "name", "", "name of the run's folder in it (default: what is run, and what is done to it)")
	f.StringVar(&plan.Defect, "defect", "", "bug to plant in our node (see ordeal defects); brings its own workload and nemesis")
	f.DurationVar(&plan.CheckTime, "check-time", harness.DefaultCheckTime, checkTimeUsage)
	f.Int64Var(&plan.CheckMemory, "check-memory", harness.DefaultCheckMemory, checkMemoryUsage)
	addStrictFlags(command, &plan.StrictSync, &plan.StrictDisk)
	f.DurationVar(&plan.TickTime, "tick-time", harness.DefaultTickTime, "ZooKeeper's tickTime")
	f.IntVar(&plan.InitLimit, "init-limit", harness.DefaultInitLimit, "ZooKeeper's initLimit, in ticks")
	f.IntVar(&plan.SyncLimit, "sync-limit", harness.DefaultSyncLimit, "ZooKeeper's syncLimit, in ticks")
	f.StringToStringVar(&plan.Properties, "property", nil, "line for every member's zoo.cfg: name=value")
	f.BoolVar(&flags.json, "json", false, "print the verdict document alone on stdout")
	f.BoolVarP(&flags.verbose, "verbose", "v", false, "log what the harness does")
	complete(command)
	return command
}

// refuseZeros refuses a zero that was typed: a plan takes it for the default.
func refuseZeros(command *cobra.Command) error {
	for _, name := range []string{"members", "duration", "clients", "tick-time", "init-limit", "sync-limit", "check-time", "check-memory"} {
		flag := command.Flags().Lookup(name)
		if flag == nil || !flag.Changed {
			continue
		}
		if value := flag.Value.String(); value == "0" || value == "0s" {
			return exit{exitUsage, fmt.Sprintf("--%s %s: it must be more than 0; leave it out for the default", name, value)}
		}
	}
	return nil
}

// What the flags of both run and check are for.
const (
	checkTimeUsage   = "budget of the linearizability search; past it the answer is unknown"
	checkMemoryUsage = "what all checkers together may keep, in bytes; one that needs more gives up, and the answer is unknown"
)

// addStrictFlags adds the flags by which run and check judge more strictly.
func addStrictFlags(command *cobra.Command, strictSync, strictDisk *bool) {
	f := command.Flags()
	f.BoolVar(strictSync, "strict-sync", false, "judge a stale read after sync as a violation for Apache ZooKeeper too (ZOOKEEPER-1675)")
	f.BoolVar(strictDisk, "strict-disk", false, "judge a member's faulty log as a violation for Apache ZooKeeper too (ZOOKEEPER-4712)")
}

// into moves what needs parsing into the plan.
func (flags runFlags) into(plan *harness.Plan) error {
	for _, word := range flags.implementations {
		plan.Implementations = append(plan.Implementations, ensemble.Implementation(word))
	}
	number, found := strings.CutSuffix(flags.rate, "/s")
	rate, err := strconv.ParseFloat(number, 64)
	if err != nil || !found || rate == 0 {
		return exit{exitUsage, fmt.Sprintf("--rate %q: want a number of operations a second, for instance 400/s", flags.rate)}
	}
	plan.Rate = rate
	return nil
}

// runPlan does the run and prints what came of it.
func runPlan(command *cobra.Command, plan harness.Plan, flags runFlags) error {
	level := slog.LevelWarn
	if flags.verbose {
		level = slog.LevelDebug
	}
	errorOutput := command.ErrOrStderr()
	live := newLive(errorOutput)
	plan.Log = slog.New(slog.NewTextHandler(live, &slog.HandlerOptions{Level: level}))
	plan.Progress = live.show
	plan.Program = program()
	ctx, interrupt, stop := interrupts(command.Context(), live, "interrupted: healing, collecting and judging what there is (again to clean up at once)")
	defer stop()
	plan.Interrupt = interrupt
	verdict, err := harness.Run(ctx, plan)
	live.end()
	if err != nil {
		return withoutVerdict(command, err, flags.json)
	}
	return printVerdict(command.OutOrStdout(), errorOutput, verdict, lookUp(verdict), flags.json)
}

// withoutVerdict is the error of a command that came to no verdict. Who wants a document gets one that says
// so, unless the command made no sense.
func withoutVerdict(command *cobra.Command, err error, asJSON bool) error {
	if !asJSON || errors.As(err, new(harness.UsageError)) {
		return err
	}
	return errors.Join(err, printDocument(command.OutOrStdout(), &results.Verdict{
		Verdict: results.Failed, Reason: err.Error(), Rerun: harness.Command(append([]string{program()}, os.Args[1:]...)...),
		FaultsSkipped: []results.Skipped{}, Checkers: []judgement.Result{},
	}))
}

// printDocument prints the verdict document.
func printDocument(out io.Writer, verdict *results.Verdict) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(verdict)
}

// lookUp is where the verdict on a run that has just ended is found in full: in its report, if that could be
// written.
func lookUp(verdict *results.Verdict) place {
	report := filepath.Join(verdict.Results, results.ReportFile)
	if _, err := os.Stat(report); err != nil {
		return place{"results", verdict.Results + " (its report could not be written)", "what check --json prints"}
	}
	return place{"report", report, "the report"}
}

// printVerdict prints the verdict document, or its words for people, and returns the exit code as an
// error.
func printVerdict(out, errorOutput io.Writer, verdict *results.Verdict, where place, asJSON bool) error {
	if asJSON {
		if err := printDocument(out, verdict); err != nil {
			return err
		}
	} else if err := summary(out, verdict, where); err != nil {
		return err
	}
	code := verdict.Exit()
	if code == exitValid {
		return nil
	}
	fmt.Fprintln(errorOutput, "repeat it: "+verdict.Rerun)
	return exit{code: code}
}
