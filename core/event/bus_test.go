package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/core/store/storetest"
	"github.com/repomgr/repomgr/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// newBus returns a bus that is as quick as a test wants it.
func newBus(st *store.Store, consumers ...Consumer) *Bus {
	b := New(st, slog.New(slog.DiscardHandler), consumers...)
	b.batch, b.poll, b.minPause, b.maxPause, b.patience = 7, 10*time.Millisecond, 5*time.Millisecond, 20*time.Millisecond, 5*time.Second
	return b
}

// start runs a bus; stop ends it, and waits.
func start(t *testing.T, b *Bus) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// create makes a repository, which is an event.
func create(t *testing.T, st *store.Store, name string) {
	t.Helper()
	if err := st.Update(t.Context(), func(tx *store.Tx) error { return insert(tx, name) }); err != nil {
		t.Fatal(err)
	}
}

func insert(tx *store.Tx, name string) error {
	_, err := tx.CreateRepository(store.Repository{Name: name, Format: "raw", Type: "hosted", BlobStoreID: 1, Config: "{}"})
	return err
}

func setUp(t *testing.T, open func() *store.Store) *store.Store {
	t.Helper()
	st := open()
	err := st.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.CreateBlobStore(store.BlobStore{UUID: "u", Name: "default", Type: "File", Config: "{}"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// recorder is a consumer that keeps the names of the repositories that it hears of.
type recorder struct {
	mu    sync.Mutex
	names []string
	// fail is asked before a batch is taken.
	fail func(names []string) error
}

func (r *recorder) handle(_ context.Context, events []Event) error {
	var names []string
	for _, e := range events {
		var payload struct{ Name string }
		if err := json.Unmarshal(e.Payload, &payload); err != nil {
			return err
		}
		if e.Topic != "repository.created" || e.Repository == 0 || e.At.IsZero() {
			return fmt.Errorf("event %+v", e)
		}
		names = append(names, payload.Name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail(names); err != nil {
			return err
		}
	}
	r.names = append(r.names, names...)
	return nil
}

func (r *recorder) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.names)
}

// await waits until the recorder has heard of n repositories.
func (r *recorder) await(t *testing.T, n int) []string {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if names := r.got(); len(names) >= n {
			return names
		}
		if time.Now().After(end) {
			t.Fatalf("after a long time: %v, want %d", r.got(), n)
		}
	}
}

func names(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint("r", i))
	}
	return all
}

// TestOrder: consumers get all events in order, each at its own pace, from before and after they start, and go on where
// they were when the server is started again.
func TestOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		st := setUp(t, open)
		for _, name := range names(0, 20) {
			create(t, st, name)
		}
		quick, slow := &recorder{}, &recorder{fail: func([]string) error { time.Sleep(30 * time.Millisecond); return nil }}
		stop := start(t, newBus(st, Consumer{"quick", quick.handle}, Consumer{"slow", slow.handle}))
		for _, name := range names(20, 40) {
			create(t, st, name)
		}
		for _, r := range []*recorder{quick, slow} {
			if got := r.await(t, 40); !slices.Equal(got, names(0, 40)) {
				t.Errorf("heard of %v", got)
			}
		}
		stop()
		create(t, st, "r40")
		again := &recorder{}
		start(t, newBus(st, Consumer{"quick", again.handle}))
		create(t, st, "r41")
		if got := again.await(t, 2); !slices.Equal(got, names(40, 42)) {
			t.Errorf("after the restart: %v", got)
		}
	})
}

// TestWake: a consumer hears of a commit of its own process at once, without waiting for a poll.
func TestWake(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		st := setUp(t, open)
		r := &recorder{}
		b := newBus(st, Consumer{"c", r.handle})
		b.poll = 10 * time.Second
		start(t, b)
		begin := time.Now()
		for i, name := range names(0, 5) {
			create(t, st, name)
			r.await(t, i+1)
		}
		// Polls would take 50 s. One may be needed: PostgreSQL's own transactions can hold up an event.
		if took := time.Since(begin); took > 25*time.Second {
			t.Errorf("five events took %v", took)
		}
	})
}

// TestFailing: a consumer that fails gets the same events again, later and later, and holds up no other.
func TestFailing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		st := setUp(t, open)
		for _, name := range names(0, 3) {
			create(t, st, name)
		}
		var tries []time.Time
		failing := &recorder{fail: func(names []string) error {
			tries = append(tries, time.Now())
			switch len(tries) {
			case 1, 2:
				return errors.New("not now")
			case 3:
				panic("not now")
			}
			return nil
		}}
		other := &recorder{}
		b := newBus(st, Consumer{"failing", failing.handle}, Consumer{"other", other.handle})
		b.minPause, b.maxPause = 20*time.Millisecond, 40*time.Millisecond
		stop := start(t, b)
		for _, r := range []*recorder{other, failing} {
			if got := r.await(t, 3); !slices.Equal(got, names(0, 3)) {
				t.Errorf("heard of %v", got)
			}
		}
		stop()
		for i, least := range []time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 40 * time.Millisecond} {
			if pause := tries[i+1].Sub(tries[i]); pause < least {
				t.Errorf("pause %d was %v, want %v at least", i, pause, least)
			}
		}
	})
}

