package httpapi

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/errs"
)

// maxBody is the most bytes that the body of a request to the REST API may have.
const maxBody = 1 << 20

// validate checks the request against the API's description. It reads the body, and puts it back into r.
func validate(op operation, w http.ResponseWriter, r *http.Request, params map[string]string) error {
	if r.ContentLength > maxBody {
		return errs.New(errs.TooLarge, "the body has more than %d bytes", maxBody)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request:    r,
		PathParams: params,
		Route:      &routers.Route{Spec: op.doc, Path: op.path, PathItem: op.item, Method: op.method, Operation: op.Operation},
		Options: &openapi3filter.Options{
			MultiError:          true,
			SkipSettingDefaults: true,
			ExcludeRequestBody:  api.RawBody(op.Operation),
			AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc,
		},
	})
	if err == nil {
		return nil
	}
	return violations(err)
}

// violations is what the validator found, in the words of this package.
func violations(err error) error {
	var found invalid
	if e := collect(err, "", &found); e != nil {
		return e
	}
	slices.SortFunc(found, func(a, b violation) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Message, b.Message)) })
	return slices.Compact(found)
}

// collect adds to found what is wrong with the fields. It returns an error when something else is wrong with the request.
func collect(err error, field string, found *invalid) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errs.Wrap(errs.TooLarge, err, "the body has more than %d bytes", maxBody)
	}
	switch e := err.(type) { //nolint:errorlint // the layers of the validator's error are taken off one by one
	case openapi3.MultiError:
		for _, one := range e {
			if err := collect(one, field, found); err != nil {
				return err
			}
		}
	case *openapi3filter.RequestError:
		return collectRequest(e, found)
	case *openapi3.SchemaError:
		found.add(strings.Join(append(slices.DeleteFunc([]string{field}, isEmpty), e.JSONPointer()...), "."), explain(e))
	default:
		found.add(field, err.Error())
	}
	return nil
}

func isEmpty(s string) bool { return s == "" }

func collectRequest(e *openapi3filter.RequestError, found *invalid) error {
	field := ""
	if e.Parameter != nil {
		field = e.Parameter.Name
	}
	var parse *openapi3filter.ParseError
	switch {
	case strings.HasPrefix(e.Reason, "header Content-Type"):
		return errs.Wrap(errs.UnsupportedMediaType, e, "unsupported content type")
	case errors.Is(e, openapi3filter.ErrInvalidRequired) && field == "":
		found.add("", "the request body must not be empty")
	case errors.As(e, &parse):
		found.add(field, "malformed: "+parse.RootCause().Error())
	case e.Err != nil:
		return collect(e.Err, field, found)
	default:
		found.add(field, e.Reason)
	}
	return nil
}

// explain says what is wrong with a value.
func explain(e *openapi3.SchemaError) string {
	switch e.SchemaField {
	case "required", "nullable":
		return "must not be null"
	case "minLength", "minItems":
		return "must not be empty"
	case "pattern":
		if m := api.Message(e.Schema); m != "" {
			return m
		}
	}
	return e.Reason
}
