// Package ui is what people see of the server in a browser.
package ui

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
)

//go:embed index.html
var indexHTML string

//go:embed index.css
var indexCSS string

// Page is what the start page tells one caller.
type Page struct {
	// Version is the server's.
	Version string
	// API and Login are the paths of the API's reference and of the place that asks for credentials.
	API, Login string
	// User is who signed in; empty for anonymous callers.
	User string
	// Ports are the addresses, host:port, of connectors, for callers who have not signed in: where they can.
	Ports []string
	// Repositories are those that the caller may browse.
	Repositories []Repository
}

// Repository is one on the start page.
type Repository struct {
	Name, Format, Type, URL string
	Online                  bool
	// Entrances are the ways into the repository beside its URL.
	Entrances []Entrance
}

// Entrance is a way into a repository.
type Entrance struct {
	// Address is what clients write before a name.
	Address string
	// Commands are lines of shell that show how to use it; empty when there are none.
	Commands string
}

// Handler serves the start page, with what page says of the request. It needs no scripts and nothing from elsewhere.
func Handler(page func(*http.Request) Page) http.Handler {
	index := template.Must(template.New("index").Parse(indexHTML))
	sum := sha256.Sum256([]byte(indexCSS))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var out bytes.Buffer
		err := index.Execute(&out, struct {
			Page
			Style template.CSS
		}{page(r), template.CSS(indexCSS)})
		if err != nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		// what is shown depends on who asks
		h.Set("Cache-Control", "no-store")
		// the client may be gone
		_, _ = w.Write(out.Bytes())
	})
}
