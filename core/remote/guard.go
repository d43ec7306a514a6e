package remote

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"github.com/repomgr/repomgr/core/errs"
)

// forbidden are the networks that nothing is fetched from by default: whoever may choose a URL, an admin of a repository or an
// upstream by a redirect, must not reach through this server what trusts its address. RFC 6890 lists the special networks; the
// single addresses are the clouds' metadata services, which hand out credentials to whoever asks.
var forbidden = []struct{ prefix, what string }{
	{"0.0.0.0/8", "unspecified"},
	{"::/128", "unspecified"},
	{"169.254.0.0/16", "link-local"},
	{"fe80::/10", "link-local"},
	{"224.0.0.0/4", "multicast"},
	{"ff00::/8", "multicast"},
	{"240.0.0.0/4", "reserved or broadcast"},
	{"169.254.169.254/32", "cloud metadata"},
	{"169.254.170.2/32", "cloud metadata"},
	{"100.100.100.200/32", "cloud metadata"},
	{"168.63.129.16/32", "cloud metadata"},
	{"192.0.0.192/32", "cloud metadata"},
	{"fd00:ec2::254/128", "cloud metadata"},
	{"fd20:ce::254/128", "cloud metadata"},
}

// private are the networks that DenyPrivate adds (RFC 1918, RFC 4193, RFC 6598, and loopback).
var private = []struct{ prefix, what string }{
	{"10.0.0.0/8", "private"},
	{"172.16.0.0/12", "private"},
	{"192.168.0.0/16", "private"},
	{"fc00::/7", "private"},
	{"100.64.0.0/10", "private"},
	{"127.0.0.0/8", "loopback"},
	{"::1/128", "loopback"},
}

// guard decides which addresses may be connected to. The rule with the longest prefix decides; of two as long an admin's counts
// more than a built-in one, and deny more than allow. What no rule names is allowed.
type guard struct{ rules []rule }

type rule struct {
	prefix netip.Prefix
	allow  bool
	rank   int // among rules with prefixes of the same length
	what   string
}

// refusal is why an address is not connected to.
type refusal struct{ host, what string }

func (r *refusal) Error() string {
	return fmt.Sprintf("connections to %s (%s) are not allowed", r.host, r.what)
}

func newGuard(config NetworkConfig) (*guard, error) {
	g := &guard{}
	for _, f := range forbidden {
		g.rules = append(g.rules, rule{netip.MustParsePrefix(f.prefix), false, 0, f.what})
	}
	if config.DenyPrivate {
		for _, p := range private {
			g.rules = append(g.rules, rule{netip.MustParsePrefix(p.prefix), false, 0, p.what})
		}
	}
	for _, s := range config.Allow {
		prefix, ok := parsePrefix(s)
		if !ok {
			return nil, errs.Field("allow", "%q is neither an address nor a network such as 10.0.0.0/8", s)
		}
		g.rules = append(g.rules, rule{prefix, true, 1, ""})
	}
	for _, s := range config.Deny {
		prefix, ok := parsePrefix(s)
		if !ok {
			return nil, errs.Field("deny", "%q is neither an address nor a network such as 10.0.0.0/8", s)
		}
		g.rules = append(g.rules, rule{prefix, false, 2, "denied by the configuration"})
	}
	return g, nil
}

// parsePrefix reads an address or a network. One of IPv4-mapped addresses is the IPv4 one.
func parsePrefix(s string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		if prefix.Addr().Is4In6() {
			if prefix.Bits() < 96 {
				return netip.Prefix{}, false
			}
			return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96).Masked(), true
		}
		return prefix.Masked(), true
	}
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, false
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), true
}

// check returns a *refusal if addr, or an IPv4 address that it stands for, must not be connected to.
func (g *guard) check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("") // a prefix contains no address with a zone
	if err := g.decide(addr, addr); err != nil {
		return err
	}
	if inner, ok := embedded(addr); ok {
		return g.decide(inner, addr)
	}
	return nil
}

func (g *guard) decide(addr, shown netip.Addr) error {
	best := rule{allow: true, rank: -1}
	for _, r := range g.rules {
		if !r.prefix.Contains(addr) {
			continue
		}
		if best.rank < 0 || r.prefix.Bits() > best.prefix.Bits() || r.prefix.Bits() == best.prefix.Bits() && r.rank > best.rank {
			best = r
		}
	}
	if best.allow {
		return nil
	}
	return &refusal{shown.String(), best.what}
}

// embedded returns the IPv4 address that gateways make of an IPv6 one: NAT64 (RFC 6052 section 2.1), 6to4 (RFC 3056 section 2) and
// IPv4-compatible addresses (RFC 4291 section 2.5.5.1).
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() || addr == netip.IPv6Unspecified() || addr == netip.IPv6Loopback() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(addr), netip.MustParsePrefix("::/96").Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case netip.MustParsePrefix("2002::/16").Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// control is a net.Dialer's ControlContext: it sees each address that is really connected to, after the name was resolved, so that
// no redirect and no answer of a name server gets past it.
func (g *guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return &refusal{address, "not an address"}
	}
	return g.check(target.Addr())
}

// checkHost checks the host of a URL that an outbound proxy resolves. Names it must be trusted with, but for those that stand for
// addresses: 127.1 and 0x7f000001 are addresses to many resolvers.
func (g *guard) checkHost(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.check(addr)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(name); err == nil {
		return g.check(addr)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
		// Normalisation makes addresses of some such names. Others can be written as xn--.
		return &refusal{host, "not in ASCII, for an outbound proxy"}
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	if last == "" || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return &refusal{host, "neither a name nor a plain address"}
	}
	if name == "metadata.google.internal" {
		return &refusal{host, "cloud metadata"}
	}
	return nil
}
