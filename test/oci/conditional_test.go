package oci

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"
)

// "Pulling blobs": a registry should support Range (RFC 9110 section 14).
func TestRange_Blob206(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		const size = 2048
		b := random(size)
		d := r.pushBlob(t, b)
		tests := []struct {
			bytes       string
			first, last int
		}{
			{"500-1499", 500, 1499},
			{"500-", 500, size - 1},
			{"-500", size - 500, size - 1},
			{"2000-5000", 2000, size - 1},
			{"0-0", 0, 0},
			{"2047-2047", size - 1, size - 1},
			{"-5000", 0, size - 1},
			{"0-99999999999", 0, size - 1},
		}
		for _, tt := range tests {
			r.get(t, r.blob(d), header("Range", "bytes="+tt.bytes)).want(t, http.StatusPartialContent).
				wantBody(t, b[tt.first:tt.last+1]).
				wantHeader(t, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", tt.first, tt.last, size)).
				wantHeader(t, "Content-Length", fmt.Sprint(tt.last-tt.first+1))
		}
	})
}

// RFC 9110 section 15.5.17: 416 tells the current length.
func TestRange_BlobNotSatisfiable416(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := r.pushBlob(t, random(2048))
		for _, bytes := range []string{"2048-", "5000-10000", "2048-2048", "9223372036854775807-"} {
			r.get(t, r.blob(d), header("Range", "bytes="+bytes)).want(t, http.StatusRequestedRangeNotSatisfiable).
				wantHeader(t, "Content-Range", "bytes */2048")
		}
	})
}

// RFC 9110 section 14.2: a server may ignore a Range that makes no sense, or refuse it; it must not fail, nor send other bytes.
func TestRange_BlobAbsurd(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(2048)
		d := r.pushBlob(t, b)
		ranges := []string{
			"bytes=500-0", "bytes=-0", "bytes=-", "bytes=a-b", "bytes=", "bytes", "bytes=0-0-0", "bytes=--1", "bytes=1.5-2", "bytes=0x1-0x2",
			"bytes=99999999999999999999999999-", "bytes=0-99999999999999999999999999", "bytes=-99999999999999999999999999",
			"bytes=-9223372036854775808", "lines=0-1", "bytes=0-1,a", "bytes=" + strings.Repeat("0-2047,", 500) + "0-2047",
			"bytes=" + strings.Repeat(",", 1000),
		}
		for _, rg := range ranges {
			res := r.get(t, r.blob(d), header("Range", rg))
			res.want(t, http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable)
			if res.status == http.StatusOK {
				res.wantBody(t, b)
			}
			if len(res.body) > 4*len(b) {
				t.Errorf("Range %.60s: an answer of %d bytes for a blob of %d", rg, len(res.body), len(b))
			}
		}
	})
}

// RFC 9110 section 14.6: several ranges come as multipart/byteranges.
func TestRange_BlobSeveral(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(2048)
		d := r.pushBlob(t, b)
		res := r.get(t, r.blob(d), header("Range", "bytes=0-9,100-199")).want(t, http.StatusPartialContent)
		kind, parameters, err := mime.ParseMediaType(res.header.Get("Content-Type"))
		if err != nil || kind != "multipart/byteranges" {
			t.Fatalf("Content-Type %q: %v", res.header.Get("Content-Type"), err)
		}
		parts := multipart.NewReader(strings.NewReader(string(res.body)), parameters["boundary"])
		for _, want := range [][]byte{b[:10], b[100:200]} {
			part, err := parts.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(part)
			if err != nil || string(got) != string(want) {
				t.Errorf("part %q: %d bytes, %v", part.Header.Get("Content-Range"), len(got), err)
			}
		}
	})
}

// RFC 9110 section 13.1.5: If-Range with the blob's entity tag resumes a download; with another one the whole blob comes.
func TestRange_BlobIfRange(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(1000)
		d := r.pushBlob(t, b)
		etag := r.head(t, r.blob(d)).want(t, http.StatusOK).header.Get("ETag")
		r.get(t, r.blob(d), header("Range", "bytes=500-"), header("If-Range", etag)).want(t, http.StatusPartialContent).wantBody(t, b[500:])
		r.get(t, r.blob(d), header("Range", "bytes=500-"), header("If-Range", `"other"`)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// RFC 9110 section 14.2: Range is for GET; HEAD answers as without it.
func TestRange_HeadIgnored(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := r.pushBlob(t, random(1000))
		res := r.head(t, r.blob(d), header("Range", "bytes=500-"))
		// Go's net/http answers 206 here, which no client minds as long as the length is that of the part.
		switch res.want(t, http.StatusOK, http.StatusPartialContent); res.status {
		case http.StatusOK:
			res.wantHeader(t, "Content-Length", "1000")
		default:
			res.wantHeader(t, "Content-Length", "500").wantHeader(t, "Content-Range", "bytes 500-999/1000")
		}
	})
}

// RFC 9110 section 13.1.2: a client that has the manifest or blob gets 304. The entity tag is strong, and is the digest.
func TestConditional_IfNoneMatch304(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, _ := r.pushImage(t, "v1")
		blob := r.pushBlob(t, random(100))
		etags := map[string]string{r.manifest("v1"): d.String(), r.manifest(d): d.String(), r.blob(blob): blob.String()}
		for target, digest := range etags {
			r.get(t, target).want(t, http.StatusOK).wantHeader(t, "ETag", `"`+digest+`"`)
			for _, value := range []string{`"` + digest + `"`, `"x", "` + digest + `"`, `W/"` + digest + `"`, "*"} {
				res := r.get(t, target, header("If-None-Match", value)).want(t, http.StatusNotModified)
				if len(res.body) != 0 {
					t.Errorf("%s: a 304 with a body", target)
				}
				r.head(t, target, header("If-None-Match", value)).want(t, http.StatusNotModified)
			}
			r.get(t, target, header("If-None-Match", `"x"`)).want(t, http.StatusOK)
		}
	})
}

// A tag that moved is another representation.
func TestConditional_TagMoved200(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, _ := r.pushImage(t, "v1")
		_, b := r.pushImage(t, "v1")
		r.get(t, r.manifest("v1"), header("If-None-Match", `"`+d.String()+`"`)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// RFC 9110 section 13.1.1.
func TestConditional_IfMatch412(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "v1")
		r.get(t, r.manifest("v1"), header("If-Match", `"`+d.String()+`"`)).want(t, http.StatusOK).wantBody(t, b)
		r.get(t, r.manifest("v1"), header("If-Match", `"x"`)).want(t, http.StatusPreconditionFailed)
	})
}

// RFC 9110 section 13.1.3: If-None-Match goes before If-Modified-Since, which alone must not hide a tag that moved within a second.
func TestConditional_IfModifiedSince(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := r.pushBlob(t, random(100))
		later := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
		r.get(t, r.blob(d), header("If-Modified-Since", later), header("If-None-Match", `"x"`)).want(t, http.StatusOK)
		r.pushImage(t, "v1")
		since := r.head(t, r.manifest("v1")).header.Get("Last-Modified")
		_, b := r.pushImage(t, "v1")
		if since != "" {
			r.get(t, r.manifest("v1"), header("If-Modified-Since", since)).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}
