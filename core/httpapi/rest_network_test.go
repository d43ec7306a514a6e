package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/repomgr/repomgr/api"
)

// outbound is an HTTP proxy that brings requests for all names to one server.
type outbound struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

// newOutbound starts one that asks for the credentials, if they are not empty.
func newOutbound(t *testing.T, to, credentials string) *outbound {
	o := &outbound{}
	want := ""
	if credentials != "" {
		want = "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
	}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.seen = append(o.seen, r.Method+" "+r.Host)
		o.mu.Unlock()
		switch {
		case r.Header.Get("Proxy-Authorization") != want:
			w.WriteHeader(http.StatusProxyAuthRequired)
		case r.Method == http.MethodConnect:
			tunnel(w, to)
		default:
			fmt.Fprintf(w, "proxied %s", r.URL.Path)
		}
	}))
	t.Cleanup(o.Close)
	return o
}

// newSecure starts a TLS server with a certificate of its own.
func newSecure(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func tunnel(w http.ResponseWriter, to string) {
	far, err := net.Dial("tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusOK)
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		far.Close()
		return
	}
	go func() { defer far.Close(); _, _ = io.Copy(far, buffered) }()
	go func() { defer near.Close(); _, _ = io.Copy(near, far) }()
}

// take is what it saw since the last call.
func (o *outbound) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := strings.Join(o.seen, ", ")
	o.seen = nil
	return seen
}

func (o *outbound) host() (host, port string) {
	host, port, _ = net.SplitHostPort(strings.TrimPrefix(o.URL, "http://"))
	return host, port
}

// proxyOf is the body of a proxy of a URL.
func proxyOf(name, url, client string) string {
	return (&origin{Server: &httptest.Server{URL: url}}).rawProxy(name, "", client)
}

