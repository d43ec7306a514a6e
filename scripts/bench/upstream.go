package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// upstream is what cold fetches are from: nginx with files, the fastest there is, so that it is the proxy that is measured. It notes
// the requests.
type upstream struct {
	*server
	// limited are the addresses at which it sends at most so many bytes a second to a connection.
	limited map[string]string
}

// gigabit is the speed of a link of 1 Gbit/s in bytes a second.
const gigabit = "125000000"

const notes = "requests"

func (b *bench) upstream(ctx context.Context) (*upstream, error) {
	if b.up != nil {
		return b.up, nil
	}
	limited := map[string]string{}
	s, err := b.helper(ctx, "upstream", func(dir string) (*server, error) {
		fast, err1 := freePort()
		slow, err2 := freePort()
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		limited[gigabit] = address(slow)
		return newNginx("upstream", dir, address(fast), fmt.Sprintf(`log_format note "$request_method $uri $status";
	access_log %s note;
	root data;
	server { listen %s; location = /v2/ { return 200; } }
	server { listen %s; location = /v2/ { return 200; } limit_rate %s; }`, notes, address(fast), address(slow), gigabit))
	})
	if err != nil {
		return nil, err
	}
	b.up = &upstream{s, limited}
	return b.up, nil
}

// fill gives upstream new blobs.
func (u *upstream) fill(from *source, count int) ([]blob, error) {
	var blobs []blob
	for range count {
		b, err := from.next()
		if err != nil {
			return nil, err
		}
		if err := u.writeBlob(blobPath(coldName, b.digest), b); err != nil {
			return nil, err
		}
		blobs = append(blobs, b)
	}
	return blobs, nil
}

// clear removes the blobs, and the notes.
func (u *upstream) clear() error {
	return errors.Join(os.RemoveAll(u.coldDir()), os.Truncate(filepath.Join(u.dir, notes), 0))
}

// requests is how many GETs of the blobs have ended: those of a server that still fetches for itself after its clients have all get a
// moment.
func (u *upstream) requests(blobs []blob) (int, error) {
	time.Sleep(500 * time.Millisecond)
	text, err := os.ReadFile(filepath.Join(u.dir, notes))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	count := 0
	for _, b := range blobs {
		count += strings.Count(string(text), "GET "+blobPath(coldName, b.digest)+" ")
	}
	return count, nil
}

// has tells whether a blob has the bytes at an offset.
func (b blob) has(at int, p []byte) bool {
	for _, piece := range b.pieces(at, at+len(p)) {
		if !bytes.HasPrefix(p, piece) {
			return false
		}
		p = p[len(piece):]
	}
	return len(p) == 0
}
