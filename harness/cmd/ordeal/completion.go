package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ordeal/harness"
	"ordeal/nemesis"
	"ordeal/node/defect"
	"ordeal/workloads"
)

// addCompletion adds the command that prints scripts of completion, which the library brings, and gives it
// the examples that every command has.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd("completion")
	command, _, err := root.Find([]string{"completion"})
	if err != nil {
		panic(fmt.Sprintf("expected the library's command for completion, found: %v", err))
	}
	command.Example = "  source <(ordeal completion bash)"
	command.Args = cobra.NoArgs
	command.RunE = func(command *cobra.Command, _ []string) error { return command.Help() }
	for _, shell := range command.Commands() {
		shell.Example = fmt.Sprintf("  ordeal completion %s >ordeal.%s   # where this shell looks for it", shell.Name(), shell.Name())
	}
}

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
