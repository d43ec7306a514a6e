package control_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/check"
	"github.com/repomgr/repomgr/core/control"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/security/securitytest"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	unlock, err := control.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = control.Lock(dir)
	if err == nil {
		t.Fatal("two users of one data directory")
	}
	want := "data directory " + dir + " is in use by another repomgr (process " + strconv.Itoa(os.Getpid()) + ")"
	if err.Error() != want {
		t.Errorf("error = %q, want %q", err, want)
	}
	unlock()
	again, err := control.Lock(dir)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	again()
	if _, err := control.Lock(filepath.Join(dir, "absent")); err == nil || strings.Contains(err.Error(), "in use") {
		t.Errorf("a directory that isn't there: %v", err)
	}
}

func newUsers(t *testing.T) *security.Service {
	t.Helper()
	users, err := security.New(t.Context(), new(securitytest.Memory), security.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.EnsureAdmin(t.Context(), "first", false); err != nil {
		t.Fatal(err)
	}
	return users
}

func signIn(t *testing.T, users *security.Service, password string) error {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth("admin", password)
	_, err := users.Authenticate(t.Context(), r)
	return err
}

// start serves at path and waits until it is there.
func start(t *testing.T, path string, users *security.Service, checker *check.Checker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, path, users, checker) }()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		// A socket that is there may be a dead server's; one with a long path can't be dialed, and there is no other.
		if _, err := os.Stat(path); err == nil && len(path) > 100 {
			break
		}
		if conn, err := net.Dial("unix", path); err == nil {
			_ = conn.Close()
			break
		}
		select {
		case err := <-done:
			t.Fatal(err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the socket does not appear")
		}
	}
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestResetPassword(t *testing.T) {
	t.Run("short path", func(t *testing.T) { resetPassword(t, t.TempDir()) })
	t.Run("long path", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		resetPassword(t, dir)
	})
}

func resetPassword(t *testing.T, dir string) {
	path, users := filepath.Join(dir, control.Socket), newUsers(t)
	if err := control.ResetPassword(t.Context(), path, "x"); !errors.Is(err, control.ErrNoServer) {
		t.Errorf("without a socket: %v", err)
	}
	stop := start(t, path, users, nil)
	if err := control.ResetPassword(t.Context(), path, "second"); err != nil {
		t.Fatal(err)
	}
	if err := signIn(t, users, "second"); err != nil {
		t.Errorf("new password: %v", err)
	}
	if err := signIn(t, users, "first"); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("old password: %v", err)
	}
	if err := control.ResetPassword(t.Context(), path, " "); err == nil || !strings.Contains(err.Error(), "password must not be empty") {
		t.Errorf("empty password: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	stop()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

// TestStaleSocket: the socket of a server that was killed is in nobody's way.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), control.Socket)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	if err := control.ResetPassword(t.Context(), path, "x"); !errors.Is(err, control.ErrNoServer) {
		t.Errorf("with a dead socket: %v", err)
	}
	users := newUsers(t)
	stop := start(t, path, users, nil)
	defer stop()
	if err := control.ResetPassword(t.Context(), path, "second"); err != nil {
		t.Error(err)
	}
}
