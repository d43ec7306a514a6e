package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// acceptManifests is what docker sends: docker-registry answers 404 for manifests of types that are not named.
const acceptManifests = manifestType + ", application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, */*"

func blobPath(name, digest string) string   { return "/v2/" + name + "/blobs/" + digest }
func manifestPath(name, ref string) string  { return "/v2/" + name + "/manifests/" + ref }
func uploadsPath(name, query string) string { return "/v2/" + name + "/blobs/uploads/" + query }
func contentLength(n int) string            { return "Content-Length: " + strconv.Itoa(n) }
func (b blob) pieces(from, to int) [][]byte {
	var pieces [][]byte
	if from < len(b.common) {
		pieces = append(pieces, b.common[from:min(to, len(b.common))])
	}
	if to > len(b.common) {
		pieces = append(pieces, b.tail[max(0, from-len(b.common)):to-len(b.common)])
	}
	return pieces
}

// method is a way to upload a blob (OCI distribution-spec 1.1, "Pushing blobs").
type method func(c *conn, location string, b blob) error

// pushBlob uploads a blob. The server must name its digest.
func pushBlob(c *conn, name string, b blob, how method) error {
	if err := c.call(202, c.head("POST", uploadsPath(name, ""), contentLength(0))); err != nil {
		return err
	}
	location, err := c.location()
	if err != nil {
		return err
	}
	if err := how(c, location, b); err != nil {
		return err
	}
	return c.confirmed(b.digest)
}

// onePut uploads all in one PUT of known length, as containerd does.
func onePut(c *conn, location string, b blob) error {
	head := c.head("PUT", withDigest(location, b), contentLength(b.size()), octets)
	return c.call(201, head, b.pieces(0, b.size())...)
}

// streamed uploads in one PATCH of unknown length and closes with an empty PUT, as docker does: in chunks of 32 KiB, which is
// what Go's client cuts a body into.
func streamed(c *conn, location string, b blob) error {
	const chunk = 32 << 10
	var body [][]byte
	before := ""
	for at := 0; at < b.size(); at += chunk {
		to := min(at+chunk, b.size())
		body = append(body, fmt.Appendf(nil, "%s%x\r\n", before, to-at))
		body = append(body, b.pieces(at, to)...)
		before = "\r\n"
	}
	body = append(body, []byte(before+"0\r\n\r\n"))
	if err := c.call(202, c.head("PATCH", location, "Transfer-Encoding: chunked", octets), body...); err != nil {
		return err
	}
	return c.finish(b)
}

// tenChunks uploads in ten PATCHes that say where they belong, and closes with an empty PUT.
func tenChunks(c *conn, location string, b blob) error {
	const parts = 10
	for i := range parts {
		from, to := b.size()*i/parts, b.size()*(i+1)/parts
		place := fmt.Sprintf("Content-Range: %d-%d", from, to-1)
		if err := c.call(202, c.head("PATCH", location, place, contentLength(to-from), octets), b.pieces(from, to)...); err != nil {
			return err
		}
		var err error
		if location, err = c.location(); err != nil {
			return err
		}
	}
	return c.finish(b)
}

const octets = "Content-Type: application/octet-stream"

// finish closes the upload that the last response was about.
func (c *conn) finish(b blob) error {
	location, err := c.location()
	if err != nil {
		return err
	}
	return c.call(201, c.head("PUT", withDigest(location, b), contentLength(0)))
}

// withDigest adds the digest to the location of an upload, which may have a query of its own.
func withDigest(location string, b blob) string {
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	return location + separator + "digest=" + b.digest
}

// location is the path and query of the last response's Location, which may be an absolute URL.
func (c *conn) location() (string, error) {
	path, err := pathOf(string(c.response.location))
	if err != nil {
		return "", fmt.Errorf("upload at %q: %w", c.response.location, err)
	}
	return path, nil
}

func pathOf(location string) (string, error) {
	if _, rest, absolute := strings.Cut(location, "://"); absolute && !strings.HasPrefix(location, "/") {
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			return "/", nil
		}
		return rest[slash:], nil
	}
	if !strings.HasPrefix(location, "/") {
		return "", errors.New("neither a URL nor a path")
	}
	return location, nil
}

// confirmed checks that the last response names a digest.
func (c *conn) confirmed(digest string) error {
	if string(c.response.digest) != digest {
		return fmt.Errorf("Docker-Content-Digest %q, want %s", c.response.digest, digest)
	}
	return nil
}

func putManifest(c *conn, name, ref string, m blob) error {
	head := c.head("PUT", manifestPath(name, ref), contentLength(m.size()), "Content-Type: "+manifestType)
	if err := c.call(201, head, m.pieces(0, m.size())...); err != nil {
		return err
	}
	return c.confirmed(m.digest)
}

// pushImage pushes an image as docker does: it asks for each blob, uploads those that are absent, and then the manifest.
func pushImage(c *conn, name, tag string, i image) error {
	for _, b := range i.blobs() {
		there, err := c.has(name, b)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		if err := pushBlob(c, name, b, streamed); err != nil {
			return err
		}
	}
	return putManifest(c, name, tag, i.manifest)
}

// has asks for a blob by HEAD.
func (c *conn) has(name string, b blob) (bool, error) {
	path := blobPath(name, b.digest)
	if err := c.roundTrip(c.head("HEAD", path)); err != nil {
		return false, fmt.Errorf("HEAD %s: %w", path, err)
	}
	switch {
	case c.response.status == 404:
		return false, nil
	case c.response.status == 200 && c.response.length == int64(b.size()):
		return true, nil
	}
	return false, fmt.Errorf("HEAD %s: status %d, length %d", path, c.response.status, c.response.length)
}

// mount makes a blob of one image known in another (distribution-spec 1.1, "Mounting a blob from another repository").
func mount(c *conn, to, from string, b blob) error {
	head := c.head("POST", uploadsPath(to, "?mount="+b.digest+"&from="+from), contentLength(0))
	if err := c.call(201, head); err != nil {
		return err
	}
	return c.confirmed(b.digest)
}
