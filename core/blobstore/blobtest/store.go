package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

var storeTests = []struct {
	name string
	run  func(t *testing.T, s blobstore.Store)
}{
	{"Put/sizes", putSizes},
	{"Put/readers", putReaders},
	{"Put/digests on request", putDigests},
	{"Put/unknown digest", putUnknownDigest},
	{"Put/keys are not reused", putKeys},
	{"Put/failing reader", putFailing},
	{"Put/context ends", putCancelled},
	{"Put/concurrent", putConcurrent},
	{"Open/reads anywhere", openReads},
	{"Open/survives Delete", openSurvives},
	{"Stat", stat},
	{"Delete", remove},
	{"Keys/hostile", hostileKeys},
	{"Context/has ended", contextEnded},
	{"Walk/order", walkOrder},
	{"Walk/after", walkAfter},
	{"Walk/stops", walkStops},
	{"Walk/context ends", walkCancelled},
	{"Walk/deleting", walkDeleting},
}

func putSizes(t *testing.T, s blobstore.Store) {
	for _, n := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			holds(t, s, put(t, s, random(n)), random(n))
		})
	}
}

func putReaders(t *testing.T, s blobstore.Store) {
	tests := []struct {
		name string
		size int
		wrap func(io.Reader) io.Reader
	}{
		{"one byte at a time", 3000, iotest.OneByteReader},
		{"half of what is asked for", 1 << 20, iotest.HalfReader},
		{"data with the end", 300 << 10, iotest.DataErrReader},
		{"small data with the end", 10, iotest.DataErrReader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			info, err := s.Put(context.Background(), tt.wrap(bytes.NewReader(random(tt.size))))
			if err != nil {
				t.Fatalf("Put = %v", err)
			}
			holds(t, s, info, random(tt.size))
		})
	}
}

func putDigests(t *testing.T, s blobstore.Store) {
	tests := []struct {
		name string
		algs []digest.Algorithm
		want []digest.Algorithm
	}{
		{"none", nil, []digest.Algorithm{digest.SHA256}},
		{"sha512", []digest.Algorithm{digest.SHA512}, []digest.Algorithm{digest.SHA256, digest.SHA512}},
		{"md5 and sha1", []digest.Algorithm{blobstore.MD5, blobstore.SHA1}, []digest.Algorithm{digest.SHA256, blobstore.MD5, blobstore.SHA1}},
		{"sha256 and twice sha384", []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA384}, []digest.Algorithm{digest.SHA256, digest.SHA384}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{0, 10, 1 << 20} {
				info := put(t, s, random(n), tt.algs...)
				if len(info.Digests) != len(tt.want) {
					t.Errorf("digests are %v, want %v", info.Digests, tt.want)
				}
				for _, alg := range tt.want {
					if info.Digests[alg] == "" {
						t.Errorf("no %s", alg)
					}
				}
				holds(t, s, info, random(n))
			}
		})
	}
}

func putUnknownDigest(t *testing.T, s blobstore.Store) {
	for _, alg := range []digest.Algorithm{"", "md4", "../x"} {
		_, err := s.Put(context.Background(), untouched{t}, alg)
		is(t, fmt.Sprintf("Put with %q", alg), err, digest.ErrDigestUnsupported)
	}
}

func putKeys(t *testing.T, s blobstore.Store) {
	seen := map[string]bool{}
	for range 10 {
		info := put(t, s, []byte("the same"))
		if seen[info.Key] || info.Key == "" {
			t.Fatalf("key %q was given before", info.Key)
		}
		seen[info.Key] = true
		if len(seen)%2 == 0 {
			continue
		}
		if err := s.Delete(context.Background(), info.Key); err != nil {
			t.Fatalf("Delete = %v", err)
		}
	}
	if got := len(walk(t, s, "")); got != 5 {
		t.Errorf("%d blobs, want 5: deleting one must leave those with the same bytes", got)
	}
}

func putFailing(t *testing.T, s blobstore.Store) {
	for _, n := range []int{0, 1, 64 << 10, 128 << 10, 3 << 20} {
		_, err := s.Put(context.Background(), broken(random(n)))
		is(t, fmt.Sprintf("Put with a reader that fails after %d bytes", n), err, errBroken)
	}
	if got := walk(t, s, ""); len(got) != 0 {
		t.Errorf("stored all the same: %v", got)
	}
}

