package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ordeal/nemesis"
	"ordeal/node/defect"
	"ordeal/workloads"
)

func newDefects() *cobra.Command {
	return list("defects", "List the bugs that can be planted in our own node", "  ordeal defects\n  ordeal run --defect skip-trunc",
		func(line func(...string)) {
			for _, d := range defect.Catalogue {
				where := ""
				if d.SimulatorOnly {
					where = "simulator only"
				}
				line(string(d.Name), d.Summary, d.Issue, where)
			}
		})
}

func newWorkloads() *cobra.Command {
	return list("workloads", "List what clients can be made to do", "  ordeal workloads\n  ordeal run --workload register,lock",
		func(line func(...string)) {
			for _, w := range workloads.All() {
				line(w.Name(), w.Describe())
			}
		})
}

func newNemeses() *cobra.Command {
	return list("nemeses", "List what can be done to an ensemble", "  ordeal nemeses\n  ordeal run --nemesis partition-leader",
		func(line func(...string)) {
			for _, n := range nemesis.All() {
				line(n.Name(), n.Describe())
			}
		})
}

// list is a command that prints a table of names, a line each.
func list(name, short, example string, fill func(line func(...string))) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Example: example, Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return table(command.OutOrStdout(), fill)
		},
	}
}

// table prints lines in columns.
func table(out io.Writer, fill func(line func(...string))) error {
	writer := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fill(func(cells ...string) {
		for i, cell := range cells {
			if i > 0 && cell != "" {
				fmt.Fprint(writer, "\t")
			}
			fmt.Fprint(writer, cell)
		}
		fmt.Fprintln(writer)
	})
	return writer.Flush()
}
