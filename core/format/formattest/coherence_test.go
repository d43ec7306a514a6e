package formattest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/security"
)

// TestNoStaleReads: what was acknowledged is what the very next request sees, however many move and read at the same time.
// Each path holds growing numbers; negative ones stand for "deleted".
func TestNoStaleReads(t *testing.T) {
	s := NewServer(t, plain{}, nil)
	const paths, movers, readers = 4, 8, 8
	type place struct {
		mu    sync.Mutex // one mover at a time, so that the order of acknowledgements is known
		moves int64
		// acked is the newest move that was acknowledged.
		acked atomic.Int64
	}
	var places [paths]place
	// values[n] tells of move n of a path whether it was a deletion.
	deletion := func(n int64) bool { return n%5 == 4 }
	path := func(i int) string { return fmt.Sprintf("/dir/%d", i) }
	s.Do(Admin, http.MethodGet, "/", nil) // the password's hash is computed once, and takes its time
	deadline := time.Now().Add(2 * time.Second)
	var wg sync.WaitGroup
	for range movers {
		wg.Go(func() {
			for time.Now().Before(deadline) {
				i := rand.IntN(paths)
				p := &places[i]
				p.mu.Lock()
				p.moves++
				method, body, want := http.MethodPut, strconv.FormatInt(p.moves, 10), http.StatusCreated
				if deletion(p.moves) {
					method, body, want = http.MethodDelete, "", http.StatusNoContent
				}
				if r := s.Do(Admin, method, path(i), []byte(body), "Content-Type", "text/plain"); r.Status != want {
					t.Errorf("%s move %d: %d", method, p.moves, r.Status)
				}
				p.acked.Store(p.moves)
				p.mu.Unlock()
			}
		})
	}
	var reads atomic.Int64
	for range readers {
		wg.Go(func() {
			for time.Now().Before(deadline) {
				i := rand.IntN(paths)
				before := places[i].acked.Load()
				if before == 0 {
					time.Sleep(time.Millisecond)
					continue
				}
				r := s.Do(Admin, http.MethodGet, path(i), nil)
				after := places[i].acked.Load()
				reads.Add(1)
				if r.Status == http.StatusNotFound {
					// Some move from the acknowledged one up to the one under way must be a deletion.
					ok := false
					for n := before; n <= after+1; n++ {
						ok = ok || deletion(n)
					}
					if !ok {
						t.Errorf("not found between moves %d and %d", before, after+1)
					}
					continue
				}
				seen, err := strconv.ParseInt(string(r.Body), 10, 64)
				if r.Status != http.StatusOK || err != nil {
					t.Errorf("read: %d %q", r.Status, r.Body)
				} else if seen < before || seen > after+1 {
					t.Errorf("read move %d; %d was acknowledged before, %d after", seen, before, after)
				}
			}
		})
	}
	wg.Wait()
	if reads.Load() < 100 {
		t.Errorf("only %d reads: this shows nothing", reads.Load())
	}
}

// TestRightTakenAway: a right that was taken away is gone at the very next request.
func TestRightTakenAway(t *testing.T) {
	s := NewServer(t, plain{}, nil)
	if r := s.Do(Admin, "PUT", "/f", []byte("x"), "Content-Type", "text/plain"); r.Status != 201 {
		t.Fatal(r.Status)
	}
	s.AddUser(Reader, "nx-anonymous")
	for range 20 {
		if r := s.Do(Reader, "GET", "/f", nil); r.Status != 200 {
			t.Fatalf("with the right: %d", r.Status)
		}
		set := func(status security.Status) {
			u, err := s.Security.User(Reader)
			if err != nil {
				t.Fatal(err)
			}
			u.Status = status
			if err := s.Security.UpdateUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		}
		set(security.Disabled)
		if r := s.Do(Reader, "GET", "/f", nil); r.Status != http.StatusUnauthorized {
			t.Fatalf("after it was taken away: %d", r.Status)
		}
		set(security.Active)
	}
}