func putCancelled(t *testing.T, s blobstore.Store) {
	for _, n := range []int{1, 3 << 20} {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := s.Put(ctx, &ending{n, cancel})
		is(t, "Put while the context ends", err, context.Canceled)

		ctx, cancel = context.WithCancel(context.Background())
		_, err = s.Put(ctx, io.MultiReader(bytes.NewReader(random(n)), &failingAtEnd{cancel}))
		is(t, "Put with a reader that fails as the context ends", err, context.Canceled)
		is(t, "Put with a reader that fails as the context ends", err, errBroken)
	}
	if got := walk(t, s, ""); len(got) != 0 {
		t.Errorf("stored all the same: %v", got)
	}
}

func putConcurrent(t *testing.T, s blobstore.Store) {
	const writers, each = 16, 12
	infos := make([][each]blobstore.Info, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				// Half of the blobs are the same for all writers; some are large.
				data := random(1000*i + w*(i%2) + i/10<<19)
				info, err := s.Put(context.Background(), bytes.NewReader(data))
				if err != nil {
					t.Errorf("Put = %v", err)
					return
				}
				infos[w][i] = info
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	keys := map[string]bool{}
	for w := range writers {
		for i, info := range infos[w] {
			holds(t, s, info, random(1000*i+w*(i%2)+i/10<<19))
			keys[info.Key] = true
		}
	}
	if len(keys) != writers*each || len(walk(t, s, "")) != writers*each {
		t.Errorf("%d keys, %d blobs, want %d", len(keys), len(walk(t, s, "")), writers*each)
	}
}

func openReads(t *testing.T, s blobstore.Store) {
	data := random(10000)
	r, _, err := s.Open(context.Background(), put(t, s, data).Key)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	defer r.Close()
	if at, err := r.Seek(-100, io.SeekEnd); at != 9900 || err != nil {
		t.Errorf("Seek = %d, %v", at, err)
	}
	same(t, r, data[9900:])
	p := make([]byte, 50)
	if n, err := r.ReadAt(p, 17); n != 50 || err != nil || !bytes.Equal(p, data[17:67]) {
		t.Errorf("ReadAt = %d, %v", n, err)
	}
	if _, err := r.ReadAt(p, 9990); !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt beyond the end = %v, want EOF", err)
	}
}

func openSurvives(t *testing.T, s blobstore.Store) {
	ctx := context.Background()
	for _, n := range []int{100, 3 << 20} {
		info := put(t, s, random(n))
		r, _, err := s.Open(ctx, info.Key)
		if err != nil {
			t.Fatalf("Open = %v", err)
		}
		defer r.Close()
		if err := s.Delete(ctx, info.Key); err != nil {
			t.Fatalf("Delete = %v", err)
		}
		same(t, r, random(n))
	}
}

func stat(t *testing.T, s blobstore.Store) {
	info := put(t, s, random(1234), digest.SHA512)
	got, err := s.Stat(context.Background(), info.Key)
	if err != nil {
		t.Fatalf("Stat = %v", err)
	}
	if got.Key != info.Key || got.Size != info.Size {
		t.Errorf("Stat = %v, Put said %v", got, info)
	}
	if d := got.ModTime.Sub(info.ModTime).Abs(); d.Seconds() > 2 {
		t.Errorf("Stat's time is %v from Put's", d)
	}
	for alg, d := range got.Digests {
		if d != info.Digests[alg] {
			t.Errorf("Stat says %s, Put said %s", d, info.Digests[alg])
		}
	}
}

func remove(t *testing.T, s blobstore.Store) {
	ctx := context.Background()
	info, other := put(t, s, []byte("x")), put(t, s, []byte("y"))
	for range 3 {
		if err := s.Delete(ctx, info.Key); err != nil {
			t.Errorf("Delete = %v", err)
		}
	}
	_, _, err := s.Open(ctx, info.Key)
	is(t, "Open after Delete", err, blobstore.ErrNotFound)
	_, err = s.Stat(ctx, info.Key)
	is(t, "Stat after Delete", err, blobstore.ErrNotFound)
	holds(t, s, other, []byte("y"))
}

