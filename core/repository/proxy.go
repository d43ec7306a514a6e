package repository

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
)

// upstream is the server that a proxy repository is a copy of.
type upstream struct {
	base   *url.URL
	client *remote.Client
	// contentAge and metadataAge are how long a copy is fresh; negative is for ever.
	contentAge, metadataAge time.Duration
	// absent remembers what upstream doesn't have; nil when that is not wanted.
	absent *absences
	// unsorted are the paths of its lists of which a page was found to have what precedes the one before.
	unsorted *lru.Cache[string, bool]
}

// defaultAge is how long a copy is fresh, and an absence is remembered, unless the configuration says otherwise, in minutes.
const defaultAge = 1440

// buildProxy checks the parts of a configuration that only proxies have.
func (m *Manager) buildProxy(r *Repository) error {
	c := &r.config
	if c.Proxy == nil || c.Proxy.RemoteURL == "" {
		return errs.Field("proxy.remoteUrl", "a proxy needs the URL of its upstream server")
	}
	if c.NegativeCache == nil {
		c.NegativeCache = &NegativeCache{Enabled: true, TimeToLive: defaultAge}
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &remote.Config{AutoBlock: true}
	}
	if err := cmp.Or(c.Proxy.check(), c.NegativeCache.check()); err != nil {
		return err
	}
	base, err := url.Parse(c.Proxy.RemoteURL)
	if err != nil {
		return errs.Field("proxy.remoteUrl", "the remote URL is not a URL")
	}
	if c.HTTPClient.Connection != nil && c.HTTPClient.Connection.UseTrustStore && base.Scheme != "https" {
		return errs.Field("httpClient.connection.useTrustStore", "the trust store can be used with an https remote URL only")
	}
	if err := r.settleProxy(); err != nil {
		return err
	}
	u := &upstream{base: base, unsorted: newUnsorted(), contentAge: minutes(c.Proxy.ContentMaxAge), metadataAge: minutes(c.Proxy.MetadataMaxAge)}
	options := remote.Options{Log: m.log.With("repo", c.Name), Loop: m.loop}
	if p := r.plugin.remoter; p != nil {
		options.Authorizer = p.Authorizer(base)
	}
	if u.client, err = remote.New(m.network, c.Proxy.RemoteURL, *c.HTTPClient, options); err != nil {
		return err
	}
	if c.NegativeCache.Enabled {
		u.absent = newAbsences(minutes(c.NegativeCache.TimeToLive))
	}
	r.upstream = u
	return nil
}

// settleProxy lets the format check its own settings of a proxy.
func (r *Repository) settleProxy() (err error) {
	p, c := r.plugin.proxies, &r.config
	switch {
	case p == nil && c.ProxySettings != nil:
		return errs.Field("proxySettings", "format %s has no settings of proxies", c.Format)
	case p == nil:
		return nil
	}
	if r.proxySettings, err = p.ProxySettings(c.ProxySettings); err != nil {
		return err
	}
	if c.ProxySettings, err = json.Marshal(r.proxySettings); err != nil {
		return fmt.Errorf("proxy settings of repository %s: %w", c.Name, err)
	}
	return nil
}

// minutes is a time of a configuration. What is longer than a time can be is for ever.
func minutes(n int) time.Duration {
	if n < 0 || n > int(math.MaxInt64/time.Minute) {
		return -1
	}
	return time.Duration(n) * time.Minute
}

// fresh tells whether a copy may be served without asking upstream.
func (r *Repository) fresh(route format.Route, a content.Asset) bool {
	if route.Class == content.Immutable && route.Expect != "" {
		return true // other bytes can't be there
	}
	if a.Origin == nil {
		return false
	}
	age := r.upstream.contentAge
	if route.Metadata || route.Class == content.Index || route.Class == content.Query {
		age = r.upstream.metadataAge
	}
	if a.Origin.CheckedAt.UnixMilli() <= r.invalidated.Load() {
		return false
	}
	return age < 0 || time.Since(a.Origin.CheckedAt) < age
}

