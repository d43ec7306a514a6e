package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// Settings are the "docker" object of a repository's configuration, as Nexus has it. Marshalled they are what the REST API
// answers: ports, subdomain and pathEnabled are null when they are not set.
type Settings struct {
	// V1Enabled is kept for clients that send it. /v1/search answers anyway, there is nothing else of API v1.
	V1Enabled bool `json:"v1Enabled"`
	// ForceBasicAuth keeps anonymous callers out, and offers Basic instead of Bearer authentication.
	ForceBasicAuth bool    `json:"forceBasicAuth"`
	HTTPPort       *int    `json:"httpPort"`
	HTTPSPort      *int    `json:"httpsPort"`
	Subdomain      *string `json:"subdomain"`
	PathEnabled    *bool   `json:"pathEnabled"`
}

// Settings parses and checks a repository's "docker" object. The value is a Settings.
func (docker) Settings(raw json.RawMessage) (any, format.Access, error) {
	s := Settings{ForceBasicAuth: true}
	if len(bytes.TrimSpace(raw)) > 0 {
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, format.Access{}, settingsError(err)
		}
	}
	if err := s.check(); err != nil {
		return nil, format.Access{}, err
	}
	return s, s.access(), nil
}

func settingsError(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return errs.Field("docker."+wrong.Field, "docker.%s can't be a %s", wrong.Field, wrong.Value)
	}
	return errs.Field("docker", "docker must be an object")
}

// check checks the values, and takes an empty subdomain for none.
func (s *Settings) check() error {
	if err := checkPort("docker.httpPort", s.HTTPPort); err != nil {
		return err
	}
	if err := checkPort("docker.httpsPort", s.HTTPSPort); err != nil {
		return err
	}
	if s.HTTPPort != nil && s.HTTPSPort != nil && *s.HTTPPort == *s.HTTPSPort {
		return errs.Field("docker.httpsPort", "HTTP and HTTPS port must differ")
	}
	if s.Subdomain != nil && *s.Subdomain == "" {
		s.Subdomain = nil
	}
	if s.Subdomain != nil && !isSubdomain(*s.Subdomain) {
		return errs.Field("docker.subdomain",
			"subdomain must be 1 to 63 letters, digits and dashes, start with a letter and end with a letter or digit")
	}
	return nil
}

func checkPort(field string, port *int) error {
	if port != nil && (*port < 1 || *port > 65535) {
		return errs.Field(field, "port must be between 1 and 65535")
	}
	return nil
}

// isSubdomain tells whether s is a label of a host name that starts with a letter (RFC 1035, section 2.3.1).
func isSubdomain(s string) bool {
	s = strings.ToLower(s)
	if s == "" || len(s) > 63 || s[0] < 'a' || 'z' < s[0] || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !isAlnum(c) && c != '-' {
			return false
		}
	}
	return true
}

// access says by which entries the repository is reached. All may be combined.
func (s Settings) access() format.Access {
	a := format.Access{NoAnonymous: s.ForceBasicAuth}
	if s.HTTPPort != nil {
		a.HTTPPort = *s.HTTPPort
	}
	if s.HTTPSPort != nil {
		a.HTTPSPort = *s.HTTPSPort
	}
	if s.Subdomain != nil {
		a.Subdomain = strings.ToLower(*s.Subdomain)
	}
	if s.PathEnabled != nil {
		a.PathEnabled = *s.PathEnabled
	}
	return a
}
