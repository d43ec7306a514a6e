package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

// TestSource shows that blobs differ, and that their digests are right however they are cut.
func TestSource(t *testing.T) {
	s := newSource(1000, 1)
	seen := map[string]bool{}
	for range 100 {
		b, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		if b.size() != 1000 || seen[b.digest] {
			t.Fatalf("size %d, digest %s", b.size(), b.digest)
		}
		seen[b.digest] = true
		for _, cut := range []int{0, 1, 991, 992, 993, 999, 1000} {
			content := bytes.Join(append(b.pieces(0, cut), b.pieces(cut, 1000)...), nil)
			if got := newBlob(content).digest; got != b.digest || len(content) != 1000 {
				t.Fatalf("cut at %d: digest %s, want %s", cut, got, b.digest)
			}
		}
	}
}

func TestImage(t *testing.T) {
	layers := newSource(layerSize, 1)
	i, err := newImage(layers)
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(i.manifest.common, &m); err != nil {
		t.Fatal(err)
	}
	blobs := i.blobs()
	if len(blobs) != 4 || len(m.Layers) != 3 || m.Config != describe(i.config, configType) {
		t.Fatalf("manifest %+v of %d blobs", m, len(blobs))
	}
	for n, layer := range m.Layers {
		if layer != describe(blobs[n], layerType) || layer.Size != layerSize {
			t.Errorf("layer %d: %+v", n, layer)
		}
	}
	other, err := newImage(layers)
	if err != nil || other.manifest.digest == i.manifest.digest || other.config.digest == i.config.digest {
		t.Errorf("two images are the same: %v", err)
	}
	r, err := i.referrer("application/vnd.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(r.common, &m); err != nil || m.Subject == nil || m.Subject.Digest != i.manifest.digest {
		t.Errorf("referrer %+v, %v", m, err)
	}
}
