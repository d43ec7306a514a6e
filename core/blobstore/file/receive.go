package file

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

const (
	bufferSize = 128 << 10
	// maxBuffers is how many of them there may be: clients that send slowly, or not at all, hold theirs. Who comes when all are
	// taken gets one of smallSize.
	maxBuffers = 256
	smallSize  = 8 << 10
	// writeBackEvery is how much of a large body is handed to the medium at a time, so that little is left to write when
	// the body ends and is synced.
	writeBackEvery = 4 << 20
)

// buffers is a pool of copy buffers.
type buffers struct {
	large, small sync.Pool
	// taken is how many large ones are in use.
	taken atomic.Int64
}

func (b *buffers) get() []byte {
	if b.taken.Add(1) <= maxBuffers {
		if buf, ok := b.large.Get().(*[bufferSize]byte); ok {
			return buf[:]
		}
		return make([]byte, bufferSize)
	}
	b.taken.Add(-1)
	if buf, ok := b.small.Get().(*[smallSize]byte); ok {
		return buf[:]
	}
	return make([]byte, smallSize)
}

func (b *buffers) put(buf []byte) {
	if len(buf) == smallSize {
		b.small.Put((*[smallSize]byte)(buf))
		return
	}
	b.taken.Add(-1)
	b.large.Put((*[bufferSize]byte)(buf))
}

// chunk is what the writing side hands to the digesting side: the first n bytes of a buffer.
type chunk struct {
	buf []byte
	n   int
}

// receive copies r to its end to the end of f, which is at offset, and to the digester. n bytes were both written and
// digested when it returns. A body that fits into one buffer is digested here, a larger one in a goroutine while the next
// part is read and written. A slow r holds one buffer. With grown set, what has come is written at once, and grown called.
func (b *buffers) receive(ctx context.Context, r io.Reader, f *os.File, offset int64, d digester, grown func(size int64)) (n int64, readErr, writeErr error) {
	fill := fill
	if grown != nil {
		fill = take
	}
	buf := b.get()
	defer func() {
		if buf != nil {
			b.put(buf)
		}
	}()
	m, readErr := fill(ctx, r, buf)
	if readErr != nil {
		w, writeErr := f.Write(buf[:m])
		d.add(buf[:w])
		if grown != nil && w > 0 {
			grown(offset + int64(w))
		}
		return int64(w), unlessEOF(readErr), writeErr
	}

	chunks := make(chan chunk, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c := range chunks {
			d.add(c.buf[:c.n])
			b.put(c.buf)
		}
	}()
	defer func() {
		close(chunks)
		<-done
	}()
	var handed int64
	for {
		w, writeErr := f.Write(buf[:m])
		n += int64(w)
		if grown != nil && w > 0 {
			grown(offset + n)
		}
		chunks <- chunk{buf, w}
		buf = nil
		if writeErr != nil || readErr != nil {
			return n, unlessEOF(readErr), writeErr
		}
		if n-handed >= writeBackEvery {
			startWriteBack(f, offset+handed, n-handed)
			handed = n
		}
		buf = b.get()
		m, readErr = fill(ctx, r, buf)
	}
}

// fill reads until p is full, r ends (io.EOF) or fails, or the context ends.
func fill(ctx context.Context, r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	if unlessEOF(err) != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return n, err
}

// take reads what there is of r, at least a byte, or fails as fill does.
func take(ctx context.Context, r io.Reader, p []byte) (n int, err error) {
	for n == 0 && err == nil {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err = r.Read(p)
	}
	if unlessEOF(err) != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return n, err
}

// unlessEOF is err, or nil when that only says that the reader has ended.
func unlessEOF(err error) error {
	if err == io.EOF { //nolint:errorlint // readers return it as it is; wrapped, it is somebody's failure
		return nil
	}
	return err
}
