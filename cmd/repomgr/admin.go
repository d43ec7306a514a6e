package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/repomgr/repomgr/core/app"
	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/core/control"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/store"
)

func newResetPassword() *cobra.Command {
	c := &cobra.Command{
		Use:   "reset-password",
		Short: "Set a new password for the user admin, and make it an active administrator again",
		Args:  cobra.NoArgs,
		RunE:  resetPassword,
	}
	c.Flags().Bool("password-stdin", false, "read the password from the standard input; without it a random one is set and printed")
	return withFlags(c, "config", "data")
}

func resetPassword(c *cobra.Command, _ []string) error {
	cfg, _, err := load(c)
	if err != nil {
		return err
	}
	password := security.NewPassword()
	given, err := c.Flags().GetBool("password-stdin")
	if err != nil {
		return err
	}
	if given {
		if password, err = readPassword(c.InOrStdin()); err != nil {
			return err
		}
	}
	where, err := setPassword(c.Context(), c.ErrOrStderr(), cfg, password)
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	if !given {
		fmt.Fprintf(out, "new password of %s: %s\n", security.Administrator, password)
	}
	_, err = fmt.Fprintf(out, "the password of %s is changed in %s\n", security.Administrator, where)
	return err
}

// readPassword reads all of r; a line end at its end is not part of the password.
func readPassword(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, 4096))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if strings.TrimSpace(password) == "" {
		return "", errors.New("the standard input has no password")
	}
	return password, nil
}

// setPassword changes the password and says where it did. A SQLite database belongs to the server that runs on its data
// directory, so the server is asked, and only without one the database opened here.
func setPassword(ctx context.Context, log io.Writer, cfg config.Config, password string) (where string, err error) {
	if cfg.DatabaseURL != "" {
		return "the PostgreSQL database", setInDatabase(ctx, log, cfg, password)
	}
	err = control.ResetPassword(ctx, filepath.Join(cfg.Data, control.Socket), password)
	if !errors.Is(err, control.ErrNoServer) {
		return "the server that runs on " + cfg.Data, err
	}
	database := app.DatabasePath(cfg.Data)
	if _, err := os.Stat(database); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no database %s: --data must be the data directory of a server", database)
	}
	unlock, err := control.Lock(cfg.Data)
	if err != nil {
		return "", err
	}
	defer unlock()
	return "the database " + database, setInDatabase(ctx, log, cfg, password)
}

func setInDatabase(ctx context.Context, w io.Writer, cfg config.Config, password string) error {
	log := newLogger(w, cfg)
	db, err := store.Open(ctx, app.DatabasePath(cfg.Data), cfg.DatabaseURL, log)
	if err != nil {
		return err
	}
	users, err := security.New(ctx, db.Directory(), security.Options{DataDir: cfg.Data, Log: log})
	if err == nil {
		err = users.ResetAdmin(ctx, password)
	}
	return errors.Join(err, db.Close())
}
