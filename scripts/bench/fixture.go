package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Names of images on all servers.
const (
	imageName = "bench/image" // of the fixture's images, tags v0, v1, ...
	tagsName  = "bench/tags"  // one manifest with many tags
	pushName  = "bench/push"  // of what is pushed under load
)

const (
	imageCount    = 64
	tagCount      = 10_000
	referrerCount = 5
)

// contents is what the servers are filled with: the same for all.
type contents struct {
	small, large *source
	images       []image
	big          blob
	referrers    []blob
}

func newContents() (*contents, error) {
	c := &contents{small: newSource(layerSize, 1), large: newSource(bigSize, 2)}
	for range imageCount {
		i, err := newImage(c.small)
		if err != nil {
			return nil, err
		}
		c.images = append(c.images, i)
	}
	for n := range referrerCount {
		r, err := c.images[0].referrer(fmt.Sprintf("application/vnd.example.kind%d", n))
		if err != nil {
			return nil, err
		}
		c.referrers = append(c.referrers, r)
	}
	var err error
	c.big, err = c.large.next()
	return c, err
}

// fixture tells what a server has been filled with. Parts are filled in when a scenario needs them.
type fixture struct {
	filled map[string]bool
	// kept are the files of the fixture's big blob.
	kept map[string]bool
}

// need fills a server with a part of the contents once.
func (s *server) need(ctx context.Context, part string, fill func(ctx context.Context) error) error {
	if s.filled[part] {
		return nil
	}
	if err := fill(ctx); err != nil {
		return fmt.Errorf("fill %s with %s: %w", s.name, part, err)
	}
	if s.filled == nil {
		s.filled = map[string]bool{}
	}
	s.filled[part] = true
	return nil
}

func (c *contents) needImages(ctx context.Context, s *server) error {
	return s.need(ctx, "images", func(ctx context.Context) error {
		if s.name == static {
			return c.writeImage(s)
		}
		return fill(ctx, s, 8, imageCount, func(c2 *conn, n int) error {
			return pushImage(c2, imageName, tagOf(n), c.images[n])
		})
	})
}

// writeImage writes the first image as files, at the paths that a registry has it at.
func (c *contents) writeImage(s *server) error {
	i := c.images[0]
	for _, b := range i.blobs() {
		if err := s.writeBlob(blobPath(imageName, b.digest), b); err != nil {
			return err
		}
	}
	return s.writeBlob(manifestPath(imageName, tagOf(0)), i.manifest)
}

func (s *server) writeBlob(path string, b blob) error {
	content := slices.Concat(b.common, b.tail)
	return writeFile(filepath.Join(s.dir, "data", filepath.FromSlash(path)), content)
}

func (c *contents) needBig(ctx context.Context, s *server) error {
	return s.need(ctx, "a big blob", func(ctx context.Context) error {
		if s.name == static {
			return s.writeBlob(blobPath(imageName, c.big.digest), c.big)
		}
		err := fill(ctx, s, 1, 1, func(c2 *conn, _ int) error { return pushBlob(c2, imageName, c.big, onePut) })
		if err != nil {
			return err
		}
		s.kept = map[string]bool{}
		return s.bigFiles(func(path string) error { s.kept[path] = true; return nil })
	})
}

func (c *contents) needTags(ctx context.Context, s *server) error {
	return s.need(ctx, "tags", func(ctx context.Context) error {
		i := c.images[0]
		if err := fill(ctx, s, 1, 1, func(c2 *conn, _ int) error { return pushImage(c2, tagsName, tagOf(0), i) }); err != nil {
			return err
		}
		return fill(ctx, s, 32, tagCount, func(c2 *conn, n int) error { return putManifest(c2, tagsName, tagOf(n), i.manifest) })
	})
}

func (c *contents) needReferrers(ctx context.Context, s *server) error {
	if err := c.needImages(ctx, s); err != nil {
		return err
	}
	return s.need(ctx, "referrers", func(ctx context.Context) error {
		return fill(ctx, s, 1, referrerCount, func(c2 *conn, n int) error {
			return putManifest(c2, imageName, c.referrers[n].digest, c.referrers[n])
		})
	})
}

// tagOf is the n-th tag: of five digits, so that their order is that of the numbers.
func tagOf(n int) string { return fmt.Sprintf("v%05d", n) }

// fill does something n times, on several connections at once.
func fill(ctx context.Context, s *server, connections, n int, do func(c *conn, n int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wait sync.WaitGroup
	for range connections {
		c, err := dial(ctx, s.registry, s.auth, time.Now().Add(10*time.Minute))
		if err != nil {
			return err
		}
		defer c.close()
		defer context.AfterFunc(ctx, c.close)()
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(c, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}
