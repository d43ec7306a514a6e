package repository

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/remote"
)

// Config is a repository's configuration, as the REST API shows it and the database keeps it.
type Config struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	// Type is hosted, proxy or group.
	Type    string   `json:"type"`
	Online  bool     `json:"online"`
	Storage Storage  `json:"storage"`
	Cleanup *Cleanup `json:"cleanup"`
	// Component is kept for hosted repositories only.
	Component *Component `json:"component,omitempty"`
	// Proxy, NegativeCache and HTTPClient are for proxy repositories only, Group is for groups only.
	Proxy         *ProxyConfig   `json:"proxy,omitempty"`
	NegativeCache *NegativeCache `json:"negativeCache,omitempty"`
	HTTPClient    *remote.Config `json:"httpClient,omitempty"`
	Group         *GroupConfig   `json:"group,omitempty"`
	// Settings is the format's own part (the value of the key that its Descriptor.Settings names); nil when absent.
	Settings json.RawMessage `json:"settings,omitempty"`
	// ProxySettings is the format's own part for proxies (the value of the key that its Descriptor.ProxySettings names); nil when absent.
	ProxySettings json.RawMessage `json:"proxySettings,omitempty"`
	// RoutingRule is the name of the rule about what a proxy or group serves; empty for none.
	RoutingRule string `json:"routingRuleName,omitempty"`
	// MovedAt is when a proxy's remote URL was last changed, in milliseconds since 1970; zero for never. Update sets it.
	MovedAt int64 `json:"movedAt,omitempty"`
}

// Storage says where a repository keeps its bytes and who may overwrite them.
type Storage struct {
	BlobStore                   string      `json:"blobStoreName"`
	StrictContentTypeValidation bool        `json:"strictContentTypeValidation"`
	WritePolicy                 WritePolicy `json:"writePolicy,omitempty"`
	// LatestPolicy lets the docker tag "latest" be pushed again under ALLOW_ONCE.
	LatestPolicy bool `json:"latestPolicy,omitempty"`
}

// ProxyConfig says what a proxy repository is a copy of.
type ProxyConfig struct {
	// RemoteURL is the upstream server's address, with the path of the repository there.
	RemoteURL string `json:"remoteUrl"`
	// ContentMaxAge and MetadataMaxAge are how long a copy is used without asking upstream, in minutes; negative is for ever.
	ContentMaxAge  int `json:"contentMaxAge"`
	MetadataMaxAge int `json:"metadataMaxAge"`
}

// NegativeCache says whether upstream's "not found" is remembered.
type NegativeCache struct {
	Enabled bool `json:"enabled"`
	// TimeToLive is in minutes; negative is until the cache is invalidated.
	TimeToLive int `json:"timeToLive"`
}

// GroupConfig says what a group repository shows.
type GroupConfig struct {
	// MemberNames are in the order in which members are asked.
	MemberNames []string `json:"memberNames"`
	// WritableMember is the hosted member that uploads to the group go to; empty for none.
	WritableMember string `json:"writableMember,omitempty"`
}

// check refuses times that mean nothing, and what of a URL would be dropped.
func (c *ProxyConfig) check() error {
	u, err := url.Parse(c.RemoteURL)
	switch {
	case err == nil && (u.RawQuery != "" || u.ForceQuery || u.Fragment != ""):
		return errs.Field("proxy.remoteUrl", "remote URL must have no query and no fragment: paths are put behind it")
	case c.ContentMaxAge < forEver:
		return errs.Field("proxy.contentMaxAge", "a time is in minutes, or %d for ever", forEver)
	case c.MetadataMaxAge < forEver:
		return errs.Field("proxy.metadataMaxAge", "a time is in minutes, or %d for ever", forEver)
	}
	return nil
}

func (c *NegativeCache) check() error {
	if c.TimeToLive < forEver {
		return errs.Field("negativeCache.timeToLive", "a time is in minutes, or %d for ever", forEver)
	}
	return nil
}

// forEver stands for a time without an end.
const forEver = -1

// WritePolicy says whether what is stored may be stored again.
type WritePolicy string

// The write policies of hosted repositories.
const (
	Allow     WritePolicy = "ALLOW"
	AllowOnce WritePolicy = "ALLOW_ONCE"
	Deny      WritePolicy = "DENY"
)

// Cleanup names the cleanup policies of a repository.
type Cleanup struct {
	PolicyNames []string `json:"policyNames"`
}

// Component holds settings about a hosted repository's components.
type Component struct {
	ProprietaryComponents bool `json:"proprietaryComponents"`
}

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9-][a-zA-Z0-9_.-]*$`)

// maxName is the longest name of a repository or blob store, in bytes.
const maxName = 200

// CheckName checks the name of a repository or blob store (Nexus: letters, digits, underscores, hyphens and dots, not
// starting with an underscore or dot).
func CheckName(name string) error {
	switch {
	case name == "":
		return errs.Field("name", "name must not be empty")
	case len(name) > maxName:
		return errs.Field("name", "name must be at most %d characters long", maxName)
	case !namePattern.MatchString(name):
		return errs.Field("name", "Only letters, digits, underscores(_), hyphens(-), and dots(.) are allowed and may not start with underscore or dot.")
	}
	return nil
}

// ParseWritePolicy accepts the policies in any case; empty is ALLOW_ONCE, as in Nexus.
func ParseWritePolicy(s string) (WritePolicy, error) {
	switch p := WritePolicy(strings.ToUpper(s)); p {
	case "":
		return AllowOnce, nil
	case Allow, AllowOnce, Deny:
		return p, nil
	}
	return "", errs.Field("storage.writePolicy", "write policy must be ALLOW, ALLOW_ONCE or DENY, not %q", s)
}
