package verdict

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float64Range(-1e9, 1e9), 1, 50).Draw(t, "values")
		sorted := slices.Sorted(slices.Values(v))
		want := (sorted[(len(v)-1)/2] + sorted[len(v)/2]) / 2
		require.Equal(t, want, median(v))
	})
}

func TestTheilSen(t *testing.T) {
	t.Parallel()
	p := points{}
	for i := range 50 {
		p.x = append(p.x, float64(i))
		p.y = append(p.y, 3*float64(i))
		if i%4 == 0 {
			p.y[i] = 1e9
		}
	}
	require.InDelta(t, 3, theilSen(p), 1e-9)
	_, ordinary := stat.LinearRegression(p.x, p.y, nil, false)
	require.Greater(t, math.Abs(ordinary-3), 1000.0, "least squares is led astray")
}

func TestCleaned(t *testing.T) {
	t.Parallel()
	p := points{quantum: 1}
	for i := range 40 {
		p.x = append(p.x, float64(i))
		p.y = append(p.y, float64(7*i+i%2))
	}
	p.y[10] += 5000            // an outlier
	for i := 20; i < 40; i++ { // a step
		p.y[i] += 5000
	}
	p.y[39] += 5000 // perhaps the beginning of a step
	clean, count := p.cleaned(7)
	require.Equal(t, 1, count)
	require.Less(t, clean.y[10], 100.0)
	require.Equal(t, p.y[11:], clean.y[11:])
}
