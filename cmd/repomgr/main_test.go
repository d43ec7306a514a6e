package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/repomgr/repomgr/internal/testenv"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"repomgr": main})
}

// TestScripts runs the binary as people do; each script has a free PORT, and the commands signin, ready, exits and age.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			port, err := freePort()
			env.Setenv("PORT", port)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ready": ready, "signin": signIn, "exits": exits, "age": age},
	})
}

// exits runs a command, which must end with the status.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("%v ends with status %d, not %s", args[1:], got, args[0])
	}
}

// age makes a file older than what is left to be cleared away by itself.
func age(ts *testscript.TestScript, _ bool, args []string) {
	old := time.Now().Add(-48 * time.Hour)
	ts.Check(os.Chtimes(ts.MkAbs(args[0]), old, old))
}

func freePort() (string, error) {
	port, err := testenv.PickPort()
	return strconv.Itoa(port), err
}

// ready waits until the server on PORT is.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	url := "http://127.0.0.1:" + ts.Getenv("PORT") + "/service/rest/v1/status"
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get(url); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
	ts.Fatalf("no answer from %s", url)
}

// signIn tells whether admin's password is the content of a file.
func signIn(ts *testscript.TestScript, neg bool, args []string) {
	password, err := os.ReadFile(filepath.Join(ts.Getenv("WORK"), args[0]))
	ts.Check(err)
	r, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%s/service/rest/v1/security/users", ts.Getenv("PORT")), nil)
	ts.Check(err)
	r.SetBasicAuth("admin", strings.TrimSpace(string(password)))
	resp, err := http.DefaultClient.Do(r)
	ts.Check(err)
	_ = resp.Body.Close()
	if in := resp.StatusCode == http.StatusOK; in == neg {
		ts.Fatalf("the server answered %s to the password %q", resp.Status, password)
	}
}

func TestLocal(t *testing.T) {
	for _, test := range []struct{ name, listen, want string }{
		{"all addresses", ":8081", "127.0.0.1:8081"},
		{"all of IPv4", "0.0.0.0:8081", "127.0.0.1:8081"},
		{"all of IPv6", "[::]:8081", "[::1]:8081"},
		{"one address", "192.0.2.1:80", "192.0.2.1:80"},
		{"a name", "localhost:80", "localhost:80"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := local(test.listen); got != test.want {
				t.Errorf("local(%q) = %q, want %q", test.listen, got, test.want)
			}
		})
	}
}
