// Package api is the REST API: its description, openapi.yaml, and the server code that is generated from it.
//
// To change the API, change openapi.yaml and run go generate. Beside the standard fields the description has these:
// x-permission of an operation is the permission that a caller needs for it, where {format}, {repositoryName} and {name}
// stand for the repository at hand; x-permission-own is the one that is enough for the caller's own account; x-raw-body
// says that the body is not looked at before the operation does; x-message of a schema is what a client is told when a string doesn't match the pattern.
package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:generate go run -modfile=../tools/oapi-codegen/go.mod github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen -config oapi-codegen.yaml openapi.yaml

// Base is the path that all paths of the description are below, but for those that start with Own.
const Base = "/service/rest"

// Own is what the paths start with that Nexus has no counterpart of: those are as they are in the description.
const Own = "/api/"

// Path is where a path of the description is on the server.
func Path(described string) string {
	if strings.HasPrefix(described, Own) {
		return described
	}
	return Base + described
}

//go:embed openapi.yaml
var description string

// YAML returns the description as it was written.
func YAML() []byte { return []byte(description) }

// Load returns the description, checked.
func Load(ctx context.Context) (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData([]byte(description))
	if err != nil {
		return nil, fmt.Errorf("parse the API's description: %w", err)
	}
	if err := doc.Validate(ctx); err != nil {
		return nil, fmt.Errorf("check the API's description: %w", err)
	}
	return doc, nil
}

// Object is a JSON object that was marshalled elsewhere.
type Object struct{ json.RawMessage }
