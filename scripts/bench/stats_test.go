package main

import (
	"math"
	"testing"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   float64
	}{
		{"none", nil, math.NaN()},
		{"one", []float64{7}, 7},
		{"odd, not in order", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 3, 2}, 2.5},
		{"an outlier", []float64{1000, 10, 11}, 11},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := median(tt.values); got != tt.want && !(math.IsNaN(got) && math.IsNaN(tt.want)) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	values := []float64{3, 1, 2}
	median(values)
	if values[0] != 3 {
		t.Error("the values were put in order in place")
	}
}

func TestFigure(t *testing.T) {
	tests := []struct {
		value float64
		want  string
	}{
		{0, "0"},
		{0.05213, "0.0521"},
		{0.8, "0.80"},
		{1.149, "1.15"},
		{41.26, "41.3"},
		{999.4, "999"},
		{1000, "1,000"},
		{20711.4, "20,711"},
		{1234567, "1,234,567"},
		{-1234, "-1,234"},
		{-123456, "-123,456"},
		{math.NaN(), "-"},
		{math.Inf(1), "-"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			if got := figure(tt.value); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTable(t *testing.T) {
	got := table([][]string{{"scenario", "/s"}, {"pull", "1,570"}, {"größer", "9"}})
	want := "" +
		"| scenario |    /s |\n" +
		"|----------|------:|\n" +
		"| pull     | 1,570 |\n" +
		"| größer   |     9 |\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
