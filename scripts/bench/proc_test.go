package main

import (
	"errors"
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " S 77 8 8 0 -1 4194560 1000 0 3 0 250 130 5 6 20 0 11 0 12345 1000000 500"
	tests := []struct {
		name string
		text string
		want stat
		err  error
	}{
		{"usual", "123 (repomgr)" + rest, stat{77, usage{2500 * time.Millisecond, 1300 * time.Millisecond}}, nil},
		{"a name with all in it", "123 (a) R 1 (b c)" + rest, stat{77, usage{2500 * time.Millisecond, 1300 * time.Millisecond}}, nil},
		{"cut off", "123 (repomgr) S 77 8 8 0 -1 4194560 1000 0 3 0 250", stat{}, errProc},
		{"no number", "123 (repomgr) S 77 8 8 0 -1 4194560 1000 0 3 0 x 130 5", stat{}, errProc},
		{"empty", "", stat{}, errProc},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStat([]byte(tt.text))
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %+v, %v, want %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestParseStatus(t *testing.T) {
	tests := []struct {
		name string
		text string
		want memory
		err  error
	}{
		{"usual", "Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t   20 kB\nVmRSS:\t   10 kB\nRssAnon:\t 1 kB\n", memory{now: 10 << 10, peak: 20 << 10}, nil},
		{"of a process that has ended", "Name:\tx\nState:\tZ (zombie)\n", memory{}, errProc},
		{"no number", "VmHWM:\t20 kB\nVmRSS:\tmany kB\n", memory{}, errProc},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStatus(tt.text)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %+v, %v, want %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

// TestProc reads this process's own figures.
func TestProc(t *testing.T) {
	self := []int{os.Getpid()}
	before, err := cpuOf(self)
	if os.IsNotExist(err) {
		t.Skip("no /proc")
	}
	if err != nil {
		t.Fatal(err)
	}
	var own usage
	for began := time.Now(); own.user+own.system < 200*time.Millisecond && time.Since(began) < time.Minute; {
		if own, err = ownCPU(); err != nil {
			t.Fatal(err)
		}
	}
	after, err := cpuOf(self)
	if err != nil {
		t.Fatal(err)
	}
	if spent := after.minus(before); spent.user+spent.system <= 0 {
		t.Errorf("CPU time went from %v to %v", before, after)
	}
	if err := resetPeak(self); err != nil {
		t.Fatal(err)
	}
	m, err := memoryOf(self)
	if err != nil || m.now < 1<<20 || m.peak < m.now/2 {
		t.Errorf("memory %+v, %v", m, err)
	}
	if _, err := cpuOf([]int{-1}); err == nil {
		t.Error("a process that there is not has used CPU time")
	}
}
