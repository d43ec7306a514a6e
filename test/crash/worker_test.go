package crash

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// worker is a client with an image of its own: nobody else changes it, so the worker knows what must be there.
type worker struct {
	*client
	rng   *rand.Rand
	image string
	crew  *crew

	// state is what the image holds, by path below the image's name: "blobs/<digest>", "manifests/<digest>", "manifests/<tag>". What
	// is empty is not there (any more).
	state map[string]digest.Digest
	// content is all that was ever sent, acknowledged or not.
	content map[digest.Digest][]byte
	// needs are the blobs that manifests require, subjects what they are about.
	needs    map[digest.Digest][]digest.Digest
	subjects map[digest.Digest]digest.Digest
	// sessions are uploads that are not finished.
	sessions []*session
	// pending is the change that was under way when the server was killed; nil when there was none.
	pending map[string]digest.Digest
	// touched are the paths that changed since they were last checked.
	touched map[string]bool
	// acknowledged counts what was.
	acknowledged map[string]int
}

// session is an upload.
type session struct {
	location string
	content  []byte
	digest   digest.Digest
	// acknowledged is how many bytes the server said it has, sent how many may have reached it.
	acknowledged, sent int
	// finishing: the closing request was sent.
	finishing bool
}

// descriptor and manifest are image-spec's.
type descriptor struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int           `json:"size"`
}

type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Subject       *descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations"`
}

// bytes returns new content: mostly small, at times large enough that a kill hits its middle.
func (w *worker) bytes() []byte {
	if w.rng.IntN(10) == 0 {
		return w.fill(200_000 + w.rng.IntN(2_000_000))
	}
	return w.fill(1 + w.rng.IntN(20_000))
}

func (w *worker) fill(size int) []byte {
	b := make([]byte, size)
	for i := 0; i+8 <= len(b); i += 8 {
		n := w.rng.Uint64()
		for j := range 8 {
			b[i+j] = byte(n >> (8 * j))
		}
	}
	return b
}

