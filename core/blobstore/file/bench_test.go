package file

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// body hides all but Read, as a request's body does.
type body struct{ io.Reader }

// BenchmarkPut stores blobs durably: what it measures is mostly the medium. Blobs are not deleted in between, since ext4
// is slow to make files where many were deleted a short time ago.
func BenchmarkPut(b *testing.B) {
	benchmarks := []struct {
		name          string
		size, writers int
	}{
		{"10KB/1", 10 << 10, 1},
		{"10KB/8", 10 << 10, 8},
		{"10KB/64", 10 << 10, 64},
		{"10KB/256", 10 << 10, 256},
		{"100MB/1", 100 << 20, 1},
	}
	for _, bb := range benchmarks {
		b.Run(bb.name, func(b *testing.B) {
			s := fresh(b)
			each(b, bb.writers, bb.size, func(data []byte) error {
				_, err := s.Put(context.Background(), body{bytes.NewReader(data)})
				return err
			})
		})
	}
}

// BenchmarkUpload pushes blobs as docker clients do: begin, append, finish.
func BenchmarkUpload(b *testing.B) {
	benchmarks := []struct {
		name          string
		size, writers int
	}{
		{"10KB/1", 10 << 10, 1},
		{"10KB/8", 10 << 10, 8},
		{"100MB/1", 100 << 20, 1},
	}
	for _, bb := range benchmarks {
		b.Run(bb.name, func(b *testing.B) {
			s := fresh(b)
			ctx := context.Background()
			each(b, bb.writers, bb.size, func(data []byte) error {
				u, err := s.Begin(ctx, "o")
				if err != nil {
					return err
				}
				if _, err := s.Append(ctx, "o", u.ID, 0, body{bytes.NewReader(data)}); err != nil {
					return err
				}
				_, err = s.Finish(ctx, "o", u.ID, "")
				return err
			})
		})
	}
}

func BenchmarkBegin(b *testing.B) {
	s := fresh(b)
	for b.Loop() {
		if _, err := s.Begin(context.Background(), "o"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen measures what a store adds to the server's start.
func BenchmarkOpen(b *testing.B) {
	root := fresh(b).root
	for b.Loop() {
		s, err := Open(root, identity, Options{})
		if err != nil || s.Unavailable() != "" {
			b.Fatal(err, s.Unavailable())
		}
		s.Close()
	}
}

// each calls fn b.N times from the writers, with other bytes each time.
func each(b *testing.B, writers, size int, fn func(data []byte) error) {
	b.SetBytes(int64(size))
	var left atomic.Int64
	left.Store(int64(b.N))
	data := make([][]byte, writers)
	for w := range data {
		data[w] = make([]byte, size)
		rand.NewChaCha8([32]byte{byte(w)}).Read(data[w])
	}
	b.ResetTimer()
	began := time.Now()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				data[w][0], data[w][1], data[w][2] = byte(n), byte(n>>8), byte(n>>16)
				if err := fn(data[w]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "blobs/s")
}
