package fault

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/internal/testenv"
)

func onPostgres(t *testing.T) (*testenv.Cluster, *site) {
	t.Helper()
	db := testenv.StartCluster(t)
	return db, start(t, testenv.ServerOptions{Env: []string{"REPOMGR_DATABASE_URL=" + db.URL}})
}

// requests are of every kind that needs the database.
func requests(t *testing.T, s *site, old pushed) []answer {
	t.Helper()
	b := random(50_000)
	return []answer{
		s.do(t, http.MethodGet, image+"/manifests/"+old.tag, nil),
		s.do(t, http.MethodGet, blobPath(old.blobs[0]), nil),
		s.do(t, http.MethodGet, image+"/tags/list", nil),
		s.do(t, http.MethodGet, image+"/referrers/"+digest.FromBytes(old.manifest).String(), nil),
		s.do(t, http.MethodGet, "_catalog", nil),
		s.putBlob(t, b),
		s.putManifest(t, "new", manifestOf(t, old.blobs...)),
		s.do(t, http.MethodDelete, image+"/manifests/"+old.tag, nil),
		s.do(t, http.MethodPost, image+"2/blobs/uploads/?mount="+digest.FromBytes(old.blobs[1]).String()+"&from="+image, nil),
	}
}

// lost checks the answers while the database is away.
func lost(t *testing.T, s *site, old pushed, within time.Duration) {
	t.Helper()
	for _, a := range requests(t, s, old) {
		a.refused(t, http.StatusServiceUnavailable).says(t, "the database")
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", a.request)
		}
		if a.took > within {
			t.Errorf("%s took %v", a.request, a.took)
		}
	}
	began := time.Now()
	for path, want := range map[string]int{"/service/rest/v1/status": 503, "/service/rest/v1/status/writable": 503, "/service/rest/v1/blobstores": 503} {
		a := s.do(t, http.MethodGet, s.URL+path, nil).want(t, want)
		if strings.Contains(string(a.body), "internal") {
			t.Errorf("%s: %s", a.request, a.body)
		}
	}
	if took := time.Since(began); took > 3*within {
		t.Errorf("the status took %v", took)
	}
}

// A database that ends, in any way, and comes back.
func TestDatabase_Restart(t *testing.T) {
	t.Parallel()
	db, s := onPostgres(t)
	old := s.push(t, "old", 100_000, 200_000)
	location, half := s.begin(t), random(100_000)
	var whole []byte
	for name, end := range map[string]func(testing.TB){"stop": db.Stop, "crash": db.Crash, "kill": db.Kill} {
		whole = append(whole, half[:10_000]...)
		s.do(t, http.MethodPatch, location, half[:10_000]).want(t, http.StatusAccepted)
		end(t)
		lost(t, s, old, 5*time.Second)
		// An upload that can't be recorded now goes on later.
		s.do(t, http.MethodPut, location+"?digest="+digest.FromBytes(whole).String(), nil).refused(t, http.StatusServiceUnavailable)
		if n := s.do(t, http.MethodGet, location, nil).want(t, http.StatusNoContent).held(t); n != len(whole) {
			t.Errorf("%s: the upload has %d bytes, want %d", name, n, len(whole))
		}
		// What needs no database goes on.
		s.do(t, http.MethodGet, location, nil).want(t, http.StatusNoContent)
		db.Start(t)
		// The very first request finds the database, though all connections are dead.
		s.do(t, http.MethodGet, image+"/manifests/"+old.tag, nil).want(t, http.StatusOK)
		s.intact(t, old)
		s.intact(t, s.push(t, "after-"+name, 100, 1000))
	}
	s.do(t, http.MethodPut, location+"?digest="+digest.FromBytes(whole).String(), nil).want(t, http.StatusCreated)
	s.calm(t)
}

