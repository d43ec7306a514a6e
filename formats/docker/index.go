package docker

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
)

// hubIndex is Docker Hub's index, which is on another host than its registry.
const hubIndex = "index.docker.io"

// The most bytes of an index's answer, and the most characters of a result's description.
const (
	maxAnswer      = 4 << 20
	maxDescription = 1000
)

// askIndex are the results of a proxy's index, in its order. An error tells that it has none, or that it doesn't answer.
func askIndex(ctx context.Context, x format.Exchange, prefix, term string) ([]result, error) {
	repo := x.Repository()
	s, _ := proxySettings(x)
	doc, err := x.Ask(ctx, indexRequest(s, repo.Remote, term), maxAnswer)
	if err != nil {
		return nil, err
	}
	return readIndex(doc.Body, prefix)
}

// indexRequest is a search in the index that the settings name. Docker Hub's is asked by proxies of Docker Hub only: what it finds can't be
// pulled from others.
func indexRequest(s ProxySettings, base *url.URL, term string) remote.Request {
	query := url.Values{"q": {term}, "n": {strconv.Itoa(searchMost)}}.Encode()
	req := remote.Request{Header: http.Header{"Accept": {"application/json"}}}
	root := *base
	switch {
	case s.IndexType == IndexCustom && s.IndexURL != nil:
		if u, err := url.Parse(*s.IndexURL); err == nil {
			root = *u
		}
	case s.IndexType == IndexHub && isHub(base.Hostname()):
		root = url.URL{Scheme: "https", Host: hubIndex}
	default:
		// What follows on /v2/ is a name's beginning; the index is beside that.
		root.RawQuery = ""
		root.Path, _, _ = strings.Cut(root.Path+"/", "/v2/")
		root.RawPath = ""
	}
	path := strings.TrimRight(root.EscapedPath(), "/")
	path = strings.TrimSuffix(strings.TrimSuffix(path, pathSearch), "/v1")
	if root.RawQuery != "" {
		query = root.RawQuery + "&" + query
	}
	req.URL = root.Scheme + "://" + root.Host + path + pathSearch + "?" + query
	return req
}

// readIndex reads an index's answer. What can't be an image's name is left out.
func readIndex(body []byte, prefix string) ([]result, error) {
	var a struct {
		Results []result `json:"results"`
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, err
	}
	if a.Results == nil {
		return nil, errors.New("the answer of an index has no results")
	}
	list := a.Results[:0]
	for _, r := range a.Results {
		if len(r.Name) > maxName || !isName(r.Name) || len(list) == searchMost {
			continue
		}
		r.Name, r.Description = prefix+r.Name, plain(r.Description)
		list = append(list, r)
	}
	return list, nil
}

// plain is a description on one line, without what a terminal would act on.
func plain(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\t' || c == '\r':
			return ' '
		case !unicode.IsPrint(c):
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, ""))
	if r := []rune(s); len(r) > maxDescription {
		s = string(r[:maxDescription])
	}
	return s
}
