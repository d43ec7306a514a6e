package main

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthTime is how long a server may take to say that it is well.
const healthTime = 5 * time.Second

func newHealthcheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the server on this machine whether it is well; exit with 1 if it is not",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, _, err := load(c)
			if err != nil {
				return err
			}
			return healthcheck(c, cfg.Listen)
		},
	}
	return withFlags(c, "config", "data", "listen")
}

func healthcheck(c *cobra.Command, listen string) error {
	url := "http://" + local(listen) + "/service/rest/v1/status"
	r, err := http.NewRequestWithContext(c.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// No proxy: the server is on this machine.
	client := &http.Client{Timeout: healthTime, Transport: &http.Transport{}}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

// local is where on this machine a server is reached that listens at the address.
func local(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch ip := net.ParseIP(host); {
	case host == "" || ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip.Equal(net.IPv6unspecified):
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
