package httpapi

import (
	"encoding/json"

	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
)

// defaultAge is how long what upstream has, and what it has not, is taken for granted unless the request says otherwise, in minutes.
const defaultAge = 1440

// proxyRequest is what the bodies of proxies of all formats have beside those of settingsRequest.
type proxyRequest struct {
	Proxy struct {
		RemoteURL      string `json:"remoteUrl"`
		ContentMaxAge  *int   `json:"contentMaxAge"`
		MetadataMaxAge *int   `json:"metadataMaxAge"`
	} `json:"proxy"`
	NegativeCache struct {
		Enabled    *bool `json:"enabled"`
		TimeToLive *int  `json:"timeToLive"`
	} `json:"negativeCache"`
	HTTPClient remote.Config `json:"httpClient"`
}

// parseProxy reads what only proxies have into c.
func parseProxy(body json.RawMessage, c *repository.Config) error {
	in := proxyRequest{HTTPClient: remote.Config{AutoBlock: true}}
	if err := json.Unmarshal(body, &in); err != nil {
		return mismatch(err)
	}
	c.Proxy = &repository.ProxyConfig{
		RemoteURL: in.Proxy.RemoteURL, ContentMaxAge: or(in.Proxy.ContentMaxAge, defaultAge), MetadataMaxAge: or(in.Proxy.MetadataMaxAge, defaultAge),
	}
	c.NegativeCache = &repository.NegativeCache{Enabled: or(in.NegativeCache.Enabled, true), TimeToLive: or(in.NegativeCache.TimeToLive, defaultAge)}
	c.HTTPClient = &in.HTTPClient
	return nil
}

// or is what p points to, or the value in its place.
func or[T any](p *T, value T) T {
	if p == nil {
		return value
	}
	return *p
}

// addProxy adds what only proxies have to their settings as the API shows them.
func (o *object) addProxy(c repository.Config) {
	if c.HTTPClient == nil {
		c.HTTPClient = &remote.Config{AutoBlock: true}
	}
	o.add("proxy", c.Proxy)
	o.add("negativeCache", c.NegativeCache)
	o.add("httpClient", showClient(*c.HTTPClient))
	o.add("routingRuleName", set(c.RoutingRule))
	// There is nothing of it.
	o.add("replication", nil)
}

// clientAttributes is the object httpClient as the API shows it. Secrets have no field.
type clientAttributes struct {
	Blocked   bool `json:"blocked"`
	AutoBlock bool `json:"autoBlock"`
	// Connection is never nil: clients of Nexus count on it.
	Connection     *remote.Connection        `json:"connection"`
	Authentication *authenticationAttributes `json:"authentication"`
}

type authenticationAttributes struct {
	Type       string  `json:"type"`
	Username   *string `json:"username"`
	NTLMHost   *string `json:"ntlmHost"`
	NTLMDomain *string `json:"ntlmDomain"`
	Preemptive *bool   `json:"preemptive"`
}

func showClient(c remote.Config) clientAttributes {
	c = c.Public()
	shown := clientAttributes{Blocked: c.Blocked, AutoBlock: c.AutoBlock, Connection: c.Connection}
	if a := c.Authentication; a != nil {
		shown.Authentication = &authenticationAttributes{
			Type: a.Type, Username: set(a.Username), NTLMHost: set(a.NTLMHost), NTLMDomain: set(a.NTLMDomain), Preemptive: a.Preemptive,
		}
	}
	return shown
}

// set is nil for an empty string.
func set(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