// ask makes a request for the route.
func (r *Repository) ask(ctx context.Context, method string, route format.Route, h http.Header) (*http.Response, error) {
	req := remote.Request{Path: escapePath(source(route))}
	if route.Source != nil {
		req.Query = route.Source.RawQuery
	} else if r.plugin.remoter != nil {
		req = r.plugin.remoter.Remote(route, r.upstream.base)
	}
	req.Method = method
	for name, values := range req.Header {
		if h == nil {
			h = http.Header{}
		}
		h[name] = values
	}
	req.Header = h
	res, err := r.upstream.client.Do(ctx, req)
	return res, r.shown(err)
}

// shown is an error of a request to upstream; where that refuses its own token, as if it said that it does not have it.
func (r *Repository) shown(err error) error {
	var e *remote.Error
	if errors.As(err, &e) && e.Kind == remote.Denied {
		return errs.Wrap(errs.NotFound, err, "the upstream server of %s does not have it, or does not show it", r.Name())
	}
	return err
}

// refused gives an upstream's failure the error that clients see. Those of an outage are asked to come again.
func (r *Repository) refused(err error) error {
	var e *remote.Error
	var known *errs.Error
	switch {
	case errors.As(err, &known):
		return err
	case !errors.As(err, &e):
		return err
	case e.Kind == remote.TooManyRequests:
		return &errs.Error{Kind: errs.TooManyRequests, Message: "the upstream server of " + r.Name() + " takes no more requests for now", RetryAfter: e.RetryAfter, Err: err}
	case e.Kind == remote.Blocked, e.Kind == remote.Unauthorized, e.Kind == remote.ServerError, e.Kind == remote.Timeout:
		return &errs.Error{Kind: errs.Unavailable, Message: "the upstream server of " + r.Name() + " can't be used: " + e.Kind.String(), RetryAfter: e.RetryAfter, Err: err}
	}
	return &errs.Error{Kind: errs.BadGateway, Message: "the upstream server of " + r.Name() + " can't be used: " + e.Kind.String(), RetryAfter: e.RetryAfter, Err: err}
}

// outage tells whether an error says nothing of what upstream has.
func outage(err error) bool {
	var e *remote.Error
	return errors.As(err, &e) && e.Outage()
}

// answered checks the status of upstream's answer to a GET or HEAD: nil for one with content.
func (r *Repository) answered(res *http.Response) error {
	switch {
	case res.StatusCode == http.StatusOK:
		return nil
	case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusGone:
		return errs.New(errs.NotFound, "the upstream server of %s does not have it", r.Name())
	case res.StatusCode == http.StatusForbidden, res.StatusCode == http.StatusProxyAuthRequired, res.StatusCode == http.StatusPaymentRequired:
		return errs.Wrap(errs.Unavailable, fmt.Errorf("status %d", res.StatusCode), "the upstream server of %s refuses it", r.Name())
	}
	return errs.Wrap(errs.BadGateway, fmt.Errorf("status %d", res.StatusCode), "the upstream server of %s gives a wrong answer", r.Name())
}

// findRemote is find for a proxy.
func (x *exchange) findRemote(ctx context.Context, method string) (found, error) {
	if x.mirror != nil {
		a, err := x.mirror.get(ctx, x.route)
		return found{x: x, asset: a}, err
	}
	a, err := x.repo.asset(ctx, x.route.Path)
	switch {
	case err == nil && x.repo.fresh(x.route, a):
		return found{x: x, asset: a}, nil
	case errs.Is(err, errs.NotFound):
		return x.findUpstream(ctx, method, nil)
	case err != nil:
		return found{}, err
	}
	stale := a // a copy, so that what is fresh needs no memory of its own
	return x.findUpstream(ctx, method, &stale)
}

