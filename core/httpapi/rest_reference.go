package httpapi

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/repomgr/repomgr/api"
)

// mountReference serves the API's description: as it is for programs, as a page for people. It needs no credentials.
func mountReference(e *echo.Echo, doc *openapi3.T) {
	// both are made when somebody asks for them, so that the server starts fast
	json := sync.OnceValues(doc.MarshalJSON)
	page := sync.OnceValues(func() (api.Reference, error) { return api.NewReference(doc) })
	r := router{e}
	r.GET(api.Base+"/swagger.json", func(c echo.Context) error {
		text, err := json()
		if err != nil {
			return fmt.Errorf("marshal the API's description: %w", err)
		}
		return c.JSONBlob(http.StatusOK, text)
	})
	r.GET(api.Base+"/swagger.yaml", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/yaml", api.YAML())
	})
	r.GET(api.Base+"/", func(c echo.Context) error {
		reference, err := page()
		if err != nil {
			return err
		}
		c.Response().Header().Set("Content-Security-Policy", reference.Policy)
		return c.HTMLBlob(http.StatusOK, reference.HTML)
	})
	for _, path := range []string{api.Base, "/swagger-ui", "/swagger-ui/"} {
		r.GET(path, func(c echo.Context) error { return c.Redirect(http.StatusFound, api.Base+"/") })
	}
}
