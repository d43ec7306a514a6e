package crash

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/internal/testenv"
)

// TestKill_Postgres kills the server and its database, one of them or both, 12 times.
func TestKill_Postgres(t *testing.T) {
	killPostgres(t, func(kills int) bool { return kills < 12 })
}

// TestSoakKill_Postgres does so for as long as it is told.
func TestSoakKill_Postgres(t *testing.T) {
	end := time.Now().Add(testenv.Soak(t))
	killPostgres(t, func(int) bool { return time.Now().Before(end) })
}

func killPostgres(t *testing.T, more func(kills int) bool) {
	t.Helper()
	seed := newSeed(t)
	rng := rand.New(rand.NewPCG(seed, 2))
	db := testenv.StartCluster(t)
	env := "REPOMGR_DATABASE_URL=" + db.URL
	s := testenv.StartServer(t, testenv.ServerOptions{Preset: "docker", Env: []string{env}})
	c := newCrew(t, s, seed)
	c.settle(t)
	short := func() time.Duration { return time.Duration(rng.IntN(20)) * time.Millisecond }
	ways := []struct {
		name string
		// kill ends one or both, revive starts them again.
		kill, revive func(testing.TB)
	}{
		{"server", s.Kill, s.Start},
		{"database", db.Kill, db.Start},
		{
			"database, then server", func(t testing.TB) { db.Kill(t); time.Sleep(short()); s.Kill(t) },
			func(t testing.TB) { db.Start(t); s.Start(t) },
		},
		{
			"server, then database", func(t testing.TB) { s.Kill(t); time.Sleep(short()); db.Kill(t) },
			func(t testing.TB) { db.Start(t); s.Start(t) },
		},
	}
	done := map[string]int{}
	for kills := 0; more(kills) && !t.Failed(); kills++ {
		way := ways[kills%len(ways)]
		done[way.name]++
		c.kill = way.kill
		c.work(t, time.Duration(50+rng.IntN(500))*time.Millisecond)
		if kills%8 == 7 { // both are down
			db.Start(t)
			killStart(t, s, time.Duration(50+rng.IntN(400))*time.Millisecond, env)
			s.Start(t)
		} else {
			way.revive(t)
		}
		c.settle(t)
	}
	if t.Failed() {
		return
	}
	c.verify(t)
	t.Logf("kills: %v; acknowledged: %s", done, c.done())
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") {
			t.Errorf("the server's log: %s", line)
		}
	}
}
