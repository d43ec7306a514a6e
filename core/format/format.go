// Package format is the contract between the core and the formats: a format is one package that returns one value.
//
// The core asks a format what a request means (Resolve, pure) and what received bytes are (Ingest); everything else,
// from authentication to hosted, proxy and group repositories, is the core's. What a format needs beyond that are
// optional interfaces with one or two methods each, found once when the format is registered.
package format

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/remote"
)

// Format is what every format implements. Implementations are stateless and safe for concurrent use.
type Format interface {
	// Describe says what the format is, as data.
	Describe() Descriptor
	// Resolve says what a request means. path is the part of the URL path that is inside the repository, with its leading
	// slash, unescaped. It is pure: no I/O, no panic, whatever the input. It returns a NotFound error for paths that the
	// format doesn't have and Invalid ones for malformed names.
	Resolve(r *http.Request, path string) (Route, error)
	// Ingest looks at received bytes and says what to record. The first record is what the route asked for. It fails with
	// an *errs.Error for bytes that are not what they should be.
	Ingest(ctx context.Context, in Incoming) ([]Record, error)
}

// Descriptor is what the UI, the REST API and search need to know of a format.
type Descriptor struct {
	// Name is the format's name in the data model and in the REST API's answers, for example "maven2".
	Name string
	// API is its name in the paths of the REST API where that is another one, for example "maven"; else empty.
	API string
	// Settings is the key of the format's own settings in a repository's configuration; empty when it has none.
	Settings string
	// ProxySettings is the key of the format's own settings of proxies; empty when it has none.
	ProxySettings string
	// Algorithms are the digests that the format's clients ask for beside sha256: they are computed when bytes come in, and
	// X-Checksum headers tell them, and sha256, to those who read.
	Algorithms []digest.Algorithm
	// Latest: the format makes records with Record.Latest, so that its repositories have a latestPolicy.
	Latest bool
	// Challenges: the format's clients answer a 401 by asking for a token with more rights, so that a refusal is a 401 with
	// CodeScope for callers who are signed in, too.
	Challenges bool
	// DeleteStatus is the status code of a successful DELETE; zero means 204.
	DeleteStatus int
	// NamedBy is the kind of the assets that make a name exist: lists of names are made from them.
	NamedBy string
	// Answers are the kinds of assets that a proxy keeps of upstream's answers to questions, for example of its lists. They are no files, and
	// not shown among them.
	Answers []string
	// Usage is shell commands, one a line, that show how clients use a repository. "{host}" stands for the host, with its
	// port, that leads to it, "{address}" for what clients write before a name: the host and maybe a path, "{url}" for the
	// repository's URL, without a slash at the end.
	Usage string
}

// Route is what a request means.
type Route struct {
	// Action is the right that the caller needs; content.Public asks for none.
	Action content.Action
	// Open lets anonymous callers in even where the server or the repository keeps them out: pings and token endpoints.
	// Credentials that were sent are checked all the same.
	Open bool
	// Path is the canonical path of the asset, with a leading slash. Rights are checked on it.
	Path  string
	Class content.Class
	// Kind and Name are those of the asset.
	Kind, Name string
	// Expect is the digest of the bytes when the request itself names it.
	Expect digest.Digest
	// Checksums are further digests that the bytes of an upload in one request must have. The core adds those that the
	// request's headers name.
	Checksums []digest.Digest
	// Index are the names of the documents that stand for a directory, the preferred one first. A read of a Path that ends
	// in a slash, and where nothing else is, is answered with the first of them that is below it, and one of a path that
	// lacks just the slash with a redirection there: without it the document's relative links would lead elsewhere.
	Index []string
	// ContentType is what an upload says its bytes are.
	ContentType string
	// MaxSize is the most bytes that there may be at this path; zero means no limit. What has a limit is a document, which is
	// looked into as a whole before anybody gets it.
	MaxSize int64
	// Metadata: a proxy looks at the age of metadata, in place of that of content, to decide whether its copy is fresh.
	Metadata bool
	// Source is the path and query that upstream is asked for in place of Path. The core sets it, for proxies, where a Forwarder forwards
	// the request's query: then Path is the path with that query, an asset of its own.
	Source *url.URL
	// Aliases are further names that an upload gives its bytes; Ingest makes records of them.
	Aliases []string
	// List is the question of a Query route.
	List content.List
	// Variant is what of an Index document is wanted, in the format's own words; empty for all, or the beginning.
	Variant string
	// Along selects assets that are deleted together with the one at Path.
	Along *content.List
	// Handler serves protocol endpoints that are more than a file: upload sessions, login. The core has authenticated
	// the caller and checked Action on Path before it runs.
	Handler Handler
}

