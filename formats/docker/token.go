package docker

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// maxForm is the most bytes of a token request's form.
const maxForm = 16 << 10

// token answers GET and POST /v2/token of a repository (Docker's token authentication and its OAuth2 variant).
func token(w http.ResponseWriter, r *http.Request, x format.Exchange) error {
	desk := desk{tokens: x.Tokens(), caller: x.Caller(), locate: inRepository(x.Repository().Name, x.Entry().NamePrefix)}
	return desk.serve(w, r)
}

// inRepository locates names where all of them are one repository's.
func inRepository(repository, prefix string) locator {
	return func(name string) (string, string, bool) {
		image, ok := strings.CutPrefix(name, prefix)
		return repository, image, ok
	}
}

// desk is where tokens are issued.
type desk struct {
	tokens format.Tokens
	caller format.Caller
	locate locator
}

// tokenAnswer is the answer to a token request. Clients read one or the other of the first two.
type tokenAnswer struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"`
	IssuedAt     string `json:"issued_at"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
}

func (d desk) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPost {
		return d.post(w, r)
	}
	q := r.URL.Query()
	return d.issue(r.Context(), w, d.caller, q["scope"], q.Get("offline_token") == "true")
}

// post answers an OAuth2 request: the credentials are in the form.
func (d desk) post(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return errs.Wrap(errs.Invalid, err, "the request is not a form of at most %d bytes", maxForm)
	}
	f := r.PostForm
	caller, err := d.signIn(r.Context(), f)
	if err != nil {
		return err
	}
	return d.issue(r.Context(), w, caller, f["scope"], f.Get("access_type") == "offline")
}

func (d desk) signIn(ctx context.Context, f url.Values) (format.Caller, error) {
	switch f.Get("grant_type") {
	case "password":
		return d.tokens.Password(ctx, f.Get("username"), f.Get("password"))
	case "refresh_token":
		return d.tokens.Refresh(ctx, f.Get("refresh_token"))
	}
	return format.Caller{}, errs.New(errs.Invalid, "grant_type must be password or refresh_token")
}

// issue answers with a token for as much of the scopes as the caller may have.
func (d desk) issue(ctx context.Context, w http.ResponseWriter, c format.Caller, scopeValues []string, offline bool) error {
	scopes := parseScopes(scopeValues)
	t, err := d.tokens.Issue(ctx, c, wants(scopes, d.locate))
	if err != nil {
		return err
	}
	a := tokenAnswer{
		Token: t.Value, AccessToken: t.Value, ExpiresIn: t.ExpiresIn,
		IssuedAt: time.Unix(t.IssuedAt, 0).UTC().Format(time.RFC3339),
		Scope:    grantedScopes(scopes, t.Grants, d.locate),
	}
	if offline && !c.Anonymous {
		if a.RefreshToken, err = d.tokens.IssueRefresh(ctx, c); err != nil {
			return err
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, a)
	return nil
}

// wants are the grants that scopes stand for, one for each name.
func wants(scopes []scope, locate locator) []format.Grant {
	var grants []format.Grant
	at := map[[2]string]int{}
	for _, s := range scopes {
		g, ok := s.want(locate)
		if !ok {
			continue
		}
		key := [2]string{g.Repository, g.Name}
		if i, ok := at[key]; ok {
			grants[i].Actions = addActions(grants[i].Actions, g.Actions...)
			continue
		}
		at[key] = len(grants)
		grants = append(grants, g)
	}
	return grants
}
