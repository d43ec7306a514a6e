package httpapi

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// stallDefault is how long a client may neither send nor take a byte.
	stallDefault = 2 * time.Minute
	// part is how much of a file is given to the kernel at once: the deadline is moved in between. Smaller parts would cost time, as
	// the kernel sends up to 4 MiB by one call.
	part = 512 << 10
	// linger is how long the rest of a body is waited for that nobody reads. The answer goes out after it.
	linger = 5 * time.Second
)

// conn is a connection on which a write fails when the client takes nothing for a while. There is no limit on the time that an
// answer takes as a whole.
type conn struct {
	*net.TCPConn
	crowd *crowd
	stall time.Duration
	// waits is since when there is no request to serve, in Unix nanoseconds; zero while there is one.
	waits atomic.Int64
	// renewed is when the deadline of writes was last moved, in Unix nanoseconds. A write that follows soon leaves it.
	renewed atomic.Int64
	// sent is how many bytes were given to the kernel, taken how many of them the client had when a deadline was last met.
	sent, taken atomic.Int64
	// foreign tells that somebody else has set a deadline, which then counts.
	foreign atomic.Bool
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (n int, err error) {
	for {
		var m int
		c.renew()
		m, err = c.TCPConn.Write(p[n:])
		n += m
		if !c.moves(int64(m), err) {
			c.given(err)
			return n, err
		}
	}
}

// file is what the kernel sends by itself: an *os.File, or what io.Copy makes of one before it hands it to ReadFrom, which has
// another type.
type file interface {
	fs.File
	io.Seeker
	syscall.Conn
}

// ReadFrom sends r. A file goes out by sendfile, and after a write that came to its deadline goes on where the kernel left off.
func (c *conn) ReadFrom(r io.Reader) (n int64, err error) {
	limited, _ := r.(*io.LimitedReader)
	source := r
	if limited != nil {
		source = limited.R // the kernel's way is taken for one layer only
	}
	if _, ok := source.(file); !ok {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	for err == nil {
		next := &io.LimitedReader{R: source, N: part}
		if limited != nil {
			next.N = min(part, limited.N)
		}
		var m int64
		c.renew()
		m, err = c.TCPConn.ReadFrom(next)
		n += m
		if limited != nil {
			limited.N -= m
		}
		if c.moves(m, err) {
			err = nil
			continue
		}
		if next.N > 0 || limited != nil && limited.N == 0 {
			break // r has ended, or all is sent
		}
	}
	c.given(err)
	return n, err
}

// moves tells, when a write that gave n bytes to the kernel came to its deadline, whether the client has taken any since the last
// deadline: then it is slow, and may go on. The kernel wakes a writer only when a good part of its buffer, of some megabytes, is free.
func (c *conn) moves(n int64, err error) bool {
	sent := c.sent.Add(n)
	if err == nil || c.foreign.Load() || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	waiting, ok := unacknowledged(c.TCPConn)
	if !ok {
		return false
	}
	taken := sent - waiting
	if taken <= c.taken.Swap(taken) {
		return false
	}
	c.renewed.Store(0)
	return true
}

// given notes how a write ended. What a client doesn't take must not stay in the kernel, which would offer it for minutes after
// the connection is closed.
func (c *conn) given(err error) {
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		_ = c.SetLinger(0)
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.crowd.leave(c)
	return c.TCPConn.Close()
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline implements net.Conn. A deadline that is set counts until it is taken away by the zero time.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.foreign.Store(!t.IsZero())
	c.renewed.Store(0)
	return c.TCPConn.SetWriteDeadline(t)
}

func (c *conn) renew() {
	now := time.Now()
	if c.foreign.Load() || now.UnixNano()-c.renewed.Load() < int64(c.stall/8) {
		return
	}
	c.renewed.Store(now.UnixNano())
	_ = c.TCPConn.SetWriteDeadline(now.Add(c.stall)) // on a closed connection, what follows fails
}

// patient serves h. A body of which nothing comes for a while ends with an error; there is no limit on the time that it takes as a
// whole.
func patient(h http.Handler, stall time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			h.ServeHTTP(w, r)
			return
		}
		b := &body{ReadCloser: r.Body, connection: http.NewResponseController(w), stall: stall}
		// In its own request net/http looks for its own body, to see what became of it.
		inner := *r
		inner.Body = b
		h.ServeHTTP(w, &inner)
		r.MultipartForm = inner.MultipartForm // whose files net/http removes
		if !b.ended {
			// net/http reads what is left, up to a limit, before it answers.
			_ = b.connection.SetReadDeadline(time.Now().Add(linger))
		}
	})
}

// body is a request's body.
type body struct {
	io.ReadCloser
	connection *http.ResponseController
	stall      time.Duration
	renewed    time.Time
	ended      bool
}

func (b *body) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.renewed) >= b.stall/8 {
		b.renewed = now
		_ = b.connection.SetReadDeadline(now.Add(b.stall)) // on a closed connection, what follows fails
	}
	n, err := b.ReadCloser.Read(p)
	// With the body the deadline ends, too: net/http then takes it away. Of one that has failed nothing more is read.
	b.ended = b.ended || err != nil
	return n, err
}
