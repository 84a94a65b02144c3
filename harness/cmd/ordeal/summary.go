package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"ordeal/checkers"
	"ordeal/results"
)

// evidenceLines is how much of a checker's evidence is printed; the report has all of it.
const evidenceLines = 6

// marks stand before each guarantee, so that no colour is needed to tell them apart.
var marks = map[checkers.Verdict]string{
	checkers.Valid: "✓", checkers.Violation: "✗", checkers.Unknown: "?", checkers.Skipped: "-",
}

// place is where more than a summary is found.
type place struct {
	name, path string
	more       string // where evidence stands that the summary leaves out
}

// summary prints what was promised and whether it held, then the numbers.
func summary(out io.Writer, v *results.Verdict, where place) error {
	fmt.Fprintf(out, "%s: %s\n\n", strings.ToUpper(v.Verdict), v.Reason)
	writer := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range v.Checkers {
		said := fmt.Sprintf("%d judged", c.Judged)
		if c.Verdict == checkers.Skipped || c.Verdict == checkers.Unknown {
			said = c.Reason
		}
		fmt.Fprintf(writer, "  %s %s\t%s\n", marks[c.Verdict], c.Name, said)
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	for _, c := range v.Checkers {
		if len(c.Evidence) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n  %s: %s\n", c.Name, c.Guarantee)
		for i, line := range c.Evidence {
			if i == evidenceLines {
				fmt.Fprintf(out, "    … %d more lines in %s\n", len(c.Evidence)-i, where.more)
				break
			}
			fmt.Fprintf(out, "    %s\n", line)
		}
	}
	fmt.Fprintln(out)
	writer = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, values ...any) {
		fmt.Fprintf(writer, "  %s\t%s\n", name, fmt.Sprintf(format, values...))
	}
	line("ran", "%s by the %s driver, seed %d, %.0f s", v.Implementation, v.Driver, v.Seed, v.DurationSeconds)
	line("operations", "%d ok, %d failed, %d unknown", v.Operations.OK, v.Operations.Failed, v.Operations.Unknown)
	line("faults", "%d applied, %d leader changes", v.Faults, v.LeaderChanges)
	for _, s := range v.FaultsSkipped {
		line("left out", "%s: %s", s.Name, s.Reason)
	}
	line(where.name, "%s", where.path)
	return writer.Flush()
}
