package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
)

// ProxySettings are the "dockerProxy" object of a proxy's configuration, as Nexus has it. Marshalled they are what the REST API
// answers.
type ProxySettings struct {
	IndexType IndexType `json:"indexType"`
	// IndexURL is the index that is searched with IndexCustom; with the others it is kept for clients that send it.
	IndexURL *string `json:"indexUrl"`
	// CacheForeignLayers keeps layers that a manifest says are elsewhere, if ForeignLayerURLWhitelist has their URL; nil is false.
	CacheForeignLayers *bool `json:"cacheForeignLayers"`
	// ForeignLayerURLWhitelist are regular expressions (RE2); a URL must match one from end to end. It is never nil.
	ForeignLayerURLWhitelist []string `json:"foreignLayerUrlWhitelist"`
}

// IndexType says where a proxy's search asks.
type IndexType string

// The index types.
const (
	IndexHub      IndexType = "HUB"      // Docker Hub
	IndexRegistry IndexType = "REGISTRY" // the upstream registry itself
	IndexCustom   IndexType = "CUSTOM"   // ProxySettings.IndexURL
)

// ProxySettings parses and checks a proxy's "dockerProxy" object. The value is a ProxySettings.
func (docker) ProxySettings(raw json.RawMessage) (any, error) {
	in := struct {
		ProxySettings
		ECRAuth *struct {
			Enabled bool `json:"enabled"`
		} `json:"ecrAuth"`
	}{}
	if len(bytes.TrimSpace(raw)) > 0 {
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, proxySettingsError(err)
		}
	}
	// To leave out what gives access would only come to light at the first pull.
	if in.ECRAuth != nil && in.ECRAuth.Enabled {
		return nil, errs.Field("dockerProxy.ecrAuth", "signing in to ECR is not supported: use the authentication settings")
	}
	s := in.ProxySettings
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

func proxySettingsError(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		field := strings.TrimPrefix(wrong.Field, "ProxySettings.")
		return errs.Field("dockerProxy."+field, "dockerProxy.%s can't be a %s", field, wrong.Value)
	}
	return errs.Field("dockerProxy", "dockerProxy must be an object")
}

// check checks the values and fills in defaults. An empty URL is taken for none.
func (s *ProxySettings) check() error {
	switch s.IndexType = IndexType(strings.ToUpper(string(s.IndexType))); s.IndexType {
	case "":
		s.IndexType = IndexRegistry
	case IndexHub, IndexRegistry, IndexCustom:
	default:
		return errs.Field("dockerProxy.indexType", "index type must be HUB, REGISTRY or CUSTOM, not %.20q", s.IndexType)
	}
	if s.IndexURL != nil && *s.IndexURL == "" {
		s.IndexURL = nil
	}
	if s.IndexURL == nil && s.IndexType == IndexCustom {
		return errs.Field("dockerProxy.indexUrl", "an index of type CUSTOM needs a URL")
	}
	if s.IndexURL != nil && !isURL(*s.IndexURL) {
		return errs.Field("dockerProxy.indexUrl", "index URL must be of the form http://host/path or https://host/path, without credentials")
	}
	if s.ForeignLayerURLWhitelist == nil {
		s.ForeignLayerURLWhitelist = []string{}
	}
	for _, pattern := range s.ForeignLayerURLWhitelist {
		if _, err := regexp.Compile(pattern); err != nil {
			return errs.Field("dockerProxy.foreignLayerUrlWhitelist", "%.100q is not a regular expression (RE2)", pattern)
		}
	}
	return nil
}

// isURL tells whether s is the http or https URL of a server, without credentials.
func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil
}
