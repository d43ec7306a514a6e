package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/filter"
	"github.com/repomgr/repomgr/core/format"
)

// Prefetch says what of an upstream server is to be mirrored, and where.
type Prefetch struct {
	// Repository is a proxy, or a hosted repository, which then takes what the proxy Source finds upstream.
	Repository, Source string
	// Names and Versions are patterns (package filter). No Versions are all.
	Names, Versions string
	// Limit is how many of a name's versions are taken at most, the highest first; zero is all.
	Limit int
	Want  format.Wanted
	// DryRun only tells what would be mirrored.
	DryRun bool
}

// Reporter is told how far a prefetch is.
type Reporter interface {
	Set(done, total int64)
	Message(s string)
}

// The bounds of a prefetch.
const (
	// askedAtOnce is how many requests it makes at the same time, begunAtOnce how many versions it works on.
	askedAtOnce, begunAtOnce = 4, 4
	// maxNesting is how deep indexes may contain one another.
	maxNesting = 8
	// maxAbout is how far what is about something may be from it: a list, what is in it, the list about that, and what is in it.
	maxAbout = 4
	// maxAboutParts is how many parts that are about it one version may have.
	maxAboutParts = 1000
	// maxListed is the most names, or versions, of one list.
	maxListed = 1 << 20
	// maxTold is how many failures, or names, a result tells.
	maxTold = 10
)

// prefetch is one at work.
type prefetch struct {
	manager *Manager
	order   Prefetch
	// source is the id of the proxy that asks upstream, target that of the repository that keeps what comes; they may be the same.
	source, target int64
	mirrorer       format.Mirrorer
	paginator      format.Paginator
	names          filter.Patterns
	versions       filter.Patterns
	slots          chan struct{}
	to             Reporter

	mu     sync.Mutex
	visits map[string]*visit
	tally  tally
	// outages is how many requests have failed in a row because upstream can't be had.
	outages int
}

// visit is what came of a path: each is looked at once in a run.
type visit struct {
	done chan struct{}
	err  error
}

// version is a version of a name that is to be mirrored.
type version struct{ name, version string }

func (v version) String() string {
	if v.version == "" {
		return v.name
	}
	return v.name + ":" + v.version
}

// CheckPrefetch tells what is wrong with an order. Errors carry the field, in the words of the task's properties.
func (m *Manager) CheckPrefetch(p Prefetch) error {
	_, err := m.newPrefetch(p)
	return err
}

// Prefetch mirrors what upstream has. The result says in a few words what came of it, also beside an error: what fails for one version
// doesn't keep the others from being mirrored, and is an error at the end.
func (m *Manager) Prefetch(ctx context.Context, order Prefetch, to Reporter) (result string, err error) {
	p, err := m.newPrefetch(order)
	if err != nil {
		return "", err
	}
	p.to = to
	versions := p.choose(ctx)
	switch {
	case ctx.Err() != nil:
		return p.tally.String(), ctx.Err()
	case order.DryRun:
		return p.dry(versions), p.failed()
	}
	p.begin(len(versions))
	group := errgroup.Group{}
	group.SetLimit(begunAtOnce)
	for _, v := range versions {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			p.end(v, p.mirror(ctx, v))
			return nil
		})
	}
	_ = group.Wait()
	if ctx.Err() != nil {
		return p.tally.String(), ctx.Err()
	}
	return p.tally.String(), p.failed()
}

// newPrefetch checks an order.
func (m *Manager) newPrefetch(order Prefetch) (*prefetch, error) {
	target := m.find(order.Repository)
	if target == nil {
		return nil, errs.Field("repositoryName", "there is no repository %q", order.Repository)
	}
	source := target
	switch target.config.Type {
	case Proxy:
		if order.Source != "" {
			return nil, errs.Field("sourceRepository", "repository %s is a proxy: it mirrors its own upstream server", order.Repository)
		}
	case Hosted:
		if source = m.find(order.Source); source == nil || source.config.Type != Proxy || source.plugin != target.plugin {
			return nil, errs.Field("sourceRepository", "a hosted repository needs the name of a proxy of the same format to mirror from")
		}
	default:
		return nil, errs.Field("repositoryName", "repository %s is a group: choose a proxy or a hosted repository", order.Repository)
	}
	p := &prefetch{
		manager: m, order: order, source: source.id, target: target.id, mirrorer: target.plugin.mirrorer, paginator: target.plugin.paginator,
		slots: make(chan struct{}, askedAtOnce), visits: map[string]*visit{},
	}
	if p.mirrorer == nil {
		return nil, errs.Field("repositoryName", "repositories of format %s can't be filled from upstream", target.config.Format)
	}
	return p, p.parse(target.config.Format)
}