// The codes of errors that the core makes and that a Dialect may want to tell from others of their kind.
const (
	// CodeMissing: content that an upload requires is not there. Kind Invalid, Detail is a []content.Reference.
	CodeMissing = "REFERENCE_MISSING"
	// CodeRequired: an asset can't be deleted because another one requires it. Kind Conflict.
	CodeRequired = "REFERENCE_REQUIRED"
	// CodeDigest: bytes are not those which their digest (Route.Expect) names. Kind Invalid.
	CodeDigest = "DIGEST_MISMATCH"
	// CodeScope: the caller is known, but the token, or the caller's rights, don't reach. Kind Unauthenticated.
	CodeScope = "insufficient_scope"
	// CodePolicy: the repository's write policy refuses a change. Kind Conflict where the change alone is refused, Forbidden
	// or MethodNotAllowed where all are. Without a Dialect it is a 400, as in Nexus.
	CodePolicy = "WRITE_POLICY"
)

// Allow is the Detail of a MethodNotAllowed error: the methods for the Allow header.
type Allow []string

// The algorithms of digests that go-digest does not name.
const (
	MD5  = blobstore.MD5
	SHA1 = blobstore.SHA1
)

// Handler serves one request in the context of a repository and a caller. A returned error is rendered by the core in the
// format's dialect; the handler must then not have written to w, but headers that it has set on w stay.
type Handler func(w http.ResponseWriter, r *http.Request, x Exchange) error

// Incoming is bytes that were received and are durable but not yet recorded.
type Incoming struct {
	Route  Route
	Staged content.Staged
	// Open reads the staged bytes; the caller closes. It may be called more than once.
	Open func() (io.ReadCloser, error)
	// Settings are the repository's format settings, as the format's Settings method returned them.
	Settings any
	// Upstream: the bytes are an upstream server's, as it has them; Route.ContentType is what it calls them. An Invalid error says that it
	// sent what can't be right, a NotFound one that it has nothing that clients could use.
	Upstream bool
}

// Record is one asset to record for received bytes.
type Record struct {
	Path, Kind, Name string
	// Class decides about overwriting: Immutable bytes may be stored again, Mutable ones follow the write policy.
	Class  content.Class
	Digest digest.Digest
	// ContentType is the media type. Where it is empty, the core fills in that of the path's extension, else what the first
	// bytes look like; with strictContentTypeValidation the two must agree.
	ContentType string
	// Attributes is a value that marshals to a JSON object; nil when there are none.
	Attributes any
	Component  *content.Component
	References []content.Reference
	// Latest marks a record that a repository's latestPolicy lets be stored again under ALLOW_ONCE.
	Latest bool
}

// Repository is what a format may know of the repository it works for.
type Repository struct {
	Name string
	// Settings are what the format's Settings method returned.
	Settings any
	// ProxySettings are what its ProxySettings method returned; nil for what is not a proxy.
	ProxySettings any
	// Remote is the URL of a proxy's upstream server, not to be changed; nil for what is not a proxy.
	Remote *url.URL
}

// Entry is the way by which a request came to its repository: a repository has several.
type Entry struct {
	// Base is the part of the URL path before the in-repository path, without a trailing slash: "" on a connector port.
	Base string
	// NamePrefix is what clients write before a name, with a trailing slash, where the repository is the first part of the
	// name (path-based routing); else "".
	NamePrefix string
}

