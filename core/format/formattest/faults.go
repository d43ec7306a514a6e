package formattest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/repository"
)

// fault is what an upstream does to its answers to GET.
type fault struct {
	name string
	// spoil answers in place of the server, whose answer is given; it returns false to let it pass.
	spoil func(w http.ResponseWriter, r *http.Request, answer *httptest.ResponseRecorder) bool
	// passes: the client gets what it asked for nevertheless.
	passes bool
	// holds: upstream asked to be left alone.
	holds bool
	// status is that of the client's answer, if there is a whole one; zero is any of 500 and above.
	status int
}

func spoilStatus(status int, header ...string) func(http.ResponseWriter, *http.Request, *httptest.ResponseRecorder) bool {
	return func(w http.ResponseWriter, _ *http.Request, _ *httptest.ResponseRecorder) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		return true
	}
}

// cut sends half of what it should, and ends the connection.
func cut(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	body := answer.Body.Bytes()
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

var faults = []fault{
	{name: "500", spoil: spoilStatus(500)},
	{name: "503 for an hour", spoil: spoilStatus(503, "Retry-After", "3600"), holds: true},
	{name: "429", spoil: spoilStatus(429, "Retry-After", "3600"), status: 429, holds: true},
	{name: "403", spoil: spoilStatus(403)},
	{name: "teapot", spoil: spoilStatus(418)},
	{name: "redirects to itself", spoil: func(w http.ResponseWriter, r *http.Request, _ *httptest.ResponseRecorder) bool {
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
		return true
	}},
	{name: "404", spoil: spoilStatus(404), status: 404},
	{name: "cut once", passes: true, spoil: func() func(http.ResponseWriter, *http.Request, *httptest.ResponseRecorder) bool {
		var done atomic.Bool
		return func(w http.ResponseWriter, _ *http.Request, answer *httptest.ResponseRecorder) bool {
			if answer.Body.Len() > 0 && !done.Swap(true) {
				cut(w, answer)
			}
			return false
		}
	}()},
	{name: "cut always", spoil: func(w http.ResponseWriter, _ *http.Request, answer *httptest.ResponseRecorder) bool {
		cut(w, answer)
		return true
	}},
}

// upstreamFaults: nothing wrong is stored, whatever upstream does; the client hears of it; and when upstream is well again, all is.
func upstreamFaults(t *testing.T, f format.Format, suite Suite) {
	hosted, stored := filled(t, f, suite)
	a := stored[0]
	for _, one := range stored {
		if len(one.Body) > len(a.Body) {
			a = one
		}
	}
	for _, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			var ill atomic.Bool
			ill.Store(true)
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer := httptest.NewRecorder()
				hosted.handler.ServeHTTP(answer, r)
				if r.URL.Path == "/repository/"+repositoryName+a.Path && r.Method == http.MethodGet && ill.Load() && tt.spoil(w, r, answer) {
					return
				}
				for name, values := range answer.Header() {
					w.Header()[name] = values
				}
				w.WriteHeader(answer.Code)
				_, _ = w.Write(answer.Body.Bytes())
			}))
			defer upstream.Close()
			s := newServer(t, f)
			config := proxyOf(upstream, suite)
			config.HTTPClient.AutoBlock = false
			config.NegativeCache = &repository.NegativeCache{}
			s.Create(config)
			front := s.Serve()
			get := func() (int, []byte, error) {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+"/repository/"+repositoryName+a.Path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.SetBasicAuth(Admin, Admin)
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					return 0, nil, err
				}
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				return res.StatusCode, body, err
			}
			status, body, err := get()
			switch {
			case tt.passes && (status != 200 || err != nil || !bytes.Equal(body, a.Body)):
				t.Errorf("status %d, %d bytes, %v", status, len(body), err)
			case tt.passes:
			case status == 200 && err == nil:
				t.Errorf("a whole answer of %d bytes", len(body))
			case err == nil && tt.status != 0 && status != tt.status, err == nil && tt.status == 0 && status < 500:
				t.Errorf("status %d: %s", status, body)
			}
			ill.Store(false)
			if tt.holds {
				return
			}
			end := time.Now().Add(10 * time.Second)
			for {
				if status, body, err = get(); status == 200 && err == nil && bytes.Equal(body, a.Body) {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("with upstream well again: status %d, %d of %d bytes, %v", status, len(body), len(a.Body), err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			checkRead(t, s, a)
		})
	}
}
