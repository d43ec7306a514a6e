package oci

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience is how long a large document may keep the server, on a busy machine and under the race detector.
const patience = 20 * time.Second

// Documents that cost a careless parser its stack, its memory or its time are refused, soon, and the server lives.
func TestHostile_JSONBombs(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		config, layer := string(encode(t, m.Config)), string(encode(t, m.Layers[0]))
		image := func(more string) string {
			return `{"schemaVersion":2,"mediaType":"` + typeManifest + `","config":` + config + `,"layers":[` + layer + `]` + more + `}`
		}
		deep := func(open, shut string, n int) string { return strings.Repeat(open, n) + strings.Repeat(shut, n) }
		many := func(item string, size int) string {
			return strings.TrimSuffix(strings.Repeat(item+",", size/(len(item)+1)), ",")
		}
		const most = 200_000
		tests := []struct{ name, text string }{
			{"deep lists", image(`,"x":` + deep("[", "]", most/2-1000))},
			{"deep objects", image(`,"x":` + deep(`{"a":`, "}", most/6-1000))},
			{"deep lists without end", strings.Repeat("[", most)},
			{"deep objects without end", strings.Repeat(`{"config":`, most/10)},
			{"deep config", `{"schemaVersion":2,"config":` + deep(`{"config":`, "}", most/12) + `}`},
			{"deep subject", image(`,"subject":` + deep(`{"subject":`, "}", most/13))},
			{"deep platform", `{"schemaVersion":2,"mediaType":"` + typeIndex + `","manifests":[{"platform":` + deep("[", "]", most/3) + `}]}`},
			{"many layers", strings.Replace(image(""), layer, many(layer, 10*most), 1)},
			{"many empty layers", strings.Replace(image(""), layer, many("{}", most), 1)},
			{"many empty children", `{"schemaVersion":2,"mediaType":"` + typeIndex + `","manifests":[` + many("{}", 5*most) + `]}`},
			{"many nulls", strings.Replace(image(""), layer, many("null", most), 1)},
			{"many equal keys", image(`,` + many(`"a":1`, most))},
			{"two layers", image(`,"layers":[]`)},
			{"two configs", image(`,"config":{}`)},
			{"two schemaVersions", image(`,"schemaVersion":1`)},
			{"two digests", strings.Replace(image(""), `"size"`, `"digest":"`+m.Config.Digest.String()+`","size"`, 1)},
			{"escaped twin", image(`,"layer\u0073":[]`)},
			{"other case", image(`,"Layers":[]`)},
			{"schemaVersion without end", `{"schemaVersion":` + strings.Repeat("9", most) + `}`},
			{"size of many digits", strings.Replace(image(""), `"size":64`, `"size":64e`+strings.Repeat("9", 1000), 1)},
			{"mediaType without end", `{"schemaVersion":2,"mediaType":"` + strings.Repeat("a", most) + `"}`},
			{"digest without end", strings.Replace(image(""), m.Config.Digest.Encoded(), strings.Repeat("0", most), 1)},
			{"invalid UTF-8", image(`,"annotations":{"a":"` + "\xff\xfe" + `"`)},
			{"annotations of numbers", image(`,"annotations":{"a":1}`)},
		}
		for _, tt := range tests {
			began := time.Now()
			contentType := typeManifest
			if strings.Contains(tt.text, `"manifests"`) {
				contentType = typeIndex
			}
			res := r.put(t, "bomb", contentType, []byte(tt.text))
			if res.status != http.StatusBadRequest || len(res.body) > 64<<10 {
				t.Errorf("%s: status %d, %d bytes: %.200s", tt.name, res.status, len(res.body), res.body)
			}
			if took := time.Since(began); took > patience {
				t.Errorf("%s took %v", tt.name, took)
			}
		}
		r.get(t, r.manifest("bomb")).want(t, http.StatusNotFound)
		r.push(t, "v1", typeManifest, []byte(image("")))
	})
}

// Large but honest documents are taken: as many layers, children and annotations as fit.
func TestHostile_LargeManifests201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		for range 500 {
			m.Layers = append(m.Layers, m.Layers[0])
		}
		r.push(t, "layers", typeManifest, encode(t, m))
		x := index{SchemaVersion: 2, MediaType: typeIndex}
		for range 1000 {
			x.Manifests = append(x.Manifests, describe(typeManifest, random(8)))
		}
		r.push(t, "children", typeIndex, encode(t, x))
		m = r.newImage(t)
		m.Annotations = map[string]string{}
		for i := range 5000 {
			m.Annotations[fmt.Sprintf("org.example.annotation.%d", i)] = strings.Repeat("x", 100)
		}
		b := encode(t, m)
		r.push(t, "annotations", typeManifest, b)
		r.get(t, r.manifest("annotations")).want(t, http.StatusOK).wantBody(t, b)
	})
}

// Many missing layers are an answer of bounded size.
func TestHostile_ManyMissing(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		m.Layers = nil
		for range 3000 {
			m.Layers = append(m.Layers, describe(typeLayer, random(8)))
		}
		began := time.Now()
		res := r.put(t, "v1", typeManifest, encode(t, m)).refused(t, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
		if len(res.body) > 4<<20 {
			t.Errorf("an answer of %d bytes", len(res.body))
		}
		if took := time.Since(began); took > patience {
			t.Errorf("it took %v", took)
		}
	})
}

// Headers and URLs of any content get an answer.
func TestHostile_Headers(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		_, b := r.pushImage(t, "v1")
		for _, contentType := range []string{
			"/", "application/", "text/html", "application/json\t; x", strings.Repeat("a", 20_000), "application/" + strings.Repeat("a", 300), "*/*",
			"application/vnd.oci.image.manifest.v1+json, text/html", `application/"x"`, "application/x<script>",
		} {
			res := r.put(t, "v2", contentType, b)
			res.refused(t, http.StatusBadRequest, "MANIFEST_INVALID")
		}
		r.get(t, r.manifest("v1"), header("Accept", strings.Repeat(typeManifest+",", 500))).want(t, http.StatusOK)
		r.get(t, r.manifest("v1"), header("If-None-Match", strings.Repeat(`"x",`, 5000))).want(t, http.StatusOK)
		r.get(t, r.manifest("v1"), query("x", strings.Repeat("y", 30_000))).want(t, http.StatusOK, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge)
		// The proxy's word about host and scheme stays within its place.
		for _, host := range []string{`x",scope="repository:*:*`, "x\ty", "a/b", strings.Repeat("a", 3000)} {
			res := r.by("").put(t, "v2", typeManifest, b, header("X-Forwarded-Host", host), header("X-Forwarded-Proto", `javascript`))
			c := res.want(t, http.StatusUnauthorized).challenge(t)
			if !strings.HasPrefix(c.parameters["realm"], "http://") || c.parameters["scope"] != r.scope("pull,push") {
				t.Errorf("X-Forwarded-Host %.40q: challenge %+v", host, c)
			}
		}
	})
}