// Exchange is one request's view of one repository, by one caller, who came by one entry. All that it returns or changes
// goes through the caller's rights.
type Exchange interface {
	Repository() Repository
	Entry() Entry
	Route() Route
	Caller() Caller
	// Asset returns the asset at path; a NotFound error when there is none.
	Asset(ctx context.Context, path string) (content.Asset, error)
	// List returns a page.
	List(ctx context.Context, l content.List) (content.Page, error)
	// Open reads an asset's bytes; the caller closes.
	Open(ctx context.Context, a content.Asset) (io.ReadCloser, error)
	// Members are the exchanges of the repositories that a group shows, in order, groups among them opened; of another repository,
	// its own. The caller's rights are those on the exchange that is asked.
	Members() []Exchange
	// Ask asks a proxy's upstream server, or another one that its settings or documents name, for a document of at most limit bytes. It is
	// not kept. It returns a NotFound error for what isn't there, and for what is not a proxy.
	Ask(ctx context.Context, req remote.Request, limit int64) (Document, error)
	// Receive stores r as the route asks: durable, checked against route.Expect, ingested, recorded. It returns the recorded
	// assets in Ingest's order.
	Receive(ctx context.Context, route Route, r io.Reader) ([]content.Asset, error)
	// Begin starts an upload session; owner binds it, for example to an image's name.
	Begin(ctx context.Context, owner string, algs ...digest.Algorithm) (Upload, error)
	// Resume finds a session that Begin started with the same owner in this repository; NotFound when there is none.
	Resume(ctx context.Context, owner, id string) (Upload, error)
	// Mount records at route's path the bytes with the digest route.Expect that some asset already names: the one at
	// path from.Path of the repository that from names, or, with a zero from, any that the caller may read. It returns a
	// NotFound error when there is none that the caller may read, whether or not the bytes exist.
	Mount(ctx context.Context, route Route, from Location) (content.Asset, error)
	// Tokens issues and accepts tokens for the caller.
	Tokens() Tokens
}

// Location is a path in a repository.
type Location struct {
	// Repository is the repository's name; empty means the exchange's own.
	Repository string
	Path       string
}

// Upload is an open upload session.
type Upload interface {
	ID() string
	// Size is how many bytes were received so far.
	Size() int64
	// Append adds r at offset at, which must be Size; a negative one means "at the end". What was received before an error
	// of r is kept. It returns a RangeNotSatisfiable error when at is elsewhere.
	Append(ctx context.Context, at int64, r io.Reader) error
	// Commit ends the session: the bytes are made durable, checked against route.Expect, ingested and recorded. On an error
	// the session stays.
	Commit(ctx context.Context, route Route) ([]content.Asset, error)
	Cancel(ctx context.Context) error
}

// Caller is who sent a request.
type Caller struct {
	// User is the user's name; "anonymous" when nobody signed in.
	User      string
	Anonymous bool
}

// Grant is a piece of a token's power: actions on one name in one repository. A request that carries a token may do A on a
// route with the Name N of the repository R if the token has a Grant of R, N and A, and the caller still has the right. Routes
// without a name (the catalog, search) are those of the empty Name; the format's root is the empty Repository.
type Grant struct {
	Repository string           `json:"r"`
	Name       string           `json:"n"`
	Actions    []content.Action `json:"a"`
}

// Token is a bearer token that the server signed.
type Token struct {
	Value string
	// ExpiresIn is in seconds; IssuedAt is in UTC.
	ExpiresIn int
	IssuedAt  int64
	// Grants are those of the wanted ones that the caller has.
	Grants []Grant
}

// Tokens issues tokens.
type Tokens interface {
	// Issue signs a token for the caller, with as much of want as the caller's rights allow, possibly nothing.
	Issue(ctx context.Context, c Caller, want []Grant) (Token, error)
	// IssueRefresh signs a refresh token for the caller.
	IssueRefresh(ctx context.Context, c Caller) (string, error)
	// Refresh accepts a refresh token; an Unauthenticated error when it isn't valid (any more).
	Refresh(ctx context.Context, token string) (Caller, error)
	// Password checks a name and password; an Unauthenticated error when they are wrong.
	Password(ctx context.Context, user, password string) (Caller, error)
}

