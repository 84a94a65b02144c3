package main

import (
	"github.com/spf13/cobra"

	"ordeal/harness"
	"ordeal/harness/doctor"
)

func newDoctor() *cobra.Command {
	var out string
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this machine allows, and how to get what is missing",
		Long: `Show what this machine allows: drivers, faults, implementations; and for each missing thing what it
would give and how to get it. Nothing is changed, and the exit code is 0 whatever is missing.`,
		Example: "  ordeal doctor",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			findings := doctor.Examine(command.Context(), out)
			return table(command.OutOrStdout(), func(line func(...string)) {
				for _, f := range findings {
					if f.OK {
						line("ok", f.Name, f.Found)
						continue
					}
					line("missing", f.Name, f.Found)
					line("", " ", "gives: "+f.Gives)
					line("", " ", "get it: "+f.Get)
				}
			})
		},
	}
	command.Flags().StringVar(&out, "out", harness.DefaultOut, "folder for stored runs, whose disk is looked at")
	return command
}
