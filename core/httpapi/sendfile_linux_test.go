package httpapi

import (
	"io"
	"net"
	"os"
	"testing"
)

// copied is a file of which is noted what is read by this process, not by the kernel.
type copied struct {
	*os.File
	bytes int
}

func (f *copied) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.bytes += n
	return n, err
}

// WriteTo is what *os.File has; it must not pass by Read.
func (f *copied) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ file }{f}) }

// TestSendfile: the kernel sends files by itself.
func TestSendfile(t *testing.T) {
	name := writeLarge(t)
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		send func(c *conn, f *copied) (int64, error)
		want int64
	}{
		{"the file", func(c *conn, f *copied) (int64, error) { return c.ReadFrom(f) }, info.Size()},
		{"a part of it", func(c *conn, f *copied) (int64, error) { return c.ReadFrom(io.LimitReader(f, 1000)) }, 1000},
		{"by io.Copy", func(c *conn, f *copied) (int64, error) { return io.Copy(c, f) }, info.Size()},
		{"by io.CopyN", func(c *conn, f *copied) (int64, error) { return io.CopyN(c, f, 1<<20) }, 1 << 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := pairedConn(t)
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			source := &copied{File: f}
			if n, err := tt.send(c, source); err != nil || n != tt.want {
				t.Errorf("%d bytes, %v, want %d", n, err, tt.want)
			}
			if source.bytes > 0 {
				t.Errorf("%d bytes went through this process", source.bytes)
			}
		})
	}
}

// handed is a writer that keeps what it is given to read from.
type handed struct {
	io.Writer
	source io.Reader
}

func (h *handed) ReadFrom(r io.Reader) (int64, error) {
	h.source = r
	return 0, nil
}

// TestSendfile_Copy: what io.Copy makes of an *os.File is one to us.
func TestSendfile_Copy(t *testing.T) {
	f, err := os.Open(writeLarge(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var h handed
	if _, err := io.Copy(&h, f); err != nil {
		t.Fatal(err)
	}
	if _, ok := h.source.(file); !ok {
		t.Errorf("a %T is none", h.source)
	}
}

// pairedConn is a connection whose other end takes everything.
func pairedConn(t *testing.T) *conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taker := dial(t, l.Addr().String())
	go func() { _, _ = io.Copy(io.Discard, taker) }()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return &conn{TCPConn: accepted.(*net.TCPConn), crowd: newCrowd(1), stall: soon}
}
