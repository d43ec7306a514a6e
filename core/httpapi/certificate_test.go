package httpapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate writes a self-signed certificate for 127.0.0.1 and its key.
func writeCertificate(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// subject tells whose certificate a server shows.
func subject(t *testing.T, addr net.Addr) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := writeCertificate(t, dir, "first")
	log := slog.New(slog.DiscardHandler)
	certificate, err := LoadCertificate(cert, key, log)
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewListener("127.0.0.1:0", certificate, Limits{}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Shutdown(t.Context())
	addr, err := l.Main("127.0.0.1:0", true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	resp, err := client.Get("https://" + addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "HTTP/1.1" {
		t.Errorf("answer: %q, %v", b, err)
	}
	if got := subject(t, addr); got != "first" {
		t.Errorf("certificate of %q", got)
	}

	certificate.mu.Lock()
	certificate.checked = time.Time{}
	certificate.mu.Unlock()
	writeCertificate(t, dir, "second")
	if got := subject(t, addr); got != "second" {
		t.Errorf("after the files changed, certificate of %q", got)
	}
	certificate.mu.Lock()
	certificate.checked = time.Time{}
	certificate.mu.Unlock()
	if err := os.WriteFile(cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := subject(t, addr); got != "second" {
		t.Errorf("with a broken file, certificate of %q", got)
	}
}

func TestNoCertificate(t *testing.T) {
	l, err := NewListener("127.0.0.1:0", nil, Limits{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Listen(1, true, nil); err == nil || !strings.Contains(err.Error(), "tls.certificate") {
		t.Errorf("an HTTPS port without a certificate: %v", err)
	}
	if _, err := LoadCertificate(filepath.Join(t.TempDir(), "none"), "none", nil); err == nil {
		t.Error("a certificate that isn't there was read")
	}
}
