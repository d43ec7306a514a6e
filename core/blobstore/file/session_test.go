package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// TestManyUploads: of uploads that rest only so many are remembered, and all of them can go on.
func TestManyUploads(t *testing.T) {
	ctx := context.Background()
	s := fresh(t)
	s.sync = func(*os.File) error { return nil }
	held := begin(t, s)
	ses, err := s.take(ctx, "o", held)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := range maxIdle + 20 {
		ids = append(ids, begin(t, s))
		grow(t, s, ids[i], []byte(fmt.Sprint("upload ", i)))
		if i == maxIdle-1 {
			grow(t, s, ids[0], []byte{}) // is used again, and so not among those which are used least recently
		}
	}
	if n, idle := len(s.sessions.open), s.sessions.idle.Len(); n != maxIdle+1 || idle != maxIdle {
		t.Errorf("%d sessions are remembered, %d idle ones, want %d", n, idle, maxIdle)
	}
	for i, want := range map[int]bool{0: true, 1: false, 20: false, 21: true, maxIdle + 19: true} {
		if _, ok := s.sessions.open[ids[i]]; ok != want {
			t.Errorf("upload %d is remembered: %t, want %t", i, ok, want)
		}
	}
	if s.sessions.open[held] != ses {
		t.Error("a session that somebody has is forgotten")
	}
	s.sessions.release(ses)
	for _, i := range []int{0, 1, 20, maxIdle} {
		grow(t, s, ids[i], []byte(" goes on"))
		if _, err := s.Finish(ctx, "o", ids[i], digest.FromString(fmt.Sprint("upload ", i, " goes on"))); err != nil {
			t.Errorf("upload %d: Finish = %v", i, err)
		}
	}
	if n, err := s.Expire(ctx, time.Now().Add(time.Hour)); err != nil || n != maxIdle+20-4+1 {
		t.Errorf("Expire = %d, %v", n, err)
	}
	if n, idle := len(s.sessions.open), s.sessions.idle.Len(); n != 0 || idle != 0 {
		t.Errorf("%d sessions are left, %d idle ones", n, idle)
	}
}

// TestExpireGoesOn: uploads that can't be removed keep none of the others.
func TestExpireGoesOn(t *testing.T) {
	s := fresh(t)
	for range 5 {
		begin(t, s)
		path := s.dataPath("o", begin(t, s))
		if err := errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "x"), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Expire(context.Background(), time.Now().Add(time.Hour)); n != 5 || err == nil {
		t.Errorf("Expire = %d, %v, want 5 and an error", n, err)
	}
}
