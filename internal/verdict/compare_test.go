package verdict

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCompare runs two versions in turns. Both grow by 20 bytes a step and share a walk
// that hides 3 bytes a step in either of them.
func TestCompare(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 2))
	for _, more := range []float64{0, 3} {
		found, alone := 0, 0
		for range 60 {
			a, b := Series{Name: "old"}, Series{Name: "new"}
			walk := 0.0
			for i := range int64(100) {
				walk += 20_000 * r.NormFloat64()
				step := 200 * i
				level := walk + 20*float64(step)
				a.Samples = append(a.Samples, Sample{step, int64(level + 500*r.NormFloat64())})
				b.Samples = append(b.Samples, Sample{step, int64(level + more*float64(step) + 500*r.NormFloat64())})
			}
			v, err := Compare(a, b, Options{})
			require.NoError(t, err)
			if v.Growth == map[float64]Growth{0: Flat, 3: Leak}[more] {
				found++
			}
			if decided(t, b, 21).Growth != Undecided {
				alone++
			}
		}
		require.GreaterOrEqual(t, found, 57)
		require.LessOrEqual(t, alone, 6, "what the difference shows is hidden in the version itself")
	}
}

// TestCompareOffset has the versions at other steps, each up to a turn later. They grow so
// fast that the steps between are far more than what they differ by.
func TestCompareOffset(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 3))
	a, b := Series{Name: "old"}, Series{Name: "new"}
	for i := range int64(100) {
		late := 200*i + 1 + r.Int64N(199)
		a.Samples = append(a.Samples, Sample{200 * i, 2000*200*i + int64(500*r.NormFloat64())})
		b.Samples = append(b.Samples, Sample{late, 2005*late + int64(500*r.NormFloat64())})
	}
	v, err := Compare(a, b, Options{})
	require.NoError(t, err)
	require.Equal(t, Leak, v.Growth)
	require.InDelta(t, 5, v.Measures[0].Slope, 0.1)
	require.Equal(t, "new less old", v.Measures[0].Name)
	require.EqualValues(t, b.Samples[0].Step, v.Measures[0].WarmUpEnd)
	require.Equal(t, 99, v.Measures[0].Samples, "the last of the new version has no old one after it")

	for i := range b.Samples {
		b.Samples[i].Step += 15_000 // of 19,800
	}
	_, err = Compare(a, b, Options{})
	require.ErrorContains(t, err, "old and new overlap in 24 samples, and a verdict needs 40")
}