// The optional interfaces.

// Settler is a format with settings of its own.
type Settler interface {
	// Settings parses and checks the format's part of a repository's configuration (nil when absent), fills in
	// defaults, and says by which entries the repository is reached. Errors carry the field they are about.
	Settings(raw json.RawMessage) (settings any, access Access, err error)
}

// ProxySettler is a format with settings of its own for proxies.
type ProxySettler interface {
	// ProxySettings parses and checks the format's part of a proxy's configuration (nil when absent), and fills in defaults. What it
	// returns is shown to administrators, so it holds no secrets. Errors carry the field they are about.
	ProxySettings(raw json.RawMessage) (settings any, err error)
}

// Access says by which entries, beside /repository/<name>/, clients reach a repository.
type Access struct {
	// HTTPPort and HTTPSPort are connectors of the repository's own; zero means none.
	HTTPPort, HTTPSPort int
	// Subdomain is the first label of the host name that leads to the repository; empty means none.
	Subdomain string
	// PathEnabled: the repository is reached by the paths of Entrance.
	PathEnabled bool
	// NoAnonymous keeps anonymous callers out, whatever else the server allows.
	NoAnonymous bool
}

// Dialect renders errors as the format's clients expect them.
type Dialect interface {
	// WriteError writes the whole response for err, headers included. For an Unauthenticated error it adds the challenge.
	// repo is the zero value when the request was not for one.
	WriteError(w http.ResponseWriter, r *http.Request, repo Repository, entry Entry, route Route, err error)
}

// Headers adds the format's own headers to responses about an asset: to a read, to the answer to an upload (status 201) and
// to that to a deletion (status 202).
type Headers interface {
	Headers(h http.Header, repo Repository, entry Entry, route Route, a content.Asset, status int)
}

// Lister renders a page of a Query route.
type Lister interface {
	WriteList(w http.ResponseWriter, r *http.Request, repo Repository, entry Entry, route Route, page content.Page) error
}

// Generator builds an Index document of a hosted repository.
type Generator interface {
	Generate(ctx context.Context, route Route, view View) (Document, error)
}

// Merger combines the documents of a group's members, in member order.
type Merger interface {
	Merge(ctx context.Context, route Route, docs []Document) (Document, error)
}

// Rewriter adapts an Index document to the request when it is served: filters, pages, absolute URLs.
type Rewriter interface {
	Rewrite(r *http.Request, entry Entry, route Route, doc Document, h http.Header) (Document, error)
}

// View reads a repository's content while a document is generated.
type View interface {
	Asset(ctx context.Context, path string) (content.Asset, error)
	List(ctx context.Context, l content.List) (content.Page, error)
	Open(ctx context.Context, a content.Asset) (io.ReadCloser, error)
}

// Remoter is a format that has something to say about how its proxies talk to upstream servers.
type Remoter interface {
	// Remote is what to ask upstream for the route. base is the proxy's remote URL.
	Remote(route Route, base *url.URL) remote.Request
	// Authorizer answers challenges of the upstream server at base; nil leaves that to the core.
	Authorizer(base *url.URL) remote.Authorizer
}

// Canonicalizer is a format whose upstream servers know some of their names by a shorter one, too. A proxy keeps both as one; clients, and
// rights, know what was asked for.
type Canonicalizer interface {
	// Canonical is the whole name of what the server at base knows as name; name itself where there is no other one.
	Canonical(name string, base *url.URL) string
	// Rename is the path under the name to of what has the path under the name from.
	Rename(path, from, to string) string
}

// Forwarder is a format whose proxies may send the query of a request on to the upstream server.
type Forwarder interface {
	// Forward is the query for upstream, without its question mark and with all others escaped, for a request of the route with the query given.
	// It is the same for all queries that mean the same. ok is false for a repository that forwards none.
	Forward(route Route, query string, repo Repository) (forwarded string, ok bool, err error)
}

