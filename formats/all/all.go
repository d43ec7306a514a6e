// Package all lists the formats of the server.
package all

import (
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/formats/docker"
	"github.com/repomgr/repomgr/formats/raw"
)

// Formats returns all formats, in the order in which they are shown.
func Formats() []format.Format { return []format.Format{docker.New(), raw.New()} }
