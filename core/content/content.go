// Package content is the model that all formats share: repositories hold components and assets, assets name blobs.
package content

import (
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"
)

// Action is what a caller wants to do with content, in the words of the permissions.
type Action string

// The actions on content. Public is the absence of a right to check: pings and token endpoints.
const (
	Public Action = ""
	Browse Action = "browse"
	Read   Action = "read"
	Add    Action = "add"
	Edit   Action = "edit"
	Delete Action = "delete"
)

// Class says how the bytes at a path may change; freshness and group behaviour follow from it.
type Class uint8

// The classes.
const (
	// Immutable bytes never change at their path: a blob by digest, a release jar.
	Immutable Class = iota + 1
	// Mutable bytes may be replaced by a later upload: a tag, a raw file.
	Mutable
	// Index documents are made from what the repository holds.
	Index
	// Derived bytes are computed from another path, for example its checksum.
	Derived
	// Query answers are pages over what the repository holds.
	Query
)

// ReferenceKind says what a reference from an asset to a digest means.
type ReferenceKind string

// The kinds of references.
const (
	// Requires: the target must exist, and lives as long as the asset that requires it.
	Requires ReferenceKind = "requires"
	// Child: a part of an index. It may be absent, and is kept as long as its index.
	Child ReferenceKind = "child"
	// Subject: the asset is about the target, and lives as long as the target.
	Subject ReferenceKind = "subject"
)

// Reference names other content of the same repository by its digest.
type Reference struct {
	Kind ReferenceKind
	To   digest.Digest
	// Path is where the target stands in the repository. A Requires reference is refused when nothing is there.
	Path string
}

// Blob is a row that names stored bytes.
type Blob struct {
	ID int64
	// StoreID is the blob store's row; Key is where in it the bytes are.
	StoreID int64
	Key     string
	// SHA256, SHA512, SHA1 and MD5 are lower-case hex; all but SHA256 are empty unless they were asked for when the bytes came in.
	SHA256, SHA512, SHA1, MD5 string
	// Size is in bytes.
	Size int64
	// TouchedAt is when a client was last told that the bytes are there; garbage collection counts from it.
	TouchedAt time.Time
	// Suspect tells that the bytes were found missing or wrong. To clients they are not there, until somebody uploads them
	// again: then those take their place for all who name them.
	Suspect bool
}

// Asset is a file in a repository: a path that names a blob.
type Asset struct {
	ID           int64
	RepositoryID int64
	// ComponentID is zero for an asset without a component.
	ComponentID int64
	// Path starts with a slash and is unique in the repository.
	Path string
	// Kind is the format's word for what the asset is, for example "manifest" or "tag".
	Kind string
	// Name is the coordinate that assets of one package share, for example an image name; empty when the format has none.
	Name string
	// Digest is the name of the bytes as the format's clients know it.
	Digest      digest.Digest
	ContentType string
	// Attributes are the format's own facts about the asset, a JSON object; nil when there are none.
	Attributes json.RawMessage
	// Uploader and UploaderIP say who stored it.
	Uploader, UploaderIP string
	// CreatedAt is when the path first appeared, UpdatedAt when it last named other bytes.
	CreatedAt, UpdatedAt time.Time
	// TouchedAt: as Blob.TouchedAt, for this name of the bytes.
	TouchedAt time.Time
	// Origin is set for what came from elsewhere.
	Origin *Origin
	Blob   Blob
}

// Origin is what is known of the copy of an asset's bytes that an upstream server has.
type Origin struct {
	// CheckedAt is when upstream was last known to have these bytes at the path.
	CheckedAt time.Time
	// ETag and Modified are upstream's validators as it sent them (RFC 9110 section 8.8); empty when it sent none.
	ETag, Modified string
}

// Component groups assets that belong together, for example the tag of an image.
type Component struct {
	Namespace, Name, Version string
	Kind                     string
}

// Staged is bytes that are durable in a blob store but that no row names yet.
type Staged struct {
	StoreID int64
	Key     string
	// SHA256, SHA512, SHA1 and MD5: as those of Blob.
	SHA256, SHA512, SHA1, MD5 string
	Size                      int64
}

// List selects assets or names of one repository, in byte order of path or name: a page by keyset.
type List struct {
	// Kind restricts to assets of that kind.
	Kind string
	// Name restricts to assets of that name; not used when Names is set.
	Name string
	// Digest, when set, restricts to assets with that digest.
	Digest digest.Digest
	// Subject, when set, restricts to assets with a Subject reference to that digest.
	Subject digest.Digest
	// Child, when set, restricts to assets with a Child reference to that digest.
	Child digest.Digest
	// Names asks for the distinct names, not for the assets.
	Names bool
	// Brief asks for the paths only: of the assets nothing but Path, Kind and Name is filled in.
	Brief bool
	// Contains, when set, restricts names to those that contain it, ignoring case.
	Contains string
	// After is the last path, or name, of the page before.
	After string
	// Limit is the most items to return; zero returns none.
	Limit int
}

// Page is one page of a List.
type Page struct {
	Assets []Asset
	Names  []string
	// More tells that further items follow the last one.
	More bool
	// Known tells that the repository has assets of List.Name, or that the list was not restricted to a name.
	Known bool
	// Flaws are what clients are told is wrong with it.
	Flaws Flaws
}
