package main

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	none := math.NaN()
	tests := []struct {
		name               string
		bar                bar
		value, base, limit float64
		text               string
		ok                 bool
	}{
		{"ratio reached", bar{least: 15}, 15000, 1000, none, ">= 15.0", true},
		{"ratio missed", bar{least: 15}, 14999, 1000, none, ">= 15.0", false},
		{"at most, as a ratio", bar{most: 0.8}, 0.41, 0.5, none, "<= 0.80", false},
		{"at most, as a figure", bar{most: 100}, 99, none, none, "<= 100", true},
		{"the machine allows the ratio", bar{least: 2.2, share: 0.85}, 500, 250, 700, ">= 2.20", false},
		{"the machine doesn't, share reached", bar{least: 2.2, share: 0.85}, 500, 250, 580, ">= 0.85 of limit", true},
		{"the machine doesn't, share missed", bar{least: 2.2, share: 0.85}, 480, 250, 580, ">= 0.85 of limit", false},
		{"limit not measured", bar{least: 2.2, share: 0.85}, 600, 250, none, ">= 2.20", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if text, ok := tt.bar.judge(tt.value, tt.base, tt.limit); text != tt.text || ok != tt.ok {
				t.Errorf("got %q, %t, want %q, %t", text, ok, tt.text, tt.ok)
			}
		})
	}
}

// rates are samples of one second each.
func rates(perRound ...int) []sample {
	var samples []sample
	for _, n := range perRound {
		samples = append(samples, sample{Operations: n, Seconds: 1})
	}
	return samples
}

func TestLine(t *testing.T) {
	plain := claim{metric: perSecond, of: subject, base: peer, limit: static, bar: bar{least: 10}}
	absolute := claim{name: ": ready", metric: perSecond, of: subject, base: peer, absolute: true, bar: bar{most: 500}}
	above := claim{name: ": first byte", metric: perSecond, of: subject, base: peer, above: true, bar: bar{most: 5}}
	tests := []struct {
		name    string
		claim   claim
		samples map[string][]sample
		failed  string
		want    line
	}{
		{
			"medians are compared", plain, map[string][]sample{subject: rates(900, 1100, 5000), peer: rates(100, 90, 110), static: rates(9000)}, "",
			line{Name: "get", Unit: "/s", Value: 1100, Base: 100, Ratio: 11, Limit: 9000, Bar: ">= 10.0", Verdict: "ok"},
		},
		{
			"missed", plain, map[string][]sample{subject: rates(900), peer: rates(100)}, "",
			line{Name: "get", Unit: "/s", Value: 900, Base: 100, Ratio: 9, Limit: math.NaN(), Bar: ">= 10.0", Verdict: "missed"},
		},
		{
			"no base", plain, map[string][]sample{subject: rates(900)}, "",
			line{Name: "get", Unit: "/s", Value: 900, Base: math.NaN(), Ratio: math.NaN(), Limit: math.NaN(), Verdict: "-"},
		},
		{
			"failed in the second round", plain, map[string][]sample{subject: rates(2000), peer: rates(100)}, subject,
			line{Name: "get", Unit: "/s", Value: 2000, Base: 100, Ratio: 20, Limit: math.NaN(), Bar: ">= 10.0", Verdict: "failed"},
		},
		{
			"the figure itself", absolute, map[string][]sample{subject: rates(600), peer: rates(20)}, "",
			line{Name: "get: ready", Unit: "/s", Value: 600, Base: 20, Ratio: 30, Limit: math.NaN(), Bar: "<= 500", Verdict: "missed"},
		},
		{
			"what it has more, reached", above, map[string][]sample{subject: rates(24), peer: rates(20)}, "",
			line{Name: "get: first byte", Unit: "/s", Value: 24, Base: 20, Ratio: 1.2, Limit: math.NaN(), Bar: "<= 5.00 more", Verdict: "ok"},
		},
		{
			"what it has more, missed", above, map[string][]sample{subject: rates(26), peer: rates(20)}, "",
			line{Name: "get: first byte", Unit: "/s", Value: 26, Base: 20, Ratio: 1.3, Limit: math.NaN(), Bar: "<= 5.00 more", Verdict: "missed"},
		},
		{
			"what it has more, no base", above, map[string][]sample{subject: rates(4)}, "",
			line{Name: "get: first byte", Unit: "/s", Value: 4, Base: math.NaN(), Ratio: math.NaN(), Limit: math.NaN(), Verdict: "-"},
		},
		{
			"the figure itself, no base", absolute, map[string][]sample{subject: rates(400)}, "",
			line{Name: "get: ready", Unit: "/s", Value: 400, Base: math.NaN(), Ratio: math.NaN(), Limit: math.NaN(), Bar: "<= 500", Verdict: "ok"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := result{scenario: scenario{name: "get"}, samples: tt.samples, errs: map[string]error{}}
			if tt.failed != "" {
				r.errs[tt.failed] = errors.New("status 500")
			}
			got := r.line(tt.claim)
			equal := got.Name == tt.want.Name && got.Unit == tt.want.Unit && got.Bar == tt.want.Bar && got.Verdict == tt.want.Verdict &&
				same(got.Value, tt.want.Value) && same(got.Base, tt.want.Base) && same(got.Ratio, tt.want.Ratio) && same(got.Limit, tt.want.Limit)
			if !equal {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

func TestWriteJSON(t *testing.T) {
	r := result{
		scenario: scenario{name: "get", entrants: []entrant{{name: subject}, {name: peer}}, claims: []claim{beside(perSecond, 2)}},
		samples:  map[string][]sample{subject: rates(100, 200, 300)},
		errs:     map[string]error{peer: errors.New("status 500")},
	}
	name := filepath.Join(t.TempDir(), "out.json")
	if err := writeJSON(name, options{rounds: 3, time: time.Second}, []result{r}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Claims []struct {
			Value, Base *float64
			Verdict     string
		}
		Scenarios []struct {
			Samples map[string][]sample
			Errors  map[string]string
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	c, s := got.Claims[0], got.Scenarios[0]
	if c.Value == nil || *c.Value != 200 || c.Base != nil || c.Verdict != "failed" {
		t.Errorf("claim %+v", c)
	}
	if len(s.Samples[subject]) != 3 || s.Errors[peer] != "status 500" {
		t.Errorf("scenario %+v", s)
	}
}
