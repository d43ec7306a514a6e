package httpapi

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Certificate is the server's certificate, read again when its files change: those who renew it need no restart.
type Certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	// stamp is what the files looked like when current was read; checked is when they were looked at last.
	stamp   string
	checked time.Time
}

// recheck is how often, at most, the files are looked at.
const recheck = 5 * time.Second

// LoadCertificate reads a certificate with its chain, and its key, from PEM files.
func LoadCertificate(cert, key string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{cert: cert, key: key, log: log}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	return c, nil
}

func (c *Certificate) read() error {
	stamp := c.look()
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.current, c.stamp, c.checked = &pair, stamp, time.Now()
	return nil
}

// look tells what the files look like from outside.
func (c *Certificate) look() string {
	var stamp string
	for _, name := range []string{c.cert, c.key} {
		if info, err := os.Stat(name); err == nil {
			stamp += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), ";")
		}
	}
	return stamp
}

// get is tls.Config.GetCertificate. Files that can't be read, or don't fit together yet, leave what there is.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < recheck {
		return c.current, nil
	}
	c.checked = time.Now()
	if c.look() != c.stamp {
		if err := c.read(); err != nil {
			c.log.Error("the changed TLS certificate can't be used", "err", err)
		} else {
			c.log.Info("TLS certificate read again")
		}
	}
	return c.current, nil
}

func (c *Certificate) config() *tls.Config {
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}
}
