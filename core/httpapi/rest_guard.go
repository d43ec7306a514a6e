package httpapi

import (
	"net/http"
	"net/url"
	"regexp"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/security"
)

// operation is an operation of the API's description.
type operation struct {
	doc    *openapi3.T
	path   string
	item   *openapi3.PathItem
	method string
	*openapi3.Operation
}

// guard is what comes before every operation: who is it, is he allowed to, is the request well-formed, in this order, so
// that nobody's body is read who may not send one.
func (s *server) guard(op operation) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			principal, err := s.Security.Authenticate(r.Context(), r)
			if err != nil {
				return err
			}
			params, err := pathParams(c)
			if err != nil {
				return err
			}
			if err := s.authorise(op, principal, params); err != nil {
				return err
			}
			r = r.WithContext(withCall(r.Context(), call{principal, baseURL(r)}))
			if err := validate(op, c.Response(), r, params); err != nil {
				return err
			}
			c.SetRequest(r)
			return next(c)
		}
	}
}

// pathParams are the parameters in the path, unescaped.
func pathParams(c echo.Context) (map[string]string, error) {
	params := map[string]string{}
	for i, name := range c.ParamNames() {
		value, err := url.PathUnescape(c.ParamValues()[i])
		if err != nil {
			return nil, errs.Field(name, "invalid escape in the path")
		}
		params[name] = value
	}
	return params, nil
}

var (
	placeholder = regexp.MustCompile(`\{(\w+)\}`)
	// word is what can stand for a placeholder. A name with a character that means something in permissions names nothing.
	word = regexp.MustCompile(`^[\w.-]+$`)
)

// authorise refuses callers without the operation's permission. Where a part of the permission is only known later,
// because it is in the body or in the database, the operation itself has to check; then it refuses here only those anonymous
// callers who can't have it.
func (s *server) authorise(op operation, p security.Principal, params map[string]string) error {
	if api.Open(op.Operation) {
		return nil
	}
	if p.Anonymous && !s.Security.Guests() {
		return refusal(p)
	}
	if own := api.OwnPermission(op.Operation); own != "" && !p.Anonymous && params["userId"] == p.User && s.Security.Permitted(p, own) {
		return nil
	}
	known := true
	permission := placeholder.ReplaceAllStringFunc(api.Permission(op.Operation), func(name string) string {
		value, ok := params[name[1:len(name)-1]]
		if known = known && ok; !ok || !word.MatchString(value) {
			return "*"
		}
		return value
	})
	if !known && !(p.Anonymous && op.RequestBody != nil) {
		return nil
	}
	return s.require(p, permission)
}

// require refuses callers without the permission.
func (s *server) require(p security.Principal, permission string) error {
	if s.Security.Permitted(p, permission) {
		return nil
	}
	return refusal(p)
}

// refusal asks anonymous callers to sign in.
func refusal(p security.Principal) error {
	if p.Anonymous {
		return errs.New(errs.Unauthenticated, "%s", http.StatusText(http.StatusUnauthorized))
	}
	return errs.New(errs.Forbidden, "%s", http.StatusText(http.StatusForbidden))
}