func TestHTTPSettings(t *testing.T) {
	w, up := newWired(t), newOrigin(t)
	secure := newSecure(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("User-Agent")) })
	out := newOutbound(t, strings.TrimPrefix(secure.URL, "https://"), "user:hush")
	host, port := out.host()
	const path, defaults = "/v1/http", `{"userAgent":null,"timeout":null,"retries":null,"nonProxyHosts":[],` +
		`"httpProxy":{"enabled":false,"host":null,"port":null,"authInfo":null},"httpsProxy":{"enabled":false,"host":null,"port":null,"authInfo":null}}`
	w.want(t, 200, defaults, "GET", path, "")
	w.want(t, 204, "", "PUT", path, w.in(t).do(admin, "GET", path, "").body)
	w.want(t, 200, defaults, "GET", path, "")
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy", up.rawProxy("near", "", quick))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy", proxyOf("far", "http://far.example", `{"connection":{"retries":0},"autoBlock":false}`))
	w.want(t, 200, "at /1", "GET", "/repository/near/1", "")
	up.seen()

	proxy := func(password string) string {
		return fmt.Sprintf(`{"enabled":true,"host":%q,"port":%q,"authInfo":{"enabled":true,"username":"user"%s}}`, host, port, password)
	}
	body := func(password, rest string) string { return `{"httpProxy":` + proxy(password) + rest + `}` }
	shown := fmt.Sprintf(`{"userAgent":"x/1","timeout":7,"retries":0,"nonProxyHosts":["127.0.0.*"],`+
		`"httpProxy":{"enabled":true,"host":%q,"port":%q,"authInfo":{"enabled":true,"username":"user","ntlmHost":null,"ntlmDomain":null}},`+
		`"httpsProxy":{"enabled":false,"host":null,"port":null,"authInfo":null}}`, host, port)
	w.want(t, 204, "", "PUT", path, body(`,"password":"hush"`, `,"userAgent":"x/1","timeout":7,"retries":0,"nonProxyHosts":["127.0.0.*"]`))
	w.want(t, 200, shown, "GET", path, "")
	if got := w.in(t).do(admin, "GET", path, "").body; strings.Contains(got, "hush") {
		t.Errorf("the password is shown: %s", got)
	}
	saw := func(want string) {
		t.Helper()
		if got := out.take(); got != want {
			t.Errorf("the outbound proxy saw %q, not %q", got, want)
		}
	}
	w.want(t, 200, "proxied /a", "GET", "/repository/far/a", "")
	saw("GET far.example")
	w.want(t, 200, "at /2", "GET", "/repository/near/2", "")
	saw("")

	// Without a password the one that is there stays, for the same user and host only.
	w.want(t, 204, "", "PUT", path, body("", ""))
	w.want(t, 200, "proxied /b", "GET", "/repository/far/b", "")
	saw("GET far.example")
	w.restart(t)
	w.want(t, 200, "proxied /c", "GET", "/repository/far/c", "")
	w.want(t, 200, "proxied /3", "GET", "/repository/near/3", "")
	saw("GET far.example, GET " + strings.TrimPrefix(up.URL, "http://"))
	without := func(file string) {
		t.Helper()
		if got := w.in(t).do(admin, "GET", "/repository/far"+file, ""); got.StatusCode != 502 && got.StatusCode != 503 {
			t.Errorf("without a password: %d %s", got.StatusCode, got.body)
		}
	}
	w.want(t, 204, "", "PUT", path, strings.Replace(body("", ""), host, "localhost", 1))
	without("/e")
	w.want(t, 204, "", "PUT", path, body(`,"password":"hush"`, ""))
	w.want(t, 200, "proxied /f", "GET", "/repository/far/f", "")
	w.want(t, 204, "", "PUT", path, strings.Replace(body("", ""), `"user"`, `"other"`, 1))
	without("/d")
	if got := w.in(t).do(admin, "GET", "/api/v1/repositories/far/upstream", "").body; !strings.Contains(got, "does not accept the credentials") {
		t.Errorf("the state says nothing of the outbound proxy: %s", got)
	}
	out.take()

	// https is brought there by CONNECT, with the default for the agent.
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	w.want(t, 201, "", "POST", "/v1/security/ssl/truststore", certificate)
	const trusting = `{"connection":{"retries":0,"useTrustStore":true%s}}`
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy", proxyOf("secure", "https://example.com", fmt.Sprintf(trusting, "")))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy", proxyOf("own", "https://example.com", fmt.Sprintf(trusting, `,"userAgentSuffix":"own/2"`)))
	w.want(t, 204, "", "PUT", path, `{"httpsProxy":`+proxy(`,"password":"hush"`)+`,"userAgent":"x/1"}`)
	for repo, suffix := range map[string]string{"secure": " x/1", "own": " own/2"} {
		if got := w.in(t).do(admin, "GET", "/repository/"+repo+"/agent", ""); got.StatusCode != 200 || !strings.HasSuffix(got.body, suffix) {
			t.Errorf("agent of %s: %d %s", repo, got.StatusCode, got.body)
		}
	}
	saw("CONNECT example.com:443, CONNECT example.com:443")
	w.want(t, 204, "", "DELETE", path, "")
	w.want(t, 200, defaults, "GET", path, "")
	w.want(t, 200, "at /4", "GET", "/repository/near/4", "")
	saw("")
}

func TestHTTPSettingsRefused(t *testing.T) {
	w := newWired(t)
	tests := []struct{ name, body, field string }{
		{"timeout", `{"timeout":0}`, "timeout"},
		{"retries", `{"retries":11}`, "retries"},
		{"agent", `{"userAgent":"a\nb"}`, "userAgent"},
		{"hosts", `{"nonProxyHosts":["a b"]}`, "nonProxyHosts"},
		{"no host", `{"httpProxy":{"enabled":true,"port":"1"}}`, "httpProxy.host"},
		{"no port", `{"httpsProxy":{"enabled":true,"host":"h"}}`, "httpsProxy.port"},
		{"port", `{"httpProxy":{"enabled":true,"host":"h","port":"x"}}`, "httpProxy.port"},
		{"port, a number", `{"httpProxy":{"enabled":true,"host":"h","port":70000}}`, "httpProxy.port"},
		{"password", `{"httpProxy":{"host":"h","port":1,"authInfo":{"enabled":false,"username":"u","password":"a\nb"}}}`, "httpProxy.authInfo.password"},
		{"no user", `{"httpProxy":{"enabled":true,"host":"h","port":1,"authInfo":{"enabled":true,"password":"p"}}}`, "httpProxy.authInfo.username"},
		{"NTLM", `{"httpProxy":{"enabled":true,"host":"h","port":1,"authInfo":{"enabled":true,"username":"u","ntlmDomain":"d"}}}`, "httpProxy.authInfo.ntlmHost"},
		{"type", `{"nonProxyHosts":"h"}`, "nonProxyHosts"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := w.in(t).do(admin, "PUT", "/v1/http", tt.body)
			var bad []violation
			if err := json.Unmarshal([]byte(got.body), &bad); err != nil || got.StatusCode != 400 || len(bad) != 1 || bad[0].ID != tt.field {
				t.Errorf("status %d, %s; want the field %s", got.StatusCode, got.body, tt.field)
			}
		})
	}
	for _, call := range []string{"GET /v1/http", "PUT /v1/http", "DELETE /v1/http", "GET /api/v1/outbound-addresses", "PUT /api/v1/outbound-addresses",
		"GET /v1/security/ssl?host=h", "GET /v1/security/ssl/truststore", "POST /v1/security/ssl/truststore", "DELETE /v1/security/ssl/truststore/a"} {
		method, path, _ := strings.Cut(call, " ")
		for user, status := range map[string]int{contributor: 403, powerless: 403, anonymously: 401} {
			if got := w.in(t).do(user, method, path, ""); got.StatusCode != status {
				t.Errorf("%s, user %q: status %d, not %d", call, user, got.StatusCode, status)
			}
		}
	}
}

