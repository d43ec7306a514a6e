package docker

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// keysJSON is the inside of an object with n keys.
func keysJSON(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%x":""`, i)
	}
	return b.String()[1:]
}

func TestItems(t *testing.T) {
	tests := []struct {
		name, json string
		want       []string
	}{
		{"empty list", " [ ] ", nil},
		{"empty object", "{}", nil},
		{"list", "[1,[2,3],{\"a\":4,\"b\":5},null]", []string{"1", "[2,3]", `{"a":4,"b":5}`, "null"}},
		{"object", `{"a":1,"b":[1,2]}`, []string{`"a":1`, `"b":[1,2]`}},
		{"punctuation in strings", `{"a,}":"]\",","b\\":"\\"}`, []string{`"a,}":"]\","`, `"b\\":"\\"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for item := range items([]byte(tt.json)) {
				got = append(got, string(item))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if exceeds([]byte(tt.json), len(tt.want)) || len(tt.want) > 0 && !exceeds([]byte(tt.json), len(tt.want)-1) {
				t.Error("exceeds counts otherwise")
			}
		})
	}
}

func TestUnquote(t *testing.T) {
	for _, s := range []string{
		"", "a", "ä€😀", "\xff\xc3", "a\xe2\x82", `\"\\\/\b\f\n\r\t`, `\u0061\u00e4\u20AC`, `\ud83d\ude00`, `\uD83D\uDE00x`, `\ud83d`, `\ud83dx`,
		`\ud83d\n`, `\ud83d\u0061`, `\ud83d\ud83d\ude00`, `\ude00\ud83d`, `\ufffd`, `\u0000`, "\\n\xff\\\\u0061", `\ude00\ude00\ude00`,
	} {
		var want string
		if err := json.Unmarshal([]byte(`"`+s+`"`), &want); err != nil {
			t.Fatal(err)
		}
		if got := unquote([]byte(`"` + s + `"`)); got != want {
			t.Errorf("unquote(%s) = %q, want %q", s, got, want)
		}
	}
}

func TestParseObject(t *testing.T) {
	got, err := parseObject([]byte(" { \"a:\\u0062\" : [ 1 , 2 ] ,\n\"c\":\"}\" } "))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a:b": "[ 1 , 2 ]", "c": `"}"`}
	for key, value := range got {
		if want[key] != string(value) {
			t.Errorf("%q is %s", key, value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d keys", len(got))
	}
}

// A manifest of the largest size that is made to cost memory is answered with little more memory than it has bytes.
func TestIngestBombs(t *testing.T) {
	fill := func(head, item, tail string) string {
		n := (MaxManifest - len(head) - len(tail)) / (len(item) + 1)
		return head + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + tail
	}
	head := `{"schemaVersion":2,"config":` + desc("c", "") + `,`
	many := keysJSON(350_000)
	wide := desc("1", "", keysJSON(maxKeys-10))
	escaped := desc("1", "", strings.ReplaceAll(keysJSON(maxKeys-10), `,"`, `,"\/`))
	tests := []struct {
		name, body string
		// taken tells that the manifest is none that is refused.
		taken bool
	}{
		{name: "keys", body: head + many + `}`},
		{name: "keys in a descriptor", body: head + `"layers":[{` + many + `}]}`},
		{name: "keys in descriptors", body: fill(head+`"layers":[`, wide, `,0]}`)},
		{name: "escaped keys in descriptors", body: fill(head+`"layers":[`, escaped, `,0]}`)},
		{name: "annotations", body: head + `"annotations":{` + many + `}}`},
		{name: "deep", body: head + `"x":` + strings.Repeat("[", MaxManifest/2-200) + strings.Repeat("]", MaxManifest/2-200) + `}`},
		{name: "small elements", body: fill(head+`"layers":[`, `{}`, `]}`)},
		{name: "numbers", body: fill(head+`"layers":[`, `0`, `]}`)},
		{name: "descriptors", body: fill(head+`"layers":[`, desc("1", ""), `]}`)},
		{name: "elements of a string", body: fill(head+`"artifactType":[`, `0`, `]}`)},
		{name: "platform", body: head + `"layers":[` + desc("1", "", `"platform":{"os.features":[`+
			strings.TrimSuffix(strings.Repeat(`"",`, 1_390_000), ",")+`],"os":"l","architecture":"a"}`) + `,0]}`},
		{name: "unknown key", body: fill(head+`"x":[`, `{}`, `]}`), taken: true},
		{name: "not closed", body: fill(head+`"x":[`, `{}`, `]`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if len(tt.body) > MaxManifest || len(tt.body) < MaxManifest/2 {
				t.Fatalf("%d bytes", len(tt.body))
			}
			route := format.Route{Path: "/v2/n/manifests/t", Kind: kindTag, Name: "n", ContentType: v1.MediaTypeImageManifest}
			body := slices.Clip([]byte(tt.body))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := ingestRoute(route, body)
			runtime.ReadMemStats(&after)
			if e := errs.As(err); (err == nil) != tt.taken || err != nil && (e.Kind != errs.Invalid || e.Code != codeManifestInvalid) {
				t.Errorf("error %v", err)
			}
			used := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes took %d of memory: %v", len(body), used, err)
			if used > 4*MaxManifest {
				t.Errorf("%d bytes took %d of memory", len(body), used)
			}
		})
	}
}
