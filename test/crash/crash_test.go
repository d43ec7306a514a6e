// Package crash kills the server, without a warning and again and again, while clients push to it and delete, and checks that
// it keeps what it acknowledged and serves nothing else.
package crash

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// seedVariable is the environment variable with which a run is repeated: what the clients do follows from the seed, when the server
// dies only as far as the machine plays along.
const seedVariable = "CRASH_SEED"

func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("%s=%d", seedVariable, seed)
	return seed
}

// TestKill kills the server 50 times.
func TestKill(t *testing.T) {
	kill(t, func(kills int) bool { return kills < 50 })
}

// TestSoakKill kills it for as long as it is told.
func TestSoakKill(t *testing.T) {
	end := time.Now().Add(testenv.Soak(t))
	kill(t, func(int) bool { return time.Now().Before(end) })
}

// slowest is the longest that a start may take by the server's own word; on a busy machine, and under the race detector.
const slowest = 5 * time.Second

// kill kills and starts the server while more says so.
func kill(t *testing.T, more func(kills int) bool) {
	seed := newSeed(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := testenv.StartServer(t, testenv.ServerOptions{Preset: "docker"})
	c := newCrew(t, s, seed)
	c.settle(t)
	kills := 0
	for more(kills) && !t.Failed() {
		c.work(t, time.Duration(20+rng.IntN(380))*time.Millisecond)
		kills++
		for rng.IntN(5) == 0 {
			killStart(t, s, time.Duration(5+rng.IntN(300))*time.Millisecond)
			kills++
		}
		s.Start(t)
		c.settle(t)
	}
	if t.Failed() {
		return
	}
	c.verify(t)
	t.Logf("%d kills; acknowledged: %s", kills, c.done())
	checkLog(t, s.Log())
}

// checkLog checks that the server found nothing to complain of or to mend, and that its starts were quick.
func checkLog(t *testing.T, log string) {
	t.Helper()
	var starts []time.Duration
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") || strings.Contains(line, "DATA RACE") {
			t.Errorf("the server's log: %s", line)
		}
		if _, took, ok := strings.Cut(line, " took="); ok && strings.Contains(line, "msg=ready") {
			d, err := time.ParseDuration(strings.TrimSpace(strings.SplitN(took, " ", 2)[0]))
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			starts = append(starts, d)
		}
	}
	if len(starts) == 0 {
		t.Fatal("the log does not tell how long the starts took")
	}
	slices.Sort(starts)
	t.Logf("%d starts took %v in the middle and %v at most", len(starts), starts[len(starts)/2], starts[len(starts)-1])
	if last := starts[len(starts)-1]; last > slowest {
		t.Errorf("a start took %v", last)
	}
}

// killStart starts a server on the data and kills it after the time, ready or not.
func killStart(t *testing.T, s *testenv.Server, after time.Duration, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), after)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Binary(t), "serve", "--data", s.Data, "--listen", strings.TrimPrefix(s.URL, "http://"), "--preset", "docker")
	_, port, _ := strings.Cut(s.Registry, ":")
	_, group, _ := strings.Cut(s.Group, ":")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "REPOMGR_") })
	cmd.Env = append(append(cmd.Env, "REPOMGR_ADMIN_PASSWORD="+s.Password, "REPOMGR_PRESET_DOCKER_PORT="+port, "REPOMGR_PRESET_DOCKER_GROUP_PORT="+group), env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() == nil {
		t.Errorf("the server ended by itself: %v\n%s", err, out)
	}
}

// TestKill_FirstStart kills the server while it sets up its data directory. The next start goes on from there.
func TestKill_FirstStart(t *testing.T) {
	rng := rand.New(rand.NewPCG(newSeed(t), 1))
	for range 3 {
		s := &testenv.Server{Data: t.TempDir(), Password: "first-start-password"}
		s.URL, s.Registry = "http://127.0.0.1:"+strconv.Itoa(testenv.FreePort(t)), "127.0.0.1:"+strconv.Itoa(testenv.FreePort(t))
		s.Group = "127.0.0.1:" + strconv.Itoa(testenv.FreePort(t))
		for range 4 {
			killStart(t, s, time.Duration(5+rng.IntN(400))*time.Millisecond)
		}
		again := testenv.StartServer(t, testenv.ServerOptions{Data: s.Data, Preset: "docker", Password: s.Password})
		// The preset's port is that of the start that created it.
		registry, err := connector(again)
		if err != nil {
			t.Fatal(err)
		}
		again.Registry = registry
		c := newCrew(t, again, rng.Uint64())
		c.work(t, 100*time.Millisecond)
		again.Start(t)
		c.settle(t)
		c.verify(t)
		again.Stop(t)
	}
}
