package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a server that runs until it is stopped. It does not outlive the test process.
type process struct {
	cmd  *exec.Cmd
	log  *output
	done chan struct{} // closed when it has ended
	err  error         // how it ended; to be read after done
}

// start starts a program; death is the signal that it gets when the test process ends before it. What it prints goes to log.
func start(cmd *exec.Cmd, death syscall.Signal, log *output) (*process, error) {
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = 5 * time.Second // for a child of the program that still holds its output
	dieWithParent(cmd, death)
	// Linux sends the signal when the thread ends that started the program, so that thread has to stay.
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
		runtime.UnlockOSThread()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// stop asks the program to end by a signal, and kills it if it doesn't within the time. It returns how the program ended.
func (p *process) stop(signal syscall.Signal, within time.Duration) error {
	_ = p.cmd.Process.Signal(signal) // it may have ended
	select {
	case <-p.done:
		return p.err
	case <-time.After(within):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("pid %d did not end within %v of %v", p.cmd.Process.Pid, within, signal)
	}
}

// running tells whether the program has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// errEnded: a program ended before it was ready.
var errEnded = errors.New("it ended")

// ready waits until check says so.
func (p *process) ready(within time.Duration, check func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s: %w before it was ready: %s", p.cmd.Path, errEnded, p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %v: %w", p.cmd.Path, within, err)
		case <-tick.C:
		}
	}
}

// output keeps what a program printed. It may be read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// tail returns the last bytes of the output.
func (o *output) tail() string {
	const most = 16 << 10
	text := o.String()
	if len(text) > most {
		return "...\n" + text[len(text)-most:]
	}
	return text
}

// taken are the ports that FreePort returned to this process.
var taken struct {
	sync.Mutex
	ports map[int]bool
}

// FreePort is PickPort for a test.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := PickPort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// PickPort returns a TCP port of 127.0.0.1 on which nothing listens. It is below those from which the kernel takes the
// client's side of connections, so that it stays free until a server takes it, or another test process does, by bad luck.
func PickPort() (int, error) {
	taken.Lock()
	defer taken.Unlock()
	for range 1000 {
		port := 10000 + rand.IntN(22000)
		if taken.ports[port] {
			continue
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		listener.Close()
		if taken.ports == nil {
			taken.ports = map[int]bool{}
		}
		taken.ports[port] = true
		return port, nil
	}
	return 0, errors.New("no free port on 127.0.0.1")
}

// command runs a program to its end and returns what it printed on both its outputs. It may take five minutes. The test's own
// context is no use here: it has ended when Cleanup functions run.
func command(cmd func(context.Context) *exec.Cmd) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := cmd(ctx)
	c.WaitDelay = 5 * time.Second
	out, err := c.CombinedOutput()
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return string(out), err
}

// environ returns the process's environment without the variables whose name starts with prefix, and with others added.
func environ(prefix string, add ...string) []string {
	var env []string
	for _, entry := range os.Environ() {
		if len(entry) < len(prefix) || entry[:len(prefix)] != prefix {
			env = append(env, entry)
		}
	}
	return append(env, add...)
}
