package remote

import (
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := newClock().now()
	tests := []struct {
		value string
		want  time.Duration
	}{
		{"", 0},
		{"0", 0},
		{"-5", 0},
		{"120", 2 * time.Minute},
		{" 7 ", 7 * time.Second},
		{"1.5", 0},
		{"soon", 0},
		{"Sun, 01 Mar 2026 12:00:30 GMT", 30 * time.Second},
		{"Sunday, 01-Mar-26 12:01:00 GMT", time.Minute},
		{"Sun, 01 Mar 2026 11:00:00 GMT", 0},
		{"1772366460", time.Minute},
		{"1000000000", 0},
		{"99999999999999999", 10 * 365 * 24 * time.Hour},
		{"99999999999999999999999", 10 * 365 * 24 * time.Hour},
		{"-99999999999999999999999", 0},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			if got := retryAfter(tt.value, now); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "-1", "1772366460", "9223372036854775807", "Sun, 01 Mar 2026 12:00:30 GMT", "x"} {
		f.Add(s)
	}
	now := newClock().now()
	f.Fuzz(func(t *testing.T, value string) {
		if d := retryAfter(value, now); d < 0 || d > 10*365*24*time.Hour {
			t.Errorf("%q is %v", value, d)
		}
	})
}

func TestPauses(t *testing.T) {
	want := []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}
	for i, most := range want {
		seen := map[time.Duration]bool{}
		for range 100 {
			d := pauseBefore(i+1, 0)
			if d < most/2 || d > most {
				t.Fatalf("pause %d is %v, want %v to %v", i+1, d, most/2, most)
			}
			seen[d] = true
		}
		if len(seen) < 10 {
			t.Errorf("pause %d is always one of %d: no jitter", i+1, len(seen))
		}
	}
	if d := pauseBefore(1, 3*time.Second); d != 3*time.Second {
		t.Errorf("pause %v, want what was asked for", d)
	}
}

func TestBlockTimes(t *testing.T) {
	seconds := []int{10, 20, 40, 80, 160, 320, 600, 600, 600}
	for i, s := range seconds {
		most := time.Duration(s) * time.Second
		if d := blockTime(firstBlock, i+1); d <= most*9/10-1 || d > most {
			t.Errorf("block %d is %v, want about %v", i+1, d, most)
		}
	}
	if d := blockTime(firstBlock, 1000); d > lastBlock {
		t.Errorf("block 1000 is %v", d)
	}
}
