package file

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// Any number of writers who are in the middle of their bytes hold a limited number of large buffers, and none of them waits
// for another one.
func TestReceive_ManySlowWriters(t *testing.T) {
	s := fresh(t)
	const n = maxBuffers + 50
	var wg sync.WaitGroup
	var slow []*io.PipeWriter
	content := func(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8), 'x'}, 70_000) }
	for i := range n {
		r, w := io.Pipe()
		slow = append(slow, w)
		wg.Go(func() {
			info, err := s.Put(context.Background(), r)
			if err != nil || info.Digests[digest.SHA256] != digest.FromBytes(content(i)) {
				t.Errorf("Put %d = %+v, %v", i, info, err)
			}
		})
	}
	for i, w := range slow {
		if _, err := w.Write(content(i)[:150_000]); err != nil {
			t.Fatal(err)
		}
	}
	if taken := s.buffers.taken.Load(); taken < maxBuffers/2 || taken > maxBuffers {
		t.Errorf("%d writers have %d large buffers", n, taken)
	}
	for i, w := range slow {
		if _, err := w.Write(content(i)[150_000:]); err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	wg.Wait()
	for end := time.Now().Add(10 * time.Second); s.buffers.taken.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d buffers are still taken", s.buffers.taken.Load())
		}
	}
}
