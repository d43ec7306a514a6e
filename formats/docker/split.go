package docker

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// What follows walks JSON that is known to be valid without making a value of each of its parts: a few bytes of JSON can
// stand for a value many times as large.

// opens tells whether the JSON value begins with the bracket.
func opens(value []byte, bracket byte) bool {
	value = bytes.TrimSpace(value)
	return len(value) > 0 && value[0] == bracket
}

// items yields what stands between the commas of a valid JSON array or object: elements, or keys with their values.
func items(container []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		inside := bytes.TrimSpace(container)
		inside = bytes.TrimSpace(inside[1 : len(inside)-1])
		depth, start := 0, 0
		for i := 0; i < len(inside); i++ {
			switch inside[i] {
			case '"':
				i += stringEnd(inside[i:]) - 1
			case '[', '{':
				depth++
			case ']', '}':
				depth--
			case ',':
				if depth > 0 {
					continue
				}
				if !yield(inside[start:i]) {
					return
				}
				start = i + 1
			}
		}
		if len(inside) > 0 {
			yield(inside[start:])
		}
	}
}

// exceeds tells whether a valid JSON array or object has more than n items. It looks no further than that.
func exceeds(container []byte, n int) bool {
	for range items(container) {
		if n--; n < 0 {
			return true
		}
	}
	return false
}

// stringEnd is the length of the valid JSON string that b begins with, quotes included.
func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// unquote is the text of a valid JSON string, as encoding/json decodes it. That would cost some hundred bytes for each.
func unquote(quoted []byte) string {
	b := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b) {
		return string(b)
	}
	text := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == '\\' {
			r, n = unescape(b)
		}
		text, b = utf8.AppendRune(text, r), b[n:]
	}
	return string(text)
}

// unescape is the character that the escape sequence at the beginning of b stands for, and the length of the latter (RFC 8259,
// section 7). A lone half of a surrogate pair stays one.
func unescape(b []byte) (rune, int) {
	if b[1] != 'u' {
		if i := strings.IndexByte("bfnrt", b[1]); i >= 0 {
			return rune("\b\f\n\r\t"[i]), 2
		}
		return rune(b[1]), 2
	}
	r := hex(b[2:6])
	if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex(b[8:12])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return r, 6
}

func hex(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits), 16, 16)
	return rune(n)
}
