package formattest

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// within waits until what it is told to wait for is so.
func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// TestLeft: fetches go on that nobody waits for any more, but not any number of them: those end that were left first.
func TestLeft(t *testing.T) {
	const most, more = 64, 20
	content := bytes.Repeat([]byte("x"), 500_000)
	gate := make(chan struct{})
	var mu sync.Mutex
	open, asked := map[string]bool{}, atomic.Int64{}
	up := newScripted(t, func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[len("/repository/"+repositoryName):]
		set := func(is bool) {
			mu.Lock()
			defer mu.Unlock()
			open[name] = is
		}
		asked.Add(1)
		set(true)
		defer set(false)
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content[:1000])
		_ = http.NewResponseController(w).Flush()
		select {
		case <-gate:
			_, _ = w.Write(content[1000:])
		case <-r.Context().Done():
		}
	})
	running := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, is := range open {
			if is {
				n++
			}
		}
		return n
	}
	s, _ := newProxy(t, up, nil)
	front := s.Serve()
	// visit makes a request; leave is how its client goes away.
	visit := func(path string) (leave func()) {
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/repository/"+repositoryName+path, nil)
		r.SetBasicAuth(Admin, Admin)
		before := asked.Load()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { _ = recover() }() // the end of a connection
			s.handler.ServeHTTP(httptest.NewRecorder(), r)
		}()
		within(t, "upstream is not asked", func() bool { return asked.Load() > before })
		return func() { cancel(); <-done }
	}
	staying := make(chan []byte, 1)
	go func() {
		_, body, err := fetchFrom(t, front, "GET", "/staying")
		if err != nil {
			t.Error(err)
		}
		staying <- body
	}()
	within(t, "upstream is not asked", func() bool { return asked.Load() == 1 })
	for i := range most + more {
		visit("/" + strconv.Itoa(i))()
	}
	within(t, "the fetches that were left go on", func() bool { return running() <= most+1 })
	mu.Lock()
	for i := range most + more {
		// Clients that leave at the same moment do so in any order.
		if name := "/" + strconv.Itoa(i); open[name] != (i >= more) && (i < more-3 || i > more+3) {
			t.Errorf("%s goes on: %v", name, open[name])
		}
	}
	mu.Unlock()
	// Who comes back to one keeps it.
	back := make(chan []byte, 1)
	go func() {
		_, body, err := fetchFrom(t, front, "GET", "/"+strconv.Itoa(more+5))
		if err != nil {
			t.Error(err)
		}
		back <- body
	}()
	time.Sleep(100 * time.Millisecond)
	for i := range 2 {
		visit("/again" + strconv.Itoa(i))()
	}
	close(gate)
	for name, body := range map[string][]byte{"who stays": <-staying, "who comes back": <-back} {
		if !bytes.Equal(body, content) {
			t.Errorf("%s has %d bytes", name, len(body))
		}
	}
	within(t, "upstream is not done", func() bool { return running() == 0 })
	before := asked.Load()
	for _, path := range []string{"/staying", "/" + strconv.Itoa(more+5), "/" + strconv.Itoa(most+more-1)} {
		if r := s.Do(Admin, "GET", path, nil); r.Status != 200 || !bytes.Equal(r.Body, content) {
			t.Errorf("%s: %d, %d bytes", path, r.Status, len(r.Body))
		}
	}
	if n := asked.Load() - before; n != 0 {
		t.Errorf("upstream was asked %d times for what had come", n)
	}
}
