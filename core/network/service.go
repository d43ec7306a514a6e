package network

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/secret"
	"github.com/repomgr/repomgr/core/store"
)

// Service has the settings. Its methods may be called at once.
type Service struct {
	db      *store.Store
	key     *secret.Key
	base    remote.NetworkConfig
	network *remote.Network
	log     *slog.Logger

	current atomic.Pointer[settings]
	// loading orders loads, so that no older settings replace newer ones.
	loading sync.Mutex
}

// New reads the settings. base is what they don't say. The key is that of the secrets among them.
func New(ctx context.Context, db *store.Store, key *secret.Key, base remote.NetworkConfig, log *slog.Logger) (*Service, error) {
	network, err := remote.NewNetwork(base)
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	s := &Service{db: db, key: key, base: base, network: network, log: log}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	return s, s.sealAll(ctx)
}

// Network is what clients of upstreams are made on. The settings are always in force there.
func (s *Service) Network() *remote.Network { return s.network }

// HTTP returns the settings of requests, with passwords.
func (s *Service) HTTP() HTTP { return s.current.Load().http }

// Addresses returns which addresses may be connected to.
func (s *Service) Addresses() Addresses { return s.current.Load().addresses }

// Certificates returns the trust store, in the order in which it grew.
func (s *Service) Certificates() []*x509.Certificate { return s.current.Load().certificates }

// SetHTTP replaces the settings of requests. A proxy whose password is empty keeps the stored one for the same host and user name. When it
// returns requests are made by the new settings. Errors name the field.
func (s *Service) SetHTTP(ctx context.Context, h HTTP) error {
	if err := s.check(func(c *settings) { c.http = h }); err != nil {
		return err
	}
	return s.update(ctx, func(tx *store.Tx, old *settings) error {
		next := h
		next.HTTPProxy.keep(old.http.HTTPProxy)
		next.HTTPSProxy.keep(old.http.HTTPSProxy)
		return s.saveHTTP(tx, next)
	})
}

func (s *Service) saveHTTP(tx *store.Tx, h HTTP) error {
	text, err := h.encode(s.key)
	if err != nil {
		return err
	}
	return tx.SetSetting(keyHTTP, text)
}

// SetAddresses replaces which addresses may be connected to. Errors name the field.
func (s *Service) SetAddresses(ctx context.Context, a Addresses) error {
	if err := s.check(func(c *settings) { c.addresses = a }); err != nil {
		return err
	}
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx *store.Tx, _ *settings) error { return tx.SetSetting(keyAddresses, string(text)) })
}

// maxCertificates is how many certificates the trust store has at most.
const maxCertificates = 1000

// Trust adds the certificates in PEM form to the trust store, and returns the first that was not there. When all were it is a Conflict
// error.
func (s *Service) Trust(ctx context.Context, pem []byte) (*x509.Certificate, error) {
	wanted, err := parse(pem)
	if err != nil {
		return nil, err
	}
	var first *x509.Certificate
	err = s.update(ctx, func(tx *store.Tx, old *settings) error {
		first = nil
		all := slices.Clone(old.certificates)
		for _, c := range wanted {
			if slices.ContainsFunc(all, func(there *x509.Certificate) bool { return bytes.Equal(there.Raw, c.Raw) }) {
				continue
			}
			if all = append(all, c); first == nil {
				first = c
			}
		}
		switch {
		case first == nil:
			return errs.New(errs.Conflict, "The certificate is in the trust store already")
		case len(all) > maxCertificates:
			return errs.New(errs.Invalid, "the trust store has at most %d certificates", maxCertificates)
		}
		return tx.SetSetting(keyCertificates, string(encode(all)))
	})
	return first, err
}

// Distrust takes the certificate with the fingerprint out of the trust store: connections that are made from then on don't trust it,
// and those that were made are not used again. A missing one is a NotFound error.
func (s *Service) Distrust(ctx context.Context, fingerprint string) error {
	return s.update(ctx, func(tx *store.Tx, old *settings) error {
		i := find(old.certificates, fingerprint)
		if i < 0 {
			return errs.New(errs.NotFound, "There is no certificate %q in the trust store", brief(fingerprint))
		}
		return tx.SetSetting(keyCertificates, string(encode(slices.Delete(slices.Clone(old.certificates), i, i+1))))
	})
}

// Look returns the certificate that the TLS server at host and port shows. Errors are those of remote.Network.Certificates.
func (s *Service) Look(ctx context.Context, host string, port int) (*x509.Certificate, error) {
	seen, err := s.network.Certificates(ctx, host, port)
	if err != nil {
		return nil, err
	}
	return seen[0], nil
}

// check checks changed settings. That takes too long for a transaction.
func (s *Service) check(change func(*settings)) error {
	next := *s.current.Load()
	change(&next)
	if _, err := remote.NewNetwork(next.apply(s.base)); err != nil {
		return err
	}
	// Also what is not in use now: it may be enabled later, with the password left out.
	for name, p := range next.http.proxies() {
		if p.Login == nil || p.Login.Password == "" {
			continue
		}
		o := &remote.OutboundProxy{Host: "host", Port: 1, Username: p.Login.Username, Password: p.Login.Password}
		c := remote.NetworkConfig{HTTPProxy: o}
		if name == httpsProxy {
			c = remote.NetworkConfig{HTTPSProxy: o}
		}
		if _, err := remote.NewNetwork(c); err != nil {
			return err
		}
	}
	return nil
}

// update changes the settings, and returns when they are in force. change may run more than once.
func (s *Service) update(ctx context.Context, change func(tx *store.Tx, old *settings) error) error {
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		a, err := tx.ChangeArea(area)
		if err != nil {
			return err
		}
		old, err := decode(a, s.key)
		if err != nil {
			return err
		}
		return change(tx, old)
	})
	if err != nil {
		return err
	}
	// The change is made: a client that leaves now must not keep it from counting.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return s.load(ctx)
}

// sealAll encrypts what was stored in clear.
func (s *Service) sealAll(ctx context.Context) error {
	a, err := s.db.Area(ctx, area)
	if err != nil {
		return err
	}
	var stored HTTP
	if text := a.Settings[keyHTTP]; text == "" || json.Unmarshal([]byte(text), &stored) != nil {
		return nil //nolint:nilerr // load has read it
	}
	for _, p := range stored.proxies() {
		if p.Login != nil && p.Login.Password != "" && !secret.Sealed(p.Login.Password) {
			return s.update(ctx, func(tx *store.Tx, old *settings) error { return s.saveHTTP(tx, old.http) })
		}
	}
	return nil
}

func (s *Service) load(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	a, err := s.db.Area(ctx, area)
	if err != nil {
		return fmt.Errorf("load network settings: %w", err)
	}
	next, err := decode(a, s.key)
	if err != nil {
		return fmt.Errorf("load network settings: %w", err)
	}
	if err := s.network.Set(next.apply(s.base)); err != nil {
		return fmt.Errorf("load network settings: %w", err)
	}
	s.current.Store(next)
	for name, p := range next.http.proxies() {
		if p.Enabled && p.Login != nil && p.Login.lost != nil {
			s.log.ErrorContext(ctx, "outbound proxy can't be used", "proxy", name, "err", p.Login.lost)
		}
	}
	return nil
}

// Watch polls for changes by other nodes until ctx ends.
func (s *Service) Watch(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		epoch, err := s.db.AreaEpoch(ctx, area)
		if err == nil && epoch != s.current.Load().epoch {
			err = s.load(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "network settings may be out of date", "err", err)
		}
	}
}
