package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// proxyScenarios are about proxy and group repositories.
func (b *bench) proxyScenarios() []scenario {
	all := b.warmScenarios()
	if b.alone {
		return all // upstream of the others is nginx
	}
	return append(all, b.coldScenario("as fast as it goes", ""), b.coldScenario("1 Gbit/s", gigabit), b.crowdScenario())
}

// Ways to the same image on repomgr.
const (
	hosted = "hosted"
	proxy  = "proxy"
	group  = "group"
)

// warmScenarios compare a proxy that has what is asked for, and a group that has such a proxy as its second member, with a hosted
// repository of the same server. It is the upstream of the proxy, too, which is asked before the clock starts.
func (b *bench) warmScenarios() []scenario {
	c := b.contents
	i := c.images[0]
	warm := func(name string, connections int, m metric, f fetch, need func(context.Context, *server) error) scenario {
		f.method, f.named = "GET", true
		s := scenario{name: "warm proxy: " + name, claims: []claim{
			{name: ", as a share of hosted", metric: m, of: proxy, base: hosted, bar: bar{least: 0.95}},
			{name: ", by a group of two", metric: m, of: group, base: hosted},
		}}
		for _, way := range []string{hosted, proxy, group} {
			s.entrants = append(s.entrants, entrant{way, func(ctx context.Context) (sample, error) {
				s := b.subject()
				if err := need(ctx, s); err != nil {
					return sample{}, err
				}
				address, err := s.way(ctx, way)
				if err != nil {
					return sample{}, err
				}
				return b.load(ctx, job{server: s, address: address, connections: connections, worker: f.worker})
			}})
		}
		return s
	}
	of := func(path string, content blob) fetch {
		return fetch{path: path, size: int64(content.size()), digest: content.digest}
	}
	return []scenario{
		warm("manifest GET by tag, 32 connections", small, perSecond, of(manifestPath(imageName, tagOf(0)), i.manifest), c.needImages),
		warm("10 KB blob GET, 32 connections", small, perSecond, of(blobPath(imageName, i.layers[0].digest), i.layers[0]), c.needImages),
		warm("100 MB blob GET, 1 connection", 1, megabytes, of(blobPath(imageName, c.big.digest), c.big), c.needBig),
	}
}

// way returns the address of one of repomgr's repositories that have the image.
func (s *server) way(ctx context.Context, name string) (address string, err error) {
	if name == hosted {
		return s.registry, nil
	}
	if _, err := s.repository(ctx, "mirror", "proxy", remote("http://"+s.registry)); err != nil {
		return "", err
	}
	if name == proxy {
		return s.ways["mirror"], nil
	}
	if _, err := s.repository(ctx, "empty", "hosted", ""); err != nil {
		return "", err
	}
	return s.repository(ctx, "all", "group", `"group": {"memberNames": ["empty", "mirror"]}`)
}

// remote are the settings of a proxy.
func remote(url string) string {
	return fmt.Sprintf(`"proxy": {"remoteUrl": %q, "contentMaxAge": 1440, "metadataMaxAge": 1440}, "dockerProxy": {"indexType": "REGISTRY"}`, url)
}

