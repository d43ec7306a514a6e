package repository

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/security"
)

// Members are the exchanges of the repositories that a group shows; of another repository, its own.
func (x *exchange) Members() []format.Exchange {
	if x.repo.config.Type != Group {
		return []format.Exchange{x}
	}
	var list []format.Exchange
	for _, member := range x.repo.showing(x.asking()) {
		list = append(list, x.as(member))
	}
	return list
}

// Ask asks a proxy's upstream server, or another one, for a document that is not kept.
func (x *exchange) Ask(ctx context.Context, req remote.Request, limit int64) (format.Document, error) {
	if x.repo.upstream == nil {
		return format.Document{}, assetNotFound(nil)
	}
	doc, err := x.repo.askOnce(ctx, req, limit)
	if err != nil && !errs.Is(err, errs.NotFound) {
		x.manager.log.Warn("nothing could be had from upstream", "repo", x.repo.Name(), "path", x.route.Path, "err", err)
	}
	return doc, err
}

func (r *Repository) askOnce(ctx context.Context, req remote.Request, limit int64) (format.Document, error) {
	res, err := r.upstream.client.Do(ctx, req)
	if err != nil {
		return format.Document{}, r.refused(r.shown(err))
	}
	defer res.Body.Close()
	if err := r.answered(res); err != nil {
		return format.Document{}, err
	}
	if err := coded(res.Header, format.Route{}); err != nil {
		return format.Document{}, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return format.Document{}, r.refused(err)
	}
	if int64(len(body)) > limit {
		return format.Document{}, wrong(fmt.Errorf("it has more than %d bytes", limit))
	}
	return format.Document{Body: body, ContentType: res.Header.Get("Content-Type")}, nil
}

// Members are the exchanges of the repositories that are reached by the format's entrance and that the caller may browse; none where
// the caller's token is not for the root's lists.
func (x *rootExchange) Members() []format.Exchange {
	caller, err := x.limit()
	if err != nil {
		return nil
	}
	var list []format.Exchange
	for _, repo := range x.repositories(caller) {
		list = append(list, x.exchangeOf(repo, caller))
	}
	return list
}

func (x *rootExchange) exchangeOf(repo *Repository, caller security.Principal) *exchange {
	return &exchange{manager: x.manager, repo: repo, principal: caller, entry: x.plugin.entrance.Prefix(strings.ToLower(repo.Name()))}
}