func TestTrustStore(t *testing.T) {
	w := newWired(t)
	secure := newSecure(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "at "+r.URL.Path) })
	const path = "/v1/security/ssl/truststore"
	w.want(t, 200, "[]", "GET", path, "")
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy", proxyOf("tls", secure.URL, `{"autoBlock":false,"connection":{"retries":0,"useTrustStore":true}}`))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy", proxyOf("strict", secure.URL, `{"autoBlock":false,"connection":{"retries":0}}`))
	w.want(t, 400, `[{"id":"httpClient.connection.useTrustStore","message":"the trust store can be used with an https remote URL only"}]`, "POST",
		"/v1/repositories/raw/proxy", proxyOf("plain", "http://example.com", `{"connection":{"useTrustStore":true}}`))
	fails := func(repo, file string) {
		t.Helper()
		if got := w.in(t).do(admin, "GET", "/repository/"+repo+file, ""); got.StatusCode != 502 && got.StatusCode != 503 {
			t.Errorf("an upstream that is not trusted: %d %s", got.StatusCode, got.body)
		}
	}
	fails("tls", "/a")

	u, _ := url.Parse(secure.URL)
	got := w.want(t, 200, "", "GET", "/v1/security/ssl?host="+u.Hostname()+"&port="+u.Port(), "")
	var shown api.ApiCertificate
	must(json.Unmarshal([]byte(got.body), &shown))
	if block, _ := pem.Decode([]byte(shown.Pem)); block == nil || string(block.Bytes) != string(secure.Certificate().Raw) || *shown.SubjectOrganization != "Acme Co" {
		t.Errorf("the certificate that it shows: %s", got.body)
	}
	asJSON, _ := json.Marshal(shown.Pem)
	for i, send := range []struct{ contentType, body string }{
		{"application/json", shown.Pem}, {"application/json", string(asJSON)}, {"text/plain", shown.Pem}, {"application/x-pem-file", "# comment\n" + shown.Pem}, {"", shown.Pem},
	} {
		added := w.in(t).do(admin, "POST", path, send.body, "Content-Type", send.contentType)
		if want := map[bool]int{true: 201, false: 409}[i%2 == 0]; added.StatusCode != want {
			t.Errorf("add as %q: status %d, not %d: %s", send.contentType, added.StatusCode, want, added.body)
		}
		if i%2 == 0 && added.body != got.body {
			t.Errorf("added %s, not %s", added.body, got.body)
		}
		if i%2 == 1 {
			w.want(t, 204, "", "DELETE", path+"/"+strings.ToLower(shown.Id), "")
		}
	}
	w.want(t, 200, "["+strings.TrimSpace(got.body)+"]", "GET", path, "")
	w.want(t, 200, "at /b", "GET", "/repository/tls/b", "")
	fails("strict", "/b")
	w.restart(t)
	w.want(t, 200, "at /c", "GET", "/repository/tls/c", "")
	w.want(t, 204, "", "DELETE", path+"/"+url.PathEscape(shown.Id), "")
	fails("tls", "/d") // also by the connection that is open
	w.want(t, 404, "", "DELETE", path+"/"+shown.Id, "")

	for _, body := range []string{"", "x", `"x"`, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if got := w.in(t).do(admin, "POST", path, body); got.StatusCode != 400 || !strings.HasPrefix(got.body, `[{"id":"*"`) {
			t.Errorf("add %q: %d %s", body, got.StatusCode, got.body)
		}
	}
	if got := w.in(t).do(admin, "POST", path, strings.Repeat("x", 1<<20+1)); got.StatusCode != 413 {
		t.Errorf("too much: %d", got.StatusCode)
	}
}

