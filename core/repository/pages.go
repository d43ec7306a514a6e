package repository

import (
	"context"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
)

// What is read of one list of upstream's at most. If there is more, the log and the answer tell so.
const (
	maxUpstreamPages = 1000
	maxUpstreamBytes = 64 << 20
)

// reading is how a list of upstream's is read: by its Links.
type reading struct {
	pages, bytes int
	// seen are the queries that were followed: some servers lead in circles.
	seen map[string]bool
}

// follow tells whether the Link to next is followed after a page of so many bytes.
func (r *reading) follow(next string, size int) bool {
	r.pages, r.bytes = r.pages+1, r.bytes+size
	if r.pages >= maxUpstreamPages || r.bytes >= maxUpstreamBytes || r.seen[next] {
		return false
	}
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	r.seen[next] = true
	return true
}

// cut logs that a list was not read to its end.
func (x *exchange) cut(r reading) {
	x.manager.log.Error("upstream's list is too long, or leads in a circle: the rest is left out", "repo", x.repo.Name(), "path", x.route.Path, "pages", r.pages, "bytes", r.bytes)
}

// maxUnsorted is how many lists a proxy remembers to have pages that are in no order.
const maxUnsorted = 1000

func newUnsorted() *lru.Cache[string, bool] {
	c, err := lru.New[string, bool](maxUnsorted)
	if err != nil {
		panic(err) // the number is not positive
	}
	return c
}

// pageAfter is the path at which the page of upstream's is kept that the query leads to.
func pageAfter(path, query string) string {
	path, _, _ = strings.Cut(path, "?")
	return path + "?" + query
}

// pages makes the page that is asked for of those that upstream has from the exchange's route on. As long as these follow each other in
// byte order they are read up to the first with something to give. Where they don't, or nobody can tell, all are read: what comes first may be
// on the last.
func (x *exchange) pages(ctx context.Context, l content.List) (content.Page, error) {
	path, unsorted := x.route.Path, x.repo.upstream.unsorted
	all := unsorted.Contains(path)
	page, read, end := content.Page{}, reading{}, ""
	for {
		doc, err := x.keptDocument(ctx, path)
		if err != nil {
			return content.Page{}, err
		}
		part, span, err := x.repo.plugin.paginator.Page(l, doc)
		if err != nil {
			return content.Page{}, wrong(err)
		}
		if !all && span.First != "" && span.First < end {
			// It looked sorted so far. Those who were given pages by that lack what is in front of them now.
			unsorted.Add(x.route.Path, true)
			all, part.Flaws.Incomplete = true, l.After != ""
		}
		all, end = all || !span.Sorted, max(end, span.Last)
		part.Flaws = part.Flaws.And(doc.Flaws)
		page = mergePages(page, part, l.Limit)
		switch {
		case doc.Next == "" || l.Limit == 0:
			return page, nil
		case !all && len(page.Assets)+len(page.Names) > 0:
			page.More = true
			return page, nil
		case !read.follow(doc.Next, len(doc.Body)):
			x.cut(read)
			page.Flaws.Incomplete = true
			return page, nil
		}
		path = pageAfter(path, doc.Next)
	}
}

// mergeRest merges what upstream's further pages have to give to a document, the first of which it is. next leads to the second.
func (x *exchange) mergeRest(ctx context.Context, first format.Document, size int, next string) (format.Document, error) {
	p, docs, flaws, read := x.repo.plugin, []format.Document{first}, first.Flaws, reading{}
	for next != "" {
		if !read.follow(next, size) {
			x.cut(read)
			flaws.Incomplete = true
			break
		}
		doc, err := x.keptDocument(ctx, pageAfter(x.route.Path, next))
		if err != nil {
			return format.Document{}, err
		}
		next, size, flaws, doc.Next = doc.Next, len(doc.Body), flaws.And(doc.Flaws), ""
		if doc, err = p.selector.Select(x.route, doc); err != nil {
			return doc, wrong(err)
		}
		docs = append(docs, doc)
	}
	doc, err := p.merger.Merge(ctx, x.route, docs)
	doc.Flaws = flaws
	return doc, err
}
