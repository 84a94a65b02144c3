package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
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
		Long: `Without an argument, list the defects that can be planted in our node. With one, search for it in
simulated ensembles, shrink what is found, tell what happens, and run the same decisions on the sound
node as a control. Success is that the same guarantee breaks with the defect, and none without it.`,
		Example: `  ordeal repro
  ordeal repro ZOOKEEPER-4643
  ordeal repro --measure node/defect/README.md   # make catalogue`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			if err := checkDraw(&options, strategy); err != nil {
				return err
			}
			defer debug.SetGCPercent(debug.SetGCPercent(garbagePercent))
			switch {
			case measure != "":
				return measureCatalogue(command.ErrOrStderr(), measure, options, max(ranges, 1))
			case len(arguments) == 0:
				return listRepro(command.OutOrStdout())
			}
			return repro(command, arguments[0], options, from)
		},
	}
	f := command.Flags()
	f.StringVar(&strategy, "strategy", string(sim.Strategies[0]), "how decisions are drawn: "+strategyWords())
	f.Uint64Var(&from, "from", 1, "first seed to try")
	f.StringVar(&measure, "measure", "", "measure how fast every defect is found, and write the table into this file")
	f.IntVar(&ranges, "ranges", rangesDefault, "how many ranges of seeds --measure tries")
	return command
}

func listRepro(out io.Writer) error {
	return table(out, func(line func(...string)) {
		line("ISSUE", "DEFECT", "BREAKS", "WHAT IS WRONG")
		for _, d := range defect.Catalogue {
			line(orNone(d.Issue), string(d.Name), strings.Join(d.Guarantees, ","), d.Summary)
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
		fmt.Fprintf(errorOutput, "repeat it: ordeal repro %s --from %d\n", word, from)
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

// The markers between which a measured table stands in a README.
const (
	tableBegin = "<!-- measured: begin -->"
	tableEnd   = "<!-- measured: end -->"
)

// measureCatalogue writes how fast every defect is found between the markers of a file.
func measureCatalogue(progress io.Writer, name string, options sim.Options, ranges int) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read the file that holds the table: %w", err)
	}
	before, rest, found := strings.Cut(string(text), tableBegin)
	_, after, found2 := strings.Cut(rest, tableEnd)
	if !found || !found2 {
		return fmt.Errorf("%s has no lines %q and %q", name, tableBegin, tableEnd)
	}
	var b strings.Builder
	b.WriteString("| issue | defect | what breaks | found in | events (median) | CPU s (median) | decisions left | control holds |\n|---|---|---|---|---|---|---|---|\n")
	for _, d := range defect.Catalogue {
		if d.Issue == "" {
			continue
		}
		m, err := sim.Measure(d, options, ranges, reproBudget, shrinkTime)
		if err != nil {
			return err
		}
		control := "yes"
		if !m.Control {
			control = "no"
		}
		row := fmt.Sprintf("| %s | %s | %s | %d of %d | %d | %.2f | %d | %s |\n", d.Issue, d.Name, strings.Join(m.Guarantees, ", "),
			m.FoundIn, m.Ranges, m.Events, m.CPU.Seconds(), m.Decisions, control)
		b.WriteString(row)
		fmt.Fprint(progress, row)
	}
	return os.WriteFile(name, []byte(before+tableBegin+"\n"+b.String()+tableEnd+after), 0o644)
}
