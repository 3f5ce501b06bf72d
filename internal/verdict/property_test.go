package verdict

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func drawn(t *rapid.T) Series {
	n := rapid.IntRange(MinSamples, 90).Draw(t, "samples")
	s := Series{Name: "x", Quantum: 1}
	level, step := int64(0), int64(0)
	walk := rapid.Bool().Draw(t, "walk")
	slope := rapid.Int64Range(-300, 300).Draw(t, "slope")
	size := rapid.SampledFrom([]int64{0, 1, 40, 5000, 1_000_000}).Draw(t, "size")
	for range n {
		step += rapid.Int64Range(50, 150).Draw(t, "gap")
		v := rapid.Int64Range(-size, size).Draw(t, "noise")
		if walk {
			level += v
			v = level
		}
		s.Samples = append(s.Samples, Sample{Step: step, Bytes: v + slope*step})
	}
	return s
}

func (s Series) changed(f func(Sample) Sample) Series {
	c := s
	c.Samples = nil
	for _, v := range s.Samples {
		c.Samples = append(c.Samples, f(v))
	}
	return c
}

func only(t *rapid.T, s Series) Measure {
	v, err := Decide([]Series{s}, Options{})
	require.NoError(t, err)
	return v.Measures[0]
}

func TestProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawn(t)
		m := only(t, s)
		near := func(want, got float64) {
			require.InDelta(t, want, got, 1e-6*(1+math.Abs(want)))
		}
		require.LessOrEqual(t, m.Low, m.Slope)
		require.LessOrEqual(t, m.Slope, m.High)
		require.LessOrEqual(t, m.Dropped, len(s.Samples)/2)

		// A size that is there from the start changes nothing, nor do steps before.
		by := rapid.Int64Range(-1<<60, 1<<60).Draw(t, "shift")
		shifted := only(t, s.changed(func(v Sample) Sample { return Sample{v.Step + 1<<40, v.Bytes + by} }))
		m.WarmUpEnd += 1 << 40
		m.LastStep += 1 << 40
		if m.Change != nil {
			m.Change.Step += 1 << 40
		}
		require.Equal(t, m, shifted)

		// In another unit all figures change alike.
		times := rapid.Int64Range(2, 1000).Draw(t, "scale")
		larger := s.changed(func(v Sample) Sample { return Sample{v.Step, v.Bytes * times} })
		larger.Quantum = times
		scaled := only(t, larger)
		near(m.Slope*float64(times), scaled.Slope)
		near(m.Low*float64(times), scaled.Low)
		near(m.High*float64(times), scaled.High)
		require.Equal(t, m.Dropped, scaled.Dropped)

		// What grows here shrinks there.
		mirrored := only(t, s.changed(func(v Sample) Sample { return Sample{v.Step, -v.Bytes} }))
		near(-m.Slope, mirrored.Slope)
		near(-m.High, mirrored.Low)
		near(-m.Low, mirrored.High)

		// A slope more is a slope more.
		more := rapid.Int64Range(-100, 100).Draw(t, "more")
		steeper := only(t, s.changed(func(v Sample) Sample { return Sample{v.Step, v.Bytes + more*v.Step} }))
		near(m.Slope+float64(more), steeper.Slope)
		near(m.High+float64(more), steeper.High)
		require.Equal(t, m.Dropped, steeper.Dropped)
	})
}

// TestMoreOfTheSame goes on with a leak, and it is never flat.
func TestMoreOfTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		noise := rapid.SliceOfN(rapid.Int64Range(-2000, 2000), 60, 60).Draw(t, "noise")
		slope := rapid.Int64Range(2, 20).Draw(t, "slope")
		s := Series{Name: "x"}
		leaked := false
		for i := range 240 {
			step := int64(i) * 100
			s.Samples = append(s.Samples, Sample{step, slope*step + noise[i%len(noise)]})
			if n := i + 1; n%60 == 0 {
				growth := only(t, s).Growth
				require.False(t, leaked && growth == Flat)
				leaked = leaked || growth == Leak
			}
		}
	})
}
