package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"math/rand/v2"
	"sync/atomic"
)

// Sizes in bytes. 100 MB is 100,000,000: rates are in MB/s of a million bytes.
const (
	layerSize = 10_000
	bigSize   = 100_000_000
)

// source makes blobs of one size of which no two are equal. They share all but their last bytes, and their digests share the
// hash of what is common, so that fresh content costs the client next to nothing.
type source struct {
	common []byte
	hashed hash.Cloner // of common
	count  atomic.Uint64
}

const tailSize = 8

// newSource returns a source of random, so incompressible, blobs.
func newSource(size int, seed uint64) *source {
	common := make([]byte, size-tailSize)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	_, _ = rand.NewChaCha8(key).Read(common) // never fails
	hashed := sha256.New()
	hashed.Write(common)
	return &source{common: common, hashed: hashed.(hash.Cloner)}
}

// blob is content of a registry. Its bytes are common followed by tail.
type blob struct {
	common, tail []byte
	digest       string // "sha256:..."
}

func (b blob) size() int { return len(b.common) + len(b.tail) }

// next returns a blob that was not there before.
func (s *source) next() (blob, error) {
	tail := binary.BigEndian.AppendUint64(nil, s.count.Add(1))
	sum, err := s.hashed.Clone()
	if err != nil {
		return blob{}, fmt.Errorf("clone a hash: %w", err)
	}
	sum.Write(tail)
	return blob{common: s.common, tail: tail, digest: digestOf(sum)}, nil
}

func digestOf(sum hash.Hash) string { return "sha256:" + hex.EncodeToString(sum.Sum(nil)) }

func newBlob(content []byte) blob {
	sum := sha256.New()
	sum.Write(content)
	return blob{common: content, digest: digestOf(sum)}
}

// image is a manifest with what it names.
type image struct {
	manifest blob
	config   blob
	layers   []blob
}

// blobs are all that is to be uploaded before the manifest.
func (i image) blobs() []blob { return append(i.layers[:len(i.layers):len(i.layers)], i.config) }

// Media types of the OCI image-spec 1.1.
const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

func describe(b blob, mediaType string) descriptor {
	return descriptor{MediaType: mediaType, Digest: b.digest, Size: b.size()}
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	ArtifactType  string       `json:"artifactType,omitempty"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
	Subject       *descriptor  `json:"subject,omitempty"`
}

// newImage makes an image of three new layers, with a config that names them.
func newImage(layers *source) (image, error) {
	var i image
	m := manifest{SchemaVersion: 2, MediaType: manifestType}
	var ids []string
	for range 3 {
		layer, err := layers.next()
		if err != nil {
			return image{}, err
		}
		i.layers = append(i.layers, layer)
		m.Layers = append(m.Layers, describe(layer, layerType))
		ids = append(ids, layer.digest)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
		"config": map[string]any{"Env": []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, "Cmd": []string{"/bin/sh"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids},
	})
	if err != nil {
		return image{}, err
	}
	i.config = newBlob(config)
	m.Config = describe(i.config, configType)
	content, err := json.Marshal(m)
	i.manifest = newBlob(content)
	return i, err
}

// referrer makes a manifest that refers to an image, such as a signature does. It has the image's config for its own.
func (i image) referrer(kind string) (blob, error) {
	subject := describe(i.manifest, manifestType)
	content, err := json.Marshal(manifest{
		SchemaVersion: 2, MediaType: manifestType, ArtifactType: kind,
		Config: describe(i.config, configType), Layers: []descriptor{describe(i.layers[0], layerType)}, Subject: &subject,
	})
	return newBlob(content), err
}