// TestPatience: a consumer that takes too long is told to end.
func TestPatience(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		st := setUp(t, open)
		create(t, st, "r0")
		ended := make(chan error, 1)
		b := newBus(st, Consumer{"stuck", func(ctx context.Context, _ []Event) error {
			<-ctx.Done()
			select {
			case ended <- ctx.Err():
			default:
			}
			return ctx.Err()
		}})
		b.patience = 50 * time.Millisecond
		start(t, b)
		select {
		case err := <-ended:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("context ended with %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the consumer was never told to end")
		}
	})
}

// TestNodes: of several nodes one feeds a consumer at a time, and another takes over when it stops. Each event comes once.
func TestNodes(t *testing.T) {
	url := testenv.Postgres(t)
	open := func() *store.Store {
		st, err := store.Open(t.Context(), "", url, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		return st
	}
	st := setUp(t, open)
	r := &recorder{}
	stopFirst := start(t, newBus(open(), Consumer{"c", r.handle}))
	start(t, newBus(open(), Consumer{"c", r.handle}))
	for _, name := range names(0, 20) {
		create(t, st, name)
	}
	r.await(t, 20)
	stopFirst()
	for _, name := range names(20, 30) {
		create(t, st, name)
	}
	if got := r.await(t, 30); !slices.Equal(got, names(0, 30)) {
		t.Errorf("heard of %v", got)
	}
}

// TestOpenTransactions: what a transaction that began early and ends late did is not skipped, whatever came in between.
func TestOpenTransactions(t *testing.T) {
	url := testenv.Postgres(t)
	open := func() *store.Store {
		st, err := store.Open(t.Context(), "", url, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		return st
	}
	st := setUp(t, open)
	r := &recorder{}
	start(t, newBus(st, Consumer{"c", r.handle}))

	// hold begins a transaction, which does a step at each call of next and ends at the last.
	hold := func(steps ...func(*store.Tx) error) (next func()) {
		turn, did := make(chan struct{}), make(chan error)
		go func() {
			err := st.Update(t.Context(), func(tx *store.Tx) error {
				for i, step := range steps {
					<-turn
					if err := step(tx); err != nil {
						return err
					}
					if i < len(steps)-1 {
						did <- nil
					}
				}
				return nil
			})
			did <- err
		}()
		return func() {
			t.Helper()
			turn <- struct{}{}
			if err := <-did; err != nil {
				t.Fatal(err)
			}
		}
	}
	touch := func(tx *store.Tx) error { return tx.SetSetting(fmt.Sprintf("k%p", tx), "v") }
	named := func(name string) func(*store.Tx) error {
		return func(tx *store.Tx) error { return insert(tx, name) }
	}
	done := func(*store.Tx) error { return nil }

	// Four transactions get their numbers in this order, but the later ones write their events and commit first.
	first := hold(touch, named("first"), done)
	second := hold(touch, named("second"), done)
	third := hold(named("third"), done)
	first()
	second()
	third()
	second() // its event has a higher id than the third one's
	third()  // commits
	second() // commits
	time.Sleep(100 * time.Millisecond)
	if got := r.got(); len(got) != 0 {
		t.Fatalf("heard of %v while an older transaction was open", got)
	}
	first()
	first() // commits
	if got := r.await(t, 3); !slices.Equal(got, []string{"first", "second", "third"}) {
		t.Errorf("heard of %v", got)
	}

	// The older transaction's event has the higher id, and is read while the younger one is open.
	older, younger := hold(touch, named("older"), done), hold(named("younger"), done)
	older()
	younger()
	older()
	older() // commits
	r.await(t, 4)
	younger() // commits
	if got := r.await(t, 5); !slices.Equal(got[3:], []string{"older", "younger"}) {
		t.Errorf("heard of %v", got)
	}
}

// TestTrim: events go when they are old and all consumers have had them; without consumers, when they are old.
func TestTrim(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		st := setUp(t, open)
		for _, name := range names(0, 10) {
			create(t, st, name)
		}
		r := &recorder{fail: func(names []string) error {
			if slices.Contains(names, "r7") {
				return errors.New("no further")
			}
			return nil
		}}
		b := newBus(st, Consumer{"c", r.handle})
		start(t, b)
		r.await(t, 7)
		var trimmed int64
		trim := func(b *Bus, retention time.Duration) int64 {
			t.Helper()
			n, err := b.Trim(t.Context(), retention)
			if err != nil {
				t.Fatal(err)
			}
			trimmed += n
			return n
		}
		if n := trim(b, time.Hour); n != 0 {
			t.Errorf("%d young events were trimmed", n)
		}
		time.Sleep(5 * time.Millisecond)
		// The cursor is moved after the consumer has returned.
		for end := time.Now().Add(10 * time.Second); trimmed < 7 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			trim(b, time.Millisecond)
		}
		if trimmed != 7 {
			t.Errorf("%d events that were handled were trimmed, want 7", trimmed)
		}
		if n := trim(newBus(st), time.Hour); n != 0 {
			t.Errorf("%d young events were trimmed", n)
		}
		if n := trim(newBus(st), time.Millisecond); n != 3 {
			t.Errorf("%d events that nobody waits for were trimmed, want 3", n)
		}
	})
}