// repository creates a docker repository of a kind, with settings, on a port of its own, unless it is there. It returns its address.
func (s *server) repository(ctx context.Context, name, kind, settings string) (string, error) {
	if s.ways[name] != "" {
		return s.ways[name], nil
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	policy := ""
	if kind == "hosted" {
		policy = `, "writePolicy": "ALLOW"`
	}
	if settings != "" {
		settings = ", " + settings
	}
	body := fmt.Sprintf(`{"name": %q, "online": true, "storage": {"blobStoreName": "default", "strictContentTypeValidation": true%s},
 "docker": {"v1Enabled": false, "forceBasicAuth": false, "httpPort": %d}%s}`, name, policy, port, settings)
	if err := s.post(ctx, "/repositories/docker/"+kind, body); err != nil {
		return "", fmt.Errorf("repository %s: %w", name, err)
	}
	if s.ways == nil {
		s.ways = map[string]string{}
	}
	s.ways[name] = address(port)
	return s.ways[name], nil
}

// Entrants of the scenarios about what a proxy doesn't have yet.
const (
	direct = "direct"
	mirror = "docker-registry as proxy"
)

// coldBlobs is how many blobs a measurement of cold fetches has at most: 1.6 GB for upstream, and again for the proxy.
const coldBlobs = 16

// coldScenario compares fetches of what a proxy doesn't have with the same from upstream, which sends at most so many bytes a second,
// if limit says so.
func (b *bench) coldScenario(speed, limit string) scenario {
	s := scenario{name: "cold 100 MB blob, upstream " + speed, claims: []claim{
		{metric: megabytes, of: subject, base: direct, limit: hashing, bar: bar{least: 0.9}},
		{name: ": first byte", metric: firstMS, of: subject, base: direct, above: true, bar: bar{most: 5}},
		{name: ": " + mirror, metric: megabytes, of: mirror, base: direct},
		{name: ": " + mirror + ": first byte", metric: firstMS, of: mirror, base: direct},
	}}
	for _, way := range []string{direct, subject, mirror} {
		s.entrants = append(s.entrants, entrant{way, func(ctx context.Context) (sample, error) {
			up, err := b.upstream(ctx)
			if err != nil {
				return sample{}, err
			}
			server, address, err := b.through(ctx, way, up, limit)
			if err != nil {
				return sample{}, err
			}
			return b.cold(ctx, up, job{server: server, address: address, connections: 1}, coldBlobs)
		}})
	}
	// The digest of one blob can't be computed by two cores: nobody who verifies is faster.
	s.entrants = append(s.entrants, b.hashing(), b.disk(1))
	return s
}

// crowdScenario is 50 clients that want one blob that the proxy doesn't have yet.
func (b *bench) crowdScenario() scenario {
	const clients = 50
	s := scenario{name: "50 clients at once, one cold 100 MB blob", claims: []claim{
		{name: ": all together", metric: megabytes, of: subject, base: mirror},
		{name: ": until the last one has it", metric: duration, of: subject, base: mirror},
		{name: ": requests to upstream", metric: requests, of: subject, base: mirror, absolute: true, bar: bar{most: 1}},
		{name: ": most resident memory", metric: peakMB, of: subject, base: mirror, absolute: true, bar: bar{most: 100}},
	}}
	for _, way := range []string{subject, mirror} {
		s.entrants = append(s.entrants, entrant{way, func(ctx context.Context) (sample, error) {
			up, err := b.upstream(ctx)
			if err != nil {
				return sample{}, err
			}
			server, address, err := b.through(ctx, way, up, "")
			if err != nil {
				return sample{}, err
			}
			// What it holds in memory from before must not count.
			server.stop()
			if _, err := server.start(ctx, server.main, server.health); err != nil {
				return sample{}, err
			}
			return b.cold(ctx, up, job{server: server, address: address, connections: clients, once: true}, 1)
		}})
	}
	return s
}

// through returns a server by which upstream's blobs can be had, and the address.
func (b *bench) through(ctx context.Context, way string, up *upstream, limit string) (*server, string, error) {
	from, name := up.registry, "cold"
	if limit != "" {
		from, name = up.limited[limit], "cold-"+limit
	}
	switch way {
	case direct:
		return up.server, from, nil
	case subject:
		address, err := b.subject().repository(ctx, name, "proxy", remote("http://"+from))
		return b.subject(), address, err
	}
	s, err := b.helper(ctx, strings.TrimSpace(mirror+" "+limit), func(dir string) (*server, error) { return newPeer(mirror, dir, "http://"+from) })
	if err != nil {
		return nil, "", err
	}
	return s, s.registry, nil
}

// cold does a job: each operation fetches a blob that nobody has asked for before, of so many; with j.once all fetch the same at once.
// All bytes are compared.
func (b *bench) cold(ctx context.Context, up *upstream, j job, count int) (s sample, err error) {
	blobs, err := up.fill(b.contents.large, count)
	if err != nil {
		return sample{}, err
	}
	defer func() { err = errors.Join(err, up.clear(), j.server.reclaim()) }()
	var first []float64
	var mu sync.Mutex
	var next atomic.Int64
	j.worker = func(c *conn) (worker, error) {
		return worker{do: func() (int64, error) {
			n := 0
			if !j.once {
				n = int(next.Add(1)) - 1
			}
			took, err := c.same(blobPath(coldName, blobs[n].digest), blobs[n])
			mu.Lock()
			defer mu.Unlock()
			first = append(first, took.Seconds())
			return int64(blobs[n].size()), err
		}}, nil
	}
	j.most = count
	if j.once {
		j.most = 0
	}
	if s, err = b.load(ctx, j); err != nil {
		return s, err
	}
	s.First = median(first)
	s.Fetches, err = up.requests(blobs)
	return s, err
}

// same fetches a blob and compares each byte. It returns how long the first one took.
func (c *conn) same(path string, b blob) (first time.Duration, err error) {
	begin := time.Now()
	if err := c.roundTrip(c.head("GET", path)); err != nil {
		return 0, fmt.Errorf("GET %s: %w", path, err)
	}
	if c.response.status != 200 || c.response.length != int64(b.size()) {
		return 0, c.unwanted("GET "+path, 200)
	}
	for at := 0; at < b.size(); {
		if _, err := c.reader.Peek(1); err != nil {
			return first, fmt.Errorf("GET %s: after %d bytes: %w", path, at, err)
		}
		if at == 0 {
			first = time.Since(begin)
		}
		got, _ := c.reader.Peek(min(c.reader.Buffered(), b.size()-at)) // it is there
		if !b.has(at, got) {
			return first, fmt.Errorf("GET %s: wrong bytes after %d", path, at)
		}
		n, _ := c.reader.Discard(len(got))
		at += n
	}
	return first, nil
}

// coldName is the image whose blobs only upstream has.
const coldName = "bench/cold"

// coldDir is where upstream has them.
func (u *upstream) coldDir() string {
	return filepath.Join(u.dir, "data", "v2", filepath.FromSlash(coldName))
}
