package blobtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

func finishNothing(t *testing.T, s blobstore.Uploader) {
	holds(t, s, finish(t, s, start(t, s).ID, ""), nil)
	holds(t, s, finish(t, s, start(t, s, digest.SHA512).ID, digest.SHA512.FromString("")), nil)
	u := start(t, s)
	add(t, s, u.ID, 0, nil)
	holds(t, s, finish(t, s, u.ID, digest.FromString("")), nil)
}

func finishDigests(t *testing.T, s blobstore.Uploader) {
	tests := []struct {
		name  string
		begin []digest.Algorithm
		want  digest.Algorithm
		among []digest.Algorithm
	}{
		{"none", nil, "", []digest.Algorithm{digest.SHA256}},
		{"sha256", nil, digest.SHA256, []digest.Algorithm{digest.SHA256}},
		{"sha512 from the beginning", []digest.Algorithm{digest.SHA512}, digest.SHA512, []digest.Algorithm{digest.SHA256, digest.SHA512}},
		{"sha512 not compared", []digest.Algorithm{digest.SHA512}, digest.SHA256, []digest.Algorithm{digest.SHA256, digest.SHA512}},
		{"sha512 at the end", nil, digest.SHA512, []digest.Algorithm{digest.SHA256, digest.SHA512}},
		{"sha384 at the end", []digest.Algorithm{digest.SHA512}, digest.SHA384, []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := random(300 << 10)
			u := start(t, s, tt.begin...)
			add(t, s, u.ID, 0, data[:1000])
			add(t, s, u.ID, 1000, data[1000:])
			var want digest.Digest
			if tt.want != "" {
				want = tt.want.FromBytes(data)
			}
			info := finish(t, s, u.ID, want)
			for _, alg := range tt.among {
				if info.Digests[alg] == "" {
					t.Errorf("no %s", alg)
				}
			}
			holds(t, s, info, data)
		})
	}
}

func finishWrong(t *testing.T, s blobstore.Uploader) {
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		u := start(t, s)
		add(t, s, u.ID, 0, []byte("abc"))
		want, got := alg.FromString("abcdef"), alg.FromString("abc")
		_, err := s.Finish(context.Background(), owner, u.ID, want)
		var wrong *blobstore.DigestError
		if !errors.As(err, &wrong) || wrong.Want != want || wrong.Got != got {
			t.Errorf("Finish = %v, want a DigestError of %s and %s", err, want, got)
		}
		if got := walk(t, s, ""); len(got) != 0 {
			t.Errorf("stored all the same: %v", got)
		}
		sized(t, s, u.ID, 3)
		add(t, s, u.ID, 3, []byte("def"))
		info := finish(t, s, u.ID, want)
		holds(t, s, info, []byte("abcdef"))
		if err := s.Delete(context.Background(), info.Key); err != nil {
			t.Errorf("Delete = %v", err)
		}
	}
}

func finishMalformed(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	add(t, s, u.ID, 0, []byte("abc"))
	for _, want := range []digest.Digest{"x", "sha256:", "sha256:abc", "md4:abc", "sha256:../../x", digest.NewDigestFromEncoded("md5", "900150983cd24fb0d6963f7d28e17f72")} {
		if _, err := s.Finish(context.Background(), owner, u.ID, want); err == nil {
			t.Fatalf("Finish(%q) is no error", want)
		}
	}
	sized(t, s, u.ID, 3)
	holds(t, s, finish(t, s, u.ID, ""), []byte("abc"))
}

// finishTime: a sweep goes by the time since the bytes are durable, which may be long after they came in.
func finishTime(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	add(t, s, u.ID, 0, []byte("abc"))
	time.Sleep(1500 * time.Millisecond)
	before := time.Now()
	info := finish(t, s, u.ID, "")
	got, err := s.Stat(context.Background(), info.Key)
	if err != nil || got.ModTime.Before(before.Add(-time.Second)) {
		t.Errorf("Stat says %v, %v; it is durable since %v", got.ModTime, err, before)
	}
}

func finishConcurrent(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	add(t, s, u.ID, 0, []byte("abc"))
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = s.Finish(context.Background(), owner, u.ID, "") })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		is(t, "Finish of a finished upload", err, blobstore.ErrNotFound)
	}
	if got := walk(t, s, ""); won != 1 || len(got) != 1 {
		t.Errorf("%d Finishes won, %d blobs", won, len(got))
	}
}

// reopen takes a finish back: the upload goes on as if there had been none.
func reopen(t *testing.T, s blobstore.Uploader) {
	ctx, data := context.Background(), random(300<<10)
	u := start(t, s, digest.SHA512)
	add(t, s, u.ID, 0, data[:200<<10])
	info := finish(t, s, u.ID, "")
	if err := s.Reopen(ctx, u.Owner, u.ID, "../"+info.Key); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Reopen with a path for a key = %v, want %v", err, blobstore.ErrNotFound)
	}
	if err := s.Reopen(ctx, u.Owner, u.ID, info.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(ctx, info.Key); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Stat of the key = %v, want %v", err, blobstore.ErrNotFound)
	}
	if got, err := s.Upload(ctx, u.Owner, u.ID); err != nil || got.Size != 200<<10 {
		t.Errorf("Upload = %+v, %v", got, err)
	}
	if err := s.Reopen(ctx, u.Owner, u.ID, info.Key); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Reopen of one that goes on = %v, want %v", err, blobstore.ErrNotFound)
	}
	add(t, s, u.ID, 200<<10, data[200<<10:])
	again := finish(t, s, u.ID, digest.SHA512.FromBytes(data))
	if again.Key == info.Key {
		t.Error("the same key was given twice")
	}
	holds(t, s, again, data)
}
