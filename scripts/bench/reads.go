package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

const small = 32 // connections of scenarios with small requests

// readScenarios are those that change nothing on the servers.
func (b *bench) readScenarios() []scenario {
	i, c := b.contents.images[0], b.contents
	layer := i.layers[0]
	manifestGET := fetch{method: "GET", path: manifestPath(imageName, tagOf(0)), size: int64(i.manifest.size()), digest: i.manifest.digest}
	manifestHEAD := manifestGET
	manifestHEAD.method = "HEAD"
	layerGET := fetch{method: "GET", path: blobPath(imageName, layer.digest), size: int64(layer.size()), digest: layer.digest}
	layerHEAD := layerGET
	layerHEAD.method = "HEAD"
	bigGET := fetch{method: "GET", path: blobPath(imageName, c.big.digest), size: int64(c.big.size()), digest: c.big.digest}
	perGB := claim{name: ": CPU per GB", metric: cpuPerGB, of: subject, base: peer, limit: static, bar: bar{most: 0.8}}
	return []scenario{
		{name: "manifest GET by tag, 32 connections", entrants: b.fetches(small, c.needImages, manifestGET), claims: []claim{beside(perSecond, 15)}},
		{name: "manifest HEAD by tag, 32 connections", entrants: b.fetches(small, c.needImages, manifestHEAD), claims: []claim{beside(perSecond, 15)}},
		{name: "blob HEAD, 32 connections", entrants: b.fetches(small, c.needImages, layerHEAD), claims: []claim{beside(perSecond, 12)}},
		{name: "10 KB blob GET, 32 connections", entrants: b.fetches(small, c.needImages, layerGET), claims: []claim{beside(perSecond, 16)}},
		{name: "100 MB blob GET, 1 connection", entrants: b.fetches(1, c.needBig, bigGET), claims: []claim{beside(megabytes, 1.15), perGB}},
		{name: "100 MB blob GET, 8 connections", entrants: b.fetches(8, c.needBig, bigGET), claims: []claim{beside(megabytes, 1.15), perGB}},
		{name: "image pull, 8 connections", entrants: b.pulls(8), claims: []claim{beside(perSecond, 18)}},
		{name: "page of 100 from the middle of 10,000 tags, 8 connections", entrants: b.tags(8, true), claims: []claim{beside(perSecond, 20)}},
		{name: "list of all 10,000 tags, 8 connections", entrants: b.tags(8, false), claims: []claim{beside(perSecond, 0)}},
		b.shares(manifestGET),
	}
}

// fetches are all servers, asked the same.
func (b *bench) fetches(connections int, need func(context.Context, *server) error, f fetch) []entrant {
	var entrants []entrant
	for _, s := range b.servers {
		f.named = s.name != static
		entrants = append(entrants, entrant{s.name, func(ctx context.Context) (sample, error) {
			if err := need(ctx, s); err != nil {
				return sample{}, err
			}
			return b.load(ctx, job{server: s, connections: connections, worker: f.worker})
		}})
	}
	return entrants
}

// pulls fetch whole images as docker does, in turn those of the fixture.
func (b *bench) pulls(connections int) []entrant {
	return b.each(func(ctx context.Context, s *server) (sample, error) {
		if err := b.contents.needImages(ctx, s); err != nil {
			return sample{}, err
		}
		next := 0
		return b.load(ctx, job{server: s, connections: connections, worker: func(c *conn) (worker, error) {
			next += imageCount / connections // so that connections don't go through the images in step
			return b.pull(c, next), nil
		}})
	})
}

func (b *bench) pull(c *conn, n int) worker {
	do := func(verify bool) (int64, error) {
		n = (n + 1) % imageCount
		i := b.contents.images[n]
		of := func(path string, content blob) fetch {
			return fetch{method: "GET", path: path, size: int64(content.size()), digest: content.digest, named: true}
		}
		head := of(manifestPath(imageName, tagOf(n)), i.manifest)
		head.method = "HEAD"
		requests := []fetch{head, of(manifestPath(imageName, i.manifest.digest), i.manifest), of(blobPath(imageName, i.config.digest), i.config)}
		for _, layer := range i.layers {
			requests = append(requests, of(blobPath(imageName, layer.digest), layer))
		}
		var sum int64
		for _, f := range requests {
			text := c.head(f.method, f.path, "Accept: "+acceptManifests)
			if verify {
				if err := f.verify(c, text); err != nil {
					return sum, err
				}
				continue
			}
			if err := c.roundTrip(text); err != nil {
				return sum, fmt.Errorf("%s %s: %w", f.method, f.path, err)
			}
			size, err := f.rest(c)
			if err != nil {
				return sum, err
			}
			sum += size
		}
		return sum, nil
	}
	return worker{
		do:    func() (int64, error) { return do(false) },
		check: func() error { _, err := do(true); return err },
	}
}

