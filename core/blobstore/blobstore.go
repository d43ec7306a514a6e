// Package blobstore is the contract of places that keep bytes. It knows nothing of repositories: who names which bytes
// is in the database. Implementations are in file and memory; blobtest is the suite that each of them passes.
package blobstore

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// Errors of every store. They are found with errors.Is.
var (
	// ErrNotFound: there are no bytes with that key, or no such upload.
	ErrNotFound = errors.New("blob not found")
	// ErrUnavailable: the store can't be used now, for example because its marker is missing or another store's.
	ErrUnavailable = errors.New("blob store unavailable")
	// ErrFull: the store has no room for the bytes.
	ErrFull = errors.New("blob store full")
	// ErrReadOnly: the store's medium refuses writes.
	ErrReadOnly = errors.New("blob store read-only")
	// ErrMedium: the store's medium reports errors. Of reads it says nothing about other bytes than those.
	ErrMedium = errors.New("blob store's medium reports errors")
	// ErrExhausted: this process, or the machine, has no room for another open file.
	ErrExhausted = errors.New("too many open files")
	// ErrOffset: an Append does not start where the upload ends.
	ErrOffset = errors.New("offset is not the end of the upload")
	// ErrBusy: another request is writing to the same upload.
	ErrBusy = errors.New("upload is being written")
)

// Info describes stored bytes.
type Info struct {
	// Key is where the bytes are. A store never gives the same key twice, not even for the same bytes.
	Key string
	// Size is in bytes.
	Size int64
	// Digests holds the digests computed while the bytes came in: sha256 always, others as asked for.
	// Stat and Walk fill in only what the store knows without reading the bytes.
	Digests map[digest.Algorithm]digest.Digest
	// ModTime is when the bytes became durable.
	ModTime time.Time
	// Irregular tells that what bears the key holds no bytes: it is a directory or a named pipe, for example. Only Walk and Misplaced
	// tell of such; for all others there is nothing with the key.
	Irregular bool
}

// Reader reads stored bytes. A file store returns the *os.File itself, so that net/http can use sendfile: don't wrap it.
type Reader interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// Store keeps bytes under keys. All methods may be called at the same time from many goroutines, and give up, with
// the context's error, when it ends. Any string may be asked for as a key or an upload's id: one that the store did not give
// is not found, and leads nowhere. What a failed or interrupted Put wrote is removed, or left where a sweep finds it.
type Store interface {
	// Put reads r to its end and stores the bytes. They are durable (they survive a power cut) if and only if the
	// error is nil. An error of r is returned wrapped; nothing is stored then. algs are digests wanted beside sha256; one
	// that is not known is refused with digest.ErrDigestUnsupported before r is read.
	Put(ctx context.Context, r io.Reader, algs ...digest.Algorithm) (Info, error)
	// Open returns a reader, which the caller closes, and the size in bytes; ErrNotFound when there is nothing. The
	// reader stays readable when the key is deleted meanwhile.
	Open(ctx context.Context, key string) (Reader, int64, error)
	// Stat tells size and modification time; ErrNotFound when there is nothing.
	Stat(ctx context.Context, key string) (Info, error)
	// Delete removes the bytes. Deleting what is not there is no error.
	Delete(ctx context.Context, key string) error
	// Walk calls fn for all stored bytes, and what is irregular in their place, in ascending byte order of keys greater than after, each once. Bytes stored
	// or deleted during the walk may or may not be seen. It stops at fn's first error and returns it.
	Walk(ctx context.Context, after string, fn func(Info) error) error
}

// Upload is the state of a resumable write.
type Upload struct {
	// ID is unguessable, safe in a URL path, at most 64 bytes of [0-9a-zA-Z_-].
	ID string
	// Owner is what Begin was given: the caller's binding of the upload, not interpreted here.
	Owner string
	// Size is how many bytes the upload holds.
	Size int64
	// ModTime is when it last grew.
	ModTime time.Time
}

