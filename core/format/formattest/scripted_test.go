package formattest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/repository"
)

// newScripted starts an upstream that answers as it is told.
func newScripted(t *testing.T, h http.HandlerFunc) *httptest.Server {
	up := httptest.NewServer(h)
	t.Cleanup(up.Close)
	return up
}

// newProxy starts a server with a proxy of upstream, and returns how to GET of it as a client on the network: status, body, and what
// shows that the body is not whole.
func newProxy(t *testing.T, up *httptest.Server, change func(*repository.Config)) (s *Server, get func(path string, header ...string) (*http.Response, []byte, error)) {
	s = newServer(t, typed{})
	c := proxyOf(up, Suite{})
	if change != nil {
		change(&c)
	}
	s.Create(c)
	front := s.Serve()
	return s, func(path string, header ...string) (*http.Response, []byte, error) {
		return fetchFrom(t, front, "GET", path, header...)
	}
}

// fetchFrom makes a request to the repository "test", or to the one that the path names after "/../".
func fetchFrom(t *testing.T, front *httptest.Server, method, path string, header ...string) (*http.Response, []byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	path, other := strings.CutPrefix(path, "/../")
	if !other {
		path = repositoryName + path
	}
	r, err := http.NewRequestWithContext(ctx, method, front.URL+"/repository/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(Admin, Admin)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, body, err
}

// breakOff sends so many bytes, and ends the connection.
func breakOff(w http.ResponseWriter, b []byte) {
	_, _ = w.Write(b)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
