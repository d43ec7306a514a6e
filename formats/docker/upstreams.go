package docker

import (
	"errors"

	"github.com/repomgr/repomgr/core/errs"
)

// parseUpstreams is parseManifest for what an upstream server sent. Some call all manifests application/json or text/plain, and some
// store them under another type than their own: the bytes are right all the same, and clients decide by what the bytes say.
func parseUpstreams(body []byte, contentType string) (manifest, error) {
	m, err := parse(body, contentType, upstreamsType)
	if errors.Is(err, errSchema1) {
		// Not upstream's fault, and asking again doesn't help.
		e := errs.Wrap(errs.NotFound, err, "the upstream server has a schema 1 manifest only, which is not supported: build the image anew, or copy it there with a client that converts it")
		e.Code = codeManifestInvalid
		return m, e
	}
	return m, err
}

// upstreamsType is the media type that the manifest states, or else that of the answer, unless it is one that fits everything: then it
// is what the manifest looks like.
func upstreamsType(o object, contentType string) (string, error) {
	own, err := o.text("mediaType")
	if err != nil {
		return "", err
	}
	switch given := baseType(contentType); {
	case own != "":
		contentType = own
	case given == "application/json", given == "application/octet-stream", !typePattern.MatchString(given):
		contentType = guessType(o)
	}
	return manifestType(o, contentType)
}
