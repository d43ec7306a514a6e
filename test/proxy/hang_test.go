package proxy

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// TestHang: lists that an upstream server lets clients wait for keep nobody from lists of others.
func TestHang(t *testing.T) {
	u, s := newScriptedProxy(t)
	asked, gate := make(chan struct{}, 10), make(chan struct{})
	u.handle(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-gate:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusNotFound)
	})
	referrers := "/referrers/" + digest.FromString("x").String()
	var waiting sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		waiting.Go(func() { call(t, "GET", s.host+"/v2/far/"+name+referrers, "", "") })
	}
	for range 4 {
		select {
		case <-asked:
		case <-time.After(15 * time.Second):
			t.Fatal("upstream is not asked for all of them at once")
		}
	}
	got := make(chan int, 1)
	waiting.Go(func() {
		code, _, _ := call(t, "GET", s.host+"/v2/local/a"+referrers, "", "")
		got <- code
	})
	select {
	case code := <-got:
		if code != 200 {
			t.Errorf("the list of another: %d", code)
		}
	case <-time.After(15 * time.Second):
		t.Error("the list of another repository waits, too")
	}
	close(gate)
	waiting.Wait()
}
