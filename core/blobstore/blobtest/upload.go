package blobtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

var uploadTests = []struct {
	name string
	run  func(t *testing.T, s blobstore.Uploader)
	// parallel tests spend their time waiting.
	parallel bool
}{
	{name: "Begin", run: begin},
	{name: "Begin/unknown digest", run: beginUnknownDigest},
	{name: "Append/sizes", run: appendSizes},
	{name: "Append/offset", run: appendOffset},
	{name: "Append/failing reader", run: appendFailing},
	{name: "Append/context ends", run: appendCancelled},
	{name: "Append/concurrent", run: appendConcurrent},
	{name: "Append/waits for its turn", run: appendWaits},
	{name: "Append/waits until its context ends", run: appendWaitsCancelled},
	{name: "Append/waits a few seconds", run: appendBusy, parallel: true},
	{name: "Finish/nothing", run: finishNothing},
	{name: "Finish/digests", run: finishDigests},
	{name: "Finish/wrong digest", run: finishWrong},
	{name: "Finish/malformed digest", run: finishMalformed},
	{name: "Finish/time", run: finishTime, parallel: true},
	{name: "Finish/concurrent", run: finishConcurrent},
	{name: "Reopen", run: reopen},
	{name: "Ended/finished", run: finished},
	{name: "Ended/cancelled", run: cancelled},
	{name: "Owner", run: wrongOwner},
	{name: "IDs/hostile", run: hostileIDs},
	{name: "Uploads/context has ended", run: uploadContextEnded},
	{name: "Expire", run: expire},
	{name: "Expire/being written", run: expireBusy},
	{name: "Uploads/are not blobs", run: notBlobs},
}

const owner = "repository/image"

func start(t *testing.T, s blobstore.Uploader, algs ...digest.Algorithm) blobstore.Upload {
	t.Helper()
	u, err := s.Begin(context.Background(), owner, algs...)
	if err != nil {
		t.Fatalf("Begin = %v", err)
	}
	return u
}

func add(t *testing.T, s blobstore.Uploader, id string, at int64, data []byte) blobstore.Upload {
	t.Helper()
	u, err := s.Append(context.Background(), owner, id, at, bytes.NewReader(data))
	if err != nil {
		t.Fatalf("Append of %d bytes at %d = %v", len(data), at, err)
	}
	return u
}

func finish(t *testing.T, s blobstore.Uploader, id string, want digest.Digest) blobstore.Info {
	t.Helper()
	info, err := s.Finish(context.Background(), owner, id, want)
	if err != nil {
		t.Fatalf("Finish = %v", err)
	}
	return info
}

func cancel(t *testing.T, s blobstore.Uploader, id string) {
	t.Helper()
	if err := s.Cancel(context.Background(), owner, id); err != nil {
		t.Fatalf("Cancel = %v", err)
	}
}

// sized fails the test unless the upload is there with that size.
func sized(t *testing.T, s blobstore.Uploader, id string, size int64) blobstore.Upload {
	t.Helper()
	u, err := s.Upload(context.Background(), owner, id)
	if err != nil || u.ID != id || u.Owner != owner || u.Size != size {
		t.Errorf("Upload = %+v, %v, want %d bytes", u, err, size)
	}
	return u
}

func begin(t *testing.T, s blobstore.Uploader) {
	seen := map[string]bool{}
	for range 20 {
		u := start(t, s)
		if !regexp.MustCompile(`^[0-9a-zA-Z_-]{16,64}$`).MatchString(u.ID) || seen[u.ID] {
			t.Errorf("id %q is not one, or was given before", u.ID)
		}
		seen[u.ID] = true
		if u.Owner != owner || u.Size != 0 || time.Since(u.ModTime).Abs() > time.Minute {
			t.Errorf("Begin = %+v", u)
		}
		sized(t, s, u.ID, 0)
		cancel(t, s, u.ID)
	}
	for _, owner := range []string{"", "/", "\x00", "ü\n\"", string(bytes.Repeat([]byte("o"), 2000))} {
		u, err := s.Begin(context.Background(), owner)
		if err != nil {
			t.Fatalf("Begin(%.20q) = %v", owner, err)
		}
		got, err := s.Upload(context.Background(), owner, u.ID)
		if err != nil || got.Owner != owner {
			t.Errorf("Upload(%.20q) = %+v, %v", owner, got, err)
		}
		if err := s.Cancel(context.Background(), owner, u.ID); err != nil {
			t.Errorf("Cancel(%.20q) = %v", owner, err)
		}
	}
}

