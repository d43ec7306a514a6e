package main

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/repomgr/repomgr/core/app"
	"github.com/repomgr/repomgr/core/check"
)

// cantCheck is the exit status of a check that could not be made.
const cantCheck = 2

func newCheck() *cobra.Command {
	var o check.Options
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Compare the blob stores with the database, and mend what differs if told to",
		Long: `Compare the blob stores with the database in both directions. It works while the server runs, and without.

Nothing is changed without --repair, and nothing is deleted with it. The exit status is 0 when all is well or mended, 1 when
something is wrong, and 2 when not everything could be checked.`,
		Args: func(c *cobra.Command, args []string) error { return unchecked(cobra.NoArgs(c, args)) },
		RunE: func(c *cobra.Command, _ []string) error { return runCheck(c, o, asJSON) },
	}
	c.Flags().BoolVar(&o.Repair, "repair", false, "mark blobs without their bytes as suspect, and move files without a row to quarantine")
	c.Flags().BoolVar(&o.Rehash, "rehash", false, "read all bytes and compare their digests")
	c.Flags().BoolVar(&o.Force, "force", false, "let --repair move files to quarantine that are more than 1 % of a blob store")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object a line")
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return unchecked(err) })
	return withFlags(c, "config", "data")
}

func runCheck(c *cobra.Command, o check.Options, asJSON bool) error {
	cfg, _, err := load(c)
	if err != nil {
		return unchecked(err)
	}
	cfg.LogLevel = max(cfg.LogLevel, slog.LevelError) // the report says the rest
	out := c.OutOrStdout()
	encoder := json.NewEncoder(out)
	code := cantCheck
	err = app.Check(c.Context(), cfg, newLogger(c.ErrOrStderr(), cfg), o, func(e check.Event) error {
		if e.Result != nil {
			code = e.Result.Exit()
		}
		if asJSON {
			return encoder.Encode(e)
		}
		_, err := fmt.Fprintln(out, e)
		return err
	})
	if err != nil {
		return unchecked(err)
	}
	if code != 0 {
		return exitError{code: code}
	}
	return nil
}

// unchecked gives an error of the command the exit status that does not say that something is wrong.
func unchecked(err error) error {
	if err == nil {
		return nil
	}
	return exitError{cantCheck, err}
}
