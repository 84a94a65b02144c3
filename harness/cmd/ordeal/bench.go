package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"ordeal/harness/bench"
	"ordeal/harness/ensemble"
)

func newBench() *cobra.Command {
	options := bench.Options{TickTime: bench.TickTimeDefault}
	var implementations []string
	var asJSON bool
	command := &cobra.Command{
		Use:   "bench",
		Short: "Measure our node and Apache ZooKeeper side by side",
		Long: `Measure our node and Apache ZooKeeper side by side: three members each as processes on the loopback
interface, the same load, in turn, and print the ratios beside what they should be. Nothing else
should run on the machine. A missed target is no error: the exit code is 0 once all is measured.`,
		Example: "  ordeal bench\n  ordeal bench --implementation node --rounds 1\n  ordeal bench --implementation node --load writes --skip-restarts --profile profiles",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			for _, name := range implementations {
				options.Implementations = append(options.Implementations, ensemble.Implementation(name))
			}
			if err := options.Check(); err != nil {
				return exit{exitUsage, "ordeal bench: " + err.Error()}
			}
			var err error
			if options.Binary, err = os.Executable(); err != nil {
				return err
			}
			if options.ProfileDir != "" {
				if options.ProfileDir, err = directoryFor(options.ProfileDir); err != nil {
					return fmt.Errorf("a directory for profiles: %w", err)
				}
			}
			if options.Dir, err = os.MkdirTemp(options.Dir, "ordeal-bench-"); err != nil {
				return fmt.Errorf("a directory for the members: %w", err)
			}
			options.Progress = func(text string) { fmt.Fprintln(command.ErrOrStderr(), text) }
			ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			result, err := bench.Run(ctx, options)
			if err != nil {
				return fmt.Errorf("%w (what members wrote is in %s)", err, options.Dir)
			}
			if err := os.RemoveAll(options.Dir); err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(command.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(result.Summary())
			}
			return result.Print(command.OutOrStdout())
		},
	}
	f := command.Flags()
	f.StringSliceVar(&implementations, "implementation", []string{string(ensemble.Node), string(ensemble.Apache)}, "what to measure")
	f.StringSliceVar(&options.Loads, "load", nil, "only these loads: writes, reads, mix, single (default: all)")
	f.IntVar(&options.Rounds, "rounds", bench.RoundsDefault, "rounds, each of all loads")
	f.DurationVar(&options.Duration, "duration", bench.DurationDefault, "length of a load in a round")
	f.DurationVar(&options.WarmUp, "warm-up", bench.WarmUpDefault, "length of each load before the first round")
	f.DurationVar(&options.TickTime, "tick-time", bench.TickTimeDefault, "tickTime of the members")
	f.BoolVar(&options.SkipLoads, "skip-loads", false, "leave out the loads")
	f.BoolVar(&options.SkipRestarts, "skip-restarts", false, "leave out starts and the leader's kill")
	f.BoolVar(&options.Large, "large", false, "measure a large state too (minutes)")
	f.IntVar(&options.Znodes, "znodes", bench.ZnodesDefault, "znodes of a large state")
	f.IntVar(&options.Sessions, "sessions", bench.SessionsDefault, "sessions of a large state, with ten watches each")
	f.StringVar(&options.ProfileDir, "profile", "", "write profiles of our node's members under each load into this directory")
	f.StringVar(&options.Dir, "dir", os.TempDir(), "where members keep their data: on a real disk")
	f.BoolVar(&asJSON, "json", false, "print what was measured as JSON")
	return command
}

// directoryFor makes a directory, and returns its name as others find it who are somewhere else.
func directoryFor(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return filepath.Abs(dir)
}
