package remote

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/repomgr/repomgr/core/errs"
)

// Limits and defaults of Config, those of Nexus.
const (
	maxRetries     = 10
	defaultRetries = 2
	maxTimeout     = 3600 // seconds
	defaultTimeout = 20 * time.Second
	maxSuffix      = 256
)

// Config is how a proxy repository talks to its upstream: the object httpClient of the REST API, which is also how it is stored.
type Config struct {
	// Blocked keeps the upstream from being asked at all.
	Blocked bool `json:"blocked"`
	// AutoBlock keeps it from being asked for a while after it failed.
	AutoBlock bool `json:"autoBlock"`
	// Connection is nil for the defaults.
	Connection *Connection `json:"connection"`
	// Authentication is nil for none.
	Authentication *Authentication `json:"authentication,omitempty"`
}

// Connection holds settings of connections to an upstream.
type Connection struct {
	// Retries is how often an idempotent request is tried again, 0 to 10; nil is the network's.
	Retries *int `json:"retries"`
	// UserAgentSuffix is put behind the server's own name in User-Agent; nil and empty are the network's.
	UserAgentSuffix *string `json:"userAgentSuffix"`
	// Timeout is how long a connection and the header of an answer may take, in seconds, 1 to 3600; nil is the network's.
	Timeout *int `json:"timeout"`
	// EnableCircularRedirects lets redirects lead to a URL that was visited already, up to the limit on their number.
	EnableCircularRedirects bool `json:"enableCircularRedirects"`
	// EnableCookies keeps the upstream's cookies in memory and sends them back to it.
	EnableCookies bool `json:"enableCookies"`
	// UseTrustStore trusts the certificates of the server's trust store besides the others.
	UseTrustStore bool `json:"useTrustStore"`
}

// The types of Authentication.
const (
	TypeUsername = "username"
	TypeBearer   = "bearerToken"
	typeNTLM     = "ntlm"
)

// Authentication is how the server makes itself known to an upstream.
type Authentication struct {
	// Type is username or bearerToken; ntlm is known and refused.
	Type       string `json:"type"`
	Username   string `json:"username,omitempty"`
	Password   string `json:"password,omitempty"`
	NTLMHost   string `json:"ntlmHost,omitempty"`
	NTLMDomain string `json:"ntlmDomain,omitempty"`
	// BearerToken is sent as it is behind "Bearer ".
	BearerToken string `json:"bearerToken,omitempty"`
	// Preemptive sends username and password with each request, not only when the upstream asks for them; nil is true.
	Preemptive *bool `json:"preemptive,omitempty"`
	// Lost is why the secret is not known; then no request is made, and this is its error.
	Lost error `json:"-"`
}

// String names the type only, so that no secret gets into a log.
func (a *Authentication) String() string {
	if a == nil {
		return "none"
	}
	return a.Type
}

// GoString implements fmt.GoStringer, as String.
func (a *Authentication) GoString() string { return a.String() }

// LogValue implements slog.LogValuer, as String.
func (a *Authentication) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Public returns what may be shown of the configuration: all but the secrets, and with a Connection also where there is none,
// since clients of the REST API count on it.
func (c Config) Public() Config {
	if c.Connection == nil {
		c.Connection = &Connection{}
	}
	if c.Authentication != nil {
		public := *c.Authentication
		public.Password, public.BearerToken, public.Lost = "", "", nil
		c.Authentication = &public
	}
	return c
}

// Check returns an *errs.Error that names the first field that is wrong.
func (c Config) Check() error {
	if err := c.Connection.check("httpClient.connection.", "userAgentSuffix"); err != nil {
		return err
	}
	return c.Authentication.check()
}

// check names fields with object in front; agent is the name of the suffix.
func (c *Connection) check(object, agent string) error {
	switch {
	case c == nil:
		return nil
	case c.Retries != nil && (*c.Retries < 0 || *c.Retries > maxRetries):
		return errs.Field(object+"retries", "retries must be between 0 and %d", maxRetries)
	case c.Timeout != nil && (*c.Timeout < 1 || *c.Timeout > maxTimeout):
		return errs.Field(object+"timeout", "timeout must be between 1 and %d seconds", maxTimeout)
	case c.UserAgentSuffix != nil && (len(*c.UserAgentSuffix) > maxSuffix || !isValue(*c.UserAgentSuffix)):
		return errs.Field(object+agent,
			"user agent suffix must be at most %d bytes long, without control characters", maxSuffix)
	}
	return nil
}

func (a *Authentication) check() error {
	const object = "httpClient.authentication."
	switch {
	case a == nil:
		return nil
	case a.Type == typeNTLM:
		return errs.Field(object+"type", "NTLM is not supported: use username or bearerToken, "+
			"or set as outbound HTTP proxy one that answers NTLM for this server, such as cntlm")
	case a.Type != TypeUsername && a.Type != TypeBearer:
		return errs.Field(object+"type", "authentication type must be %s or %s", TypeUsername, TypeBearer)
	case a.Type == TypeBearer && a.Lost != nil:
		return nil
	case a.Type == TypeBearer && a.BearerToken == "":
		return errs.Field(object+"bearerToken", "bearer token must not be empty")
	case a.Type == TypeBearer && (!isValue(a.BearerToken) || strings.ContainsAny(a.BearerToken, " \t")):
		return errs.Field(object+"bearerToken", "bearer token must not contain spaces or control characters")
	case a.Type == TypeBearer:
		return nil
	}
	return checkBasic(object, a.Username, a.Password)
}

// checkBasic checks a pair of basic authentication (RFC 7617 section 2).
func checkBasic(object, username, password string) error {
	switch {
	case username == "":
		return errs.Field(object+"username", "username must not be empty")
	case !isValue(username) || strings.Contains(username, ":"):
		return errs.Field(object+"username", "username must not contain colons or control characters")
	case !isValue(password):
		return errs.Field(object+"password", "password must not contain control characters")
	}
	return nil
}

// isValue tells whether s can be the value of a header field (RFC 9110 section 5.5).
func isValue(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(b byte) bool { return b < ' ' && b != '\t' || b == 0x7f })
}

func (c Config) connection() Connection {
	if c.Connection == nil {
		return Connection{}
	}
	return *c.Connection
}

// limits are how often a request is tried again, and how long an answer may take, on a network.
func (c Connection) limits(n *setup) (retries int, timeout time.Duration) {
	retries, timeout = n.retries, n.timeout
	if c.Retries != nil {
		retries = *c.Retries
	}
	if c.Timeout != nil {
		timeout = time.Duration(*c.Timeout) * time.Second
	}
	return retries, timeout
}
