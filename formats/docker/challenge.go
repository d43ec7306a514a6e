package docker

import "strings"

// offer is one of the ways of signing in that a server offers (RFC 9110 section 11.3).
type offer struct {
	// scheme is in lower case.
	scheme string
	// parameters are by name in lower case; of several with one name the first counts.
	parameters map[string]string
}

// Bounds of what is read of a server's challenges.
const (
	maxOffers     = 16
	maxParameters = 32
	maxChallenge  = 8 << 10
)

// parseOffers reads the values of WWW-Authenticate (RFC 9110 section 11.6.1): several challenges may stand in one of them, separated by
// the same commas as their parameters. There are no errors: what is no challenge is none that can be answered.
func parseOffers(values []string) []offer {
	var offers []offer
	for _, value := range values {
		if len(value) <= maxChallenge {
			offers = readOffers(offers, value)
		}
	}
	return offers
}

func readOffers(offers []offer, s string) []offer {
	had := len(offers)
	for len(offers) < maxOffers {
		word, rest := cutToken(strings.TrimLeft(s, " \t,"))
		if word == "" {
			break
		}
		rest = strings.TrimLeft(rest, " \t")
		switch value, after, ok := cutValue(rest); {
		case !ok:
			offers = append(offers, offer{strings.ToLower(word), map[string]string{}})
			s = skipToken68(rest)
		case len(offers) == had:
			return offers // a parameter of nothing
		default:
			offers[len(offers)-1].add(word, value)
			s = after
		}
	}
	return offers
}

func (o offer) add(name, value string) {
	name = strings.ToLower(name)
	if _, ok := o.parameters[name]; !ok && len(o.parameters) < maxParameters {
		o.parameters[name] = value
	}
}

// cutToken cuts the token that s begins with (RFC 9110 section 5.6.2); it is empty if there is none.
func cutToken(s string) (token, rest string) {
	i := 0
	for i < len(s) && isTokenByte(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func isTokenByte(c byte) bool {
	return isAlnum(c) || 'A' <= c && c <= 'Z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// cutValue cuts what follows the name of a parameter: an equals sign and a token or a quoted string (RFC 9110 sections 5.6.4 and
// 11.2). ok is false when s is no such thing. A quoted string without an end reaches to the end of s. Of values that are neither, the
// token characters and those of URLs are taken: servers forget the quotes.
func cutValue(s string) (value, rest string, ok bool) {
	s, ok = strings.CutPrefix(s, "=")
	if !ok || strings.HasPrefix(s, "=") {
		return "", s, false // the padding of a token68
	}
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, " \t,")
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), "", true
}

// skipToken68 skips what stands between a scheme and the next comma, unless it is the first parameter (RFC 9110 section 11.2).
func skipToken68(s string) string {
	word, after := cutToken(s)
	after = strings.TrimLeft(after, " \t")
	value, _, ok := cutValue(after)
	if quoted := strings.HasPrefix(strings.TrimLeft(after, "= \t"), `"`); ok && word != "" && (value != "" || quoted) {
		return s
	}
	if i := strings.IndexByte(s, ','); i >= 0 {
		return s[i:]
	}
	return ""
}
