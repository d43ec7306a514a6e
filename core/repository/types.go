package repository

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/media"
)

// fillTypes gives the records without a content type one: that of the path's extension, else what the bytes look like. What a
// client declares is not asked: most declare what their library does by default. With strictContentTypeValidation bytes that
// can't be of the extension's type are refused.
func (x *exchange) fillTypes(records []format.Record, open func() (io.ReadCloser, error)) error {
	detected, upstreams := "", ""
	if x.origin != nil {
		upstreams = x.route.ContentType
	}
	for i := range records {
		rec := &records[i]
		if rec.ContentType != "" {
			continue
		}
		name := rec.Path
		if x.route.Source != nil && name == x.route.Path {
			name = x.route.Source.Path // without the query
		}
		rec.ContentType = media.ByName(name)
		if cmp.Or(rec.ContentType, upstreams) != "" && !x.repo.config.Storage.StrictContentTypeValidation {
			rec.ContentType = cmp.Or(upstreams, rec.ContentType)
			continue
		}
		if detected == "" {
			var err error
			if detected, err = detect(open); err != nil {
				return fmt.Errorf("look at the bytes of %s: %w", rec.Path, err)
			}
		}
		if rec.ContentType == "" {
			rec.ContentType = detected
		}
		if !media.Agree(rec.ContentType, detected) {
			return errs.New(errs.Invalid, "Detected content type [%s], but expected [%s]: %s", detected, rec.ContentType, rec.Path)
		}
		rec.ContentType = cmp.Or(upstreams, rec.ContentType)
	}
	return nil
}

// maxType is the most bytes of a Content-Type of upstream's that is kept as it is.
const maxType = 255

// typeOf is the content type of what upstream has at the route: what it says, with its parameters, or, of files, where it says nothing that
// can be understood, that of the extension. It is known before the bytes are there, so that it is the same for all who ask.
func typeOf(route format.Route, h http.Header) string {
	said := strings.TrimSpace(h.Get("Content-Type"))
	bare, _, err := mime.ParseMediaType(said)
	switch {
	case err == nil && len(said) <= maxType:
		return said
	case bare != "" && len(bare) <= maxType:
		return bare
	case route.MaxSize > 0:
		return "" // the document tells
	}
	return cmp.Or(media.ByName(source(route)), media.Unknown)
}

// source is the path of the route at upstream, without a query.
func source(route format.Route) string {
	if route.Source != nil {
		return route.Source.Path
	}
	return route.Path
}

// detect says what bytes look like.
func detect(open func() (io.ReadCloser, error)) (string, error) {
	f, err := open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, media.SniffLen)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	return media.Detect(head[:n]), nil
}

// plausible checks, with strictContentTypeValidation, that the first bytes of upstream's can be of the type that the path's extension
// names: once clients have them, it is too late. It returns a reader of all.
func (x *exchange) plausible(route format.Route, body io.Reader) (io.Reader, error) {
	if !x.repo.config.Storage.StrictContentTypeValidation {
		return body, nil
	}
	head, err := io.ReadAll(io.LimitReader(body, media.SniffLen))
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(head)), nil }
	if err := x.fillTypes([]format.Record{{Path: route.Path}}, open); err != nil {
		return nil, wrong(err)
	}
	return io.MultiReader(bytes.NewReader(head), body), nil
}
