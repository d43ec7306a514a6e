package httpapi

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/network"
	"github.com/repomgr/repomgr/core/remote"
)

// Network is how the server reaches other servers; *network.Service is one. What is changed is in force when the method returns.
type Network interface {
	HTTP() network.HTTP
	// SetHTTP keeps the password of a proxy that has none, if host and user name are those of the one that is stored.
	SetHTTP(ctx context.Context, h network.HTTP) error
	Addresses() network.Addresses
	SetAddresses(ctx context.Context, a network.Addresses) error
	// Certificates are the trust store.
	Certificates() []*x509.Certificate
	// Trust adds certificates in PEM form, and returns the first new one; a Conflict error when there is none.
	Trust(ctx context.Context, pem []byte) (*x509.Certificate, error)
	// Distrust removes the certificate with the fingerprint; a NotFound error when there is none.
	Distrust(ctx context.Context, fingerprint string) error
	// Look returns the certificate that a TLS server shows; a *remote.Error when it can't be had.
	Look(ctx context.Context, host string, port int) (*x509.Certificate, error)
}

// httpRequest is the body of a change of the settings of requests.
type httpRequest struct {
	UserAgent     *string          `json:"userAgent"`
	Timeout       *int             `json:"timeout"`
	Retries       *int             `json:"retries"`
	NonProxyHosts []string         `json:"nonProxyHosts"`
	HTTPProxy     *outboundRequest `json:"httpProxy"`
	HTTPSProxy    *outboundRequest `json:"httpsProxy"`
}

type outboundRequest struct {
	Enabled  *bool           `json:"enabled"`
	Host     *string         `json:"host"`
	Port     json.RawMessage `json:"port"`
	AuthInfo *struct {
		Enabled    *bool   `json:"enabled"`
		Username   *string `json:"username"`
		Password   *string `json:"password"`
		NTLMHost   *string `json:"ntlmHost"`
		NTLMDomain *string `json:"ntlmDomain"`
	} `json:"authInfo"`
}

// UpdateHttpSettings is the generated operation.
func (s *server) UpdateHttpSettings(ctx context.Context, r api.UpdateHttpSettingsRequestObject) (api.UpdateHttpSettingsResponseObject, error) {
	var in httpRequest
	if err := json.Unmarshal(*r.Body, &in); err != nil {
		return nil, mismatch(err)
	}
	h := network.HTTP{UserAgent: value(in.UserAgent), Timeout: in.Timeout, Retries: in.Retries, NonProxyHosts: in.NonProxyHosts}
	var err error
	if h.HTTPProxy, err = in.HTTPProxy.parse("httpProxy."); err != nil {
		return nil, err
	}
	if h.HTTPSProxy, err = in.HTTPSProxy.parse("httpsProxy."); err != nil {
		return nil, err
	}
	return api.UpdateHttpSettings204Response{}, s.Network.SetHTTP(ctx, h)
}

func (in *outboundRequest) parse(object string) (network.Proxy, error) {
	if in == nil {
		return network.Proxy{}, nil
	}
	p := network.Proxy{Enabled: or(in.Enabled, false), Host: value(in.Host)}
	// Nexus has it as a string.
	if text := string(bytes.Trim(in.Port, `"`)); text != "" && text != "null" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return p, errs.Field(object+"port", "port must be between 1 and 65535")
		}
		p.Port = int(port)
	}
	a := in.AuthInfo
	switch {
	case a == nil:
		return p, nil
	case value(a.NTLMHost) != "" || value(a.NTLMDomain) != "":
		return p, errs.Field(object+"authInfo.ntlmHost",
			"NTLM is not supported: use user name and password, or a proxy of your own that answers NTLM for this server, such as cntlm")
	}
	p.Login = &network.Login{Enabled: or(a.Enabled, false), Username: value(a.Username), Password: value(a.Password)}
	return p, nil
}

// GetHttpSettings is the generated operation.
func (s *server) GetHttpSettings(context.Context, api.GetHttpSettingsRequestObject) (api.GetHttpSettingsResponseObject, error) {
	h, o := s.Network.HTTP(), object{}
	o.add("userAgent", set(h.UserAgent))
	o.add("timeout", h.Timeout)
	o.add("retries", h.Retries)
	o.add("nonProxyHosts", append([]string{}, h.NonProxyHosts...))
	o.add("httpProxy", showProxy(h.HTTPProxy))
	o.add("httpsProxy", showProxy(h.HTTPSProxy))
	raw, err := o.close()
	return api.GetHttpSettings200JSONResponse{RawMessage: raw}, err
}

// proxyAttributes is an outbound proxy as the API shows it. The password has no field.
type proxyAttributes struct {
	Enabled  bool             `json:"enabled"`
	Host     *string          `json:"host"`
	Port     *string          `json:"port"`
	AuthInfo *loginAttributes `json:"authInfo"`
}

type loginAttributes struct {
	Enabled    bool    `json:"enabled"`
	Username   *string `json:"username"`
	NTLMHost   *string `json:"ntlmHost"`
	NTLMDomain *string `json:"ntlmDomain"`
}

