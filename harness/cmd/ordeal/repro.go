package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ordeal/harness/sim"
	"ordeal/node/defect"
)

// The budgets of reproductions.
const (
	reproBudget   = 60 * time.Second // of the processor, to find a defect
	rangesDefault = 10               // of seeds, to measure
)

func newRepro() *cobra.Command {
	var options sim.Options
	var strategy, measure string
	var from uint64
	var ranges int
	command := &cobra.Command{
		Use:   "repro [ISSUE|DEFECT]",
		Short: "Find a planted defect again, shrink it, and tell its story",
		Long: `Without an argument, list the defects that can be planted in our node, with what breaks and how fast
each was found when this was measured last. With one, search for it in simulated ensembles, shrink what is found, tell what happens, and run the same decisions on the sound
node as a control. Success is that the same guarantee breaks with the defect, and none without it.`,
		Example: `  ordeal repro
  ordeal repro ZOOKEEPER-4643
  ordeal repro --measure node/defect/README.md   # make catalogue
  ordeal repro --measure node/defect/README.md ZOOKEEPER-3642`,
		Args: func(command *cobra.Command, arguments []string) error {
			if measure != "" {
				return nil
			}
			return cobra.MaximumNArgs(1)(command, arguments)
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			if err := checkDraw(&options, strategy); err != nil {
				return err
			}
			defer sim.LimitMemory(1)()
			switch {
			case measure != "":
				return measureCatalogue(command.ErrOrStderr(), measure, arguments, max(ranges, 1))
			case len(arguments) == 0:
				return listRepro(command.OutOrStdout())
			}
			return repro(command, arguments[0], options, from)
		},
	}
	f := command.Flags()
	f.StringVar(&strategy, "strategy", string(sim.Strategies[0]), "how decisions are drawn: "+strategyWords())
	f.Uint64Var(&from, "from", 1, "first seed to try")
	f.StringVar(&measure, "measure", "", "measure how fast defects are found, all or those named, and write the tables into this file")
	f.IntVar(&ranges, "ranges", rangesDefault, "how many ranges of seeds --measure tries")
	return command
}

// listRepro lists the defects, with what was measured of them.
func listRepro(out io.Writer) error {
	measured, err := defect.Measurements()
	if err != nil {
		return err
	}
	return table(out, func(line func(...string)) {
		line("ISSUE", "DEFECT", "BREAKS", "INVARIANT SEEN BROKEN", "HOW FOUND", "EVENTS", "CPU S", "WHAT IS WRONG")
		for _, d := range defect.Catalogue {
			m, known := measured[d.Name]
			invariants, how, events, seconds := "-", "not measured", "-", "-"
			if known {
				invariants = orNone(strings.Join(m.Guarantees, ","))
				how = fmt.Sprintf("%s, in %d of %d ranges of seeds", sim.Strategies[0], m.FoundIn, m.Ranges)
				events, seconds = fmt.Sprint(m.Events), fmt.Sprintf("%.2f", m.CPUSeconds)
			}
			line(orNone(d.Issue), string(d.Name), strings.Join(d.Guarantees, ","), invariants, how, events, seconds, d.Summary)
		}
	})
}

// findDefect takes an issue's number, with or without its prefix, or a defect's name.
func findDefect(word string) (defect.Description, error) {
	for _, d := range defect.Catalogue {
		for _, issue := range strings.Fields(strings.ReplaceAll(d.Issue, ",", " ")) {
			if strings.EqualFold(issue, word) || strings.EqualFold(issue, "ZOOKEEPER-"+word) {
				return d, nil
			}
		}
	}
	if d, known := defect.Find(defect.Name(word)); known {
		return d, nil
	}
	return defect.Description{}, exit{exitUsage, fmt.Sprintf("no defect of our node is %q; ordeal repro lists them", word)}
}

func repro(command *cobra.Command, word string, options sim.Options, from uint64) error {
	description, err := findDefect(word)
	if err != nil {
		return err
	}
	errorOutput := command.ErrOrStderr()
	fmt.Fprintf(errorOutput, "searching for %s: %s\n", description.Name, description.Summary)
	found, err := sim.Find(description, options, from, reproBudget)
	if err != nil {
		return exit{exitFailed, err.Error()}
	}
	fmt.Fprintf(errorOutput, "seed %d breaks %s after %d seeds, %d events, %.1f s of the processor; shrinking\n",
		found.Seed, found.Found.Guarantee, found.Seeds, found.Events, found.CPU.Seconds())
	if err := found.Shrink(options, shrinkTime); err != nil {
		return exit{exitFailed, err.Error()}
	}
	out := bufio.NewWriter(command.OutOrStdout())
	fmt.Fprintf(out, "%s  %s\n%s.\n%s\nWhat happens, with the defect:\n\n", orNone(description.Issue), description.Name, capital(description.Summary), paragraph(description.Story))
	sim.Replay(found.Script, sim.Observation{Trace: transcript(out)})
	fmt.Fprintf(out, "\nThe decisions that bring it about (everything else goes its calm way):\n\n%s", found.Script.Format())
	reportOutcome(out, found.Script, found.Outcome, 0)
	fmt.Fprint(out, "\nThe control: the same decisions on the sound node.\n")
	reportOutcome(out, found.Script.Sound(), found.Control, 0)
	if err := out.Flush(); err != nil {
		return err
	}
	if !found.Holds() {
		return exit{exitFailed, "this is no reproduction: the control fails too, or the guarantee holds with the defect"}
	}
	return nil
}

// paragraph is text with an empty line around it.
func paragraph(text string) string {
	if text == "" {
		return ""
	}
	return "\n" + text + "\n"
}

func capital(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// measureCatalogue writes how fast defects are found into the tables of a file, after each of them, so
// that nothing is lost if it is interrupted. No words stand for all defects with an issue.
func measureCatalogue(progress io.Writer, name string, words []string, ranges int) error {
	var chosen []defect.Description
	for _, word := range words {
		d, err := findDefect(word)
		if err != nil {
			return err
		}
		chosen = append(chosen, d)
	}
	if len(words) == 0 {
		chosen = slices.DeleteFunc(slices.Clone(defect.Catalogue), func(d defect.Description) bool { return d.Issue == "" })
	}
	for _, d := range chosen {
		m := sim.Measure(d, sim.Options{}, ranges, reproBudget, shrinkTime)
		if err := writeRow(name, defect.Speed, d.Name, m.Row()); err != nil {
			return err
		}
		fmt.Fprint(progress, m.Row())
		row := fmt.Sprintf("| %s | %s |", d.Issue, d.Name)
		for _, strategy := range sim.Strategies {
			median := sim.Median{FoundIn: m.FoundIn, Events: m.Events}
			if strategy != sim.Strategies[0] {
				median = sim.MeasureStrategy(d, strategy, ranges, reproBudget)
			}
			row += fmt.Sprintf(" %d (%d of %d) |", median.Events, median.FoundIn, ranges)
		}
		row += "\n"
		if err := writeRow(name, defect.ByStrategy, d.Name, row); err != nil {
			return err
		}
		fmt.Fprint(progress, row)
	}
	return nil
}

// writeRow puts a row into a table of a file.
func writeRow(name string, table defect.Table, of defect.Name, row string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read the file that holds the table: %w", err)
	}
	page, err := table.With(string(text), of, row)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, []byte(page), 0o644)
}
