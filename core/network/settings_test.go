package network

import (
	"bytes"
	"crypto/x509"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/secret"
	"github.com/repomgr/repomgr/core/store"
)

func key(t testing.TB, b byte) *secret.Key {
	t.Helper()
	k, err := secret.NewKey(bytes.Repeat([]byte{b}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func load(t *testing.T, text string, k *secret.Key) HTTP {
	t.Helper()
	s, err := decode(store.Area{Settings: map[string]string{keyHTTP: text}}, k)
	if err != nil {
		t.Fatal(err)
	}
	return s.http
}

// TestLostPassword: a password whose key is missing is not known, and is still there when the key is back.
func TestLostPassword(t *testing.T) {
	h := HTTP{HTTPSProxy: Proxy{Enabled: true, Host: "h", Port: 1, Login: &Login{Enabled: true, Username: "u", Password: "hush"}}}
	text, err := h.encode(key(t, 1))
	if err != nil || strings.Contains(text, "hush") || h.HTTPSProxy.Login.Password != "hush" {
		t.Fatalf("encoded: %s, %v; what was encoded is %+v", text, err, h.HTTPSProxy.Login)
	}
	lost := load(t, text, key(t, 2))
	if o := lost.HTTPSProxy.outbound(); o.Lost == nil || o.Password != "" {
		t.Errorf("with another key: %+v", o)
	}
	next := HTTP{HTTPSProxy: Proxy{Enabled: true, Host: "H", Port: 2, Login: &Login{Enabled: true, Username: "u"}}}
	next.HTTPSProxy.keep(lost.HTTPSProxy)
	if text, err = next.encode(key(t, 2)); err != nil {
		t.Fatal(err)
	}
	if o := load(t, text, key(t, 1)).HTTPSProxy.outbound(); o.Lost != nil || o.Password != "hush" || o.Port != 2 {
		t.Errorf("with the key again: %+v", o)
	}
	// One proxy's password is not the other's.
	if o := load(t, strings.NewReplacer("httpsProxy", "httpProxy", "httpProxy", "httpsProxy").Replace(text), key(t, 1)).HTTPProxy.outbound(); o == nil || o.Lost == nil {
		t.Errorf("moved: %+v", o)
	}
}

func certificate(t testing.TB) *x509.Certificate {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return s.Certificate()
}

func TestParse(t *testing.T) {
	one := PEM(certificate(t))
	tests := []struct {
		name, text string
		n          int // zero is an error
	}{
		{"one", one, 1},
		{"two, and words around", "subject=x\n" + one + "\nissuer=y\n" + one, 2},
		{"line ends of Windows", strings.ReplaceAll(one, "\n", "\r\n"), 1},
		{"without an end", strings.TrimSpace(one), 1},
		{"nothing", " \n", 0},
		{"no PEM", "hello", 0},
		{"a key", strings.ReplaceAll(one, "CERTIFICATE", "PRIVATE KEY"), 0},
		{"no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0},
		{"cut off", one[:len(one)/2], 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, err := parse([]byte(tt.text))
			if len(all) != tt.n || (tt.n == 0) != errs.Is(err, errs.Invalid) {
				t.Errorf("%d certificates, %v", len(all), err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	one := PEM(certificate(f))
	f.Add([]byte(one))
	f.Add([]byte("x" + one + one))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parse(text)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		again, err := parse(encode(all))
		if err != nil || len(again) != len(all) {
			t.Fatalf("%d certificates, then %d, %v", len(all), len(again), err)
		}
		for i := range all {
			if !all[i].Equal(again[i]) || find(all, Fingerprint(all[i])) < 0 {
				t.Errorf("certificate %d changes", i)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	k := key(f, 1)
	text, err := HTTP{HTTPProxy: Proxy{Host: "h", Login: &Login{Password: "hush"}}}.encode(k)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, `{"allow":["10.0.0.0/8"]}`, "")
	f.Fuzz(func(_ *testing.T, http, addresses, certificates string) {
		a := store.Area{Settings: map[string]string{keyHTTP: http, keyAddresses: addresses, keyCertificates: certificates}}
		if s, err := decode(a, k); err == nil {
			s.http.HTTPProxy.outbound()
			_, _ = s.http.encode(k)
		}
	})
}
