package main

import (
	"encoding/json"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ordeal/harness/ensemble/agent"
)

// newAgent is what runs beside a member in its network namespace. People do not call it.
func newAgent() *cobra.Command {
	command := &cobra.Command{Use: "agent", Short: "Own a member's network namespace (used by the container driver)", Hidden: true}
	serve := &cobra.Command{
		Use: "serve", Short: "Keep the namespace, forward probes, answer echoes", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return agent.Serve(ctx)
		},
	}
	rules := &cobra.Command{
		Use: "rules JSON", Short: "Replace the packet filter", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, arguments []string) error {
			var wanted agent.Rules
			if err := json.Unmarshal([]byte(arguments[0]), &wanted); err != nil {
				return fmt.Errorf("agent rules: %w", err)
			}
			return wanted.Apply()
		},
	}
	reach := &cobra.Command{
		Use: "reach TIMEOUT ADDRESS...", Short: "Prove that traffic passes to other members", Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			timeout, err := time.ParseDuration(arguments[0])
			if err != nil {
				return exit{exitUsage, err.Error()}
			}
			return agent.Reach(command.Context(), arguments[1:], timeout)
		},
	}
	command.AddCommand(serve, rules, reach)
	return command
}
