package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"ordeal/node/server"
)

func newNode() *cobra.Command {
	return &cobra.Command{
		Use:   "node [-Dname=value ...] [zoo.cfg]",
		Short: "Run one server in the foreground, as zkServer.sh start-foreground does",
		Long: `Run one server in the foreground, as zkServer.sh start-foreground does. zoo.cfg is Apache ZooKeeper's;
keys that it does not know become properties zookeeper.KEY, and -D sets properties directly. SIGTERM
stops the server in order, and a second one ends it at once.

Without a file, and with any of the official ZooKeeper image's ZOO_ variables in the environment, it
does as that image does: it writes zoo.cfg and myid from them, unless they are there.`,
		Example:            "  ordeal node conf/zoo.cfg\n  ZOO_MY_ID=1 ordeal node\n  ordeal node -Dzookeeper.snapCount=1000 conf/zoo.cfg",
		DisableFlagParsing: true, // -Dname=value is Java's form, not ours
		RunE: func(command *cobra.Command, arguments []string) error {
			properties := map[string]string{}
			var path string
			for _, argument := range arguments {
				definition, isProperty := strings.CutPrefix(argument, "-D")
				switch {
				case argument == "-h" || argument == "--help":
					return command.Help()
				case isProperty:
					name, value, _ := strings.Cut(definition, "=")
					properties[name] = value
				case strings.HasPrefix(argument, "-"):
					return exit{exitUsage, fmt.Sprintf("ordeal node: unknown flag %q; only -Dname=value and --help are known", argument)}
				case path != "":
					return exit{exitUsage, "ordeal node: more than one configuration file: " + path + " and " + argument}
				default:
					path = argument
				}
			}
			if path == "" && server.InImage(os.Getenv) {
				var err error
				if path, err = server.ImageConfig(os.Getenv); err != nil {
					return err
				}
			}
			if path == "" {
				return exit{exitUsage, "ordeal node: no configuration file; usage: " + command.UseLine()}
			}
			server.PaceCollector()
			config, err := server.LoadConfig(path, properties)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the program at once
			lines := server.NewLogWriter(command.ErrOrStderr())
			defer lines.Close()
			config.FlushLog = lines.Flush
			return server.Run(ctx, config, slog.New(slog.NewTextHandler(lines, nil)))
		},
	}
}
