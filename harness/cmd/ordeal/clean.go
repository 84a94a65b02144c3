package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ordeal/harness/ensemble/container"
	"ordeal/harness/ensemble/process"
)

func newClean() *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Remove containers, networks, images and processes that killed runs left behind",
		Long: `Remove containers, networks, images and processes that killed runs left behind, and only those: what
belongs to a run that still goes on, or that another machine started, is not touched, and neither is an
image that was built in the last minutes. A run in containers begins with the same, but for the images.`,
		Example: "  ordeal clean",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			done, err := process.Clean(command.Context())
			if _, noEngine := container.Available(command.Context()); noEngine == nil {
				removed, failed := container.Clean(command.Context())
				done, err = append(done, removed...), errors.Join(err, failed)
			}
			for _, line := range done {
				fmt.Fprintln(command.OutOrStdout(), line)
			}
			if len(done) == 0 && err == nil {
				fmt.Fprintln(command.OutOrStdout(), "nothing was left behind")
			}
			return err
		},
	}
}