func beginUnknownDigest(t *testing.T, s blobstore.Uploader) {
	_, err := s.Begin(context.Background(), owner, "md4")
	is(t, "Begin with md4", err, digest.ErrDigestUnsupported)
}

func appendSizes(t *testing.T, s blobstore.Uploader) {
	for _, first := range sizes {
		for _, second := range []int{0, 10} {
			t.Run(fmt.Sprintf("%d+%d", first, second), func(t *testing.T) {
				data := random(first + second)
				u := start(t, s)
				if got := add(t, s, u.ID, 0, data[:first]); got.Size != int64(first) || got.ID != u.ID || got.Owner != owner {
					t.Errorf("Append = %+v, want %d bytes", got, first)
				}
				sized(t, s, u.ID, int64(first))
				if got := add(t, s, u.ID, -1, data[first:]); got.Size != int64(first+second) {
					t.Errorf("Append at the end = %+v, want %d bytes", got, first+second)
				}
				holds(t, s, finish(t, s, u.ID, digest.FromBytes(data)), data)
			})
		}
	}
}

func appendOffset(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	for _, size := range []int64{0, 100} {
		for _, at := range []int64{size + 1, size - 1, 1 << 50} {
			if at < 0 {
				continue
			}
			_, err := s.Append(context.Background(), owner, u.ID, at, untouched{t})
			is(t, fmt.Sprintf("Append at %d of %d", at, size), err, blobstore.ErrOffset)
		}
		sized(t, s, u.ID, size)
		add(t, s, u.ID, size, random(100))
	}
	holds(t, s, finish(t, s, u.ID, ""), append(random(100), random(100)...))
}

func appendFailing(t *testing.T, s blobstore.Uploader) {
	for _, n := range []int{0, 1, 64 << 10, 128 << 10, 3<<20 + 1} {
		data := random(10 + n + 1000)
		u := start(t, s)
		add(t, s, u.ID, 0, data[:10])
		got, err := s.Append(context.Background(), owner, u.ID, 10, broken(data[10:10+n]))
		is(t, fmt.Sprintf("Append with a reader that fails after %d bytes", n), err, errBroken)
		if got.Size != int64(10+n) {
			t.Errorf("Append = %+v beside the error, want %d bytes", got, 10+n)
		}
		sized(t, s, u.ID, int64(10+n))
		add(t, s, u.ID, int64(10+n), data[10+n:])
		holds(t, s, finish(t, s, u.ID, digest.FromBytes(data)), data)
	}
}

func appendCancelled(t *testing.T, s blobstore.Uploader) {
	ctx, end := context.WithCancel(context.Background())
	u := start(t, s)
	got, err := s.Append(ctx, owner, u.ID, 0, &ending{3 << 20, end})
	is(t, "Append while the context ends", err, context.Canceled)
	if got.Size < 3<<20 {
		t.Errorf("%d bytes are kept, want what came before", got.Size)
	}
	sized(t, s, u.ID, got.Size)
	holds(t, s, finish(t, s, u.ID, ""), make([]byte, got.Size))
}

func appendConcurrent(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			if _, err := s.Append(context.Background(), owner, u.ID, -1, bytes.NewReader(bytes.Repeat([]byte{byte(w)}, 200<<10))); err != nil {
				t.Errorf("Append = %v", err)
			}
		})
	}
	for range 20 { // asking must neither wait nor disturb
		if _, err := s.Upload(context.Background(), owner, u.ID); err != nil {
			t.Errorf("Upload = %v", err)
		}
	}
	wg.Wait()
	info := finish(t, s, u.ID, "")
	r, _, err := s.Open(context.Background(), info.Key)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if parts := slices.Compact(slices.Clone(data)); len(parts) != 8 || len(data) != 8*200<<10 {
		t.Errorf("%d bytes in %d parts, want 8: writers were mixed", len(data), len(parts))
	}
	holds(t, s, info, data)
}

