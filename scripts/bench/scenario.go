package main

import (
	"context"
	"math"
)

// scenario is work that several entrants do in turn, round after round: on a machine whose speed varies, what is compared has to
// be measured at the same time.
type scenario struct {
	// name is what -only selects.
	name     string
	entrants []entrant
	// claims are its lines in the table.
	claims []claim
	// rounds is how many are measured, if not as many as the flag says.
	rounds int
}

// entrant is one of those that are compared: a server, or a way to ask it, or the machine.
type entrant struct {
	name    string
	measure func(ctx context.Context) (sample, error)
}

// metric is a figure that a sample has.
type metric struct {
	unit string
	of   func(s sample) float64
}

var (
	perSecond = metric{"/s", func(s sample) float64 { return float64(s.Operations) / s.Seconds }}
	megabytes = metric{"MB/s", func(s sample) float64 { return float64(s.Bytes) / 1e6 / s.Seconds }}
	cpuPerGB  = metric{"CPU s/GB", func(s sample) float64 { return (s.User + s.System) / (float64(s.Bytes) / 1e9) }}
	peakMB    = metric{"MB", func(s sample) float64 { return float64(s.Peak) / 1e6 }}
	idleMB    = metric{"MB", func(s sample) float64 { return float64(s.Idle) / 1e6 }}
	readyMS   = metric{"ms", func(s sample) float64 { return s.Ready * 1e3 }}
	firstMS   = metric{"ms", func(s sample) float64 { return s.First * 1e3 }}
	duration  = metric{"s", func(s sample) float64 { return s.Seconds }}
	requests  = metric{"requests", func(s sample) float64 { return float64(s.Fetches) }}
)

// claim is a line of the table: a figure, what it is compared with, and the bar.
type claim struct {
	// name is added to the scenario's.
	name string
	metric
	// of, base and limit are entrants: the one that the line is about, the one that counts as 1, and the machine's limit. The last
	// two may be empty.
	of, base, limit string
	bar             bar
	// absolute: the bar is for the figure, not for its ratio to the base. So it is without a base.
	absolute bool
	// above: the bar is for what the figure has more than the base, in the figure's unit.
	above bool
}

// bar is what a ratio, or a figure without a base, has to reach. The zero value is none.
type bar struct {
	least, most float64
	// share, if not 0, is a share of the limit that is enough in place of least.
	share float64
}

// judge compares a figure with the bar: the figure itself if base is NaN, else its ratio to base. It returns the bar as text.
func (b bar) judge(value, base, limit float64) (text string, ok bool) {
	measure := value
	if !math.IsNaN(base) {
		measure = value / base
	}
	switch {
	case b.most != 0:
		return "<= " + figure(b.most), measure <= b.most
	case b.share != 0 && b.share*limit/base < b.least:
		return ">= " + figure(b.share) + " of limit", value >= b.share*limit
	}
	return ">= " + figure(b.least), measure >= b.least
}

// beside is the usual claim: a figure of repomgr's beside the peer's, and nginx's.
func beside(m metric, least float64) claim {
	return claim{metric: m, of: subject, base: peer, limit: static, bar: bar{least: least}}
}
