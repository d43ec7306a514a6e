package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/repository"
)

// Limits of every listener. There is none on the time that a body takes: pushes may be long, and honest ones move.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 3 * time.Minute
	maxHeader     = 32 << 10
)

// Limits are what clients may do to a Listener; the zero value is the default.
type Limits struct {
	// Stall is how long a client may neither send nor take a byte of a body; zero is two minutes.
	Stall time.Duration
	// Connections is how many there may be at once, on all ports together; zero is 4096. It is never more than three quarters of
	// the files that the process may have open.
	Connections int
}

// Listener is the server's ports: the main one and the connectors of repositories.
type Listener struct {
	host string
	// certificate is nil when there is no TLS.
	certificate *Certificate
	stall       time.Duration
	crowd       *crowd
	log         *slog.Logger

	mu sync.Mutex
	// owners says what each open port is for.
	owners  map[int]string
	servers map[*http.Server]struct{}
	closed  bool
	running sync.WaitGroup
}

// NewListener returns a Listener for connectors on the host of address ("host:port", host may be empty). Without a
// certificate it opens no port for TLS.
func NewListener(address string, certificate *Certificate, limits Limits, log *slog.Logger) (*Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", address, err)
	}
	l := &Listener{host: host, certificate: certificate, stall: limits.Stall, log: log, owners: map[int]string{}, servers: map[*http.Server]struct{}{}}
	if l.stall == 0 {
		l.stall = stallDefault
	}
	if limits.Connections == 0 {
		limits.Connections = crowdDefault
	}
	// A transfer takes a file beside its connection, and the rest of the server needs some.
	l.crowd = newCrowd(min(limits.Connections, openFiles()/3))
	return l, nil
}

// Main serves h on a main address, until Shutdown, and returns the address that it got.
func (l *Listener) Main(address string, secure bool, h http.Handler) (net.Addr, error) {
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	port := socket.Addr().(*net.TCPAddr).Port
	l.mu.Lock()
	l.owners[port] = "the server itself"
	l.mu.Unlock()
	l.serve(socket, secure, h)
	return socket.Addr(), nil
}

// Listen serves h on a port, with secure by TLS, until the connector is closed.
func (l *Listener) Listen(port int, secure bool, h http.Handler) (repository.Connector, error) {
	if secure && l.certificate == nil {
		return nil, errs.New(errs.Invalid, "port %d is for HTTPS, and the server has no certificate: set tls.certificate and tls.key", port)
	}
	l.mu.Lock()
	owner, closed := l.owners[port], l.closed
	l.mu.Unlock()
	if closed {
		return nil, errs.New(errs.Unavailable, "the server is stopping")
	}
	if owner != "" {
		return nil, errs.New(errs.Invalid, "port %d is already used by %s", port, owner)
	}
	socket, err := net.Listen("tcp", net.JoinHostPort(l.host, strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, errs.Wrap(errs.Invalid, err, "port %d is already used by another program", port)
	case errors.Is(err, syscall.EACCES):
		return nil, errs.Wrap(errs.Invalid, err, "port %d needs more rights than the server has", port)
	case err != nil:
		return nil, errs.Wrap(errs.Invalid, err, "port %d can't be opened", port)
	}
	return &connector{l, l.serve(socket, secure, h), secure}, nil
}

func (l *Listener) serve(socket net.Listener, secure bool, h http.Handler) *http.Server {
	s := &http.Server{
		Handler:           patient(named(h), l.stall),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         l.crowd.note,
		ErrorLog:          slog.NewLogLogger(l.log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true) // see docs/adr/0009-http-1.md
	run := s.Serve
	if secure {
		s.TLSConfig = l.certificate.config()
		run = func(socket net.Listener) error { return s.ServeTLS(socket, "", "") }
	}
	l.mu.Lock()
	l.servers[s] = struct{}{}
	l.mu.Unlock()
	l.running.Go(func() {
		if err := run(&acceptor{TCPListener: socket.(*net.TCPListener), crowd: l.crowd, stall: l.stall}); !errors.Is(err, http.ErrServerClosed) {
			l.log.Error("listener ended", "address", socket.Addr().String(), "err", err)
		}
	})
	return s
}

// named says in all answers what server they are from: clients of Nexus look for it (nexus-api, section 1.1).
func named(h http.Handler) http.Handler {
	name := []string{serverHeader}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Server"] = name
		h.ServeHTTP(w, r)
	})
}

// connector is an open port of a repository.
type connector struct {
	listener *Listener
	server   *http.Server
	secure   bool
}

// Secure tells whether the port speaks TLS.
func (c *connector) Secure() bool { return c.secure }

// Close frees the port at once; running transfers go on to their end.
func (c *connector) Close() {
	closed := make(chan struct{})
	c.server.RegisterOnShutdown(sync.OnceFunc(func() { close(closed) }))
	c.listener.running.Go(func() {
		_ = c.server.Shutdown(context.Background())
		c.listener.mu.Lock()
		delete(c.listener.servers, c.server)
		c.listener.mu.Unlock()
	})
	// Shutdown closes the socket before it runs what was registered.
	<-closed
}

// Shutdown closes all ports and waits for running transfers; those that ctx's end finds are cut.
func (l *Listener) Shutdown(ctx context.Context) {
	l.mu.Lock()
	l.closed = true
	servers := make([]*http.Server, 0, len(l.servers))
	for s := range l.servers {
		servers = append(servers, s)
	}
	l.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(func() {
			if s.Shutdown(ctx) != nil {
				_ = s.Close()
			}
		})
	}
	wg.Wait()
	l.running.Wait()
}

// Content serves what repositories hold.
type Content interface {
	// ServeMain serves a request to the main port if it is for repositories, and tells whether it was.
	ServeMain(w http.ResponseWriter, r *http.Request) bool
}

// Handler serves the main port. Requests for content don't pass through rest: no middleware stands between them and the
// connection.
func Handler(content Content, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !content.ServeMain(w, r) {
			rest.ServeHTTP(w, r)
		}
	})
}
