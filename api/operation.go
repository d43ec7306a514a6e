package api

import "github.com/getkin/kin-openapi/openapi3"

// Open tells whether the operation needs no credentials.
func Open(op *openapi3.Operation) bool { return op.Security != nil && len(*op.Security) == 0 }

// Permission is the permission that a caller of the operation needs, with its placeholders; empty when there is none.
func Permission(op *openapi3.Operation) string { return extension(op.Extensions, "x-permission") }

// OwnPermission is the permission that is enough for the caller's own account; empty when there is none.
func OwnPermission(op *openapi3.Operation) string {
	return extension(op.Extensions, "x-permission-own")
}

// RawBody tells whether the operation reads its body itself, whatever its content type is.
func RawBody(op *openapi3.Operation) bool { raw, _ := op.Extensions["x-raw-body"].(bool); return raw }

// Message is what a client is told whose string doesn't match the schema's pattern; empty when there is none.
func Message(s *openapi3.Schema) string { return extension(s.Extensions, "x-message") }

func extension(all map[string]any, key string) string {
	s, _ := all[key].(string)
	return s
}