// hold appends to the upload until the returned function is called, which returns the result.
func hold(t *testing.T, s blobstore.Uploader, id string) func() (blobstore.Upload, error) {
	t.Helper()
	pr, pw := io.Pipe()
	var u blobstore.Upload
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		u, err = s.Append(context.Background(), owner, id, -1, pr)
	}()
	if _, err := pw.Write([]byte("a")); err != nil { // it returns when the writer reads, that is, has the turn
		t.Error(err)
	}
	return func() (blobstore.Upload, error) {
		pw.Close()
		<-done
		return u, err
	}
}

func appendWaits(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	release := hold(t, s, u.ID)
	second := make(chan error)
	go func() {
		_, err := s.Append(context.Background(), owner, u.ID, 1, bytes.NewReader([]byte("b")))
		second <- err
	}()
	select {
	case err := <-second:
		t.Errorf("the second writer did not wait: %v", err)
		_, _ = release()
	case <-time.After(100 * time.Millisecond):
		if got, err := release(); err != nil || got.Size != 1 {
			t.Errorf("the first writer: %+v, %v", got, err)
		}
		if err := <-second; err != nil {
			t.Errorf("the second writer: %v", err)
		}
	}
	holds(t, s, finish(t, s, u.ID, ""), []byte("ab"))
}

func appendWaitsCancelled(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	release := hold(t, s, u.ID)
	ctx, end := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer end()
	_, err := s.Append(ctx, owner, u.ID, -1, untouched{t})
	is(t, "Append while another writes", err, context.DeadlineExceeded)
	is(t, "Append while another writes", err, blobstore.ErrBusy)
	if _, err := release(); err != nil {
		t.Errorf("the first writer: %v", err)
	}
	holds(t, s, finish(t, s, u.ID, ""), []byte("a"))
}

func appendBusy(t *testing.T, s blobstore.Uploader) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	u := start(t, s)
	release := hold(t, s, u.ID)
	var wg sync.WaitGroup
	for name, write := range map[string]func() error{
		"Append": func() error {
			_, err := s.Append(context.Background(), owner, u.ID, -1, untouched{t})
			return err
		},
		"Finish": func() error {
			_, err := s.Finish(context.Background(), owner, u.ID, "")
			return err
		},
		"Cancel": func() error { return s.Cancel(context.Background(), owner, u.ID) },
	} {
		wg.Go(func() {
			began := time.Now()
			is(t, name+" while another writes", write(), blobstore.ErrBusy)
			if d := time.Since(began); d < time.Second || d > 20*time.Second {
				t.Errorf("%s gave up after %v", name, d)
			}
		})
	}
	wg.Wait()
	if _, err := release(); err != nil {
		t.Errorf("the first writer: %v", err)
	}
	holds(t, s, finish(t, s, u.ID, ""), []byte("a"))
}

// absent fails the test unless all methods say that there is no such upload.
func absent(t *testing.T, s blobstore.Uploader, owner, id string) {
	t.Helper()
	ctx := context.Background()
	what := fmt.Sprintf("(%q, %.80q)", owner, id)
	_, err := s.Upload(ctx, owner, id)
	is(t, "Upload"+what, err, blobstore.ErrNotFound)
	for _, at := range []int64{-1, 0, 3} {
		_, err = s.Append(ctx, owner, id, at, untouched{t})
		is(t, "Append"+what, err, blobstore.ErrNotFound)
	}
	_, err = s.Finish(ctx, owner, id, "")
	is(t, "Finish"+what, err, blobstore.ErrNotFound)
	is(t, "Cancel"+what, s.Cancel(ctx, owner, id), blobstore.ErrNotFound)
}

func finished(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	add(t, s, u.ID, 0, []byte("abc"))
	info := finish(t, s, u.ID, "")
	absent(t, s, owner, u.ID)
	holds(t, s, info, []byte("abc"))
}

