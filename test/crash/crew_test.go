package crash

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/internal/testenv"
)

const (
	workers = 6
	// baseImage has blobs to mount; nobody changes it after the beginning.
	baseImage = "crash/base"
	// sharedImage has a tag that all workers move.
	sharedImage = "crash/shared"
	sharedTag   = "latest"
)

// crew is the workers, and what they share.
type crew struct {
	server *testenv.Server
	killed atomic.Bool
	// kill ends what work works with.
	kill    func(testing.TB)
	workers []*worker
	base    [][]byte
	shared  register
}

// newCrew makes the workers, and stores what they mount.
func newCrew(t *testing.T, s *testenv.Server, seed uint64) *crew {
	t.Helper()
	c := &crew{server: s, kill: s.Kill}
	images := []string{baseImage, sharedImage}
	for i := range workers {
		images = append(images, fmt.Sprintf("crash/worker-%d", i))
	}
	token := newToken(t, s, images)
	for i, image := range images[2:] {
		c.workers = append(c.workers, &worker{
			client: newClient(s, token, &c.killed), rng: rand.New(rand.NewPCG(seed, uint64(100+i))), image: image, crew: c,
			state: map[string]digest.Digest{}, content: map[digest.Digest][]byte{}, needs: map[digest.Digest][]digest.Digest{},
			subjects: map[digest.Digest]digest.Digest{}, touched: map[string]bool{}, acknowledged: map[string]int{},
		})
	}
	first := c.workers[0]
	for range 5 {
		b := first.bytes()
		c.base = append(c.base, b)
		path := baseImage + "/blobs/uploads/?digest=" + digest.FromBytes(b).String()
		if _, err := first.want(http.StatusCreated, http.MethodPost, path, b); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// work lets the workers work for the time, and kills the server, or what else kill says, under them.
func (c *crew) work(t *testing.T, span time.Duration) {
	t.Helper()
	for _, w := range c.workers {
		w.http.CloseIdleConnections()
	}
	var wg sync.WaitGroup
	for _, w := range c.workers {
		wg.Go(func() {
			if err := w.run(); err != nil {
				t.Errorf("while the server runs: %v", err)
			}
		})
	}
	time.Sleep(span)
	c.killed.Store(true)
	c.kill(t)
	wg.Wait()
}

// settle checks, after a start, what the workers did last.
func (c *crew) settle(t *testing.T) {
	t.Helper()
	c.killed.Store(false)
	c.each(t, (*worker).settle)
	c.settleShared(t)
}

// verify checks all that the workers ever did.
func (c *crew) verify(t *testing.T) {
	t.Helper()
	c.each(t, (*worker).verify)
	w := c.workers[0]
	for d := range c.shared.stored {
		got, _, err := w.observe(sharedImage, "manifests/"+d.String())
		if err != nil || got != d {
			t.Errorf("%s/manifests/%s is %q: %v", sharedImage, d, got, err)
		}
	}
}

func (c *crew) each(t *testing.T, do func(*worker) error) {
	t.Helper()
	var wg sync.WaitGroup
	for _, w := range c.workers {
		wg.Go(func() {
			if err := do(w); err != nil {
				t.Errorf("after the start: %v", err)
			}
		})
	}
	wg.Wait()
}

// done says what was acknowledged.
func (c *crew) done() string {
	total := map[string]int{}
	for _, w := range c.workers {
		for what, n := range w.acknowledged {
			total[what] += n
		}
	}
	var parts []string
	for what, n := range total {
		parts = append(parts, fmt.Sprintf("%d %s", n, what))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// settleShared checks the tag that all workers move.
func (c *crew) settleShared(t *testing.T) {
	t.Helper()
	got, _, err := c.workers[0].observe(sharedImage, "manifests/"+sharedTag)
	if err != nil {
		t.Error(err)
		return
	}
	if !c.shared.allows(got) {
		t.Errorf("%s:%s is %q, which a later push or deletion overwrote, or nobody pushed", sharedImage, sharedTag, got)
	}
	if got != "" {
		if d, _, err := c.workers[0].observe(sharedImage, "manifests/"+got.String()); err != nil || d != got {
			t.Errorf("%s:%s is %s, but there is no such manifest: %v", sharedImage, sharedTag, got, err)
		}
	}
	c.shared.settle(got)
}

// moveShared pushes a manifest of a type that needs no blobs under the shared tag, or deletes the tag.
func (w *worker) moveShared() error {
	path := sharedImage + "/manifests/" + sharedTag
	if w.rng.IntN(5) == 0 {
		a := w.crew.shared.start("")
		res, err := w.do(http.MethodDelete, path, nil)
		switch {
		case err != nil:
			return err
		case res.status == http.StatusNotFound:
			w.crew.shared.cancel(a)
			return nil
		case res.status != http.StatusAccepted:
			return fmt.Errorf("DELETE %s: status %d: %.300s", path, res.status, res.body)
		}
		w.crew.shared.finish(a)
		return nil
	}
	const mediaType = "application/vnd.example.crash.v1+json"
	b, err := json.Marshal(map[string]string{"mediaType": mediaType, "n": fmt.Sprint(w.rng.Uint64())})
	if err != nil {
		return err
	}
	a := w.crew.shared.start(digest.FromBytes(b))
	if _, err := w.want(http.StatusCreated, http.MethodPut, path, b, "Content-Type", mediaType); err != nil {
		return err
	}
	w.crew.shared.finish(a)
	w.acknowledged["moves of the shared tag"]++
	return nil
}
