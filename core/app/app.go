// Package app puts the server together: it opens what there is from the bottom up, and stops it in reverse order.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/core/control"
	"github.com/repomgr/repomgr/core/httpapi"
	"github.com/repomgr/repomgr/core/network"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/formats/all"
)

// App is a running server.
type App struct {
	addr net.Addr
	log  *slog.Logger
	// running are the parts that run by themselves.
	running sync.WaitGroup
	// stops are what Stop does, in reverse order.
	stops []func(ctx context.Context) error
}

// stopTime is how long running transfers may go on when the server is told to stop.
const stopTime = 30 * time.Second

// Run serves until ctx ends.
func Run(ctx context.Context, cfg config.Config, log *slog.Logger, version string) error {
	a, err := Start(ctx, cfg, log, version)
	if err != nil {
		return err
	}
	<-ctx.Done()
	log.Info("stopping")
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return a.Stop(stop)
}

// Start starts a server. It answers requests when Start returns, and until Stop.
func Start(ctx context.Context, cfg config.Config, log *slog.Logger, version string) (app *App, err error) {
	began := time.Now()
	a := &App{log: log}
	defer func() {
		if err != nil {
			_ = a.Stop(context.WithoutCancel(ctx))
		}
	}()
	if err := a.lock(cfg.Data); err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, DatabasePath(cfg.Data), cfg.DatabaseURL, log)
	if err != nil {
		return nil, err
	}
	a.onStop(func(context.Context) error { return db.Close() })
	key, err := openKey(ctx, cfg, db, log)
	if err != nil {
		return nil, err
	}

	users, err := security.New(ctx, db.Directory(), security.Options{DataDir: cfg.Data, Log: log})
	if err != nil {
		return nil, err
	}
	if _, err := users.EnsureAdmin(ctx, cfg.AdminPassword, cfg.Anonymous); err != nil {
		return nil, err
	}
	stores, err := repository.OpenBlobStores(ctx, db, blobsPath(cfg.Data), log)
	if err != nil {
		return nil, err
	}
	a.onStop(func(context.Context) error { return stores.Close() })

	// What runs in the background ends with Stop, not with ctx, and before what it works on.
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.onStop(func(context.Context) error { cancel(); a.running.Wait(); return nil })
	if cfg.DatabaseURL != "" {
		a.background(background, "watch for changes by other nodes", func(ctx context.Context) error {
			users.Watch(ctx, time.Second)
			return nil
		})
	}

	certificate, err := loadCertificate(cfg, log)
	if err != nil {
		return nil, err
	}
	listener, err := httpapi.NewListener(cfg.Listen, certificate, httpapi.Limits{Stall: cfg.TransfersStall}, log)
	if err != nil {
		return nil, err
	}
	formats := all.Formats()
	reach, err := network.New(ctx, db, key, remote.NetworkConfig{Version: version}, log)
	if err != nil {
		return nil, err
	}
	if cfg.DatabaseURL != "" {
		a.background(background, "watch for changes of the network settings", func(ctx context.Context) error {
			reach.Watch(ctx, time.Second)
			return nil
		})
	}
	repositories, err := repository.NewManager(ctx, db, stores, formats, users, listener, reach.Network(), key, log)
	if err != nil {
		return nil, err
	}
	if err := preset(ctx, cfg, db, repositories, log); err != nil {
		return nil, err
	}
	tasks, stopTasks, err := a.jobs(ctx, background, cfg, db, stores, repositories, log)
	if err != nil {
		return nil, err
	}
	rest, err := httpapi.REST(httpapi.Deps{
		Repositories: repositories, BlobStores: stores, RoutingRules: repositories.RoutingRules(), Security: users, Network: reach, Browser: repositories, Tasks: tasks, Formats: formats, Version: version,
		Ready: db.Ping, Writable: writable(db, stores), Log: log,
	})
	if err != nil {
		return nil, err
	}
	a.onStop(func(ctx context.Context) error { listener.Shutdown(ctx); return nil })
	handler, open := gate(httpapi.Handler(repositories, rest))
	if a.addr, err = listener.Main(cfg.Listen, false, handler); err != nil {
		return nil, err
	}
	if cfg.TLSListen != "" {
		if _, err := listener.Main(cfg.TLSListen, true, handler); err != nil {
			return nil, err
		}
	}
	a.background(background, "control socket", func(ctx context.Context) error {
		return control.Serve(ctx, filepath.Join(cfg.Data, control.Socket), users, newChecker(db, stores, log))
	})
	repositories.Start(background)
	a.onStop(func(context.Context) error { repositories.Close(); return nil })
	a.onStop(func(context.Context) error { stopTasks(); return nil })
	open()
	// The start used memory that serving doesn't need: the API's description, and a password's hash.
	go debug.FreeOSMemory()
	log.Info("ready", "address", a.addr.String(), "version", version, "took", time.Since(began).Round(time.Millisecond))
	return a, nil
}

// gate lets requests wait until open is called: whoever hears that the server is there finds all its ports.
func gate(h http.Handler) (gated http.Handler, open func()) {
	opened := make(chan struct{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-opened:
			h.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}), func() { close(opened) }
}

// loadCertificate reads the certificate; nil when none is configured.
func loadCertificate(cfg config.Config, log *slog.Logger) (*httpapi.Certificate, error) {
	if cfg.TLSCertificate == "" {
		return nil, nil
	}
	return httpapi.LoadCertificate(cfg.TLSCertificate, cfg.TLSKey, log)
}

// DatabasePath is where the SQLite database of a data directory is.
func DatabasePath(data string) string { return filepath.Join(data, "repomgr.db") }

func (a *App) lock(data string) error {
	if err := os.MkdirAll(data, 0o750); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	unlock, err := control.Lock(data)
	if err != nil {
		return err
	}
	a.onStop(func(context.Context) error { unlock(); return nil })
	return nil
}

// background runs a part of the server until ctx ends.
func (a *App) background(ctx context.Context, name string, run func(ctx context.Context) error) {
	a.running.Go(func() {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("a part of the server ended", "part", name, "err", err)
		}
	})
}

func (a *App) onStop(f func(ctx context.Context) error) { a.stops = append(a.stops, f) }

// Addr is the address of the main port.
func (a *App) Addr() net.Addr { return a.addr }

// Stop stops the server: no new requests, then what runs, until ctx ends, then the rest.
func (a *App) Stop(ctx context.Context) error {
	var all []error
	for i := len(a.stops) - 1; i >= 0; i-- {
		if err := a.stops[i](ctx); err != nil {
			all = append(all, err)
		}
	}
	a.stops = nil
	return errors.Join(all...)
}
