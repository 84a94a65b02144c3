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
		Use:     "merge DIR…",
		Short:   "Join what the shards of a search have found",
		Long:    "Join what the shards of a search have found: each folder is one that ordeal search --out wrote.",
		Example: "  ordeal merge results/search/*",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, dirs []string) error {
			joined, err := mergeSummaries(dirs)
			if err != nil {
				return err
			}
			return printSummary(command.OutOrStdout(), command.ErrOrStderr(), joined, "", asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print the summary as JSON on stdout")
	return command
}

// mergeSummaries reads and joins the summaries in folders.
func mergeSummaries(dirs []string) (sim.Summary, error) {
	var joined sim.Summary
	for i, dir := range dirs {
		data, err := os.ReadFile(filepath.Join(dir, searchFile))
		if err != nil {
			return joined, fmt.Errorf("%s holds no finished search (did its shard run to its end?): %w", dir, err)
		}
		var one sim.Summary
		if err := json.Unmarshal(data, &one); err != nil {
			return joined, fmt.Errorf("read %s: %w", filepath.Join(dir, searchFile), err)
		}
		for j, f := range one.Failures {
			if f.File != "" {
				one.Failures[j].File = filepath.Join(dir, f.File)
			}
		}
		if i == 0 {
			joined.Defect, joined.Strategy = one.Defect, one.Strategy
		} else if joined.Defect != one.Defect || joined.Strategy != one.Strategy {
			return joined, exit{exitUsage, fmt.Sprintf("%s is of another search (defect %q, strategy %s) than %s (defect %q, strategy %s)",
				dir, one.Defect, one.Strategy, dirs[0], joined.Defect, joined.Strategy)}
		}
		joined.Add(one)
	}
	return joined, nil
}