func TestRemoteCertificateRefused(t *testing.T) {
	w, plain := newWired(t), newOrigin(t)
	u, _ := url.Parse(plain.URL)
	tests := []struct{ name, query, want string }{
		{"metadata", "host=169.254.169.254", "not allowed"},
		{"no TLS", "host=127.0.0.1&port=" + u.Port(), "TLS"},
		{"not a host", "host=a/b", "neither a name nor an address"},
		{"nobody", "host=127.0.0.1&port=1", "unreachable"},
		{"no host", "", "host"},
		{"port", "host=h&port=0", "port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := w.in(t).do(admin, "GET", "/v1/security/ssl?"+tt.query, ""); got.StatusCode != 400 || !strings.Contains(got.body, tt.want) {
				t.Errorf("status %d, %s; want %q", got.StatusCode, got.body, tt.want)
			}
		})
	}
}

func TestOutboundAddresses(t *testing.T) {
	w, up := newWired(t), newOrigin(t)
	const path = "/api/v1/outbound-addresses"
	w.want(t, 200, `{"allow":[],"deny":[],"denyPrivate":false}`, "GET", path, "")
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy", up.rawProxy("near", "", quick))
	w.want(t, 200, "at /1", "GET", "/repository/near/1", "")
	up.status.Store(404)
	w.want(t, 404, "", "GET", "/repository/near/none", "")
	up.status.Store(200)
	up.seen()
	refused := func(file string) {
		t.Helper()
		got := w.in(t).do(admin, "GET", "/repository/near/"+file, "")
		if got.StatusCode < 500 || up.seen() != 0 {
			t.Errorf("an address that is denied: %d %s", got.StatusCode, got.body)
		}
	}
	w.want(t, 200, `{"allow":[],"deny":[],"denyPrivate":true}`, "PUT", path, `{"denyPrivate":true}`)
	refused("2") // also by the connection that is open
	w.want(t, 404, "", "GET", "/repository/near/none", "")
	w.restart(t)
	refused("3")
	w.want(t, 200, `{"allow":["127.0.0.0/8"],"deny":[],"denyPrivate":true}`, "PUT", path, `{"denyPrivate":true,"allow":["127.0.0.0/8"]}`)
	w.want(t, 200, "at /4", "GET", "/repository/near/4", "")
	up.seen()
	w.want(t, 200, "", "PUT", path, `{"allow":["127.0.0.0/8"],"deny":["127.0.0.1"]}`)
	refused("5")
	wrong := w.want(t, 400, "", "PUT", path, `{"deny":["x"]}`)
	const detail = `"x" is neither an address nor a network such as 10.0.0.0/8`
	var p problem
	must(json.Unmarshal([]byte(wrong.body), &p))
	if want := (problem{"Bad Request", 400, detail, wrong.Header.Get("X-Siesta-FaultId"), []problemField{{"#/deny", detail}}}); !reflect.DeepEqual(p, want) {
		t.Errorf("problem %+v, want %+v", p, want)
	}
	w.want(t, 400, "", "PUT", path, `{"deny":{}}`)
	w.want(t, 400, "", "PUT", path, `{`)
	if got := w.in(t).do(admin, "PUT", path, "x", "Content-Type", "text/plain"); got.StatusCode != 415 {
		t.Errorf("another content type: %d %s", got.StatusCode, got.body)
	}
	w.want(t, 200, `{"allow":["127.0.0.0/8"],"deny":["127.0.0.1"],"denyPrivate":false}`, "GET", path, "")
	w.want(t, 200, "", "PUT", path, `{}`)
	w.want(t, 200, "at /6", "GET", "/repository/near/6", "")
}
