package remote

import "testing"

func TestHosts(t *testing.T) {
	tests := []struct {
		pattern, host string
		want          bool
	}{
		{"localhost", "localhost", true},
		{"localhost", "LOCALHOST.", true},
		{"example.com", "www.example.com", false},
		{"*.example.com", "www.example.com", true},
		{"*.example.com", "a.b.example.com", true},
		{"*.Example.com", "www.eXample.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", "www.example.com.evil.org", false},
		{"*.example.com", "wwwxexample.com", false},
		{".example.com", "www.example.com", true},
		{"10.*", "10.1.2.3", true},
		{"10.*", "110.1.2.3", false},
		{"*", "anything", true},
		{"repo*.local", "repo1.local", true},
		{"10.0.0.0/8", "10.1.2.3", true},
		{"10.0.0.0/8", "::ffff:10.1.2.3", true},
		{"10.0.0.0/8", "11.1.2.3", false},
		{"10.0.0.0/8", "example.com", false},
		{"10.1.2.3", "10.1.2.3", true},
		{"fd00::/8", "fd12::1", true},
		{"[::1]", "::1", true},
		{"::1", "0:0:0:0:0:0:0:1", true},
	}
	for _, tt := range tests {
		t.Run(tt.pattern+" "+tt.host, func(t *testing.T) {
			h, err := parseHosts([]string{"other", tt.pattern})
			if err != nil {
				t.Fatal(err)
			}
			if got := h.match(tt.host); got != tt.want {
				t.Errorf("matched %v, want %v", got, tt.want)
			}
		})
	}
}

func FuzzHosts(f *testing.F) {
	f.Add("*.example.com", "www.example.com")
	f.Add("10.0.0.0/8", "10.0.0.1")
	f.Add("[::1]", "fe80::1%eth0")
	f.Fuzz(func(t *testing.T, pattern, host string) {
		h, err := parseHosts([]string{pattern})
		if err != nil {
			return
		}
		if len(h.patterns)+len(h.networks) != 1 {
			t.Errorf("%q is read as %v", pattern, h)
		}
		h.match(host)
	})
}
