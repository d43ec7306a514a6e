package remote

import (
	"net/netip"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
)

func TestGuard(t *testing.T) {
	tests := []struct {
		name    string
		config  NetworkConfig
		allowed []string
		refused []string
	}{
		{"by default", NetworkConfig{},
			[]string{
				"127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "fd00::1", "1.1.1.1", "2606:4700::1111", "::ffff:10.0.0.1",
				"100.64.0.1", "64:ff9b::101:101",
			},
			[]string{
				"169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254",
				"224.0.0.1", "239.255.255.250", "ff02::1", "0.0.0.0", "0.1.2.3", "::", "255.255.255.255", "168.63.129.16",
				"::ffff:169.254.169.254", "::ffff:0.0.0.0", "::ffff:100.100.100.200", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
				"::a9fe:a9fe",
			}},
		{"an exception by name", NetworkConfig{Allow: []string{"169.254.169.254", "fe80::/10"}},
			[]string{"169.254.169.254", "::ffff:169.254.169.254", "fe80::1%eth0"},
			[]string{"169.254.169.253"}},
		{"a network does not allow the metadata service in it", NetworkConfig{Allow: []string{"169.254.0.0/16", "0.0.0.0/0"}},
			[]string{"169.254.1.1"},
			[]string{"169.254.169.254", "0.0.0.0", "224.0.0.1"}},
		{"private ranges", NetworkConfig{DenyPrivate: true, Allow: []string{"10.1.0.0/16", "127.0.0.1"}},
			[]string{"10.1.2.3", "127.0.0.1", "1.1.1.1", "::ffff:10.1.2.3"},
			[]string{"10.2.0.1", "127.0.0.2", "::1", "192.168.1.1", "172.31.0.1", "fd12::1", "100.64.0.1", "::ffff:192.168.1.1", "64:ff9b::a00:1"}},
		{"the longer prefix decides", NetworkConfig{Allow: []string{"10.0.0.0/8", "10.1.1.1"}, Deny: []string{"10.1.0.0/16"}},
			[]string{"10.0.0.1", "10.1.1.1"},
			[]string{"10.1.0.1"}},
		{"deny before allow", NetworkConfig{Allow: []string{"1.2.3.4"}, Deny: []string{"1.2.3.4/32"}}, nil, []string{"1.2.3.4"}},
		{"an exception as long as the rule", NetworkConfig{DenyPrivate: true, Allow: []string{"10.0.0.0/8"}}, []string{"10.0.0.1"}, nil},
		{"mapped rules", NetworkConfig{Deny: []string{"::ffff:1.2.3.0/120", "::ffff:5.6.7.8"}}, []string{"1.2.4.1"}, []string{"1.2.3.4", "::ffff:5.6.7.8"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newNetwork(t, tt.config).current.Load().guard
			for _, s := range tt.allowed {
				if err := g.check(netip.MustParseAddr(s)); err != nil {
					t.Errorf("%s: %v, want it allowed", s, err)
				}
			}
			for _, s := range tt.refused {
				if err := g.check(netip.MustParseAddr(s)); err == nil {
					t.Errorf("%s is allowed", s)
				}
			}
		})
	}
}

func TestGuardHost(t *testing.T) {
	g := newNetwork(t, NetworkConfig{}).current.Load().guard
	for _, host := range []string{"example.com", "a.b.", "1.1.1.1", "::1", "xn--bcher-kva.example", "1and1.com", "host1"} {
		if err := g.checkHost(host); err != nil {
			t.Errorf("%s: %v, want it allowed", host, err)
		}
	}
	for _, host := range []string{
		"169.254.169.254", "169.254.169.254.", "::ffff:169.254.169.254", "fe80::1%25eth0", "2852039166", "169.254.43518", "0xa9fea9fe",
		"0251.254.169.254", "169.254.169.0xfe", "１６９.254.169.254", "169.254.169.２５４", "1.2.3.④", "metadata.google.internal", "Metadata.Google.Internal.",
	} {
		if err := g.checkHost(host); err == nil {
			t.Errorf("%s is allowed", host)
		}
	}
}

func TestNetworkCheck(t *testing.T) {
	tests := []struct {
		name   string
		config NetworkConfig
		field  string
	}{
		{"allow", NetworkConfig{Allow: []string{"10.0.0.0/33"}}, "allow"},
		{"deny", NetworkConfig{Deny: []string{"example.com"}}, "deny"},
		{"deny with a zone", NetworkConfig{Deny: []string{"fe80::1%eth0"}}, "deny"},
		{"wide mapped network", NetworkConfig{Deny: []string{"::ffff:0.0.0.0/90"}}, "deny"},
		{"no proxy host", NetworkConfig{HTTPProxy: &OutboundProxy{Port: 1}}, "httpProxy.host"},
		{"a URL as proxy host", NetworkConfig{HTTPProxy: &OutboundProxy{Host: "http://proxy", Port: 1}}, "httpProxy.host"},
		{"credentials in the host", NetworkConfig{HTTPProxy: &OutboundProxy{Host: "u:p@proxy", Port: 1}}, "httpProxy.host"},
		{"proxy port", NetworkConfig{HTTPSProxy: &OutboundProxy{Host: "proxy", Port: 65536}}, "httpsProxy.port"},
		{"proxy user", NetworkConfig{HTTPSProxy: &OutboundProxy{Host: "proxy", Port: 1, Username: "a:b"}}, "httpsProxy.authInfo.username"},
		{"non-proxy hosts", NetworkConfig{NonProxyHosts: []string{"a", "b c"}}, "nonProxyHosts"},
		{"roots", NetworkConfig{RootCAs: []byte("x")}, "rootCAs"},
		{"trust store", NetworkConfig{TrustStore: []byte("x")}, "trustStore"},
		{"all right", NetworkConfig{HTTPProxy: &OutboundProxy{Host: "fd00::1", Port: 3128, Username: "u"}, NonProxyHosts: []string{"[::1]"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewNetwork(tt.config)
			if e := errs.As(err); (err == nil) != (tt.field == "") || e.Field != tt.field {
				t.Errorf("error %v about %q, want one about %q", err, e.Field, tt.field)
			}
		})
	}
}