// Uploader is a Store with resumable writes. Uploads survive a restart of the server; after a crash an upload holds
// at least what was acknowledged before, or, after a power cut, a shorter prefix. The hash state is kept
// with the upload, so that continuing one doesn't read it again.
type Uploader interface {
	Store
	// Begin starts an upload. algs are digests wanted beside sha256.
	Begin(ctx context.Context, owner string, algs ...digest.Algorithm) (Upload, error)
	// Upload tells the state of one. ErrNotFound when there is none, or when it is another owner's.
	Upload(ctx context.Context, owner, id string) (Upload, error)
	// Append reads r to its end onto the upload, at offset at, which must be its size (ErrOffset, and r is not
	// read); a negative at means "at the end". When r fails, what came before the error is kept, and the state
	// returned beside the error tells the new size; when the store is full (ErrFull), nothing of r is kept, lest a refused
	// upload keeps it full. One writer at a time: a second one waits for the first until its
	// context ends or a few seconds have passed, then ErrBusy (with the context's error, if that ended). So do Finish and
	// Cancel; Upload doesn't wait, Expire passes over an upload that is being written.
	Append(ctx context.Context, owner, id string, at int64, r io.Reader) (Upload, error)
	// Finish makes the upload's bytes durable under a new key and ends the upload. With want set, bytes of another digest
	// are refused with a *DigestError and the upload stays as it is; want's algorithm is among Info.Digests, and is
	// computed by reading the bytes once more if Begin was not told of it.
	Finish(ctx context.Context, owner, id string, want digest.Digest) (Info, error)
	// Reopen takes back a Finish whose bytes could not be recorded: they are the upload's again, and there is nothing with the key.
	// ErrNotFound when there is nothing with the key, or the upload goes on.
	Reopen(ctx context.Context, owner, id, key string) error
	// Cancel ends an upload and drops its bytes. ErrNotFound when there is none.
	Cancel(ctx context.Context, owner, id string) error
	// Expire cancels all uploads that did not grow since before; it returns how many.
	Expire(ctx context.Context, before time.Time) (int, error)
}

// Stager is a Store whose writes can be read while they go on: what a proxy fetches goes to clients as it comes in.
type Stager interface {
	Store
	// Stage begins a write. algs are digests wanted beside sha256; one that is not known is refused with
	// digest.ErrDigestUnsupported.
	Stage(ctx context.Context, algs ...digest.Algorithm) (Stage, error)
}

// Stage is a write in progress. Nobody knows its bytes by a key before Commit. Open may be called at any time, from any goroutine,
// until Close; the other methods are one goroutine's.
type Stage interface {
	// Append reads r to its end onto the stage, and calls grown, which must not block, each time when there is more to read,
	// with the size so far. What came before an error of r is kept: another Append goes on behind it.
	Append(ctx context.Context, r io.Reader, grown func(size int64)) error
	// Digests are those of the bytes so far.
	Digests() map[digest.Algorithm]digest.Digest
	// Open returns a reader of the bytes, which the caller closes. Where they end now it has io.EOF, and goes on when there are
	// more. It stays readable after Commit and Close.
	Open() (Reader, error)
	// Commit makes the bytes durable under a new key, if and only if the error is nil.
	Commit(ctx context.Context) (Info, error)
	// Close drops the bytes, unless they were committed. It is called once, at the end.
	Close() error
}

// Quarantiner is a Store that can put bytes aside which nothing names, in place of deleting them: that nothing names them may
// be a mistake.
type Quarantiner interface {
	Store
	// Quarantine puts the bytes aside: from then on there is nothing with the key. They stay in the quarantine, which the
	// store never empties. ErrNotFound when there are no bytes with the key.
	Quarantine(ctx context.Context, key string) error
	// Release brings the bytes back under their key. ErrNotFound when there are none in quarantine.
	Release(ctx context.Context, key string) error
}

// Tidier is a Quarantiner whose bytes somebody can move to where no key leads: a file that was brought back from a backup to the
// wrong directory, for example. Nothing finds such bytes but this.
type Tidier interface {
	Quarantiner
	// Misplaced calls fn for all that bears a key and is not where that key's bytes are kept. place says where it is.
	// fn may call PutBack. It stops at fn's first error and returns it.
	Misplaced(ctx context.Context, fn func(place string, i Info) error) error
	// PutBack moves what is at a place that Misplaced told to where its key leads, if nothing is there and the bytes are those
	// that the key names; it returns whether it did. Else it moves it to the quarantine. What is where it moves something is
	// never replaced. ErrNotFound when there is nothing at the place.
	PutBack(ctx context.Context, place string) (back bool, err error)
}

// DigestError tells that bytes are not those which their digest names.
type DigestError struct {
	Want, Got digest.Digest
}

func (e *DigestError) Error() string {
	return "digest is " + e.Got.String() + ", not " + e.Want.String()
}
