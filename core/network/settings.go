// Package network is how the server reaches other servers: settings that an admin changes while it runs, kept in the database, and in
// force on all nodes.
package network

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/secret"
	"github.com/repomgr/repomgr/core/store"
)

// HTTP is how requests are made by all proxies. The zero value is the default.
type HTTP struct {
	// UserAgent is put behind the server's name in User-Agent by proxies that have no suffix of their own.
	UserAgent string `json:"userAgent,omitempty"`
	// Timeout, in seconds, and Retries are those of proxies that have none of their own; nil is the default.
	Timeout *int `json:"timeout,omitempty"`
	Retries *int `json:"retries,omitempty"`
	// NonProxyHosts are reached without the outbound proxy: names, patterns, addresses and networks.
	NonProxyHosts []string `json:"nonProxyHosts,omitempty"`
	// HTTPProxy is for http URLs, and for https ones when HTTPSProxy is not enabled.
	HTTPProxy  Proxy `json:"httpProxy"`
	HTTPSProxy Proxy `json:"httpsProxy"`
}

// Proxy is an outbound HTTP proxy.
type Proxy struct {
	Enabled bool   `json:"enabled,omitempty"`
	Host    string `json:"host,omitempty"`
	Port    int    `json:"port,omitempty"`
	Login   *Login `json:"login,omitempty"`
}

// Login is how the server makes itself known to an outbound proxy.
type Login struct {
	Enabled  bool   `json:"enabled"`
	Username string `json:"username"`
	Password string `json:"password"`
	// lost is why the password is not known, and sealed how it is stored then.
	lost   error
	sealed string
}

// Addresses are the addresses that may be connected to (see remote.NetworkConfig). The zero value is the default: link-local and
// metadata addresses may not.
type Addresses struct {
	DenyPrivate bool     `json:"denyPrivate"`
	Allow       []string `json:"allow"`
	Deny        []string `json:"deny"`
}

// settings are all of them, at one epoch. They are not changed.
type settings struct {
	epoch        int64
	http         HTTP
	addresses    Addresses
	certificates []*x509.Certificate
}

// The names in the database.
const (
	area            = "network"
	keyHTTP         = area + ".http"
	keyAddresses    = area + ".addresses"
	keyCertificates = area + ".certificates" // in PEM, one after the other
)

// decode reads what the database has. A password that can't be decrypted makes its proxy unusable, and nothing else.
func decode(a store.Area, key *secret.Key) (*settings, error) {
	s := &settings{epoch: a.Epoch}
	for name, into := range map[string]any{keyHTTP: &s.http, keyAddresses: &s.addresses} {
		if text := a.Settings[name]; text != "" {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				return nil, fmt.Errorf("setting %s: %w", name, err)
			}
		}
	}
	var err error
	if text := a.Settings[keyCertificates]; text != "" {
		if s.certificates, err = parse([]byte(text)); err != nil {
			return nil, fmt.Errorf("setting %s: %w", keyCertificates, err)
		}
	}
	for name, p := range s.http.proxies() {
		if p.Login == nil {
			continue
		}
		stored := p.Login.Password
		if p.Login.Password, err = key.Open(place(name), stored); err != nil {
			p.Login.sealed = stored
			p.Login.lost = fmt.Errorf("the password of %s can't be decrypted: %w; set it again", name, err)
		}
	}
	return s, nil
}

// encode is the value of keyHTTP.
func (h HTTP) encode(key *secret.Key) (string, error) {
	for name, p := range h.proxies() {
		if p.Login != nil {
			stored := *p.Login
			if stored.Password = key.Seal(place(name), stored.Password); stored.lost != nil {
				stored.Password = stored.sealed // the key may come back
			}
			p.Login = &stored
		}
	}
	text, err := json.Marshal(h)
	return string(text), err
}

// place is where the password of a proxy is, for its encryption.
func place(proxy string) string { return keyHTTP + "/" + proxy }

// proxies are both, by the names of their fields.
func (h *HTTP) proxies() map[string]*Proxy {
	return map[string]*Proxy{"httpProxy": &h.HTTPProxy, httpsProxy: &h.HTTPSProxy}
}

const httpsProxy = "httpsProxy"

// apply is the configuration that the settings make of base.
func (s *settings) apply(base remote.NetworkConfig) remote.NetworkConfig {
	c := base
	c.UserAgent, c.Timeout, c.Retries, c.NonProxyHosts = s.http.UserAgent, s.http.Timeout, s.http.Retries, s.http.NonProxyHosts
	c.HTTPProxy, c.HTTPSProxy = s.http.HTTPProxy.outbound(), s.http.HTTPSProxy.outbound()
	c.Allow, c.Deny, c.DenyPrivate = s.addresses.Allow, s.addresses.Deny, s.addresses.DenyPrivate
	c.TrustStore = encode(s.certificates)
	return c
}

func (p Proxy) outbound() *remote.OutboundProxy {
	if !p.Enabled {
		return nil
	}
	o := &remote.OutboundProxy{Host: p.Host, Port: p.Port}
	if l := p.Login; l != nil && l.Enabled {
		o.Username, o.Password, o.Lost = l.Username, l.Password, l.lost
	}
	return o
}

// keep gives a proxy whose password was left out the one that is stored, if that is for the same user of the same host.
func (p *Proxy) keep(stored Proxy) {
	l, old := p.Login, stored.Login
	if l == nil || old == nil || l.Password != "" || l.Username != old.Username || !strings.EqualFold(p.Host, stored.Host) {
		return
	}
	kept := *l
	kept.Password, kept.lost, kept.sealed = old.Password, old.lost, old.sealed
	p.Login = &kept
}

// parse reads one or more certificates in PEM form. Errors are *errs.Error.
func parse(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, errs.New(errs.Invalid, "PEM holds a %s where a CERTIFICATE is wanted", strings.ToLower(brief(block.Type)))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errs.Wrap(errs.Invalid, err, "the PEM block is not an X.509 certificate")
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errs.New(errs.Invalid, "there is no certificate in PEM form")
	}
	return all, nil
}

func brief(s string) string { return strings.ToValidUTF8(s[:min(len(s), 40)], "") }

// encode is parse's inverse.
func encode(certificates []*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certificates {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes all
	}
	return out.Bytes()
}

// PEM is a certificate in PEM form.
func PEM(c *x509.Certificate) string { return string(encode([]*x509.Certificate{c})) }

// Fingerprint is the SHA-1 of a certificate in upper-case hexadecimal, with colons, which Nexus names certificates by.
func Fingerprint(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// find returns the index of the certificate with the fingerprint, in any case, or -1.
func find(certificates []*x509.Certificate, fingerprint string) int {
	return slices.IndexFunc(certificates, func(c *x509.Certificate) bool { return strings.EqualFold(Fingerprint(c), fingerprint) })
}
