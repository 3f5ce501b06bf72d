package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		figures []float64
		want    Spread
	}{
		{"none", nil, Spread{}},
		{"one", []float64{7}, Spread{7, 7, 7}},
		{"two", []float64{4, 2}, Spread{Median: 3, Lower: 2.5, Upper: 3.5}},
		{"five, unsorted", []float64{50, 10, 40, 20, 30}, Spread{Median: 30, Lower: 20, Upper: 40}},
		{"four", []float64{1, 2, 3, 4}, Spread{Median: 2.5, Lower: 1.75, Upper: 3.25}},
		{"an outlier", []float64{1, 1, 1, 1, 1000}, Spread{1, 1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, spread(c.figures))
		})
	}
}

func TestSpreadLeavesTheFiguresInTheirOrder(t *testing.T) {
	t.Parallel()
	figures := []float64{3, 1, 2}
	spread(figures)
	require.Equal(t, []float64{3, 1, 2}, figures)
}

func TestFigures(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{
		0: "0.00", 0.004: "0.00", 0.256: "0.26", 9.994: "9.99", 9.996: "10.0", 56.65: "56.6", 99.96: "100", 976.4: "976",
		1037: "1,037", 1234567: "1,234,567", -2048: "-2,048",
	} {
		require.Equal(t, want, figure(x), "%v", x)
	}
	require.Equal(t, "976 (769-1,037)", Spread{Median: 976, Lower: 769, Upper: 1037}.String())
	require.Equal(t, "1.00", Spread{1, 1, 1}.String())
}