// findUpstream is findRemote for what upstream is to be asked for. stale is the copy that there is; nil for none.
func (x *exchange) findUpstream(ctx context.Context, method string, stale *content.Asset) (found, error) {
	r, route := x.repo, x.route
	switch {
	case remote.Looped(ctx) && stale != nil:
		return found{x: x, asset: *stale, stale: true}, nil
	case remote.Looped(ctx):
		return found{}, assetNotFound(nil)
	case stale != nil:
		return x.findNewer(ctx, stale)
	}
	if absent := r.upstream.absent.at(route.Path); absent != nil {
		return found{}, r.refused(absent)
	}
	// What has no limit may be large: who asks for its size only is not given cause to fetch it.
	if method == http.MethodHead && route.MaxSize == 0 && !x.manager.fetches.underWay(flightOf(ctx, r, route)) {
		h, err := x.manager.fetches.peek(ctx, r, route)
		if !errors.Is(err, errHeadless) {
			return found{x: x, header: h}, err
		}
	}
	return found{x: x, fetch: x.manager.fetches.start(ctx, r, route, nil)}, nil
}

// remoteDocument is the document that upstream has at the route, as it is kept.
func (x *exchange) remoteDocument(ctx context.Context) (format.Document, error) {
	p := x.repo.plugin
	doc, err := x.keptDocument(ctx, x.route.Path)
	if err != nil && p.substituter != nil && ctx.Err() == nil {
		doc, err = x.substitute(ctx, err)
	}
	if err != nil {
		return format.Document{}, err
	}
	next, size, flaws := doc.Next, len(doc.Body), doc.Flaws
	doc.Next = ""
	if p.selector == nil {
		return doc, nil
	}
	if doc, err = p.selector.Select(x.route, doc); err != nil {
		return doc, wrong(err)
	}
	doc.Flaws = flaws
	if next == "" || p.merger == nil {
		return doc, nil
	}
	return x.mergeRest(ctx, doc, size, next)
}

// substitute is what stands for the document of the route, which upstream doesn't have, or which can't be had of it now: then a copy of
// the substitute may be there.
func (x *exchange) substitute(ctx context.Context, missing error) (format.Document, error) {
	asset, otherwise, ok := x.repo.plugin.substituter.Substitute(x.route)
	if !ok {
		return format.Document{}, missing
	}
	if !x.asked().shows(x.repo, question{path: asset.Path}) {
		if errs.Is(missing, errs.NotFound) {
			return otherwise, nil
		}
		return format.Document{}, missing
	}
	inner := *x
	inner.route = asset
	doc, err := inner.wholeDocument(ctx)
	switch {
	case err == nil:
		return doc, nil
	case !errs.Is(missing, errs.NotFound):
		return format.Document{}, missing
	case errs.Is(err, errs.NotFound):
		return otherwise, nil
	}
	return format.Document{}, err
}

// maxIndex is the most bytes that upstream's answer to a Query or Index route may have.
const maxIndex = 16 << 20

// keptDocument is upstream's answer to a Query or Index route, which is kept as an asset like any other, under the path given.
func (x *exchange) keptDocument(ctx context.Context, path string) (format.Document, error) {
	inner := *x
	inner.route.Path, inner.route.Class, inner.route.Metadata, inner.route.MaxSize = path, content.Index, true, maxIndex
	return inner.wholeDocument(ctx)
}

// wholeDocument is the asset at the route's path, with all its bytes; if they are lost, with those that upstream has.
func (x *exchange) wholeDocument(ctx context.Context) (format.Document, error) {
	doc, err := x.oneDocument(ctx)
	if errors.Is(err, errLost) {
		doc, err = x.oneDocument(ctx)
	}
	return doc, err
}

func (x *exchange) oneDocument(ctx context.Context) (format.Document, error) {
	f, a, err := x.latest(ctx)
	if err != nil {
		return format.Document{}, err
	}
	doc, err := x.read(ctx, a)
	if f.stale && a.Origin != nil {
		doc.Flaws.Stale = a.Origin.CheckedAt
	}
	return doc, err
}

// latest is the asset at the route's path, as fresh as can be had; no permit is held meanwhile.
func (x *exchange) latest(ctx context.Context) (f found, a content.Asset, err error) {
	if x.permit.give() {
		defer func() {
			if again := x.permit.take(ctx); err == nil {
				err = again
			}
		}()
	}
	if f, err = x.findRemote(ctx, http.MethodGet); err != nil || f.fetch == nil {
		return f, f.asset, err
	}
	if a, err = f.fetch.wait(ctx); err != nil {
		err = x.repo.refused(err)
	}
	return f, a, err
}

