package testenv

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgres is the PostgreSQL server of the test process.
var postgres struct {
	once sync.Once
	base url.URL // of its database "postgres"
	err  error

	mu        sync.Mutex
	databases int
}

// Postgres returns the URL of a new, empty database on a real PostgreSQL server: "postgres://user:password@127.0.0.1:port/name?...".
// The server is one for the test process; it does not sync to disk. The database is dropped when the test ends. The user may do
// anything.
func Postgres(t testing.TB) string {
	t.Helper()
	initdb, server := Tool(t, "initdb"), Tool(t, "postgres")
	dir := ""
	postgres.once.Do(func() {
		dir = shared.subdir(t, "postgres-")
		postgres.base, postgres.err = startPostgres(initdb, server, dir, FreePort(t))
	})
	if postgres.err != nil {
		t.Fatal(postgres.err)
	}

	postgres.mu.Lock()
	postgres.databases++
	name := fmt.Sprintf("test%d", postgres.databases)
	postgres.mu.Unlock()
	if err := postgresExec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgresExec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	dsn := postgres.base
	dsn.Path = "/" + name
	return dsn.String()
}

// startPostgres starts the server of the test process.
func startPostgres(initdb, server, dir string, port int) (url.URL, error) {
	c, err := newCluster(initdb, server, dir, port, "synchronous_commit=off", "full_page_writes=off")
	if err != nil {
		return url.URL{}, err
	}
	if err := c.start(); err != nil {
		return url.URL{}, err
	}
	shared.onStop(func() { _ = c.process.stop(fast, 10*time.Second) })
	return c.url("postgres"), nil
}

// postgresExec runs one statement in the server's own database.
func postgresExec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, postgres.base.String())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// cluster is a PostgreSQL server with its data.
type cluster struct {
	server, dir string
	port        int
	account     *syscall.Credential
	password    string
	settings    []string
	process     *process // nil when it was stopped
}

// newCluster makes a cluster in a directory.
func newCluster(initdb, server, dir string, port int, settings ...string) (*cluster, error) {
	account, err := postgresAccount(dir)
	if err != nil {
		return nil, err
	}
	c := &cluster{server: server, dir: dir, port: port, account: account, password: rand.Text(), settings: settings}
	passwordFile := filepath.Join(dir, "password")
	if err := writeFor(account, passwordFile, c.password+"\n"); err != nil {
		return nil, err
	}
	init := c.command(initdb, "-D", filepath.Join(dir, "data"), "-U", "repomgr", "--pwfile", passwordFile, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	var printed bytes.Buffer
	init.Stdout, init.Stderr = &printed, &printed
	if err := init.Run(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, &printed)
	}
	return c, nil
}

// command is one of PostgreSQL's programs. They refuse to run as root, and want the data for themselves. Their current
// directory must be one that they can read.
func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = c.dir
	cmd.Env = environ("PG", "HOME="+c.dir)
	if c.account != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.account}
	}
	return cmd
}

// What a signal makes of the server: https://www.postgresql.org/docs/15/server-shutdown.html
const (
	fast      = syscall.SIGINT  // drop connections, shut down
	immediate = syscall.SIGQUIT // end at once; the next start recovers
)

// start starts the server and waits until it answers.
func (c *cluster) start() error {
	run := c.command(c.server, "-D", filepath.Join(c.dir, "data"), "-p", strconv.Itoa(c.port), "-k", c.dir)
	for _, setting := range append([]string{"listen_addresses=127.0.0.1", "max_connections=300", "fsync=off"}, c.settings...) {
		run.Args = append(run.Args, "-c", setting)
	}
	process, err := start(run, fast, &output{})
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	err = process.ready(time.Minute, func(ctx context.Context) error {
		base := c.url("postgres")
		conn, err := pgx.Connect(ctx, base.String())
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	if err != nil {
		_ = process.stop(syscall.SIGKILL, time.Minute)
		return fmt.Errorf("%w\n%s", err, process.log.tail())
	}
	c.process = process
	return nil
}

// url is that of a database.
func (c *cluster) url(database string) url.URL {
	return url.URL{
		Scheme: "postgres", User: url.UserPassword("repomgr", c.password),
		Host: fmt.Sprintf("127.0.0.1:%d", c.port), Path: "/" + database, RawQuery: "sslmode=disable",
	}
}

// postgresAccount returns the account under which PostgreSQL runs, nil for the test's own, and gives it the directory.
func postgresAccount(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
}

// writeFor writes a file that only the account can read, or the test's own when it is nil.
func writeFor(account *syscall.Credential, name, content string) error {
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil || account == nil {
		return err
	}
	return os.Chown(name, int(account.Uid), int(account.Gid))
}
