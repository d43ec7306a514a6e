package check

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/store"
)

// damage is what is wrong with a blob's bytes; the zero value is nothing.
type damage struct {
	kind Kind
	text string
}

// irregular is the detail of a finding about a directory, a named pipe and so on.
const irregular = "what bears the name is not a regular file"

// digestOf is the sha256 in hex that the store knows of a file without reading it; empty when it knows none.
func digestOf(file *blobstore.Info) string {
	if d := file.Digests[digest.SHA256]; d != "" {
		return d.Encoded()
	}
	return ""
}

// inspect opens a row's file, since only that tells what a reader would get, and reads it if it is told to, or if the digest in
// its key is not the row's. An error tells that nothing can be said about the bytes.
func (p *pass) inspect(row store.BlobRow, file *blobstore.Info, read bool) (damage, error) {
	f, size, err := p.place.Store.Open(p.ctx, row.Key)
	if errors.Is(err, blobstore.ErrNotFound) && file != nil && file.Irregular {
		return damage{Missing, irregular}, nil
	}
	if errors.Is(err, blobstore.ErrNotFound) {
		return damage{kind: Missing}, nil
	}
	if err != nil {
		return unreadable(err)
	}
	defer f.Close()
	if size != row.Size {
		return damage{Size, fmt.Sprintf("%d bytes are there", size)}, nil
	}
	inKey := row.SHA256
	if file != nil && digestOf(file) != "" {
		inKey = digestOf(file)
	}
	if !read && inKey == row.SHA256 {
		return damage{}, nil
	}
	if p.buffer == nil {
		p.buffer = make([]byte, 256<<10)
	}
	sum := sha256.New()
	n, err := io.CopyBuffer(sum, reader{p.ctx, f}, p.buffer)
	p.summary.Read += n
	if err != nil {
		return unreadable(err)
	}
	switch got := hex.EncodeToString(sum.Sum(nil)); {
	case n != size:
		return damage{Size, fmt.Sprintf("%d bytes are there", n)}, nil
	case got != row.SHA256 || got != inKey:
		return damage{Digest, "the bytes there have sha256:" + got}, nil
	}
	return damage{}, nil
}

// unreadable is the damage that an error of the file system tells of. Only what says that the medium has lost the bytes counts:
// after any other error, such as too many open files, they may be all right.
func unreadable(err error) (damage, error) {
	if errors.Is(blobstore.Fault(err), blobstore.ErrMedium) {
		return damage{Unreadable, err.Error()}, nil
	}
	return damage{}, err
}

// reader reads until the context ends. (It also hides what would keep io.CopyBuffer from using its buffer.)
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}
