package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// ask sends a request on a connection and reads the answer.
func ask(c net.Conn, in *bufio.Reader, path string) error {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		return err
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// When there are as many connections as there may be, one more takes the place of the one that waits longest.
func TestCrowd_LongestIdleGoes(t *testing.T) {
	t.Parallel()
	addr := serveTest(t, Limits{Connections: 3}, false, func(http.ResponseWriter, *http.Request) {})
	var conns []net.Conn
	var ins []*bufio.Reader
	for i := range 3 {
		conns = append(conns, dial(t, addr))
		ins = append(ins, bufio.NewReader(conns[i]))
		if err := ask(conns[i], ins[i], "/"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := ask(conns[0], ins[0], "/"); err != nil { // it is the youngest now
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	c := dial(t, addr)
	if err := ask(c, bufio.NewReader(c), "/"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, true} {
		if err := ask(conns[i], ins[i], "/"); (err == nil) != want {
			t.Errorf("connection %d lives: %v, want %v", i, err, want)
		}
	}
}

// Connections that are being served are never closed for others: those wait.
func TestCrowd_ActiveStay(t *testing.T) {
	t.Parallel()
	inside, finish := make(chan bool, 2), make(chan bool)
	addr := serveTest(t, Limits{Connections: 2}, false, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			inside <- true
			<-finish
		}
	})
	served := make(chan error, 2)
	for range 2 {
		c := dial(t, addr)
		go func() { served <- ask(c, bufio.NewReader(c), "/wait") }()
		<-inside
	}
	late := make(chan error, 1)
	c := dial(t, addr)
	go func() { late <- ask(c, bufio.NewReader(c), "/") }()
	select {
	case err := <-late:
		t.Fatalf("a third connection was served: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	finish <- true
	for _, answers := range []chan error{served, late} {
		select {
		case err := <-answers:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(soon):
			t.Fatal("there is no answer")
		}
	}
	finish <- true
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A full house doesn't keep the listener from ending.
func TestCrowd_Shutdown(t *testing.T) {
	t.Parallel()
	inside, finish := make(chan bool), make(chan bool)
	l, err := NewListener("127.0.0.1:0", nil, Limits{Connections: 1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	addr, err := l.Main("127.0.0.1:0", false, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		inside <- true
		<-finish
	}))
	if err != nil {
		t.Fatal(err)
	}
	served, late := make(chan error, 1), make(chan error, 1)
	first := dial(t, addr.String())
	go func() { served <- ask(first, bufio.NewReader(first), "/") }()
	<-inside
	second := dial(t, addr.String())
	go func() { late <- ask(second, bufio.NewReader(second), "/") }()
	time.Sleep(100 * time.Millisecond)
	ended := make(chan bool)
	go func() {
		l.Shutdown(context.Background())
		close(ended)
	}()
	if err := <-late; err == nil {
		t.Error("a request was served by a listener that is closed")
	}
	close(finish)
	if err := <-served; err != nil && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	select {
	case <-ended:
	case <-time.After(soon):
		t.Fatal("the listener does not end")
	}
	if n := len(l.crowd.conns); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}
