package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a server's main process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start starts a program; what it prints is added to the file log. The kernel ends it with the signal if this process ends
// without doing so.
func start(cmd *exec.Cmd, log string, death syscall.Signal) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	// A terminal's interrupt goes to the process group: the servers are not in ours, so that they end when they are told to.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr, death)
	p := &process{cmd: cmd, done: make(chan struct{})}
	// Linux sends the signal when the thread ends that started the program, so that thread has to stay.
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in the log
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// stop asks the program to end, and kills it if it doesn't within ten seconds.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// answers waits until GET of a path has status 200, and returns how long after begin that was.
func (p *process) answers(ctx context.Context, address, path string, begin time.Time) (time.Duration, error) {
	const within, step = time.Minute, 2 * time.Millisecond
	for {
		err := answer200(address, path)
		took := time.Since(begin)
		switch {
		case err == nil:
			return took, nil
		case took > within:
			return 0, fmt.Errorf("%s: no answer within %v: %w", p.cmd.Path, within, err)
		}
		select {
		case <-p.done:
			return 0, fmt.Errorf("%s: ended before it answered: %s", p.cmd.Path, p.cmd.ProcessState)
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(step):
		}
	}
}

func answer200(address, path string) error {
	stream, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer stream.Close()
	if err := stream.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stream, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: %s\r\nConnection: close\r\n\r\n", path, address, acceptManifests); err != nil {
		return err
	}
	var r response
	if err := readHead(bufio.NewReader(stream), &r); err != nil {
		return err
	}
	if r.status != 200 {
		return fmt.Errorf("GET %s: status %d", path, r.status)
	}
	return nil
}

// freePort returns a TCP port of 127.0.0.1 on which nothing listens, below those from which the kernel takes the client's side of
// connections.
func freePort() (int, error) {
	for range 1000 {
		port := 10000 + rand.IntN(22000)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, errors.New("no free port on 127.0.0.1")
}
