package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ordeal/harness/sim"
)

func newMerge() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "merge DIR…",
		Short: "Join what the shards of a search have found",
		Long: `Join what the shards of a search have found: each folder is one that ordeal search --out wrote. Seeds
that would count twice are refused; shards that are missing or were cut short are named, and make the
whole a failed one unless it has found something.`,
		Example: "  ordeal merge results/search/*",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, dirs []string) error {
			joined, err := mergeSummaries(dirs)
			if err != nil {
				return err
			}
			return printSummary(command.OutOrStdout(), command.ErrOrStderr(), joined, joined.Missing(), "", asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print the summary as JSON on stdout")
	return command
}

// mergeSummaries reads and joins the summaries in folders.
func mergeSummaries(dirs []string) (sim.Summary, error) {
	var joined sim.Summary
	for _, dir := range dirs {
		data, err := os.ReadFile(filepath.Join(dir, searchFile))
		if err != nil {
			return joined, fmt.Errorf("%s holds no finished search (did its shard run to its end?): %w", dir, err)
		}
		var one sim.Summary
		if err := json.Unmarshal(data, &one); err != nil {
			return joined, fmt.Errorf("read %s: %w", filepath.Join(dir, searchFile), err)
		}
		for i, f := range one.Failures {
			one.Failures[i].File = filepath.Join(dir, f.File)
		}
		if err := joined.Add(one); err != nil {
			return joined, exit{exitUsage, fmt.Sprintf("%s cannot be joined: %v", dir, err)}
		}
	}
	return joined, nil
}