// run does one thing after the other until the server is killed.
func (w *worker) run() error {
	steps := []func() error{
		w.pushBlob, w.pushBlob, w.pushBlob, w.pushChunks, w.pushChunks, w.resume, w.resume, w.mount,
		w.pushImage, w.pushImage, w.pushImage, w.pushImage, w.deleteTag, w.deleteManifest, w.deleteBlob, w.moveShared, w.moveShared,
	}
	for {
		err := steps[w.rng.IntN(len(steps))]()
		if errors.Is(err, errKilled) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// change sends a request that makes a change, all of it or nothing.
func (w *worker) change(what string, changes map[string]digest.Digest, status int, method, path string, body []byte, headers ...string) error {
	for key := range changes {
		w.touched[key] = true
	}
	w.pending = changes
	if _, err := w.want(status, method, path, body, headers...); err != nil {
		return err
	}
	w.pending = nil
	maps.Copy(w.state, changes)
	w.acknowledged[what]++
	return nil
}

// add notes content that is about to be sent.
func (w *worker) add(b []byte) digest.Digest {
	d := digest.FromBytes(b)
	w.content[d] = b
	return d
}

func (w *worker) pushBlob() error { return w.push(w.bytes()) }

func (w *worker) push(b []byte) error {
	d := w.add(b)
	return w.change("blobs", map[string]digest.Digest{"blobs/" + d.String(): d},
		http.StatusCreated, http.MethodPost, w.image+"/blobs/uploads/?digest="+d.String(), b)
}

// pushChunks begins an upload and sends some of it.
func (w *worker) pushChunks() error {
	a, err := w.want(http.StatusAccepted, http.MethodPost, w.image+"/blobs/uploads/", nil)
	if err != nil {
		return err
	}
	b := w.bytes()
	if w.rng.IntN(10) == 0 {
		// A file store keeps the state of the hash of an upload every 4 MiB: this is one that has such a state.
		b = w.fill(5<<20 + w.rng.IntN(5<<20))
	}
	s := &session{location: a.header.Get("Location"), content: b, digest: w.add(b)}
	w.sessions = append(w.sessions, s)
	return w.feed(s)
}

// resume goes on with an upload, from before a kill or not.
func (w *worker) resume() error {
	if len(w.sessions) == 0 {
		return nil
	}
	return w.feed(w.sessions[w.rng.IntN(len(w.sessions))])
}

// feed sends some chunks, and at times finishes.
func (w *worker) feed(s *session) error {
	for w.rng.IntN(3) > 0 && s.acknowledged < len(s.content) {
		if err := w.chunk(s, 1+w.rng.IntN(len(s.content)-s.acknowledged)); err != nil {
			return err
		}
	}
	if w.rng.IntN(2) == 0 {
		return nil
	}
	return w.finish(s)
}

func (w *worker) chunk(s *session, n int) error {
	first := s.acknowledged
	s.sent = first + n
	a, err := w.want(http.StatusAccepted, http.MethodPatch, s.location, s.content[first:s.sent],
		"Content-Range", fmt.Sprintf("%d-%d", first, s.sent-1))
	if err != nil {
		return err
	}
	if got := a.header.Get("Range"); got != fmt.Sprintf("0-%d", s.sent-1) {
		return fmt.Errorf("%s: Range %q after %d bytes", s.location, got, s.sent)
	}
	s.acknowledged, s.location = s.sent, a.header.Get("Location")
	w.acknowledged["chunks"]++
	return nil
}

// finish sends the rest and closes.
func (w *worker) finish(s *session) error {
	s.finishing, s.sent = true, len(s.content)
	err := w.change("chunked blobs", map[string]digest.Digest{"blobs/" + s.digest.String(): s.digest},
		http.StatusCreated, http.MethodPut, s.location+"?digest="+s.digest.String(), s.content[s.acknowledged:])
	if err == nil {
		w.sessions = slices.DeleteFunc(w.sessions, func(x *session) bool { return x == s })
	}
	return err
}

// mount gives the image a blob of an image that nobody changes.
func (w *worker) mount() error {
	b := w.crew.base[w.rng.IntN(len(w.crew.base))]
	d := w.add(b)
	return w.change("mounts", map[string]digest.Digest{"blobs/" + d.String(): d},
		http.StatusCreated, http.MethodPost, fmt.Sprintf("%s/blobs/uploads/?mount=%s&from=%s", w.image, d, baseImage), nil)
}

// pick returns a path with the prefix of what is there, or nothing.
func (w *worker) pick(prefix string, fits func(key string) bool) string {
	var keys []string
	for key, d := range w.state {
		if d != "" && strings.HasPrefix(key, prefix) && fits(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return ""
	}
	slices.Sort(keys)
	return keys[w.rng.IntN(len(keys))]
}

func isDigest(key string) bool { return strings.Contains(key, ":") }
func isTag(key string) bool    { return !isDigest(key) }

// pushImage stores a manifest by tag, or by digest with tags, or about another manifest.
func (w *worker) pushImage() error {
	var refs []descriptor
	for range 2 {
		key := w.pick("blobs/", isDigest)
		if key == "" || w.rng.IntN(2) == 0 {
			if err := w.pushBlob(); err != nil {
				return err
			}
			key = w.pick("blobs/", isDigest)
		}
		d := w.state[key]
		refs = append(refs, descriptor{typeLayer, d, len(w.content[d])})
	}
	m := manifest{SchemaVersion: 2, MediaType: typeManifest, Config: refs[0], Layers: refs[1:], Annotations: map[string]string{"n": fmt.Sprint(w.rng.Uint64())}}
	m.Config.MediaType = typeConfig
	if key := w.pick("manifests/", isDigest); key != "" && w.rng.IntN(3) == 0 {
		d := w.state[key]
		m.Subject = &descriptor{typeManifest, d, len(w.content[d])}
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	d := w.add(b)
	w.needs[d] = []digest.Digest{refs[0].Digest, refs[1].Digest}
	if m.Subject != nil {
		w.subjects[d] = m.Subject.Digest
	}
	changes := map[string]digest.Digest{"manifests/" + d.String(): d}
	path := w.image + "/manifests/" + d.String()
	switch w.rng.IntN(3) {
	case 0:
		tag := w.tag()
		changes["manifests/"+tag], path = d, w.image+"/manifests/"+tag
	case 1:
		for i := range 3 {
			tag := w.tag()
			changes["manifests/"+tag] = d
			path += fmt.Sprintf("%ctag=%s", "?&&"[i], tag)
		}
	}
	return w.change("manifests", changes, http.StatusCreated, http.MethodPut, path, b, "Content-Type", typeManifest)
}

func (w *worker) tag() string { return fmt.Sprintf("tag-%d", w.rng.IntN(20)) }

func (w *worker) deleteTag() error {
	key := w.pick("manifests/", isTag)
	if key == "" {
		return nil
	}
	return w.change("deleted tags", map[string]digest.Digest{key: ""}, http.StatusAccepted, http.MethodDelete, w.image+"/"+key, nil)
}

// deleteManifest takes the manifest's tags along.
func (w *worker) deleteManifest() error {
	key := w.pick("manifests/", isDigest)
	if key == "" {
		return nil
	}
	changes := map[string]digest.Digest{key: ""}
	for other, d := range w.state {
		if d == w.state[key] && strings.HasPrefix(other, "manifests/") {
			changes[other] = ""
		}
	}
	return w.change("deleted manifests", changes, http.StatusAccepted, http.MethodDelete, w.image+"/"+key, nil)
}

// deleteBlob deletes one that no manifest needs.
func (w *worker) deleteBlob() error {
	needed := map[string]bool{}
	for m, blobs := range w.needs {
		if w.state["manifests/"+m.String()] != "" {
			for _, d := range blobs {
				needed["blobs/"+d.String()] = true
			}
		}
	}
	key := w.pick("blobs/", func(key string) bool { return !needed[key] })
	if key == "" {
		return nil
	}
	return w.change("deleted blobs", map[string]digest.Digest{key: ""}, http.StatusAccepted, http.MethodDelete, w.image+"/"+key, nil)
}