// tags are lists of tags: a page of 100 from the middle, or all. docker-registry 2.8 knows no pages and always lists all.
func (b *bench) tags(connections int, page bool) []entrant {
	return b.each(func(ctx context.Context, s *server) (sample, error) {
		if err := b.contents.needTags(ctx, s); err != nil {
			return sample{}, err
		}
		path, first, count := "/v2/"+tagsName+"/tags/list", 0, tagCount
		if page {
			path += "?n=100&last=" + tagOf(tagCount/2-1)
			if s.name == subject {
				first, count = tagCount/2, 100
			}
		}
		return b.probed(ctx, s, connections, path, func(body []byte) error {
			var list struct{ Tags []string }
			if err := json.Unmarshal(body, &list); err != nil {
				return err
			}
			if s.name == peer {
				slices.Sort(list.Tags) // it lists them in the order of the directory
			}
			for n := range count {
				if len(list.Tags) != count || list.Tags[n] != tagOf(first+n) {
					return fmt.Errorf("%d tags, want those from %s to %s in order", len(list.Tags), tagOf(first), tagOf(first+count-1))
				}
			}
			return nil
		})
	})
}

// probed measures GETs of a document that is the server's own.
func (b *bench) probed(ctx context.Context, s *server, connections int, path string, look func(body []byte) error) (sample, error) {
	c, err := dial(ctx, s.registry, "", time.Now().Add(grace))
	if err != nil {
		return sample{}, err
	}
	f, err := probe(c, path, look)
	c.close()
	if err != nil {
		return sample{}, err
	}
	return b.load(ctx, job{server: s, connections: connections, worker: f.worker})
}

// shares compares what repomgr does by itself: the same GET of a manifest for those who sign in, and the list of its referrers.
func (b *bench) shares(manifestGET fetch) scenario {
	const anonymous, basic, bearer, referrers = "anonymous", "Basic", "bearer", "referrers"
	measure := func(auth func(ctx context.Context, s *server) (string, error)) func(context.Context) (sample, error) {
		return func(ctx context.Context) (sample, error) {
			s := b.subject()
			if err := b.contents.needReferrers(ctx, s); err != nil {
				return sample{}, err
			}
			value, err := auth(ctx, s)
			if err != nil {
				return sample{}, err
			}
			return b.load(ctx, job{server: s, connections: small, auth: value, worker: manifestGET.worker})
		}
	}
	share := func(of string, least float64) claim {
		return claim{name: ": " + of + " as a share of anonymous manifest GET", metric: perSecond, of: of, base: anonymous, bar: bar{least: least}}
	}
	return scenario{
		name: "shares, 32 connections",
		entrants: []entrant{
			{anonymous, measure(func(context.Context, *server) (string, error) { return "", nil })},
			{basic, measure(func(_ context.Context, s *server) (string, error) { return s.auth, nil })},
			{bearer, measure(token)},
			{referrers, func(ctx context.Context) (sample, error) {
				s := b.subject()
				if err := b.contents.needReferrers(ctx, s); err != nil {
					return sample{}, err
				}
				return b.probed(ctx, s, small, "/v2/"+imageName+"/referrers/"+manifestGET.digest, func(body []byte) error {
					var index struct{ Manifests []descriptor }
					if err := json.Unmarshal(body, &index); err != nil {
						return err
					}
					if len(index.Manifests) != referrerCount {
						return fmt.Errorf("%d referrers, want %d", len(index.Manifests), referrerCount)
					}
					return nil
				})
			}},
		},
		claims: []claim{share(referrers, 0.5), share(basic, 0.8), share(bearer, 0.8)},
	}
}

// token returns the Authorization header of a caller who signed in and got a token to pull (Docker token authentication).
func token(ctx context.Context, s *server) (string, error) {
	c, err := dial(ctx, s.registry, s.auth, time.Now().Add(grace))
	if err != nil {
		return "", err
	}
	defer c.close()
	var text string
	scope := url.QueryEscape("repository:" + imageName + ":pull")
	_, err = probe(c, "/v2/token?service="+url.QueryEscape(s.registry)+"&scope="+scope, func(body []byte) error {
		var answer struct{ Token string }
		if err := json.Unmarshal(body, &answer); err != nil {
			return err
		}
		if answer.Token == "" {
			return errors.New("no token")
		}
		text = answer.Token
		return nil
	})
	return "Bearer " + text, err
}
