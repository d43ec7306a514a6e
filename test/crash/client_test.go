package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repomgr/repomgr/internal/testenv"
)

// client talks to the server's docker connector.
type client struct {
	root  string
	token string
	http  *http.Client
	// killed tells that the server is being killed, or was: no answer is no fault then.
	killed *atomic.Bool
}

func newClient(s *testenv.Server, token string, killed *atomic.Bool) *client {
	return &client{
		root: "http://" + s.Registry, token: token, killed: killed,
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: time.Minute},
	}
}

// errKilled: there was no answer since the server was killed, so nobody knows whether the request counted.
var errKilled = errors.New("the server was killed")

type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request below /v2/, or to a location that the server gave.
func (c *client) do(method, path string, body []byte, headers ...string) (answer, error) {
	if !strings.HasPrefix(path, "/") {
		path = "/v2/" + path
	}
	var content io.Reader
	if body != nil {
		content = struct{ io.Reader }{bytes.NewReader(body)} // so that nothing is sent twice
	}
	req, err := http.NewRequest(method, c.root+path, content)
	if err != nil {
		return answer{}, err
	}
	req.ContentLength = int64(len(body))
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.fault(method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, c.fault(method, path, err)
	}
	if res.StatusCode == http.StatusServiceUnavailable && c.killed.Load() {
		return answer{}, errKilled // the database went first
	}
	return answer{res.StatusCode, res.Header, text}, nil
}

// fault is errKilled unless the server lives.
func (c *client) fault(method, path string, err error) error {
	if c.killed.Load() {
		return errKilled
	}
	return fmt.Errorf("%s %s: %w", method, path, err)
}

// want sends a request that must be answered by a status code.
func (c *client) want(status int, method, path string, body []byte, headers ...string) (answer, error) {
	a, err := c.do(method, path, body, headers...)
	if err == nil && a.status != status {
		err = fmt.Errorf("%s %s: status %d, want %d: %.500s", method, path, a.status, status, a.body)
	}
	return a, err
}

// newToken gets a token for all actions on images. With one the server doesn't have to compute a password's hash after each start.
func newToken(t testing.TB, s *testenv.Server, images []string) string {
	t.Helper()
	q := url.Values{}
	for _, image := range images {
		q.Add("scope", "repository:"+image+":*")
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+s.Registry+"/v2/token?"+q.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.User, s.Password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var token struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&token); err != nil || token.Token == "" {
		t.Fatalf("get a token: %s: %v", res.Status, err)
	}
	return token.Token
}

// connector is the address of the preset's repository, as the server says.
func connector(s *testenv.Server) (string, error) {
	req, err := http.NewRequest(http.MethodGet, s.URL+"/service/rest/v1/repositories/docker/hosted/docker-hosted", nil)
	if err != nil {
		return "", err
	}
	req.SetBasicAuth(s.User, s.Password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var settings struct {
		Docker struct {
			HTTPPort int `json:"httpPort"`
		} `json:"docker"`
	}
	if err := json.NewDecoder(res.Body).Decode(&settings); err != nil {
		return "", fmt.Errorf("%s: %w", res.Status, err)
	}
	return fmt.Sprintf("127.0.0.1:%d", settings.Docker.HTTPPort), nil
}