func hostileKeys(t *testing.T, s blobstore.Store) {
	ctx := context.Background()
	info := put(t, s, []byte("x"))
	keys := append([]string{info.Key + "x", info.Key[1:], info.Key + "/", "./" + info.Key, info.Key + "\x00"}, hostile...)
	for _, key := range keys {
		_, _, err := s.Open(ctx, key)
		is(t, fmt.Sprintf("Open(%.80q)", key), err, blobstore.ErrNotFound)
		_, err = s.Stat(ctx, key)
		is(t, fmt.Sprintf("Stat(%.80q)", key), err, blobstore.ErrNotFound)
		if err := s.Delete(ctx, key); err != nil {
			t.Errorf("Delete(%.80q) = %v", key, err)
		}
	}
	holds(t, s, info, []byte("x"))
	holds(t, s, put(t, s, []byte("y")), []byte("y"))
}

func contextEnded(t *testing.T, s blobstore.Store) {
	info := put(t, s, []byte("x"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.Put(ctx, untouched{t})
	is(t, "Put", err, context.Canceled)
	_, _, err = s.Open(ctx, info.Key)
	is(t, "Open", err, context.Canceled)
	_, err = s.Stat(ctx, info.Key)
	is(t, "Stat", err, context.Canceled)
	is(t, "Delete", s.Delete(ctx, info.Key), context.Canceled)
	is(t, "Walk", s.Walk(ctx, "", func(blobstore.Info) error { return nil }), context.Canceled)
	holds(t, s, info, []byte("x"))
}

// putMany stores n blobs and returns their keys in order.
func putMany(t *testing.T, s blobstore.Store, n int) []string {
	t.Helper()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = put(t, s, random(i/2)).Key
	}
	slices.Sort(keys)
	return keys
}

func keysOf(infos []blobstore.Info) []string {
	keys := make([]string, len(infos))
	for i, info := range infos {
		keys[i] = info.Key
	}
	return keys
}

func walkOrder(t *testing.T, s blobstore.Store) {
	if got := walk(t, s, ""); len(got) != 0 {
		t.Errorf("Walk of an empty store: %v", got)
	}
	keys := putMany(t, s, 60)
	infos := walk(t, s, "")
	if got := keysOf(infos); !slices.Equal(got, keys) {
		t.Fatalf("Walk = %v, want %v", got, keys)
	}
	for _, info := range infos {
		got, err := s.Stat(context.Background(), info.Key)
		if err != nil || got.Size != info.Size || !got.ModTime.Equal(info.ModTime) {
			t.Errorf("Walk says %v, Stat %v, %v", info, got, err)
		}
	}
}

func walkAfter(t *testing.T, s blobstore.Store) {
	keys := putMany(t, s, 20)
	afters := append([]string{"0", "7", "8f", "8f/", "a.", "fff", "\xff", keys[3][:5], keys[3] + "\x00"}, keys...)
	for _, after := range afters {
		i, found := slices.BinarySearch(keys, after)
		if found {
			i++
		}
		if got := keysOf(walk(t, s, after)); !slices.Equal(got, keys[i:]) {
			t.Errorf("Walk(%q) = %v, want %v", after, got, keys[i:])
		}
	}
}

func walkStops(t *testing.T, s blobstore.Store) {
	putMany(t, s, 5)
	stop := errors.New("enough")
	calls := 0
	err := s.Walk(context.Background(), "", func(blobstore.Info) error {
		calls++
		if calls == 3 {
			return stop
		}
		return nil
	})
	is(t, "Walk", err, stop)
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
}

func walkCancelled(t *testing.T, s blobstore.Store) {
	putMany(t, s, 5)
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	err := s.Walk(ctx, "", func(blobstore.Info) error {
		calls++
		cancel()
		return nil
	})
	is(t, "Walk", err, context.Canceled)
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

func walkDeleting(t *testing.T, s blobstore.Store) {
	putMany(t, s, 20)
	calls := 0
	err := s.Walk(context.Background(), "", func(i blobstore.Info) error {
		calls++
		return s.Delete(context.Background(), i.Key)
	})
	if err != nil || calls != 20 {
		t.Errorf("Walk = %v after %d calls, want 20", err, calls)
	}
}