// parse reads the patterns.
func (p *prefetch) parse(name string) (err error) {
	field := func(name string, err error) error {
		var known *errs.Error
		if errors.As(err, &known) {
			return errs.Field(name, "%s", known.Message)
		}
		return err
	}
	if p.names, err = filter.Parse(p.order.Names); err != nil {
		return field("names", err)
	}
	if p.versions, err = filter.ParseVersions(p.order.Versions); err != nil {
		return field("tags", err)
	}
	_, listed := p.mirrorer.Names()
	_, versioned := p.mirrorer.Versions("")
	switch {
	case p.names.Empty():
		return errs.Field("names", "at least one name is needed")
	case p.names.Open() && !listed:
		return errs.Field("names", "upstream servers of format %s have no list of what they have: name each path, without patterns", name)
	case !versioned && !p.versions.Empty():
		return errs.Field("tags", "what is in a %s repository has no versions", name)
	case !versioned && (p.order.Limit != 0 || len(p.order.Want.Platforms) > 0 || p.order.Want.Referrers):
		return errs.Field("names", "a limit, platforms and referrers mean nothing in a %s repository", name)
	case p.order.Limit < 0:
		return errs.Field("limit", "a limit must not be negative")
	}
	if p.versions.Empty() {
		p.versions, err = filter.Parse("*")
	}
	return err
}

// choose asks upstream what there is of what the patterns name.
func (p *prefetch) choose(ctx context.Context) []version {
	p.to.Message("asks for the names")
	names := p.names.Exact()
	if p.names.Open() {
		l, _ := p.mirrorer.Names()
		err := p.list(ctx, l, func(page content.Page) {
			for _, name := range page.Names {
				if p.names.Match(name) {
					names = append(names, name)
				}
			}
		})
		if err != nil {
			p.tally.fail("the list of names", err)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	found := make([][]version, len(names))
	group := errgroup.Group{}
	group.SetLimit(begunAtOnce)
	for i, name := range names {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			versions, err := p.versionsOf(ctx, name)
			p.mu.Lock()
			defer p.mu.Unlock()
			if found[i] = versions; err != nil {
				p.tally.fail(name, err)
			}
			p.to.Message("asks for the versions of " + name)
			return nil
		})
	}
	_ = group.Wait()
	return slices.Concat(found...)
}

// versionsOf are the versions of a name that the patterns choose.
func (p *prefetch) versionsOf(ctx context.Context, name string) ([]version, error) {
	l, versioned := p.mirrorer.Versions(name)
	if !versioned {
		return []version{{name: name}}, nil
	}
	chosen := p.versions.Exact()
	var err error
	if p.versions.Open() {
		err = p.list(ctx, l, func(page content.Page) {
			for _, a := range page.Assets {
				if v := p.mirrorer.Version(a); p.versions.Match(v) {
					chosen = append(chosen, v)
				}
			}
		})
	}
	slices.Sort(chosen)
	chosen = slices.Compact(chosen)
	if p.order.Limit > 0 {
		chosen = p.versions.Newest(chosen, p.order.Limit)
	}
	versions := make([]version, len(chosen))
	for i, v := range chosen {
		versions[i] = version{name, v}
	}
	return versions, err
}

// list reads all pages of a list of upstream's.
func (p *prefetch) list(ctx context.Context, l content.List, take func(content.Page)) error {
	r, err := p.proxy()
	if err != nil {
		return err
	}
	l.Limit = maxListed
	if p.paginator == nil {
		return errs.New(errs.Invalid, "upstream servers of format %s have no lists", r.config.Format)
	}
	route, ok := p.paginator.Ask(l)
	if !ok {
		return errs.New(errs.Invalid, "upstream servers of format %s have no such list", r.config.Format)
	}
	x := &exchange{manager: p.manager, repo: r, route: route, mirror: &asking{prefetch: p}}
	path := route.Path
	for range maxUpstreamPages {
		doc, err := x.keptDocument(ctx, path)
		if err != nil {
			return err
		}
		page, _, err := p.paginator.Page(l, doc)
		if err != nil {
			return wrong(err)
		}
		take(page)
		if doc.Next == "" {
			return nil
		}
		path = pageAfter(path, doc.Next)
	}
	return errs.New(errs.BadGateway, "the list has more than %d pages", maxUpstreamPages)
}

// proxy is the repository that asks upstream, with the configuration that it has now.
func (p *prefetch) proxy() (*Repository, error) {
	r := p.manager.byID(p.source)
	switch {
	case r == nil || r.upstream == nil:
		return nil, errs.New(errs.NotFound, "the repository to mirror from is gone")
	case !r.config.Online:
		return nil, errs.New(errs.Unavailable, "repository %s is offline", r.Name())
	}
	return r, nil
}

// dry is what would be mirrored.
func (p *prefetch) dry(versions []version) string {
	texts := make([]string, len(versions))
	for i, v := range versions {
		texts[i] = v.String()
	}
	return fmt.Sprintf("would mirror %d: %s", len(versions), few(texts))
}

// few are the first texts of many.
func few(texts []string) string {
	if n := len(texts); n > maxTold {
		return strings.Join(texts[:maxTold], ", ") + fmt.Sprintf(" and %d more", n-maxTold)
	}
	return strings.Join(texts, ", ")
}
