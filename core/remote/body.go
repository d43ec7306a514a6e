package remote

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// body is the body of an answer. It may take any time as a whole, but not stand still; and it ends with io.EOF only if it is whole,
// as far as its framing tells.
type body struct {
	io.ReadCloser
	client *Client
	host   string
	timer  *time.Timer // runs during reads only, as a slow reader isn't the upstream's fault
	cancel context.CancelCauseFunc
	cause  func() error // why the exchange was cancelled; nil if it wasn't
}

// watch replaces the body of resp, which belongs to an exchange with the context ctx.
func (c *Client) watch(ctx context.Context, cancel context.CancelCauseFunc, host string, resp *http.Response) {
	if resp.Body == http.NoBody {
		cancel(nil)
		return
	}
	timer := time.AfterFunc(time.Hour, func() { cancel(errStalled) })
	timer.Stop()
	resp.Body = &body{
		ReadCloser: resp.Body, client: c, host: host, timer: timer, cancel: cancel,
		cause: func() error { return context.Cause(ctx) },
	}
}

func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.client.stall)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err == nil {
		return n, nil
	}
	if !errors.Is(err, io.EOF) {
		err = b.failure(err)
	}
	b.cancel(nil)
	return n, err
}

func (b *body) failure(err error) error {
	switch cause := b.cause(); {
	case errors.Is(cause, errStalled):
		return b.client.health.note(&Error{Kind: Stalled, Host: b.host, Err: errStalled})
	case cause != nil:
		return cause // closed, or the caller's own
	}
	return b.client.health.note(&Error{Kind: Truncated, Host: b.host, Err: err})
}

// Close ends the exchange, also while another goroutine waits in Read.
func (b *body) Close() error {
	b.timer.Stop()
	b.cancel(nil) // first: net/http's Close waits for a Read
	return b.ReadCloser.Close()
}

// What is read of a body that nobody wants, so that its connection can be used again.
const (
	discardSize = 16 << 10
	discardTime = time.Second
)

func discard(resp *http.Response) {
	if b, ok := resp.Body.(*body); ok && resp.ContentLength >= 0 && resp.ContentLength <= discardSize {
		timer := time.AfterFunc(discardTime, func() { b.cancel(nil) })
		defer timer.Stop()
		_, _ = io.Copy(io.Discard, io.LimitReader(b.ReadCloser, discardSize)) // not b: nobody cares how it ends
	}
	_ = resp.Body.Close()
}
