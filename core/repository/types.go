package repository

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/media"
)

// fillTypes gives the records without a content type one: that of the path's extension, else what the bytes look like. What a
// client declares is not asked: most declare what their library does by default. With strictContentTypeValidation bytes that
// can't be of the extension's type are refused.
func (x *exchange) fillTypes(records []format.Record, open func() (io.ReadCloser, error)) error {
	detected := ""
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
		if rec.ContentType != "" && !x.repo.config.Storage.StrictContentTypeValidation {
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
	}
	return nil
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
