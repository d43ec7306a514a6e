package blobtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/repomgr/repomgr/core/blobstore"
)

// RunQuarantine runs the suite's part about quarantines. open is as for Run; what is in quarantine when a test ends, stays there.
func RunQuarantine(t *testing.T, open func(t *testing.T) blobstore.Quarantiner) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, s blobstore.Quarantiner)
	}{
		{"Quarantine", quarantine},
		{"Quarantine/absent", quarantineAbsent},
		{"Quarantine/open reader", quarantineOpen},
		{"Quarantine/concurrent", quarantineConcurrent},
		{"Quarantine/walking", quarantineWalking},
		{"Quarantine/context has ended", quarantineEnded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { sweep(t, s) })
			tt.run(t, s)
		})
	}
}

func quarantine(t *testing.T, s blobstore.Quarantiner) {
	ctx := context.Background()
	info, same := put(t, s, []byte("x")), put(t, s, []byte("x"))
	before, err := s.Stat(ctx, info.Key)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Quarantine(ctx, info.Key); err != nil {
			t.Fatalf("Quarantine = %v", err)
		}
		_, _, err := s.Open(ctx, info.Key)
		is(t, "Open", err, blobstore.ErrNotFound)
		_, err = s.Stat(ctx, info.Key)
		is(t, "Stat", err, blobstore.ErrNotFound)
		if got := keysOf(walk(t, s, "")); !slices.Equal(got, []string{same.Key}) {
			t.Errorf("Walk = %v, want the other one", got)
		}
		// It is out of reach of what works on blobs.
		if err := s.Delete(ctx, info.Key); err != nil {
			t.Errorf("Delete = %v", err)
		}
		if err := s.Release(ctx, info.Key); err != nil {
			t.Fatalf("Release = %v", err)
		}
		holds(t, s, info, []byte("x"))
		after, err := s.Stat(ctx, info.Key)
		if err != nil || !after.ModTime.Equal(before.ModTime) {
			t.Errorf("it is of %v, was of %v; %v", after.ModTime, before.ModTime, err)
		}
	}
}

func quarantineAbsent(t *testing.T, s blobstore.Quarantiner) {
	ctx := context.Background()
	info := put(t, s, []byte("x"))
	keys := append([]string{info.Key + "x", info.Key[1:], "./" + info.Key, info.Key + "\x00"}, hostile...)
	is(t, "Release of what is in no quarantine", s.Release(ctx, info.Key), blobstore.ErrNotFound)
	for _, key := range keys {
		is(t, fmt.Sprintf("Quarantine(%.80q)", key), s.Quarantine(ctx, key), blobstore.ErrNotFound)
		is(t, fmt.Sprintf("Release(%.80q)", key), s.Release(ctx, key), blobstore.ErrNotFound)
	}
	if err := s.Quarantine(ctx, info.Key); err != nil {
		t.Fatalf("Quarantine = %v", err)
	}
	is(t, "Quarantine of what is there", s.Quarantine(ctx, info.Key), blobstore.ErrNotFound)
}

func quarantineOpen(t *testing.T, s blobstore.Quarantiner) {
	ctx := context.Background()
	info := put(t, s, random(3<<20))
	r, _, err := s.Open(ctx, info.Key)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	defer r.Close()
	if err := s.Quarantine(ctx, info.Key); err != nil {
		t.Fatalf("Quarantine = %v", err)
	}
	same(t, r, random(3<<20))
}

func quarantineConcurrent(t *testing.T, s blobstore.Quarantiner) {
	ctx := context.Background()
	info := put(t, s, []byte("x"))
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = s.Quarantine(ctx, info.Key) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("Quarantine = %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d say that they did it", won, len(errs))
	}
}

func quarantineWalking(t *testing.T, s blobstore.Quarantiner) {
	ctx := context.Background()
	keys := putMany(t, s, 20)
	err := s.Walk(ctx, "", func(i blobstore.Info) error { return s.Quarantine(ctx, i.Key) })
	if got := walk(t, s, ""); err != nil || len(got) != 0 {
		t.Errorf("Walk = %v; %d blobs are not in quarantine", err, len(got))
	}
	for _, key := range keys {
		if err := s.Release(ctx, key); err != nil {
			t.Errorf("Release = %v", err)
		}
	}
	if got := keysOf(walk(t, s, "")); !slices.Equal(got, keys) {
		t.Errorf("Walk = %v, want %v", got, keys)
	}
}

func quarantineEnded(t *testing.T, s blobstore.Quarantiner) {
	info := put(t, s, []byte("x"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	is(t, "Quarantine", s.Quarantine(ctx, info.Key), context.Canceled)
	is(t, "Release", s.Release(ctx, info.Key), context.Canceled)
	holds(t, s, info, []byte("x"))
}
