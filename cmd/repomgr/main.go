// Command repomgr is a manager of artifact repositories.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/repomgr/repomgr/core/config"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks to stop; the next one finds nobody who waits for it and ends the process.
	context.AfterFunc(ctx, stop)
	err := newCommand().ExecuteContext(ctx)
	var status exitError
	if errors.As(err, &status) && status.err == nil {
		return status.code
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "repomgr: %s\n", strings.Join(strings.Split(strings.TrimSpace(err.Error()), "\n"), "; "))
		return max(1, status.code)
	}
	return 0
}

// exitError ends the program with a status of its own. Without an err the command has said all there is to say.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:                "repomgr",
		Short:              "A manager of artifact repositories",
		SilenceErrors:      true,
		SilenceUsage:       true,
		DisableSuggestions: true,
	}
	admin := &cobra.Command{Use: "admin", Short: "Administer a server on its own machine"}
	admin.AddCommand(newResetPassword())
	root.AddCommand(newServe(), newVersion(), newConfig(), admin, newCheck(), newHealthcheck())
	return root
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "repomgr", version)
			return err
		},
	}
}

func newConfig() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Print the configuration in effect and where each value comes from",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, sources, err := load(c)
			if err != nil {
				return err
			}
			return config.Print(c.OutOrStdout(), cfg, sources)
		},
	}
	return withFlags(c, "config", "data", "listen", "preset")
}

// withFlags gives the command the flags of those names from the table of settings.
func withFlags(c *cobra.Command, names ...string) *cobra.Command {
	for _, name := range names {
		for _, s := range config.Settings() {
			if s.Flag == name {
				c.Flags().String(name, s.Default, strings.ReplaceAll(s.Help, "`", ""))
			}
		}
	}
	return c
}

// load reads the configuration for the command, with the flags that were given.
func load(c *cobra.Command) (config.Config, config.Sources, error) {
	flags := config.Flags{}
	for _, s := range config.Settings() {
		if f := c.Flags().Lookup(s.Flag); f != nil && f.Changed {
			flags[s.Flag] = f.Value.String()
		}
	}
	return config.Load(flags, os.Environ())
}
