package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// observe reads what is at a path, and checks that its bytes are those which its digest names.
func (w *worker) observe(image, key string) (digest.Digest, []byte, error) {
	a, err := w.do(http.MethodGet, image+"/"+key, nil)
	if err != nil {
		return "", nil, err
	}
	switch a.status {
	case http.StatusNotFound:
		return "", nil, nil
	case http.StatusOK:
	default:
		return "", nil, fmt.Errorf("GET %s/%s: status %d: %.300s", image, key, a.status, a.body)
	}
	d := digest.FromBytes(a.body)
	if got := a.header.Get("Docker-Content-Digest"); got != d.String() || isDigest(key) && !strings.HasSuffix(key, d.String()) {
		return "", nil, fmt.Errorf("GET %s/%s: %d bytes with digest %s, which the server calls %s", image, key, len(a.body), d, got)
	}
	return d, a.body, nil
}

// settle finds out what became of the change that was under way, and checks what was touched.
func (w *worker) settle() error {
	if err := w.settlePending(); err != nil {
		return err
	}
	if err := w.check(slices.Sorted(maps.Keys(w.touched))); err != nil {
		return err
	}
	clear(w.touched)
	if err := w.checkTags(); err != nil {
		return err
	}
	return w.checkSessions()
}

// settlePending: a change happened as a whole, or not at all.
func (w *worker) settlePending() error {
	var done, undone []string
	for _, key := range slices.Sorted(maps.Keys(w.pending)) {
		got, _, err := w.observe(w.image, key)
		if err != nil {
			return err
		}
		after, before := w.pending[key], w.state[key]
		switch {
		case after == before && got == after:
		case got == after:
			done = append(done, key)
		case got == before:
			undone = append(undone, key)
		default:
			return fmt.Errorf("%s/%s is %q, neither %q as before nor %q as after the change", w.image, key, got, before, after)
		}
	}
	if len(done) > 0 && len(undone) > 0 {
		return fmt.Errorf("%s: half a change: %q is done, %q is not", w.image, done, undone)
	}
	if len(done) > 0 {
		maps.Copy(w.state, w.pending)
	}
	w.pending = nil
	return nil
}

// check compares what is at paths with what must be there.
func (w *worker) check(keys []string) error {
	for _, key := range keys {
		got, b, err := w.observe(w.image, key)
		if err != nil {
			return err
		}
		want := w.state[key]
		if got != want {
			return fmt.Errorf("%s/%s is %q, want %q", w.image, key, got, want)
		}
		if want != "" && !bytes.Equal(b, w.content[want]) {
			return fmt.Errorf("%s/%s: other bytes", w.image, key)
		}
	}
	return nil
}

// checkTags compares the list of tags with those that must be there.
func (w *worker) checkTags() error {
	want, known := []string{}, false
	for key, d := range w.state {
		known = known || d != "" && strings.HasPrefix(key, "manifests/")
		if tag, ok := strings.CutPrefix(key, "manifests/"); ok && isTag(key) && d != "" {
			want = append(want, tag)
		}
	}
	slices.Sort(want)
	a, err := w.do(http.MethodGet, w.image+"/tags/list", nil)
	if err != nil {
		return err
	}
	if a.status == http.StatusNotFound && !known {
		return nil
	}
	var list struct {
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(a.body, &list); err != nil || a.status != http.StatusOK {
		return fmt.Errorf("tags of %s: status %d: %.300s", w.image, a.status, a.body)
	}
	if !slices.Equal(list.Tags, want) {
		return fmt.Errorf("tags of %s are %v, want %v", w.image, list.Tags, want)
	}
	return nil
}

// checkReferrers compares the lists of referrers with the manifests that are there.
func (w *worker) checkReferrers() error {
	want := map[digest.Digest][]digest.Digest{}
	for m, subject := range w.subjects {
		if want[subject] == nil {
			want[subject] = []digest.Digest{}
		}
		if w.state["manifests/"+m.String()] != "" {
			want[subject] = append(want[subject], m)
		}
	}
	for subject, referrers := range want {
		a, err := w.want(http.StatusOK, http.MethodGet, w.image+"/referrers/"+subject.String(), nil)
		if err != nil {
			return err
		}
		var list struct {
			Manifests []descriptor `json:"manifests"`
		}
		if err := json.Unmarshal(a.body, &list); err != nil {
			return fmt.Errorf("referrers of %s: %w", subject, err)
		}
		got := []digest.Digest{}
		for _, d := range list.Manifests {
			got = append(got, d.Digest)
		}
		slices.Sort(got)
		slices.Sort(referrers)
		if !slices.Equal(got, referrers) {
			return fmt.Errorf("%s: referrers of %s are %v, want %v", w.image, subject, got, referrers)
		}
	}
	return nil
}

// checkSessions checks that the acknowledged part of each upload is there.
func (w *worker) checkSessions() error {
	var left []*session
	for _, s := range w.sessions {
		a, err := w.do(http.MethodGet, s.location, nil)
		if err != nil {
			return err
		}
		if a.status == http.StatusNotFound && s.finishing {
			continue // it was finished; whether the blob is there was settled
		}
		var last int
		if _, err := fmt.Sscanf(a.header.Get("Range"), "0-%d", &last); err != nil || a.status != http.StatusNoContent {
			return fmt.Errorf("GET %s: status %d, Range %q; %d bytes were acknowledged", s.location, a.status, a.header.Get("Range"), s.acknowledged)
		}
		have := last + 1
		if last == 0 && s.acknowledged == 0 {
			have = 0 // "0-0" stands for none, too
		}
		if have < s.acknowledged || have > s.sent {
			return fmt.Errorf("%s has %d bytes; %d were acknowledged, %d sent", s.location, have, s.acknowledged, s.sent)
		}
		s.acknowledged, s.finishing = have, false
		left = append(left, s)
	}
	w.sessions = left
	return nil
}

// verify checks all that the worker knows of, and finishes its uploads.
func (w *worker) verify() error {
	for len(w.sessions) > 0 {
		if err := w.finish(w.sessions[0]); err != nil {
			return err
		}
	}
	keys := maps.Clone(w.state)
	for d := range w.content {
		if _, ok := keys["manifests/"+d.String()]; !ok {
			keys["blobs/"+d.String()] = ""
		}
	}
	if err := w.check(slices.Sorted(maps.Keys(keys))); err != nil {
		return err
	}
	if err := w.checkTags(); err != nil {
		return err
	}
	return w.checkReferrers()
}
