package httpapi

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// crowdDefault is how many connections there may be at once. One that rests takes some 25 kB.
const crowdDefault = 4096

// crowd is all connections of a Listener. Their number is limited: for one that comes when the house is full, the one goes that
// has waited longest for a request, or has taken longest to send its head. While all are being served, newcomers wait in
// the kernel's queue.
type crowd struct {
	max int

	mu    sync.Mutex
	conns map[*conn]struct{}
	// full tells that somebody waits for room.
	full atomic.Bool
	room *sync.Cond
}

func newCrowd(most int) *crowd {
	c := &crowd{max: most, conns: map[*conn]struct{}{}}
	c.room = sync.NewCond(&c.mu)
	return c
}

// enter lets a connection in, as soon as there is room. It returns false when the listener is closed before.
func (c *crowd) enter(newcomer *conn, closed *atomic.Bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.conns) >= c.max && !closed.Load() {
		if idle := c.longestWaiting(); idle != nil {
			delete(c.conns, idle)
			_ = idle.TCPConn.Close()
			break
		}
		c.full.Store(true)
		c.room.Wait()
	}
	if closed.Load() {
		return false
	}
	c.full.Store(false)
	c.conns[newcomer] = struct{}{}
	return true
}

// longestWaiting is nil when all connections are being served. c.mu is held.
func (c *crowd) longestWaiting() (longest *conn) {
	var since int64
	for one := range c.conns {
		if at := one.waits.Load(); at != 0 && (longest == nil || at < since) {
			longest, since = one, at
		}
	}
	return longest
}

func (c *crowd) leave(one *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, one)
	c.room.Broadcast()
}

// nudge makes those look again who wait for room.
func (c *crowd) nudge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room.Broadcast()
}

// note is a http.Server's ConnState.
func (c *crowd) note(nc net.Conn, state http.ConnState) {
	if secure, ok := nc.(*tls.Conn); ok {
		nc = secure.NetConn()
	}
	one, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		one.waits.Store(0)
	case http.StateIdle:
		one.waits.Store(time.Now().UnixNano())
		if c.full.Load() {
			c.nudge()
		}
	}
}

// acceptor accepts connections for a crowd.
type acceptor struct {
	*net.TCPListener
	crowd  *crowd
	stall  time.Duration
	closed atomic.Bool
}

// Accept waits for the next connection, and for room for it.
func (a *acceptor) Accept() (net.Conn, error) {
	tcp, err := a.AcceptTCP()
	if err != nil {
		return nil, err
	}
	c := &conn{TCPConn: tcp, crowd: a.crowd, stall: a.stall}
	c.waits.Store(time.Now().UnixNano())
	if !a.crowd.enter(c, &a.closed) {
		_ = tcp.Close()
		return nil, net.ErrClosed
	}
	return c, nil
}

// Close implements net.Listener.
func (a *acceptor) Close() error {
	a.closed.Store(true)
	a.crowd.nudge()
	return a.TCPListener.Close()
}
