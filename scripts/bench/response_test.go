package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadHead(t *testing.T) {
	tests := []struct {
		name string
		text string
		want response // location and digest in strings
		loc  string
		dig  string
		err  error
	}{
		{
			name: "what counts", text: "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 12\r\nDocker-Content-Digest: sha256:ab\r\n\r\nbody",
			want: response{status: 200, length: 12}, dig: "sha256:ab",
		},
		{name: "other capitals, no blanks", text: "HTTP/1.1 200 OK\r\ncontent-length:12\r\n\r\n", want: response{status: 200, length: 12}},
		{name: "no reason, bare line ends", text: "HTTP/1.1 404\nContent-Length: 0\n\n", want: response{status: 404}},
		{name: "chunks", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", want: response{status: 200, length: -1, chunked: true}},
		{name: "nothing said", text: "HTTP/1.1 204 No Content\r\n\r\n", want: response{status: 204, length: -1}},
		{name: "the last one", text: "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", want: response{status: 400, length: -1, closing: true}},
		{name: "upload", text: "HTTP/1.1 202 Accepted\r\nLocation: /v2/a?x=1\r\nContent-Length: 0\r\n\r\n", want: response{status: 202}, loc: "/v2/a?x=1"},
		{name: "interim", text: "HTTP/1.1 100 Continue\r\nLocation: /x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", want: response{status: 201}},
		{name: "not HTTP", text: "SSH-2.0-OpenSSH_9.2\r\n\r\n", err: errHead},
		{name: "no status", text: "HTTP/1.1 OK and more\r\n\r\n", err: errHead},
		{name: "length is no number", text: "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", err: errHead},
		{name: "negative length", text: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", err: errHead},
		{name: "field without a name", text: "HTTP/1.1 200 OK\r\n: x\r\n\r\n", err: errHead},
		{name: "cut off", text: "HTTP/1.1 200 OK\r\nContent-Le", err: io.EOF},
		{name: "nothing", text: "", err: io.EOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// What an earlier response said must not be left.
			got := response{status: 1, length: 2, chunked: true, closing: true, location: []byte("old"), digest: []byte("old")}
			err := readHead(bufio.NewReader(strings.NewReader(tt.text)), &got)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			if got.status != tt.want.status || got.length != tt.want.length || got.chunked != tt.want.chunked || got.closing != tt.want.closing {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if string(got.location) != tt.loc || string(got.digest) != tt.dig {
				t.Errorf("location %q, digest %q, want %q, %q", got.location, got.digest, tt.loc, tt.dig)
			}
		})
	}
}
