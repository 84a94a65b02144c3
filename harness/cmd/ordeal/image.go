package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ordeal/harness/ensemble/container"
)

func newImage() *cobra.Command {
	command := &cobra.Command{
		Use:     "image",
		Short:   "Build images for the container driver",
		Example: "  ordeal image apache",
		Args:    cobra.NoArgs,
		RunE:    func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	apache := &cobra.Command{
		Use:   "apache",
		Short: "Build an image of Apache ZooKeeper from this machine's Debian packages and Java runtime",
		Long: `Build an image of Apache ZooKeeper from this machine's Debian packages and Java runtime. No registry
is needed. "ordeal run --implementation apache --driver container" builds it by itself if it is
missing; this command builds it anew, for instance after an upgrade of the package.`,
		Example: "  ordeal image apache\n  ordeal run --implementation apache --driver container",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := container.BuildApache(command.Context(), true); err != nil {
				return err
			}
			fmt.Fprintln(command.OutOrStdout(), container.ApacheImage)
			return nil
		},
	}
	command.AddCommand(apache)
	return command
}
