package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strings"
	"time"
)

// conn is one client: a kept-alive HTTP/1.1 connection on which one request at a time is sent. net/http's client would take
// several times the CPU, on cores that the server needs.
type conn struct {
	address string
	// auth is the value of the Authorization header for requests that ask for it; empty without.
	auth string

	net    net.Conn
	reader *bufio.Reader
	// response is the one to the last request.
	response response
	request  []byte
}

// readBuffer is large enough that bodies of 100 MB cost few reads, small enough that those of 64 connections don't push all
// else out of the CPU's cache.
const readBuffer = 128 << 10

// dial connects to host:port. Requests fail that are not answered at the deadline.
func dial(ctx context.Context, address, auth string, deadline time.Time) (*conn, error) {
	dialer := net.Dialer{Deadline: deadline}
	stream, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := stream.SetDeadline(deadline); err != nil {
		stream.Close()
		return nil, err
	}
	return &conn{address: address, auth: auth, net: stream, reader: bufio.NewReaderSize(stream, readBuffer)}, nil
}

func (c *conn) close() { c.net.Close() }

// head builds the head of a request, valid until the next call. Fields are whole header lines without their ends.
func (c *conn) head(method, path string, fields ...string) []byte {
	c.request = fmt.Appendf(c.request[:0], "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, c.address)
	if c.auth != "" {
		c.request = fmt.Appendf(c.request, "Authorization: %s\r\n", c.auth)
	}
	for _, field := range fields {
		c.request = append(append(c.request, field...), "\r\n"...)
	}
	c.request = append(c.request, "\r\n"...)
	return c.request
}

// roundTrip sends a request, whose body is in pieces, and reads the head of the response to c.response. The body is then to be
// read with discard or read, before the next request.
func (c *conn) roundTrip(head []byte, body ...[]byte) error {
	if c.response.closing {
		return errors.New("the server closed the connection after the last response")
	}
	var sent error
	if len(body) == 0 {
		_, sent = c.net.Write(head)
	} else {
		buffers := append(net.Buffers{head}, body...)
		_, sent = buffers.WriteTo(c.net)
	}
	// A server that refuses a body answers and closes: its answer says more than the failed write.
	if err := readHead(c.reader, &c.response); err != nil {
		return errors.Join(sent, err)
	}
	if sent != nil {
		return fmt.Errorf("answered %d before the body was sent: %w", c.response.status, sent)
	}
	return nil
}

// discard reads a response's body and returns its size. The response to HEAD has none.
func (c *conn) discard(head bool) (int64, error) {
	switch {
	case head || c.response.status == 204 || c.response.status == 304:
		return 0, nil
	case c.response.chunked:
		return c.chunks(io.Discard)
	case c.response.length < 0:
		return 0, fmt.Errorf("%w: neither Content-Length nor chunks", errHead)
	}
	n, err := c.reader.Discard(int(c.response.length))
	return int64(n), err
}

// read writes a response's body to w and returns its size.
func (c *conn) read(w io.Writer) (int64, error) {
	if c.response.chunked {
		return c.chunks(w)
	}
	if c.response.length < 0 {
		return 0, fmt.Errorf("%w: neither Content-Length nor chunks", errHead)
	}
	return io.CopyN(w, c.reader, c.response.length)
}

func (c *conn) chunks(w io.Writer) (int64, error) {
	n, err := io.Copy(w, httputil.NewChunkedReader(c.reader))
	if err != nil {
		return n, err
	}
	for { // the trailer, which the chunked reader leaves
		line, err := readLine(c.reader)
		if err != nil || len(line) == 0 {
			return n, err
		}
	}
}

// call sends a request and wants a status; the response's body is discarded.
func (c *conn) call(want int, head []byte, body ...[]byte) error {
	if err := c.roundTrip(head, body...); err != nil {
		return fmt.Errorf("%s: %w", requestLine(head), err)
	}
	if c.response.status != want {
		return c.unwanted(requestLine(head), want)
	}
	if _, err := c.discard(bytes.HasPrefix(head, []byte("HEAD "))); err != nil {
		return fmt.Errorf("%s: %w", requestLine(head), err)
	}
	return nil
}

// unwanted is the error for a response with another status than the one wanted; it has the start of the body.
func (c *conn) unwanted(what string, want int) error {
	var text bytes.Buffer
	if !strings.HasPrefix(what, "HEAD ") {
		_, _ = c.read(&text) // what came is shown
	}
	return fmt.Errorf("%s: status %d, want %d: %.300s", what, c.response.status, want, &text)
}

// requestLine is method and path of a request.
func requestLine(head []byte) string {
	line, _, _ := bytes.Cut(head, []byte(" HTTP/1.1\r\n"))
	return string(line)
}
