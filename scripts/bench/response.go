package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// response is the head of an HTTP/1.1 response. Only the fields that are checked here are kept.
type response struct {
	status int
	// length is that of the body in bytes, as Content-Length says; -1 when it comes in chunks, or nothing is said.
	length  int64
	chunked bool
	// closing: the server takes no further request on the connection.
	closing bool
	// location and digest (Docker-Content-Digest) are valid until the next head is read; empty when absent.
	location, digest []byte
}

var errHead = errors.New("malformed response")

// readHead reads the head of a response to its empty line (RFC 9112 section 2.1). Interim responses (1xx) are skipped. It keeps
// the memory of r's fields: the client shares its cores with the server that it measures.
func readHead(from *bufio.Reader, r *response) error {
	for {
		if err := readOne(from, r); err != nil {
			return err
		}
		if r.status >= 200 {
			return nil
		}
	}
}

func readOne(from *bufio.Reader, r *response) error {
	line, err := readLine(from)
	if err != nil {
		return err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return fmt.Errorf("%w: status line %q", errHead, line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil || status < 100 {
		return fmt.Errorf("%w: status line %q", errHead, line)
	}
	*r = response{status: status, length: -1, location: r.location[:0], digest: r.digest[:0]}
	for {
		line, err := readLine(from)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		if err := r.field(line); err != nil {
			return err
		}
	}
}

// readLine returns a line without its end, valid until the next read.
func readLine(from *bufio.Reader) ([]byte, error) {
	line, err := from.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	line = line[:len(line)-1]
	if len(line) > 0 && line[len(line)-1] == '\r' {
		line = line[:len(line)-1]
	}
	return line, nil
}

// field keeps a header field if it is one of those that count. The lengths of their names all differ, so most fields cost one
// comparison of integers.
func (r *response) field(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return fmt.Errorf("%w: header field %q", errHead, line)
	}
	name, value := line[:colon], bytes.TrimSpace(line[colon+1:])
	switch {
	case is(name, "content-length"):
		length, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || length < 0 {
			return fmt.Errorf("%w: header field %q", errHead, line)
		}
		r.length = length
	case is(name, "transfer-encoding"):
		r.chunked = bytes.EqualFold(value, []byte("chunked"))
	case is(name, "connection"):
		r.closing = bytes.EqualFold(value, []byte("close"))
	case is(name, "location"):
		r.location = append(r.location, value...)
	case is(name, "docker-content-digest"):
		r.digest = append(r.digest, value...)
	}
	return nil
}

func is(name []byte, lower string) bool {
	return len(name) == len(lower) && bytes.EqualFold(name, []byte(lower))
}
