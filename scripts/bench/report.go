package main

import (
	"encoding/json"
	"math"
	"os"
	"runtime"
	"strings"
	"time"
)

// of is the median over the rounds of a figure of an entrant's, NaN if there is none.
func (r result) of(entrant string, m metric) float64 {
	var values []float64
	for _, s := range r.samples[entrant] {
		values = append(values, m.of(s))
	}
	return median(values)
}

// line is a line of the table of claims. Figures that there are not are NaN.
type line struct {
	Name    string
	Unit    string
	Value   float64
	Base    float64
	Ratio   float64
	Limit   float64
	Bar     string
	Verdict string
}

// line compares what was measured with the bar.
func (r result) line(c claim) line {
	l := line{Name: r.name + c.name, Unit: c.unit, Value: r.of(c.of, c.metric), Base: r.of(c.base, c.metric), Limit: r.of(c.limit, c.metric), Verdict: "-"}
	l.Ratio = l.Value / l.Base
	if r.errs[c.of] != nil || r.errs[c.base] != nil {
		l.Verdict = "failed"
	}
	if c.bar == (bar{}) || math.IsNaN(l.Value) || (math.IsNaN(l.Base) && c.base != "" && !c.absolute) {
		return l
	}
	value, base := l.Value, l.Base
	if c.above {
		value -= base
	}
	if c.absolute || c.above {
		base = math.NaN()
	}
	var ok bool
	l.Bar, ok = c.bar.judge(value, base, l.Limit)
	if c.above {
		l.Bar += " more"
	}
	if !ok {
		l.Verdict = "missed"
	} else if l.Verdict == "-" {
		l.Verdict = "ok"
	}
	return l
}

// lines are the claims of all scenarios.
func lines(results []result) []line {
	var all []line
	for _, r := range results {
		for _, c := range r.claims {
			all = append(all, r.line(c))
		}
	}
	return all
}

func claimTable(all []line) string {
	rows := [][]string{{"scenario", "unit", "repomgr", "base", "ratio", "bar", "", "limit"}}
	for _, l := range all {
		rows = append(rows, []string{l.Name, l.Unit, figure(l.Value), figure(l.Base), figure(l.Ratio), orDash(l.Bar), l.Verdict, figure(l.Limit)})
	}
	return table(rows)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// Costs of one operation.
var (
	userCost   = metric{"us", func(s sample) float64 { return s.User * 1e6 / float64(s.Operations) }}
	systemCost = metric{"us", func(s sample) float64 { return s.System * 1e6 / float64(s.Operations) }}
	clientCost = metric{"us", func(s sample) float64 { return s.Client * 1e6 / float64(s.Operations) }}
)

// costTable is what an operation costs: CPU time in microseconds, of the server and of this client, and what a gigabyte costs where
// operations are large.
func costTable(results []result) string {
	rows := [][]string{{"scenario", "server", "/s", "user us", "system us", "client us", "CPU s/GB", "peak MB"}}
	for _, r := range results {
		for _, e := range r.entrants {
			if math.IsNaN(r.of(e.name, perSecond)) {
				continue // it was not load, or it failed
			}
			row := []string{r.name, e.name, figure(r.of(e.name, perSecond)), "-", "-", figure(r.of(e.name, clientCost)), "-", "-"}
			if first := r.samples[e.name][0]; first.Server != "" {
				row[3], row[4] = figure(r.of(e.name, userCost)), figure(r.of(e.name, systemCost))
				if first.large() {
					row[6] = figure(r.of(e.name, cpuPerGB))
				}
				row[7] = figure(r.of(e.name, peakMB))
			}
			rows = append(rows, row)
		}
	}
	return table(rows)
}

// peaks is the most memory of each server over all scenarios.
func peaks(results []result) string {
	most := map[string]float64{}
	for _, r := range results {
		for _, samples := range r.samples {
			for _, s := range samples {
				most[s.Server] = max(most[s.Server], peakMB.of(s))
			}
		}
	}
	var parts []string
	for _, name := range []string{subject, peer, static} {
		if most[name] > 0 {
			parts = append(parts, name+" "+figure(most[name])+" MB")
		}
	}
	return "Most resident memory over all scenarios: " + strings.Join(parts, ", ")
}

// writeJSON writes every sample of a run to a file, and the table of claims.
func writeJSON(name string, o options, results []result) error {
	type measured struct {
		Name    string              `json:"name"`
		Samples map[string][]sample `json:"samples"`
		Errors  map[string]string   `json:"errors,omitempty"`
	}
	type row struct {
		Name    string   `json:"name"`
		Unit    string   `json:"unit"`
		Value   *float64 `json:"value"`
		Base    *float64 `json:"base,omitempty"`
		Ratio   *float64 `json:"ratio,omitempty"`
		Limit   *float64 `json:"limit,omitempty"`
		Bar     string   `json:"bar,omitempty"`
		Verdict string   `json:"verdict"`
	}
	run := struct {
		At        time.Time  `json:"at"`
		CPUs      int        `json:"cpus"`
		Rounds    int        `json:"rounds"`
		Seconds   float64    `json:"seconds"`
		Claims    []row      `json:"claims"`
		Scenarios []measured `json:"scenarios"`
	}{At: time.Now().UTC(), CPUs: runtime.NumCPU(), Rounds: o.rounds, Seconds: o.time.Seconds()}
	for _, r := range results {
		m := measured{Name: r.name, Samples: r.samples, Errors: map[string]string{}}
		for entrant, err := range r.errs {
			m.Errors[entrant] = err.Error()
		}
		run.Scenarios = append(run.Scenarios, m)
	}
	for _, l := range lines(results) {
		run.Claims = append(run.Claims, row{l.Name, l.Unit, number(l.Value), number(l.Base), number(l.Ratio), number(l.Limit), l.Bar, l.Verdict})
	}
	text, err := json.MarshalIndent(run, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}

// number is nil where there is none: JSON has no NaN.
func number(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