func cancelled(t *testing.T, s blobstore.Uploader) {
	for _, n := range []int{0, 100, 5 << 20} {
		u := start(t, s)
		add(t, s, u.ID, 0, random(n))
		cancel(t, s, u.ID)
		absent(t, s, owner, u.ID)
	}
	cancel(t, s, start(t, s).ID)
	if got := walk(t, s, ""); len(got) != 0 {
		t.Errorf("stored all the same: %v", got)
	}
}

func wrongOwner(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	for _, data := range []string{"", "abc"} {
		add(t, s, u.ID, 0, []byte(data))
		absent(t, s, "repository/other", u.ID)
		absent(t, s, "", u.ID)
		sized(t, s, u.ID, int64(len(data)))
	}
	holds(t, s, finish(t, s, u.ID, ""), []byte("abc"))
}

func hostileIDs(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	for _, id := range append([]string{u.ID + "x", u.ID[1:], "./" + u.ID, u.ID + "/", u.ID + ".json", u.ID + "\x00"}, hostile...) {
		absent(t, s, owner, id)
	}
	cancel(t, s, u.ID)
}

func uploadContextEnded(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	ctx, end := context.WithCancel(context.Background())
	end()
	_, err := s.Begin(ctx, owner)
	is(t, "Begin", err, context.Canceled)
	_, err = s.Upload(ctx, owner, u.ID)
	is(t, "Upload", err, context.Canceled)
	_, err = s.Append(ctx, owner, u.ID, 0, untouched{t})
	is(t, "Append", err, context.Canceled)
	_, err = s.Finish(ctx, owner, u.ID, "")
	is(t, "Finish", err, context.Canceled)
	is(t, "Cancel", s.Cancel(ctx, owner, u.ID), context.Canceled)
	_, err = s.Expire(ctx, time.Now().Add(time.Hour))
	is(t, "Expire", err, context.Canceled)
	sized(t, s, u.ID, 0)
	cancel(t, s, u.ID)
}

func expire(t *testing.T, s blobstore.Uploader) {
	ctx := context.Background()
	const apart = 50 * time.Millisecond // more than the clocks of file systems are coarse
	old, oldToo, grown := start(t, s), start(t, s), start(t, s)
	add(t, s, oldToo.ID, 0, random(100))
	if n, err := s.Expire(ctx, time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("Expire = %d, %v, want 0", n, err)
	}
	time.Sleep(apart)
	between := time.Now()
	time.Sleep(apart)
	fresh := start(t, s)
	if u := add(t, s, grown.ID, 0, random(100)); u.ModTime.Before(between) {
		t.Errorf("Append = %+v, it has grown after %v", u, between)
	}
	if n, err := s.Expire(ctx, between); n != 2 || err != nil {
		t.Errorf("Expire = %d, %v, want 2", n, err)
	}
	absent(t, s, owner, old.ID)
	absent(t, s, owner, oldToo.ID)
	sized(t, s, fresh.ID, 0)
	if u := sized(t, s, grown.ID, 100); u.ModTime.Before(between) {
		t.Errorf("%+v has grown after %v", u, between)
	}
	cancel(t, s, fresh.ID)
	cancel(t, s, grown.ID)
}

func expireBusy(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	release := hold(t, s, u.ID)
	if n, err := s.Expire(context.Background(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("Expire = %d, %v, want 0 while the upload is written", n, err)
	}
	if _, err := release(); err != nil {
		t.Errorf("Append = %v", err)
	}
	holds(t, s, finish(t, s, u.ID, ""), []byte("a"))
}

func notBlobs(t *testing.T, s blobstore.Uploader) {
	u := start(t, s)
	add(t, s, u.ID, 0, []byte("abc"))
	if got := walk(t, s, ""); len(got) != 0 {
		t.Errorf("Walk sees an upload: %v", got)
	}
	_, _, err := s.Open(context.Background(), u.ID)
	is(t, "Open of an upload", err, blobstore.ErrNotFound)
	cancel(t, s, u.ID)
}
