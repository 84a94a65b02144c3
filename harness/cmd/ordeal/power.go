package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ordeal/harness"
	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/container"
	"ordeal/harness/power"
)

func newPower() *cobra.Command {
	options := power.Options{Sound: power.AllSound, Apache: power.AllApache}
	var ensembles []string
	command := &cobra.Command{
		Use:   "power",
		Short: "Measure the toolkit: does it find planted bugs, and keep quiet about sound servers?",
		Long: `Run every defect with several seeds, our sound node under every nemesis, and Apache ZooKeeper, and
print how often the right guarantee was named within 90 seconds. One run at a time this takes about 70 minutes; make power
does it. With --ensemble, run these ensembles instead, under every nemesis, by every driver, with every
seed, and print how many runs were valid; make mixed does it for members of our node beside Apache's.`,
		Example: `  ordeal power
  ordeal power --defect skip-trunc --seeds 3 --sound 0 --apache 0
  ordeal power --ensemble node,node,apache --seeds 2 --driver process`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if len(options.Drivers) == 0 {
				options.Drivers = []string{harness.DriverProcess}
				if _, err := container.Available(command.Context()); err == nil {
					options.Drivers = append(options.Drivers, harness.DriverContainer)
				}
			}
			if len(options.Nemeses) > 0 && len(ensembles) == 0 {
				return exit{exitUsage, "--nemesis says what is done to ensembles: name one by --ensemble"}
			}
			for _, words := range ensembles {
				var implementations []ensemble.Implementation
				for word := range strings.SplitSeq(words, ",") {
					implementations = append(implementations, ensemble.Implementation(word))
				}
				options.Ensembles = append(options.Ensembles, implementations)
			}
			options.Done = func(row, verdict string, took time.Duration) {
				fmt.Fprintf(command.ErrOrStderr(), "%s: %s after %.0f s\n", row, verdict, took.Seconds())
			}
			ctx, stop := cancelled(command.Context(), command.ErrOrStderr(), "interrupted: cleaning up the runs under way")
			defer stop()
			rows, err := power.Measure(ctx, options)
			enough, measured := true, false
			printed := table(command.OutOrStdout(), func(line func(...string)) {
				line("what", "right", "runs", "named by", "median s", "")
				for _, row := range rows {
					mark := "enough"
					switch {
					case row.Refused != "":
						mark = "left out"
					case !row.Enough():
						mark, enough = "NOT ENOUGH", false
					}
					measured = measured || row.Runs > 0
					line(row.Name, fmt.Sprint(row.Right), fmt.Sprint(row.Runs), named(row.Guarantees), fmt.Sprintf("%.0f", row.MedianSeconds()), mark)
				}
			})
			for _, row := range rows {
				if row.Refused != "" {
					fmt.Fprintf(command.ErrOrStderr(), "left out: %s: %s\n", row.Name, row.Refused)
				}
				for _, wrong := range row.Wrong {
					fmt.Fprintf(command.ErrOrStderr(), "not as it should be: %s: %s: %s\nrepeat it: %s\n", row.Name, wrong.Why, wrong.Results, wrong.Rerun)
				}
			}
			switch {
			case err != nil:
				return err
			case printed != nil:
				return printed
			case !measured:
				return exit{exitUsage, "nothing was measured: every plan was refused"}
			case !enough:
				return exit{exitViolation, complaint(options)}
			}
			return nil
		},
	}
	f := command.Flags()
	f.StringSliceVar(&options.Defects, "defect", nil, "defects to look for (default: all)")
	f.IntVar(&options.Seeds, "seeds", power.DefaultSeeds, "runs of each defect, or of each ensemble, driver and nemesis")
	f.Uint64Var(&options.First, "first-seed", 1, "the first seed")
	f.DurationVar(&options.Duration, "duration", power.DefaultDuration, "length of each run's load")
	f.IntVar(&options.Parallel, "parallel", 1, "runs at once")
	f.StringSliceVar(&options.Drivers, "driver", nil, "drivers in turn for sound servers; defects use the first, ensembles each (default: process, and container where an engine answers)")
	f.IntVar(&options.Sound, "sound", power.AllSound, "runs of the sound node, through all nemeses")
	f.IntVar(&options.Apache, "apache", power.AllApache, "runs of Apache ZooKeeper")
	f.StringArrayVar(&ensembles, "ensemble", nil, "measure this ensemble instead, for instance node,node,apache; may be repeated")
	f.StringSliceVar(&options.Nemeses, "nemesis", nil, "what is done to each --ensemble (default: every nemesis)")
	f.StringVar(&options.Out, "out", harness.DefaultOut, "folder for stored runs")
	for _, flag := range []string{"defect", "sound", "apache"} {
		command.MarkFlagsMutuallyExclusive("ensemble", flag)
	}
	return command
}

// complaint says what it means that a row does not meet its target.
func complaint(options power.Options) string {
	if len(options.Ensembles) > 0 {
		return "not every run was valid"
	}
	return "the toolkit is not as powerful as it must be"
}

// named lists the checkers that objected, most often first.
func named(counts map[string]int) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	var words []string
	for _, name := range names {
		words = append(words, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(words, ", ")
}