// Comparer is a format whose upstream servers say in the answer to a HEAD which bytes they have.
type Comparer interface {
	// Same tells from the header of the answer whether upstream has the asset's bytes at its path; known is false when the answer
	// doesn't tell.
	Same(h http.Header, a content.Asset) (same, known bool)
}

// Paginator asks upstream servers for lists, and reads their answers.
type Paginator interface {
	// Ask is the route by which a proxy asks upstream for the page; ok is false when upstream can't be asked for such a list. The
	// answer is kept under the route's path, which may have a query.
	Ask(l content.List) (route Route, ok bool)
	// Page reads upstream's answer, which may hold more or less than was asked for. An error says that it is none. doc.Next is the
	// query of the Link to upstream's next page (RFC 8288); empty when there is none. The page is made of this answer alone: More tells
	// that l.Limit left out some of it.
	Page(l content.List, doc Document) (content.Page, Span, error)
}

// Span is where one page of upstream's is in the list.
type Span struct {
	// First and Last are of all its items, by byte order, whether they are asked for or not; empty where there are none.
	First, Last string
	// Sorted: they come in byte order, and, as far as can be told, the next page goes on behind the last of them.
	Sorted bool
}

// Selector cuts what an Index route asks for out of the document that upstream has at its path.
type Selector interface {
	Select(route Route, doc Document) (Document, error)
}

// Substituter is a format whose Index documents may be missing upstream though the server has what they would hold.
type Substituter interface {
	// Substitute is the route of an asset that stands for the document of the route where upstream has none; ok is false when there is
	// none. otherwise is the document when that isn't there either.
	Substitute(route Route) (asset Route, otherwise Document, ok bool)
}

// Locator is a format whose documents say where bytes are that their own server doesn't have.
type Locator interface {
	// Locate returns URLs of the bytes that the route expects, those to be tried first in front, after upstream was found not to have them.
	// They come from documents in view, which is what the proxy has itself, as far as the proxy's settings let them be asked. The core
	// sends them no credentials, and takes nothing but the bytes that Route.Expect names.
	Locate(ctx context.Context, route Route, repo Repository, view View) ([]string, error)
}

// Document is a generated, merged or stored index.
type Document struct {
	Body        []byte
	ContentType string
	// Next is where the rest begins of a document that comes in pages; empty on the last one.
	Next string
	// Empty tells that it lists nothing, so that it must not be taken for all that there is where a member of a group can't be asked.
	Empty bool
	// Flaws are set by the core: what clients are told is wrong with it.
	Flaws content.Flaws
}

// Entrance is implemented by a format whose clients can't be given a URL prefix: it gets paths of the main port.
type Entrance interface {
	// Prefixes are the main port's paths that belong to the format, for example "/v2/".
	Prefixes() []string
	// Enter says which repository the path of a request to the main port is for, and the path in it. An empty repository
	// means the format's own root.
	Enter(path string) (repository, rest string)
	// Prefix is the reverse: the entry by which Enter finds the repository.
	Prefix(repository string) Entry
	// ResolveRoot is Resolve for the format's root.
	ResolveRoot(r *http.Request, path string) (RootRoute, error)
}

// RootRoute is what a request to a format's root means.
type RootRoute struct {
	// Open lets everybody in; else the caller must be signed in, or anonymous access be allowed.
	Open    bool
	Handler RootHandler
}

// RootHandler serves a request to a format's root.
type RootHandler func(w http.ResponseWriter, r *http.Request, x RootExchange) error

// RootExchange is a request's view of all repositories of a format that are reached through Entrance.
type RootExchange interface {
	Caller() Caller
	Tokens() Tokens
	// List returns a page of names over all of the format's repositories that the caller may browse; each name
	// starts with its repository's Entry.NamePrefix.
	List(ctx context.Context, l content.List) (content.Page, error)
	// Members are the exchanges of these repositories, in the order of List.
	Members() []Exchange
}
