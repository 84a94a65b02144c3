package main

import (
	"github.com/spf13/cobra"

	"ordeal/harness"
)

func newCheck() *cobra.Command {
	var options harness.CheckOptions
	var asJSON bool
	command := &cobra.Command{
		Use:   "check DIR",
		Short: "Judge a stored run again, by today's checkers",
		Long: `Judge a stored run again, by today's checkers. It reads the history only: nothing that was recorded
is changed. Exit codes are those of "ordeal run".`,
		Example: "  ordeal check results/runs/latest\n  ordeal check results/runs/apache-mixed/latest --strict-sync --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			if err := refuseZeros(command); err != nil {
				return err
			}
			options.Program = program()
			verdict, err := harness.Check(command.Context(), arguments[0], options)
			if err != nil {
				return withoutVerdict(command, err, asJSON)
			}
			// The report beside the history says what was found when the run was made.
			where := place{"judged", verdict.Results, "what --json prints"}
			return printVerdict(command.OutOrStdout(), command.ErrOrStderr(), verdict, where, asJSON)
		},
	}
	f := command.Flags()
	f.DurationVar(&options.Time, "check-time", 0, checkTimeUsage+" (default: what the run had)")
	f.Int64Var(&options.MemoryBytes, "check-memory", 0, checkMemoryUsage+" (default: what the run had)")
	addStrictFlags(command, &options.StrictSync, &options.StrictDisk)
	f.BoolVar(&asJSON, "json", false, "print the verdict document alone on stdout")
	return command
}