// A database that answers nothing, as one whose machine or network is gone, is not waited for without end.
func TestDatabase_Halt(t *testing.T) {
	t.Parallel()
	db := testenv.StartCluster(t)
	// New connections are waited for here, and one that was opened before the database halted, for 15 seconds.
	s := start(t, testenv.ServerOptions{Env: []string{"REPOMGR_DATABASE_URL=" + db.URL + "&connect_timeout=2"}})
	old := s.push(t, "old", 100_000, 200_000)
	db.Query(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`)
	db.Halt(t)
	var wg sync.WaitGroup
	for range 25 {
		wg.Go(func() {
			a, err := s.send(http.MethodGet, image+"/manifests/"+old.tag, nil)
			if err != nil || a.status != http.StatusServiceUnavailable || a.took > 25*time.Second {
				t.Errorf("status %d after %v: %v", a.status, a.took, err)
			}
		})
	}
	wg.Wait()
	db.Resume(t)
	eventually(t, "the database is used", 10*time.Second, func() bool {
		return s.do(t, http.MethodGet, image+"/manifests/"+old.tag, nil).status == http.StatusOK
	})
	s.intact(t, old)
	s.calm(t)
}

// TestSoakDatabase_Halt waits for as long as the server does for answers on connections that are open.
func TestSoakDatabase_Halt(t *testing.T) {
	testenv.Soak(t)
	db, s := onPostgres(t)
	s.client.Timeout = 5 * time.Minute
	old := s.push(t, "old", 100_000, 200_000)
	for range 3 {
		db.Halt(t)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				var a answer
				var err error
				if i%2 == 0 {
					a, err = s.send(http.MethodGet, image+"/manifests/"+old.tag, nil)
				} else {
					a, err = s.send(http.MethodDelete, image+"/manifests/none", nil)
				}
				if err == nil && a.status == http.StatusServiceUnavailable {
					err = a.dialect()
				}
				if err != nil || a.status != http.StatusServiceUnavailable || a.took > 2*time.Minute {
					t.Errorf("status %d after %v: %v", a.status, a.took, err)
				}
			})
		}
		wg.Wait()
		a := s.do(t, http.MethodGet, s.URL+"/service/rest/v1/status", nil).want(t, http.StatusServiceUnavailable)
		if a.took > 15*time.Second {
			t.Errorf("the status took %v", a.took)
		}
		db.Resume(t)
		s.intact(t, old)
		s.intact(t, s.push(t, "new", 100, 1000))
	}
	s.calm(t)
}

// Connections that are cut in mid-load cost nobody more than an honest 503, and reads nothing.
func TestDatabase_ConnectionsCut(t *testing.T) {
	t.Parallel()
	db, s := onPostgres(t)
	old := s.push(t, "old", 100_000, 200_000)
	var stop atomic.Bool
	var wg sync.WaitGroup
	var reads, refusedReads, writes, refusedWrites atomic.Int64
	var mu sync.Mutex
	stored := map[string][]byte{}
	for i := range 8 {
		wg.Go(func() {
			for !stop.Load() {
				a, err := s.send(http.MethodGet, image+"/manifests/"+old.tag, nil)
				count(t, a, err, http.StatusOK, &reads, &refusedReads)
			}
		})
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				m := manifestOf(t, old.blobs...)
				tag := fmt.Sprintf("tag-%d-%d", i, n)
				a, err := s.send(http.MethodPut, image+"/manifests/"+tag, strings.NewReader(string(m)), "Content-Type", typeManifest)
				if count(t, a, err, http.StatusCreated, &writes, &refusedWrites) {
					mu.Lock()
					stored[tag] = m
					mu.Unlock()
				}
			}
		})
	}
	// On a busy machine it takes more cuts until something was done in between; never more than fit into a minute.
	cuts := int64(0)
	for began := time.Now(); time.Since(began) < time.Minute && (cuts < 20 || reads.Load() < 100 || writes.Load() < 50); cuts++ {
		time.Sleep(200 * time.Millisecond)
		db.Query(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`)
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d cuts: %d reads, %d refused; %d writes, %d refused", cuts, reads.Load(), refusedReads.Load(), writes.Load(), refusedWrites.Load())
	if reads.Load() < 100 || writes.Load() < 50 || refusedReads.Load() > cuts/4 || refusedWrites.Load() > cuts*8 {
		t.Error("that is too few or too many")
	}
	for tag, m := range stored {
		if a := s.do(t, http.MethodGet, image+"/manifests/"+tag, nil).want(t, http.StatusOK); string(a.body) != string(m) {
			t.Errorf("%s: other bytes", tag)
		}
	}
	s.calm(t)
}

// count counts an answer as it should be, or refused; true for the former.
func count(t *testing.T, a answer, err error, status int, good, refused *atomic.Int64) bool {
	switch {
	case err != nil:
		t.Error(err)
	case a.status == status:
		good.Add(1)
		return true
	case a.status == http.StatusServiceUnavailable:
		refused.Add(1)
		if err := a.dialect(); err != nil {
			t.Error(err)
		}
	default:
		t.Errorf("%s: status %d: %.300s", a.request, a.status, a.body)
	}
	return false
}

// A server that starts while the database is away says so and ends, soon.
func TestDatabase_AwayAtStart(t *testing.T) {
	t.Parallel()
	db, s := onPostgres(t)
	old := s.push(t, "old", 100, 200_000)
	s.Stop(t)
	db.Stop(t)
	began := time.Now()
	out, err := serve(t, s, "REPOMGR_DATABASE_URL="+db.URL)
	if err == nil || !strings.Contains(out, "open PostgreSQL database") || strings.Contains(out, "goroutine") || strings.Contains(out, password(t, db.URL)) {
		t.Errorf("%v\n%s", err, out)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	// An address that swallows everything.
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	began = time.Now()
	if out, err = serve(t, s, fmt.Sprintf("REPOMGR_DATABASE_URL=postgres://u:p@%s/d?sslmode=disable", hole.Addr())); err == nil || errors.Is(err, errStillRuns) {
		t.Errorf("%v\n%s", err, out)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	db.Start(t)
	s.Start(t)
	s.intact(t, old)
}
