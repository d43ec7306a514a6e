package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

// RunStager runs the suite of writes that are read while they go on.
func RunStager(t *testing.T, open func(t *testing.T) blobstore.Stager) {
	tests := []struct {
		name string
		run  func(t *testing.T, s blobstore.Stager)
	}{
		{"read while it grows", stageGrows},
		{"a broken source goes on", stageGoesOn},
		{"dropped", stageDropped},
		{"the context ends", stageCanceled},
		{"unknown algorithm", stageAlgorithm},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { sweep(t, s) })
			tt.run(t, s)
		})
	}
}

func stageBegin(t *testing.T, s blobstore.Stager, algs ...digest.Algorithm) blobstore.Stage {
	t.Helper()
	g, err := s.Stage(context.Background(), algs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return g
}

// stageGrows writes byte by byte, and a reader sees each as soon as grown has told of it, before the next one is sent.
func stageGrows(t *testing.T, s blobstore.Stager) {
	ctx, data := context.Background(), bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	g := stageBegin(t, s, digest.SHA512)
	early, err := g.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if n, err := early.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Read of nothing = %d, %v, want EOF", n, err)
	}
	pr, pw := io.Pipe()
	sizes := make(chan int64)
	done := make(chan error)
	go func() {
		done <- g.Append(ctx, pr, func(size int64) { sizes <- size })
	}()
	for at := 0; at < len(data); {
		end := min(at+max(1, at), len(data))
		go pw.Write(data[at:end]) //nolint:errcheck // a pipe, read below
		for at < end {
			size := int(<-sizes)
			if size <= at || size > end {
				t.Fatalf("grown(%d) after %d of %d", size, at, end)
			}
			got := make([]byte, size-at)
			if _, err := io.ReadFull(early, got); err != nil || !bytes.Equal(got, data[at:size]) {
				t.Fatalf("bytes %d to %d: %v", at, size, err)
			}
			at = size
		}
	}
	pw.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := g.Digests(); got[digest.SHA256] != digest.FromBytes(data) || got[digest.SHA512] != digest.SHA512.FromBytes(data) {
		t.Errorf("Digests = %v", got)
	}
	if n := len(walk(t, s, "")); n != 0 {
		t.Errorf("%d blobs before Commit", n)
	}
	info, err := g.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size != int64(len(data)) || info.Digests[digest.SHA256] != digest.FromBytes(data) {
		t.Errorf("Commit = %+v", info)
	}
	late, err := g.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	stored, _, err := s.Open(ctx, info.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	if _, err := early.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{"opened before": early, "opened after Commit": late, "stored": stored} {
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// stageGoesOn appends the rest after a source broke off.
func stageGoesOn(t *testing.T, s blobstore.Stager) {
	ctx, data := context.Background(), bytes.Repeat([]byte("xyz"), 100_000)
	g := stageBegin(t, s)
	var size int64
	err := g.Append(ctx, broken(data[:200_000]), func(n int64) { size = n })
	if !errors.Is(err, errBroken) || size != 200_000 {
		t.Fatalf("Append = %v with %d bytes", err, size)
	}
	if err := g.Append(ctx, bytes.NewReader(data[size:]), nil); err != nil {
		t.Fatal(err)
	}
	if info, err := g.Commit(ctx); err != nil || info.Digests[digest.SHA256] != digest.FromBytes(data) {
		t.Errorf("Commit = %+v, %v", info, err)
	}
}

// stageDropped leaves nothing, and readers keep what they have.
func stageDropped(t *testing.T, s blobstore.Stager) {
	g, err := s.Stage(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Append(context.Background(), bytes.NewReader([]byte("abc")), nil); err != nil {
		t.Fatal(err)
	}
	r, err := g.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := g.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "abc" {
		t.Errorf("after Close: %q, %v", got, err)
	}
	if n := len(walk(t, s, "")); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}

func stageCanceled(t *testing.T, s blobstore.Stager) {
	ctx, cancel := context.WithCancel(context.Background())
	g := stageBegin(t, s)
	endless := readerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	if err := g.Append(ctx, endless, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Append = %v, want %v", err, context.Canceled)
	}
	if _, err := g.Commit(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit = %v, want %v", err, context.Canceled)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func stageAlgorithm(t *testing.T, s blobstore.Stager) {
	if _, err := s.Stage(context.Background(), "crc32"); !errors.Is(err, digest.ErrDigestUnsupported) {
		t.Errorf("Stage = %v, want %v", err, digest.ErrDigestUnsupported)
	}
}
