package main

import (
	"github.com/spf13/cobra"

	"ordeal/harness"
	"ordeal/nemesis"
	"ordeal/node/defect"
	"ordeal/workloads"
)

// complete lets shells complete the values of the flags of "ordeal run".
func complete(command *cobra.Command) {
	var defects []string
	for _, d := range defect.Catalogue {
		defects = append(defects, string(d.Name)+"\t"+d.Summary)
	}
	for flag, words := range map[string][]string{
		"implementation": {"node", "apache", "image:"},
		"driver":         {harness.DriverAuto, harness.DriverContainer, harness.DriverProcess, harness.DriverSim},
		"workload":       workloads.Names(),
		"nemesis":        nemesis.Names(),
		"defect":         defects,
	} {
		// The only error is a flag that does not exist, which a test would see at once.
		if err := command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err)
		}
	}
}
