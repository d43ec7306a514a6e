package docker

import (
	"net/http/httptest"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
)

func TestEnter(t *testing.T) {
	tests := []struct{ name, path, repository, rest string }{
		{"ping", "/v2/", "", "/v2/"},
		{"ping without slash", "/v2", "", "/v2"},
		{"token", "/v2/token", "", "/v2/token"},
		{"catalog", "/v2/_catalog", "", "/v2/_catalog"},
		{"v1", "/v1/search", "", "/v1/search"},
		{"image", "/v2/repo/a/b/manifests/v1", "repo", "/v2/a/b/manifests/v1"},
		{"repository called token", "/v2/token/a/tags/list", "token", "/v2/a/tags/list"},
		{"trailing slash is kept", "/v2/repo/a/blobs/uploads/", "repo", "/v2/a/blobs/uploads/"},
		{"repository alone", "/v2/repo", "repo", "/v2/"},
		{"empty repository", "/v2//a/tags/list", "", "/v2/a/tags/list"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			repository, rest := docker{}.Enter(tt.path)
			if repository != tt.repository || rest != tt.rest {
				t.Errorf("got %q, %q", repository, rest)
			}
		})
	}
}

// Prefix is the reverse of Enter.
func TestPrefix(t *testing.T) {
	entry := docker{}.Prefix("Repo")
	repository, rest := docker{}.Enter(location(entry, manifestPath("a/b", "v1")))
	if repository != "repo" || rest != "/v2/a/b/manifests/v1" {
		t.Errorf("got %q, %q", repository, rest)
	}
}

func TestResolveRoot(t *testing.T) {
	tests := []struct {
		name, method, path string
		open               bool
		kind               errs.Kind
	}{
		{"ping", "GET", "/v2/", false, 0},
		{"ping v1", "GET", "/v1/_ping", true, 0},
		{"token", "POST", "/v2/token", true, 0},
		{"catalog", "GET", "/v2/_catalog", true, 0},
		{"search", "GET", "/v1/search", true, 0},
		{"method", "DELETE", "/v2/_catalog", false, errs.MethodNotAllowed},
		{"an image", "GET", "/v2/a/tags/list", false, errs.NotFound},
		{"nothing", "GET", "/v1/x", false, errs.NotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			route, err := docker{}.ResolveRoot(httptest.NewRequest(tt.method, "/", nil), tt.path)
			if tt.kind != 0 {
				if !errs.Is(err, tt.kind) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || route.Handler == nil || route.Open != tt.open {
				t.Errorf("got %+v, %v", route, err)
			}
		})
	}
}