func showProxy(p network.Proxy) proxyAttributes {
	shown := proxyAttributes{Enabled: p.Enabled, Host: set(p.Host)}
	if p.Port != 0 {
		shown.Port = set(strconv.Itoa(p.Port))
	}
	if l := p.Login; l != nil {
		shown.AuthInfo = &loginAttributes{Enabled: l.Enabled, Username: set(l.Username)}
	}
	return shown
}

// ResetHttpSettings is the generated operation.
func (s *server) ResetHttpSettings(ctx context.Context, _ api.ResetHttpSettingsRequestObject) (api.ResetHttpSettingsResponseObject, error) {
	return api.ResetHttpSettings204Response{}, s.Network.SetHTTP(ctx, network.HTTP{})
}

// GetOutboundAddresses is the generated operation.
func (s *server) GetOutboundAddresses(context.Context, api.GetOutboundAddressesRequestObject) (api.GetOutboundAddressesResponseObject, error) {
	return api.GetOutboundAddresses200JSONResponse(showAddresses(s.Network.Addresses())), nil
}

// UpdateOutboundAddresses is the generated operation.
func (s *server) UpdateOutboundAddresses(ctx context.Context, r api.UpdateOutboundAddressesRequestObject) (api.UpdateOutboundAddressesResponseObject, error) {
	a := network.Addresses{DenyPrivate: or(r.Body.DenyPrivate, false), Allow: or(r.Body.Allow, nil), Deny: or(r.Body.Deny, nil)}
	return api.UpdateOutboundAddresses200JSONResponse(showAddresses(a)), s.Network.SetAddresses(ctx, a)
}

func showAddresses(a network.Addresses) api.OutboundAddresses {
	return api.OutboundAddresses{DenyPrivate: a.DenyPrivate, Allow: append([]string{}, a.Allow...), Deny: append([]string{}, a.Deny...)}
}

// GetTrustStoreCertificates is the generated operation.
func (s *server) GetTrustStoreCertificates(context.Context, api.GetTrustStoreCertificatesRequestObject) (api.GetTrustStoreCertificatesResponseObject, error) {
	answer := api.GetTrustStoreCertificates200JSONResponse{}
	for _, c := range s.Network.Certificates() {
		answer = append(answer, showCertificate(c))
	}
	return answer, nil
}

// AddCertificate is the generated operation.
func (s *server) AddCertificate(ctx context.Context, r api.AddCertificateRequestObject) (api.AddCertificateResponseObject, error) {
	pem, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, errs.Wrap(errs.TooLarge, err, "the body has more than %d bytes", maxBody)
	}
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the body can't be read")
	}
	// Clients send PEM with any content type, and some send a JSON string.
	var text string
	if json.Unmarshal(pem, &text) == nil {
		pem = []byte(text)
	}
	c, err := s.Network.Trust(ctx, pem)
	if err != nil {
		return nil, err
	}
	return api.AddCertificate201JSONResponse(showCertificate(c)), nil
}

// RemoveCertificate is the generated operation.
func (s *server) RemoveCertificate(ctx context.Context, r api.RemoveCertificateRequestObject) (api.RemoveCertificateResponseObject, error) {
	return api.RemoveCertificate204Response{}, s.Network.Distrust(ctx, r.Id)
}

// defaultTLSPort is where a server's certificate is asked for unless the request says otherwise.
const defaultTLSPort = 443

// GetCertificate is the generated operation.
func (s *server) GetCertificate(ctx context.Context, r api.GetCertificateRequestObject) (api.GetCertificateResponseObject, error) {
	c, err := s.Network.Look(ctx, r.Params.Host, or(r.Params.Port, defaultTLSPort))
	var failed *remote.Error
	if errors.As(err, &failed) {
		return nil, sentence{http.StatusBadRequest, "A certificate could not be retrieved: " + failed.Error()}
	}
	if err != nil {
		return nil, err
	}
	return api.GetCertificate200JSONResponse(showCertificate(c)), nil
}

func showCertificate(c *x509.Certificate) api.ApiCertificate {
	id := network.Fingerprint(c)
	return api.ApiCertificate{
		Id: id, Fingerprint: id, SerialNumber: c.SerialNumber.String(), Pem: network.PEM(c),
		IssuerCommonName: set(c.Issuer.CommonName), IssuerOrganization: one(c.Issuer.Organization), IssuerOrganizationalUnit: one(c.Issuer.OrganizationalUnit),
		SubjectCommonName: set(c.Subject.CommonName), SubjectOrganization: one(c.Subject.Organization), SubjectOrganizationalUnit: one(c.Subject.OrganizationalUnit),
		IssuedOn: c.NotBefore.UnixMilli(), ExpiresOn: c.NotAfter.UnixMilli(),
	}
}

// one is the first; nil for none.
func one(list []string) *string {
	if len(list) == 0 {
		return nil
	}
	return set(list[0])
}
