package testenv

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/bcrypt"
)

// RegistryOptions says how a docker-registry wants its clients to sign in. The zero value is one that lets everybody in.
type RegistryOptions struct {
	// User and Password are the only account; empty for none.
	User, Password string
	// Tokens makes it ask for tokens, of a server on another port, in place of Basic authentication.
	Tokens bool
}

// Registry is Debian's docker-registry, which is CNCF Distribution.
type Registry struct {
	// Host is where it listens, "127.0.0.1:port".
	Host string
	// Open is where the same images are to be had, and put, without signing in: for clients that can't sign in at Host. Without an
	// account it is Host.
	Open string
	// stops stop its processes.
	stops []func()
}

// StartRegistry starts a docker-registry with no images. It ends with the test, or by Stop.
func StartRegistry(t testing.TB, options RegistryOptions) *Registry {
	t.Helper()
	program, dir := Tool(t, "docker-registry"), t.TempDir()
	r := &Registry{}
	t.Cleanup(r.Stop)
	r.Open = r.run(t, program, dir, "")
	r.Host = r.Open
	switch {
	case options.User == "":
		return r
	case options.Tokens:
		r.Host = r.run(t, program, dir, r.tokens(t, options))
	default:
		hash, err := bcrypt.GenerateFromPassword([]byte(options.Password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		accounts := filepath.Join(dir, "htpasswd")
		if err := os.WriteFile(accounts, []byte(options.User+":"+string(hash)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.Host = r.run(t, program, dir, fmt.Sprintf("auth: {htpasswd: {realm: registry, path: %q}}\n", accounts))
	}
	return r
}

// Stop ends the registry at once. It may be called again.
func (r *Registry) Stop() {
	for _, stop := range r.stops {
		stop()
	}
	r.stops = nil
}

// run starts a docker-registry on the directory's images, with the part of its configuration that is about signing in, and returns its
// address.
func (r *Registry) run(t testing.TB, program, dir, auth string) string {
	t.Helper()
	host := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	config := filepath.Join(dir, strings.ReplaceAll(host, ":", "-")+".yml")
	text := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http: {addr: %q}
%s`, filepath.Join(dir, "data"), host, auth)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "OTEL_TRACES_EXPORTER=none"}
	log := &output{}
	p, err := start(cmd, syscall.SIGKILL, log)
	if err != nil {
		t.Fatal(err)
	}
	r.stops = append(r.stops, func() { _ = p.stop(syscall.SIGKILL, time.Minute) })
	err = p.ready(time.Minute, func(ctx context.Context) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Fatalf("docker-registry: %v\n%s", err, log.tail())
	}
	return host
}

// tokens starts a token server as https://distribution.github.io/distribution/spec/auth/token/ has it, and returns the part of the
// registry's configuration that makes it known.
func (r *Registry) tokens(t testing.TB, options RegistryOptions) string {
	t.Helper()
	const service, issuer = "registry.test", "tokens.test"
	bundle, keyFile := Certificate(t, issuer)
	pair, err := tls.LoadX509KeyPair(bundle, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, password, ok := req.BasicAuth()
		if ok && (user != options.User || password != options.Password) || req.FormValue("service") != service {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		access := []map[string]any{} // who doesn't say who they are gets a token that is good for nothing
		for _, scope := range req.Form["scope"] {
			if parts := strings.SplitN(scope, ":", 3); ok && len(parts) == 3 {
				access = append(access, map[string]any{"type": parts[0], "name": parts[1], "actions": strings.Split(parts[2], ",")})
			}
		}
		now := time.Now().Unix()
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": issuer, "sub": user, "aud": service, "iat": now, "nbf": now - 10, "exp": now + 300, "jti": "1", "access": access,
		})
		token.Header["x5c"] = []string{base64.StdEncoding.EncodeToString(pair.Certificate[0])}
		text, err := token.SignedString(pair.PrivateKey)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"token": text, "expires_in": 300})
	}))
	r.stops = append(r.stops, server.Close)
	return fmt.Sprintf("auth: {token: {realm: %q, service: %s, issuer: %s, rootcertbundle: %q}}\n", server.URL+"/token", service, issuer, bundle)
}
