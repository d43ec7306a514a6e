package raw

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// Settings are the "raw" object of a repository's configuration, as Nexus has it.
type Settings struct {
	ContentDisposition Disposition `json:"contentDisposition"`
	// Forward and Excluded are for proxies: whether the query of a request is sent on, and which parameters of it are not. They are nil
	// when they were not set.
	Forward  *bool    `json:"forwardQueryParameters,omitempty"`
	Excluded []string `json:"excludedQueryParameters,omitempty"`
}

// Disposition tells browsers whether to show a file or to save it (RFC 6266).
type Disposition string

// The dispositions.
const (
	Attachment Disposition = "ATTACHMENT"
	Inline     Disposition = "INLINE"
)

// Settings parses and checks a repository's "raw" object. The value is a Settings.
func (raw) Settings(own json.RawMessage) (any, format.Access, error) {
	s := Settings{}
	if len(bytes.TrimSpace(own)) > 0 {
		if err := json.Unmarshal(own, &s); err != nil {
			return nil, format.Access{}, errs.Field("raw", "raw must be an object as it is described")
		}
	}
	if err := checkExcluded(s.Excluded); err != nil {
		return nil, format.Access{}, err
	}
	switch s.ContentDisposition = Disposition(strings.ToUpper(string(s.ContentDisposition))); s.ContentDisposition {
	case "":
		s.ContentDisposition = Attachment
	case Attachment, Inline:
	default:
		return nil, format.Access{}, errs.Field("raw.contentDisposition", "contentDisposition must be ATTACHMENT or INLINE, not %.20q", s.ContentDisposition)
	}
	return s, format.Access{}, nil
}

// Headers tells browsers what to do with a file.
func (raw) Headers(h http.Header, repo format.Repository, _ format.Entry, _ format.Route, _ content.Asset, status int) {
	if s, ok := repo.Settings.(Settings); ok && status == http.StatusOK {
		h.Set("Content-Disposition", strings.ToLower(string(s.ContentDisposition)))
	}
}
