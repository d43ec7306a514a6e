package docker

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
)

// upstreamPage is how many items upstream is asked for at once: the most that all registries give.
const upstreamPage = "1000"

// Ask asks upstream for the tags of an image, or for its catalog, from the beginning: what comes after is found by the Links of its
// answers, whatever they consist of. So pages of all sizes are cut from the same few answers.
func (docker) Ask(l content.List) (format.Route, bool) {
	route := format.Route{Action: actionPull, Class: content.Query, Metadata: true}
	switch {
	case l.Digest != "" || l.Subject != "":
		return format.Route{}, false
	case l.Names && l.Kind == kindManifest:
		route.Kind, route.Path = kindCatalog, pathCatalog
	case !l.Names && l.Brief && l.Kind == kindTag && l.Name != "":
		route.Kind, route.Name, route.Path = kindTags, l.Name, tagsPath(l.Name)
	default:
		return format.Route{}, false
	}
	route.Path += "?n=" + upstreamPage
	return route, true
}

// Page reads upstream's tags or catalog. What can't be a tag or a name is left out.
func (docker) Page(l content.List, doc format.Document) (content.Page, format.Span, error) {
	var answer struct {
		Tags         []string `json:"tags"`
		Repositories []string `json:"repositories"`
	}
	if err := json.Unmarshal(doc.Body, &answer); err != nil {
		return content.Page{}, format.Span{}, fmt.Errorf("read a list: %w", err)
	}
	page := content.Page{Known: true}
	if l.Names {
		term := strings.ToLower(l.Contains)
		page.Names, page.More = pick(answer.Repositories, l.After, l.Limit, func(name string) bool {
			return len(name) <= maxName && isName(name) && strings.Contains(name, term)
		})
		page.More = page.More && l.Limit > 0
		return page, spanOf(answer.Repositories, doc.Next), nil
	}
	span := spanOf(answer.Tags, doc.Next)
	prefix := manifestPath(l.Name, "")
	after := strings.TrimPrefix(l.After, prefix)
	if after == l.After && l.After > prefix {
		return page, span, nil // behind all tags of the image
	} else if after == l.After {
		after = ""
	}
	tags, more := pick(answer.Tags, after, l.Limit, isTag)
	for _, tag := range tags {
		page.Assets = append(page.Assets, content.Asset{Path: prefix + tag, Kind: kindTag, Name: l.Name})
	}
	page.More = more && l.Limit > 0
	return page, span, nil
}

// spanOf is where items are in upstream's list. Registries that list by name lead on by the last one of a page (distribution-spec 1.1,
// end-8b). Others, and what they lead on by, may be in any order, even if these items happen to be sorted.
func spanOf(items []string, next string) format.Span {
	if len(items) == 0 {
		return format.Span{Sorted: true}
	}
	span := format.Span{First: slices.Min(items), Last: slices.Max(items), Sorted: slices.IsSorted(items)}
	if next != "" {
		q, err := url.ParseQuery(next)
		span.Sorted = span.Sorted && err == nil && q.Get("last") == span.Last
	}
	return span
}

// pick is those items that are good and come after the one given, in byte order, each once; more tells that the limit left some out.
func pick(items []string, after string, limit int, good func(string) bool) (page []string, more bool) {
	for _, item := range items {
		if item > after && good(item) {
			page = append(page, item)
		}
	}
	slices.Sort(page)
	page = slices.Compact(page)
	if len(page) > limit {
		return page[:limit], true
	}
	return page, false
}
