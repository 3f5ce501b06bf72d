package verdict

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// An alternative says that a series without growth grows, at 1 % for both directions.
type alternative struct {
	name  string
	grows func(r *rand.Rand, y []float64) bool
}

// mannKendall is what tools and studies of software aging use (Machida et al. 2013).
func mannKendall(_ *rand.Rand, y []float64) bool {
	n, s := float64(len(y)), 0.0
	for i := range y {
		for j := range i {
			if y[i] > y[j] {
				s++
			} else if y[i] < y[j] {
				s--
			}
		}
	}
	return (s-1)/math.Sqrt(n*(n-1)*(2*n+5)/18) > 2.576
}

func line(y []float64) (slope float64, residuals []float64) {
	p := points{y: y}
	for i := range y {
		p.x = append(p.x, float64(i))
	}
	_, slope = stat.LinearRegression(p.x, y, nil, false)
	return slope, p.residuals(slope)
}

func regression(_ *rand.Rand, y []float64) bool {
	slope, residuals := line(y)
	n := float64(len(y))
	e := math.Sqrt(floats.Dot(residuals, residuals) / (n - 2) * 12 / (n * n * n))
	return slope > e*distuv.StudentsT{Sigma: 1, Nu: n - 2}.Quantile(0.995)
}

// blockLength is that of Politis and White (2004), corrected by Patton et al. (2009).
func blockLength(v []float64) int {
	n := float64(len(v))
	covariance := func(k int) float64 { return floats.Dot(v[k:], v[:len(v)-k]) / n }
	variance, last := covariance(0), 0
	for k := 1; k < len(v)/3 && k-last <= 5; k++ {
		if math.Abs(covariance(k)/variance) > 2*math.Sqrt(math.Log10(n)/n) {
			last = k
		}
	}
	sum, weighted := variance, 0.0
	for k := 1; k <= min(2*last, len(v)-1); k++ {
		taper := min(1, 2*(1-float64(k)/float64(2*last)))
		sum += 2 * taper * covariance(k)
		weighted += 2 * taper * float64(k) * covariance(k)
	}
	return int(min(max(1, math.Ceil(math.Cbrt(2*weighted*weighted/(4.0/3*sum*sum)*n))), math.Ceil(n/3)))
}

// bootstrapped resamples circular blocks of the residuals.
func bootstrapped(r *rand.Rand, y []float64) bool {
	slope, residuals := line(y)
	length := blockLength(residuals)
	slopes := make([]float64, 400)
	circle := slices.Concat(residuals, residuals)
	middle, n := float64(len(y)-1)/2, float64(len(y))
	for b := range slopes {
		for i := 0; i < len(y); i += length {
			from := r.IntN(len(y))
			for j := range min(length, len(y)-i) {
				slopes[b] += (float64(i+j) - middle) * circle[from+j] * 12 / (n * (n*n - 1))
			}
		}
	}
	slices.Sort(slopes)
	return slope > -stat.Quantile(0.005, stat.Empirical, slopes, nil)
}

func here(_ *rand.Rand, y []float64) bool {
	v, err := Decide([]Series{series(y, 1e6, 0)}, Options{Budget: 1e-3})
	return err == nil && v.Growth == Leak
}

// TestAlternatives shows why the noise is modelled, and neither ignored nor resampled: the
// same series without growth, judged in four ways.
func TestAlternatives(t *testing.T) {
	t.Parallel()
	const runs, file = 400, "testdata/alternatives.txt"
	alternatives := []alternative{{"Mann-Kendall", mannKendall}, {"regression", regression}, {"block bootstrap", bootstrapped}, {"Decide", here}}
	var b strings.Builder
	fmt.Fprintf(&b, "False alarms in %d series of %d samples without growth, in per cent. Each method is\nasked for 0.5.\n\n%-31s", runs, calibrationSamples, "noise")
	for _, a := range alternatives {
		fmt.Fprintf(&b, " | %15s", a.name)
	}
	b.WriteString("\n")
	counts := map[string][]int{}
	for _, s := range simulations {
		if s.curved || s.late || !s.tried() {
			continue
		}
		r := rand.New(rand.NewPCG(13, uint64(len(s.name))))
		all := make([]int, len(alternatives))
		for range runs {
			y := s.noise(r, calibrationSamples)
			for i, a := range alternatives {
				if a.grows(r, y) {
					all[i]++
				}
			}
		}
		counts[s.name] = all
		fmt.Fprintf(&b, "%-31s", s.name)
		for _, n := range all {
			fmt.Fprintf(&b, " | %15.1f", 100*float64(n)/runs)
		}
		b.WriteString("\n")
	}
	t.Log("\n" + b.String())
	for _, s := range []string{"AR(1), rho 0.9", "reverting walk and white noise", "walk", "a step in the first 45 %"} {
		ours := counts[s][3]
		require.Less(t, ours, runs/20, s)
		require.Greater(t, counts[s][0], 4*ours+runs/10, s)
		require.Greater(t, counts[s][2], 2*ours, s)
	}
	sameFigures(t, file, b.String())
}

// triedLines leaves out the lines of noise that was not run.
func triedLines(table string) string {
	var b strings.Builder
	for line := range strings.Lines(table) {
		if !slices.ContainsFunc(simulations, func(s simulation) bool {
			return !s.tried() && strings.HasPrefix(line, fmt.Sprintf("%-31s ", s.name))
		}) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// sameFigures compares a table with the one that is written, or writes it.
func sameFigures(t *testing.T, file, table string) {
	t.Helper()
	const remedy = "run go test ./internal/verdict -run 'TestRates|TestAlternatives' -update"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(table), 0o644))
	}
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	then, now := strings.Fields(triedLines(string(written))), strings.Fields(table)
	require.Len(t, now, len(then), remedy)
	for i := range then {
		var a, b float64
		if _, err := fmt.Sscan(then[i], &a); err != nil {
			require.Equal(t, then[i], now[i], remedy)
			continue
		}
		_, err := fmt.Sscan(now[i], &b)
		require.NoError(t, err, remedy)
		// Other processors round otherwise, so the figures may differ a little.
		require.InDelta(t, a, b, math.Max(1, 0.05*a), "%s\n%s", remedy, table)
	}
}
