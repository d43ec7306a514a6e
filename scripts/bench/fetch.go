package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
)

// fetch is a request that is sent over and over, and the answer that is right.
type fetch struct {
	method, path string
	// size is that of the content in bytes, digest its sha256 digest.
	size   int64
	digest string
	// named: the server names the digest in a header.
	named bool
}

// sampled: of small responses every such one is hashed. All are checked for status and length.
const sampled = 256

// worker prepares a connection. A response is verified before the clock starts, and one after it has stopped.
func (f fetch) worker(c *conn) (worker, error) {
	w := f.unverified(c)
	w.check = func() error { return f.verify(c, f.head(c)) }
	return w, w.check()
}

func (f fetch) head(c *conn) []byte { return c.head(f.method, f.path, "Accept: "+acceptManifests) }

func (f fetch) unverified(c *conn) worker {
	head := bytes.Clone(f.head(c))
	count := 0
	do := func() (int64, error) {
		if count++; f.size < 1<<20 && count%sampled == 0 {
			return f.size, f.verify(c, head)
		}
		if err := c.roundTrip(head); err != nil {
			return 0, fmt.Errorf("%s %s: %w", f.method, f.path, err)
		}
		return f.rest(c)
	}
	return worker{do: do}
}

// rest checks the head of a response and reads the rest.
func (f fetch) rest(c *conn) (int64, error) {
	if c.response.status != 200 {
		return 0, c.unwanted(f.method+" "+f.path, 200)
	}
	if f.method == "HEAD" {
		if c.response.length != f.size {
			return 0, f.wrong("Content-Length", c.response.length)
		}
		return 0, nil
	}
	n, err := c.discard(false)
	if err == nil && n != f.size {
		err = f.wrong("length", n)
	}
	return n, err
}

func (f fetch) verify(c *conn, head []byte) error {
	if err := c.roundTrip(head); err != nil {
		return fmt.Errorf("%s %s: %w", f.method, f.path, err)
	}
	if f.named {
		if err := c.confirmed(f.digest); err != nil && c.response.status == 200 {
			return fmt.Errorf("%s %s: %w", f.method, f.path, err)
		}
	}
	if f.method == "HEAD" || c.response.status != 200 {
		_, err := f.rest(c)
		return err
	}
	sum := sha256.New()
	n, err := c.read(sum)
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: %w", f.method, f.path, err)
	case n != f.size:
		return f.wrong("length", n)
	case digestOf(sum) != f.digest:
		return fmt.Errorf("%s %s: digest %s, want %s", f.method, f.path, digestOf(sum), f.digest)
	}
	return nil
}

func (f fetch) wrong(what string, n int64) error {
	return fmt.Errorf("%s %s: %s %d, want %d", f.method, f.path, what, n, f.size)
}

// probe asks once for a document whose content is the server's own, has it looked at, and returns the fetch that expects it.
func probe(c *conn, path string, look func(body []byte) error) (fetch, error) {
	if err := c.roundTrip(c.head("GET", path)); err != nil {
		return fetch{}, fmt.Errorf("GET %s: %w", path, err)
	}
	if c.response.status != 200 {
		return fetch{}, c.unwanted("GET "+path, 200)
	}
	var body bytes.Buffer
	if _, err := c.read(&body); err != nil {
		return fetch{}, fmt.Errorf("GET %s: %w", path, err)
	}
	if body.Len() == 0 {
		return fetch{}, errors.New("GET " + path + ": no content")
	}
	if err := look(body.Bytes()); err != nil {
		return fetch{}, fmt.Errorf("GET %s: %w: %.300s", path, err, body.Bytes())
	}
	b := newBlob(body.Bytes())
	return fetch{method: "GET", path: path, size: int64(b.size()), digest: b.digest}, nil
}
