package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/check"
	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/core/control"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/store"
)

// Check checks the blob stores of a data directory: by the server that runs on it, or, when there is none, by itself. Events
// are as check.Checker's.
func Check(ctx context.Context, cfg config.Config, log *slog.Logger, o check.Options, emit func(check.Event) error) error {
	// What opens a database makes one where there is none.
	made := DatabasePath(cfg.Data)
	if cfg.DatabaseURL != "" {
		made = blobsPath(cfg.Data)
	}
	if _, err := os.Stat(made); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s: --data must be the data directory of a server", made)
	}
	for began := time.Now(); ; {
		err := control.Check(ctx, filepath.Join(cfg.Data, control.Socket), o, emit)
		if !errors.Is(err, control.ErrNoServer) {
			return err
		}
		unlock, err := control.Lock(cfg.Data)
		if err == nil {
			defer unlock()
			return checkAlone(ctx, cfg, log, o, emit)
		}
		if time.Since(began) > startTime {
			return err
		}
		time.Sleep(startTime / 20)
	}
}

// startTime is how long a server may have the data directory's lock and no control socket, as it has while it starts and stops.
const startTime = 3 * time.Second

func checkAlone(ctx context.Context, cfg config.Config, log *slog.Logger, o check.Options, emit func(check.Event) error) error {
	db, err := store.Open(ctx, DatabasePath(cfg.Data), cfg.DatabaseURL, log)
	if err != nil {
		return err
	}
	stores, err := repository.OpenBlobStores(ctx, db, blobsPath(cfg.Data), log)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	err = newChecker(db, stores, log).Run(ctx, o, emit)
	return errors.Join(err, stores.Close(), db.Close())
}

func newChecker(db *store.Store, stores *repository.BlobStores, log *slog.Logger) *check.Checker {
	return check.New(db, func() []check.Place {
		var places []check.Place
		stores.Each(func(id int64, name string, s blobstore.Store) {
			places = append(places, check.Place{ID: id, Name: name, Store: s})
		})
		return places
	}, log)
}

// blobsPath is where the blob stores of a data directory are that have a relative path.
func blobsPath(data string) string { return filepath.Join(data, "blobs") }
