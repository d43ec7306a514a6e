package config

import (
	"errors"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value reads and writes one field of a Config.
type value struct {
	// set parses s into the field.
	set func(s string) error
	// show is the field's value as YAML has it; a secret's is masked.
	show func() any
}

// errValue says that a value is not what the setting allows.
var errValue = errors.New("not allowed")

// mask stands for a secret.
const mask = "********"

func accept(ok bool) error {
	if !ok {
		return errValue
	}
	return nil
}

func text(p *string, allowed func(string) bool) value {
	return value{
		set:  func(s string) error { *p = s; return accept(allowed(s)) },
		show: func() any { return *p },
	}
}

func notEmpty(s string) bool { return s != "" }

// secret is text that is not shown.
func secret(p *string) value {
	return value{
		set: func(s string) error { *p = s; return accept(strings.TrimSpace(s) != "") },
		show: func() any {
			if *p == "" {
				return ""
			}
			return mask
		},
	}
}

func oneOf(words ...string) func(string) bool {
	return func(s string) bool { return slices.Contains(words, s) }
}

func isAddress(s string) bool {
	_, p, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(p, 10, 16)
	return err == nil
}

func port(p *int) value {
	return value{
		set: func(s string) (err error) {
			*p, err = strconv.Atoi(s)
			return errors.Join(err, accept(*p >= 1 && *p <= 65535))
		},
		show: func() any { return *p },
	}
}

func boolean(p *bool) value {
	return value{
		set:  func(s string) error { *p = s == "true"; return accept(*p || s == "false") },
		show: func() any { return *p },
	}
}

// list is words with commas between them, of those that are known.
func list(p *[]string, known ...string) value {
	return value{
		set: func(s string) error {
			*p = nil
			for word := range strings.SplitSeq(s, ",") {
				word = strings.TrimSpace(word)
				if !slices.Contains(known, word) {
					return errValue
				}
				if !slices.Contains(*p, word) {
					*p = append(*p, word)
				}
			}
			return nil
		},
		show: func() any { return append([]string{}, *p...) },
	}
}

func level(p *slog.Level) value {
	names := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	return value{
		set: func(s string) error {
			l, ok := names[s]
			*p = l
			return accept(ok)
		},
		show: func() any { return strings.ToLower(p.String()) },
	}
}

func duration(p *time.Duration, least time.Duration) value {
	return value{
		set: func(s string) (err error) {
			*p, err = time.ParseDuration(s)
			return errors.Join(err, accept(*p >= least))
		},
		show: func() any { return shortDuration(*p) },
	}
}

// shortDuration is d without units that are zero: 24h, not 24h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func databaseURL(p *string) value {
	return value{
		set: func(s string) error {
			u, err := url.Parse(s)
			*p = s
			// The parser's error holds the URL, and with it the password.
			return accept(err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") && u.Host != "")
		},
		show: func() any { return maskURL(*p) },
	}
}

// maskURL is the URL without its password, which stands before the host or in a parameter.
func maskURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return mask
	}
	secret := ""
	if _, ok := u.User.Password(); ok {
		secret = mask
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	for key := range q {
		if strings.Contains(strings.ToLower(key), "password") {
			q.Set(key, mask)
		}
	}
	if len(q) > 0 {
		u.RawQuery = strings.ReplaceAll(q.Encode(), url.QueryEscape(mask), mask)
	}
	shown := u.String()
	if secret != "" {
		user := u.User.String()
		shown = strings.Replace(shown, "//"+user+"@", "//"+user+":"+secret+"@", 1)
	}
	return shown
}
