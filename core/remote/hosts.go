package remote

import (
	"net/netip"
	"path"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
)

// hosts are patterns of host names, and networks.
type hosts struct {
	patterns []string // in lower case, for path.Match, which a host's name has no special characters for
	networks []netip.Prefix
}

// parseHosts reads the non-proxy hosts of a configuration. As in Java's http.nonProxyHosts an asterisk stands for any characters; as
// in no_proxy a leading dot stands for all names below a domain, and a network is written address/bits.
func parseHosts(list []string) (hosts, error) {
	var h hosts
	for _, s := range list {
		pattern := strings.ToLower(strings.Trim(strings.TrimSpace(s), "[]"))
		switch prefix, ok := parsePrefix(pattern); {
		case ok:
			h.networks = append(h.networks, prefix)
		case pattern == "" || strings.Trim(pattern, "abcdefghijklmnopqrstuvwxyz0123456789.-_:*") != "":
			return hosts{}, errs.Field("nonProxyHosts", "%q is no host name, pattern such as *.example.com, address or network", s)
		case strings.HasPrefix(pattern, "."):
			h.patterns = append(h.patterns, "*"+pattern)
		default:
			h.patterns = append(h.patterns, strings.TrimSuffix(pattern, "."))
		}
	}
	return h, nil
}

// match tells whether the host of a URL, without port and brackets, is one of them.
func (h hosts) match(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap().WithZone("")
		for _, network := range h.networks {
			if network.Contains(addr) {
				return true
			}
		}
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, pattern := range h.patterns {
		if ok, err := path.Match(pattern, host); ok && err == nil {
			return true
		}
	}
	return false
}