// read is an asset's bytes as a document.
func (x *exchange) read(ctx context.Context, a content.Asset) (format.Document, error) {
	r, err := x.repo.openBlob(ctx, a.Blob)
	if err != nil {
		return format.Document{}, err
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	doc := format.Document{Body: body, ContentType: a.ContentType}
	if x.route.Class == content.Index && a.Attributes != nil {
		var k kept
		if err := json.Unmarshal(a.Attributes, &k); err != nil {
			return doc, fmt.Errorf("attributes of %s: %w", a.Path, err)
		}
		doc.Next = k.Next
	}
	return doc, err
}

// kept are the attributes of upstream's answer to a Query or Index route.
type kept struct {
	// Next is the query of the Link to the page after.
	Next string `json:"next,omitempty"`
}

// keptOf are the attributes of an answer with the header; nil for none.
func keptOf(h http.Header) any {
	for _, value := range h.Values("Link") {
		for link := range strings.SplitSeq(value, ",") {
			// RFC 8288 section 3. A comma in the target itself is escaped by all servers that are known.
			target, parameters, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
			u, err := url.Parse(target)
			if parameters = strings.ReplaceAll(strings.ReplaceAll(parameters, `"`, ""), " ", ""); !ok || err != nil || !strings.Contains(parameters+";", ";rel=next;") {
				continue
			}
			if u.RawQuery != "" && len(u.RawQuery) <= maxNext {
				return kept{Next: u.RawQuery}
			}
		}
	}
	return nil
}

// maxNext is the most bytes of the query of a Link that is followed.
const maxNext = 2048

// keptTime is how long it may take to list what is kept after the time for upstream's list is over.
const keptTime = time.Second

// listRemote is list for a proxy: upstream's page, as far as it can be had or is kept, else what the repository has itself.
func (r *Repository) listRemote(ctx context.Context, l content.List) (content.Page, error) {
	p := r.plugin.paginator
	if p == nil {
		return r.keptList(ctx, l)
	}
	route, ok := p.Ask(l)
	if !ok {
		return r.keptList(ctx, l)
	}
	x := (&exchange{manager: r.manager, repo: r, route: route}).canonical()
	page, err := x.pages(ctx, l)
	if err == nil {
		return page, nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		// The time was upstream's; what is here takes none.
		var cancel func()
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), keptTime)
		defer cancel()
	}
	if page, localErr := r.keptList(ctx, l); localErr == nil && page.Known && (len(page.Assets) > 0 || len(page.Names) > 0) {
		page.Flaws.Incomplete = !errs.Is(err, errs.NotFound)
		return page, nil
	}
	return content.Page{}, err
}

// learn remembers that upstream does not have something. What it says to another server's question may be half of the truth: among the
// servers behind it may be that one, which asks nobody again.
func (r *Repository) learn(ctx context.Context, route format.Route, err error) {
	if remote.Depth(ctx) == 0 && errs.Is(err, errs.NotFound) && !outage(err) {
		r.upstream.absent.add(route.Path, err)
	}
}

// validators are the header fields by which upstream is asked for what it has only if that is not the asset.
func (r *Repository) validators(a *content.Asset) http.Header {
	h := http.Header{}
	if a == nil {
		return h
	}
	origin := r.origin(*a)
	if origin.ETag != "" {
		h.Set("If-None-Match", origin.ETag)
	}
	if origin.Modified != "" {
		h.Set("If-Modified-Since", origin.Modified)
	}
	return h
}

// originOf is what upstream's answer says about its bytes.
func originOf(h http.Header) content.Origin {
	origin := content.Origin{ETag: strings.TrimSpace(h.Get("ETag"))}
	if modified := h.Get("Last-Modified"); isDate(modified) { // what is no date is ignored
		origin.Modified = modified
	}
	return origin
}

func isDate(text string) bool {
	_, err := http.ParseTime(text)
	return err == nil
}
