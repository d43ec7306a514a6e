package main

import (
	"context"
	"errors"
	"fmt"
)

// mostPushes bounds what a measurement writes: 4 GB.
const mostPushes = 40

// writeScenarios are those that push. Content is always new, so that no server gets by without writing it.
func (b *bench) writeScenarios() []scenario {
	push := func(name string, connections int, how method, limit bar) scenario {
		entrants := b.each(func(ctx context.Context, s *server) (sample, error) {
			return b.pushes(ctx, s, job{connections: connections, most: mostPushes}, how)
		})
		return scenario{
			name:     "push of 100 MB: " + name,
			entrants: append(entrants, b.disk(connections)),
			claims:   []claim{{metric: megabytes, of: subject, base: peer, limit: disk, bar: limit}},
		}
	}
	enough := bar{least: 2.2, share: 0.85}
	pairs := func(name string, connections int, least float64, do func(c *conn) (worker, error)) scenario {
		entrants := b.each(func(ctx context.Context, s *server) (sample, error) {
			if err := b.contents.needImages(ctx, s); err != nil {
				return sample{}, err
			}
			return b.load(ctx, job{server: s, connections: connections, auth: s.auth, worker: do})
		})
		return scenario{name: name, entrants: entrants, claims: []claim{{metric: perSecond, of: subject, base: peer, bar: bar{least: least}}}}
	}
	return []scenario{
		push("one PUT", 1, onePut, enough),
		push("streamed", 1, streamed, enough),
		push("10 chunks", 1, tenChunks, enough),
		push("4 at once", 4, onePut, bar{}),
		pairs("image push, 1 connection", 1, 0, b.imagePushes),
		pairs("image push, 8 connections", 8, 2.7, b.imagePushes),
		pairs("the same image under new tags, 8 connections", 8, 0, b.retags),
		pairs("cross-repository mount, 4 connections", 4, 2.5, b.mounts),
	}
}

// pushes pushes blobs of 100 MB. The last one of each connection is fetched again and verified.
func (b *bench) pushes(ctx context.Context, s *server, j job, how method) (sample, error) {
	j.server, j.auth = s, s.auth
	j.worker = func(c *conn) (worker, error) {
		var last blob
		do := func() (int64, error) {
			var err error
			if last, err = b.contents.large.next(); err != nil {
				return 0, err
			}
			return int64(last.size()), pushBlob(c, pushName, last, how)
		}
		check := func() error {
			if last.digest == "" {
				return nil // others did all the pushes
			}
			f := fetch{method: "GET", path: blobPath(pushName, last.digest), size: int64(last.size()), digest: last.digest, named: true}
			return f.verify(c, c.head("GET", f.path))
		}
		return worker{do: do, check: check}, nil
	}
	result, err := b.load(ctx, j)
	return result, errors.Join(err, s.reclaim())
}

// imagePushes pushes fresh images. The last one of each connection is looked for afterwards.
func (b *bench) imagePushes(c *conn) (worker, error) {
	var last image
	var tag string
	do := func() (int64, error) {
		var err error
		if last, err = newImage(b.contents.small); err != nil {
			return 0, err
		}
		tag = b.tag()
		return 3 * layerSize, pushImage(c, pushName, tag, last)
	}
	check := func() error {
		if tag == "" {
			return nil
		}
		return last.pushed(c, pushName, tag)
	}
	return worker{do, check}, nil
}

// pushed verifies that an image can be pulled.
func (i image) pushed(c *conn, name, tag string) error {
	manifest := fetch{method: "GET", path: manifestPath(name, tag), size: int64(i.manifest.size()), digest: i.manifest.digest, named: true}
	if err := manifest.verify(c, c.head("GET", manifest.path, "Accept: "+acceptManifests)); err != nil {
		return err
	}
	for _, b := range i.blobs() {
		f := fetch{method: "GET", path: blobPath(name, b.digest), size: int64(b.size()), digest: b.digest, named: true}
		if err := f.verify(c, c.head("GET", f.path)); err != nil {
			return err
		}
	}
	return nil
}

// retags pushes an image that is there under new tags.
func (b *bench) retags(c *conn) (worker, error) {
	i := b.contents.images[0]
	var tag string
	do := func() (int64, error) { tag = b.tag(); return 0, pushImage(c, imageName, tag, i) }
	check := func() error {
		if tag == "" {
			return nil
		}
		return i.pushed(c, imageName, tag)
	}
	return worker{do, check}, nil
}

// mounts mounts a layer to images that are not there yet.
func (b *bench) mounts(c *conn) (worker, error) {
	layer := b.contents.images[0].layers[0]
	var name string
	do := func() (int64, error) {
		name = "bench/mount-" + b.tag()
		return 0, mount(c, name, imageName, layer)
	}
	check := func() error {
		if name == "" {
			return nil
		}
		there, err := c.has(name, layer)
		if err == nil && !there {
			err = fmt.Errorf("%s lacks the blob that was mounted", name)
		}
		return err
	}
	return worker{do, check}, nil
}

// tag returns a tag, or a part of a name, that was not used before.
func (b *bench) tag() string { return fmt.Sprintf("n%07d", b.unique.Add(1)) }
