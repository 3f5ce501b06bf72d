package verdict

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
)

// mixed runs classes in random proportions, fewer than most calls of each between two
// samples. Each call of class j leaves bytes(j).
func mixed(r *rand.Rand, samples, classes, most int, noise float64, bytes func(j int) float64) (Series, []Class) {
	s := Series{Name: "bytes in use"}
	all := make([]Class, classes)
	calls := make([]int64, classes)
	sum, step := 0.0, int64(0)
	for j := range all {
		all[j].Name = string(rune('A' + j))
	}
	for range samples {
		for j := range all {
			n := r.Int64N(int64(most))
			for range n {
				sum += bytes(j)
			}
			calls[j] += n
			step += n
			all[j].Calls = append(all[j].Calls, calls[j])
		}
		step++
		s.Samples = append(s.Samples, Sample{Step: step, Bytes: 1<<30 + int64(sum+noise*r.NormFloat64())})
	}
	return s, all
}

// TestAttributeCovers counts how often all intervals of a run hold the truth.
func TestAttributeCovers(t *testing.T) {
	t.Parallel()
	const runs = 200
	r := rand.New(rand.NewPCG(4, 4))
	truth := []float64{64, 0, 3}
	holds, found := 0, 0
	for range runs {
		s, classes := mixed(r, 100, 3, 100, 1000, func(j int) float64 { return truth[j] })
		a, err := Attribute(s, classes, Options{})
		require.NoError(t, err)
		require.Len(t, a.Shares, 3)
		all := true
		for j, share := range a.Shares {
			all = all && share.Low <= truth[j] && truth[j] <= share.High
		}
		if all {
			holds++
		}
		if a.Shares[0].Low > 1 && a.Shares[1].Low < 1 {
			found++
		}
	}
	missed := distuv.Binomial{N: runs, P: 0.01}
	require.Greater(t, 1-missed.CDF(float64(runs-holds-1)), 1e-6, "%d of %d", holds, runs)
	require.Equal(t, runs, found)
}

// TestAttributeRareLeak places 16 KB in one of a thousand calls, which a method that
// distrusts large values would take for outliers.
func TestAttributeRareLeak(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 8))
	placed, misplaced := 0, 0
	for range 40 {
		s, classes := mixed(r, 200, 3, 1000, 300, func(j int) float64 {
			if j == 1 && r.IntN(1000) == 0 {
				return 16_384
			}
			return 0
		})
		a, err := Attribute(s, classes, Options{})
		require.NoError(t, err)
		if a.Shares[1].Low > 1 {
			placed++
		}
		for _, j := range []int{0, 2} {
			if a.Shares[j].Low > 1 {
				misplaced++
			}
		}
	}
	require.LessOrEqual(t, misplaced, 2)
	require.GreaterOrEqual(t, placed, 38)
}

func TestAttributeTies(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(6, 6))
	s, classes := mixed(r, 100, 3, 100, 100, func(j int) float64 { return float64(10 * j) })
	twice := Class{Name: "twice C"}
	sum := Class{Name: "A or B"}
	idle := Class{Name: "idle", Calls: make([]int64, 100)}
	for i := range s.Samples {
		twice.Calls = append(twice.Calls, 2*classes[2].Calls[i])
		sum.Calls = append(sum.Calls, classes[0].Calls[i]+classes[1].Calls[i])
	}

	a, err := Attribute(s, append(classes, twice, idle), Options{})
	require.NoError(t, err)
	require.Equal(t, []string{"idle"}, a.Idle)
	require.Empty(t, a.Inseparable)
	require.Len(t, a.Shares, 3)
	require.Equal(t, []string{"C", "twice C"}, a.Shares[2].Classes)
	require.InDelta(t, 20.0/3, a.Shares[2].Bytes, 0.5, "20 bytes in three calls")
	require.InDelta(t, 10, a.Shares[1].Bytes, 1)

	a, err = Attribute(s, append(classes, sum), Options{})
	require.NoError(t, err)
	require.Equal(t, [][]string{{"A", "B", "A or B"}}, a.Inseparable)
	require.Len(t, a.Shares, 1)
	require.InDelta(t, 20, a.Shares[0].Bytes, 1, "what is not tied is still estimated")
	require.Contains(t, a.String(), "A, B, A or B: their calls are tied to each other")
}

func TestAttributeManySamples(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(6, 7))
	s, classes := mixed(r, 5000, 2, 100, 100, func(j int) float64 { return float64(10 * j) })
	a, err := Attribute(s, classes, Options{})
	require.NoError(t, err)
	require.InDelta(t, 10, a.Shares[1].Bytes, 0.1)
}
