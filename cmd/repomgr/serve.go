package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/repomgr/repomgr/core/app"
	"github.com/repomgr/repomgr/core/config"
)

func newServe() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server until it is told to stop by SIGTERM or SIGINT",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, _, err := load(c)
			if err != nil {
				return err
			}
			return app.Run(c.Context(), cfg, newLogger(c.ErrOrStderr(), cfg), version)
		},
	}
	return withFlags(c, "config", "data", "listen", "preset")
}

func newLogger(w io.Writer, cfg config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
