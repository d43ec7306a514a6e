// Standin is a server with the command line of repomgr, for the tests of testenv. Its answers are told by its environment.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	value := map[string]string{}
	for i, arg := range os.Args[:len(os.Args)-1] {
		value[arg] = os.Args[i+1]
	}
	fmt.Println("standin", strings.Join(os.Args[1:], " "), "password", os.Getenv("REPOMGR_ADMIN_PASSWORD"),
		"port", os.Getenv("REPOMGR_PRESET_DOCKER_PORT"), "soak", os.Getenv("REPOMGR_TEST_SOAK"))
	if os.Getenv("REPOMGR_STANDIN") == "end" {
		os.Exit(3)
	}
	if err := os.WriteFile(filepath.Join(value["--data"], "started"), nil, 0o600); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}

	ready := time.Now().Add(200 * time.Millisecond)
	server := &http.Server{Addr: value["--listen"], Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/service/rest/v1/status" || time.Now().Before(ready) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	fmt.Println(server.ListenAndServe())
	if os.Getenv("REPOMGR_STANDIN") == "complain" {
		os.Exit(66)
	}
}
