package repository

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/content"
)

// found is what answers a GET or HEAD for the route's path. One of asset, fetch and header is set.
type found struct {
	// x is the request's view of the repository that has it: for a group, a member's.
	x     *exchange
	asset content.Asset
	// stale tells that upstream could not be asked whether the asset is what it has now.
	stale bool
	// fetch is what is coming in.
	fetch *fetch
	// header is upstream's answer to a HEAD.
	header http.Header
}

// find looks for what is at the route's path.
func (x *exchange) find(ctx context.Context, method string) (found, error) {
	switch x.repo.config.Type {
	case Proxy:
		asked, err := x.canonical().forwarding()
		if err != nil {
			return found{}, err
		}
		if x.directory() && (asked.route.Source == nil || asked.route.Source.RawQuery == "") {
			return x.findIndex(ctx, method)
		}
		return asked.findRemote(ctx, method)
	case Group:
		return x.findMember(ctx, method)
	}
	if x.directory() {
		return x.findIndex(ctx, method)
	}
	a, err := x.Asset(ctx, x.route.Path)
	return found{x: x, asset: a}, err
}

// serveFound answers a GET or HEAD with what find found.
func (f found) serve(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	switch {
	case f.fetch != nil:
		return f.x.serveFetch(w, r, f.fetch)
	case f.header != nil:
		a := f.x.coming(f.header.Get("Content-Type"), f.header.Get("Last-Modified"))
		f.x.head(h, a)
		if a.Digest == "" {
			delete(h, "Etag") // nobody knows it yet
		}
		if size, err := strconv.ParseInt(f.header.Get("Content-Length"), 10, 64); err == nil && size >= 0 {
			http.ServeContent(w, r, "", f.x.modified(a), &sized{size: size})
			return nil
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if f.asset.Origin != nil && f.stale {
		content.Flaws{Stale: f.asset.Origin.CheckedAt}.Mark(h)
	}
	return f.x.serveStored(w, r, f.asset)
}

// serveFetch answers with what is coming in: as it comes, or, where it has to be looked into first, when it is there.
func (x *exchange) serveFetch(w http.ResponseWriter, r *http.Request, f *fetch) error {
	var stage blobstore.Stage
	var length int64
	var contentType, modified string
	var ended bool
	err := f.await(r.Context(), func() bool {
		stage, length, contentType, modified, ended = f.stage, f.length, f.contentType, f.modified, f.complete || f.done
		// An error that comes before the first byte is told as one.
		return ended || f.available(1) || stage != nil && r.Method == http.MethodHead
	})
	if err != nil {
		return err
	}
	if ended || length < 0 && !growable(r) {
		return x.serveFetched(w, r, f)
	}
	in, err := stage.Open()
	if err != nil {
		// It ended a moment ago.
		return x.serveFetched(w, r, f)
	}
	defer in.Close()
	coming := x.coming(contentType, modified)
	x.head(w.Header(), coming)
	if x.route.Expect == "" {
		delete(w.Header(), "Etag") // nobody knows it yet
	}
	if r.Method == http.MethodHead {
		return serveHead(w, r, x.modified(coming), length)
	}
	g := &growing{fetch: f, in: in, request: r, length: length}
	if length >= 0 && !plainGet(r) {
		if r, err = ranged(w.Header(), r, length); err != nil {
			return err
		}
		http.ServeContent(w, r, "", x.modified(coming), g)
	} else {
		if length >= 0 {
			w.Header()["Content-Length"] = []string{strconv.FormatInt(length, 10)}
		}
		w.WriteHeader(http.StatusOK)
		_, err = g.pass(w)
	}
	if err != nil || g.err != nil {
		panic(http.ErrAbortHandler) // the client must not take this for all
	}
	return nil
}

// growable tells whether a request can be answered by a body of which nobody knows how long it will be. To HTTP/1.0 such a body
// ends with the connection, so that a client would take one that breaks off for all.
func growable(r *http.Request) bool {
	return plainGet(r) && (r.ProtoAtLeast(1, 1) || r.Method == http.MethodHead)
}

// serveHead answers a HEAD for what is coming in; length is -1 as long as it is not known.
func serveHead(w http.ResponseWriter, r *http.Request, modified time.Time, length int64) error {
	if length < 0 {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	r, err := ranged(w.Header(), r, length)
	if err != nil {
		return err
	}
	http.ServeContent(w, r, "", modified, &sized{size: length})
	return nil
}

// serveFetched answers when a fetch has ended, from what is stored, with all that is known of it.
func (x *exchange) serveFetched(w http.ResponseWriter, r *http.Request, f *fetch) error {
	a, err := f.wait(r.Context())
	if err != nil {
		return x.repo.refused(err)
	}
	return x.serveStored(w, r, a)
}

// coming is what is known of the asset at the route's path before its bytes are there.
func (x *exchange) coming(contentType, modified string) content.Asset {
	return content.Asset{
		Path: x.route.Path, Kind: x.route.Kind, Name: x.route.Name, Digest: x.route.Expect, ContentType: contentType,
		Origin: &content.Origin{Modified: modified},
	}
}

// available tells whether a client may have n bytes. The lock is held.
func (f *fetch) available(n int64) bool { return f.readable() >= n }

// readable is how many bytes clients may have. The lock is held. Where the end is known, the first ones need not wait for those that
// follow.
func (f *fetch) readable() int64 {
	switch {
	case f.complete:
		return f.size
	case f.length >= 0:
		return max(min(f.size, f.length-tail), 0)
	}
	return max(f.size-tail, 0)
}

// failed is the error with which the fetch ended before its bytes were complete.
func (f *fetch) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done && !f.complete {
		return f.err
	}
	return nil
}

// growing reads what a fetch brings, and waits where there is nothing more yet.
type growing struct {
	fetch   *fetch
	in      blobstore.Reader
	request *http.Request
	// length is how many bytes there will be; -1 when it was not known when the request came.
	length int64
	at     int64
	// err is why it ended early.
	err error
}

// more waits until there are bytes after at, and returns how many; io.EOF at the end.
func (g *growing) more() (int64, error) {
	f := g.fetch
	if err := f.await(g.request.Context(), func() bool { return f.readable() > g.at || f.complete || f.done }); err != nil {
		g.err = err
		return 0, err
	}
	if g.err = f.failed(); g.err != nil {
		return 0, g.err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.readable() - g.at; n > 0 {
		return n, nil
	}
	return 0, io.EOF
}

func (g *growing) Read(p []byte) (int, error) {
	n, err := g.more()
	if err != nil {
		return 0, err
	}
	m, err := g.in.ReadAt(p[:min(int64(len(p)), n)], g.at)
	g.at += int64(m)
	if m > 0 {
		err = nil
	}
	return m, err
}

func (g *growing) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += g.at
	case io.SeekEnd:
		offset += g.length
	}
	g.at = offset
	return offset, nil
}

// pass sends all to w. What is there goes out by the connection's ReadFrom, without being copied through this process.
func (g *growing) pass(w http.ResponseWriter) (sent int64, err error) {
	flush := http.NewResponseController(w)
	for {
		n, err := g.more()
		if errors.Is(err, io.EOF) {
			return sent, nil
		}
		if err != nil {
			return sent, err
		}
		if _, err := g.in.Seek(g.at, io.SeekStart); err != nil {
			return sent, err
		}
		m, err := io.CopyN(w, g.in, n)
		g.at, sent = g.at+m, sent+m
		if err != nil {
			return sent, err
		}
		_ = flush.Flush() // the client waits for what there is
	}
}
