package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/repomgr/repomgr/core/check"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/security"
)

// Socket is the name of the server's control socket in the data directory. Who can open it can do what it offers: it is
// for the user that the server runs as, and for root.
const Socket = "repomgr.sock"

// ErrNoServer says that no server listens on the socket.
var ErrNoServer = errors.New("no server is running")

const (
	passwordPath = "/admin/password"
	checkPath    = "/check"
)

// password is the body of a request to passwordPath.
type password struct {
	Password string `json:"password"`
}

// maxBody is the longest request and answer, in bytes.
const maxBody = 64 << 10

// Serve answers control requests on a Unix socket at path until ctx ends. The caller must hold the data directory's
// lock: whatever else is at path is removed.
func Serve(ctx context.Context, path string, users *security.Service, checker *check.Checker) error {
	listener, err := listen(path)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	defer os.Remove(path)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+passwordPath, func(w http.ResponseWriter, r *http.Request) {
		if err := resetPassword(w, r, users); err != nil {
			e := errs.As(err)
			http.Error(w, err.Error(), e.Kind.Status())
		}
	})
	mux.HandleFunc("POST "+checkPath, func(w http.ResponseWriter, r *http.Request) { serveCheck(ctx, w, r, checker) })
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	select {
	case err := <-stopped:
		return fmt.Errorf("control socket: %w", err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return server.Shutdown(ctx)
}

// listen opens a socket at path that only the owner can connect to, at no moment anybody else: it gets its place when
// it has its mode.
func listen(path string) (net.Listener, error) {
	private, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	name, done, err := short(filepath.Join(private, "s"))
	if err != nil {
		return nil, err
	}
	defer done()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	if err = os.Chmod(filepath.Join(private, "s"), 0o600); err == nil {
		err = os.Rename(filepath.Join(private, "s"), path)
	}
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

func resetPassword(w http.ResponseWriter, r *http.Request, users *security.Service) error {
	var body password
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body); err != nil {
		return errs.Wrap(errs.Invalid, err, "malformed request")
	}
	if err := users.ResetAdmin(r.Context(), body.Password); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// ResetPassword gives the user admin the password, by the server that listens on the socket at path; ErrNoServer when
// there is none.
func ResetPassword(ctx context.Context, path, newPassword string) error {
	body, err := json.Marshal(password{newPassword})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	resp, err := post(ctx, path, passwordPath, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	return refusal(resp)
}

// post sends a request to the server that listens on the socket at path.
func post(ctx context.Context, path, to string, body []byte) (*http.Response, error) {
	// The host is not looked at: the dialer knows the way.
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://repomgr"+to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		name, done, err := short(path)
		if err != nil {
			return nil, err
		}
		defer done()
		return new(net.Dialer).DialContext(ctx, "unix", name)
	}}
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNoServer
	}
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	return resp, nil
}

// refusal is the error in an answer that is not what was asked for.
func refusal(resp *http.Response) error {
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return errors.Join(fmt.Errorf("the server answered %d: %s", resp.StatusCode, bytes.TrimSpace(answer)), err)
}
