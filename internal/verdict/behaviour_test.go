package verdict

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// grown takes samples while something grows: level says how much is in use at a step,
// besides white noise.
func grown(r *rand.Rand, steps, samples int, noise float64, level func(step float64) float64) Series {
	s := Series{Name: "bytes in use"}
	for i := range samples {
		step := int64(i) * int64(steps) / int64(samples)
		s.Samples = append(s.Samples, Sample{Step: step, Bytes: 1<<31 + int64(math.Round(level(float64(step))+noise*r.NormFloat64()))})
	}
	return s
}

// words are what the verdict says for each reason.
var words = map[Reason]string{
	Noisy:    "and the budget of 1 lies between",
	Late:     "too ", // little follows a change, or the last samples are too few
	Slowing:  "as when a cache fills",
	Settling: "too late to be called a warm-up",
	Fading:   "growth is not confirmed by its second half",
}

// TestBehaviour runs each shape 60 times with a budget of 1 byte a step.
func TestBehaviour(t *testing.T) {
	t.Parallel()
	const steps, runs = 20_000, 60
	fill := func(limit float64) func(float64) float64 { // 64 bytes a step until it is full
		return func(step float64) float64 { return 64 * min(step, limit*steps) }
	}
	curve := func(height, part float64) func(float64) float64 {
		return func(step float64) float64 { return height * (1 - math.Exp(-step/(part*steps))) }
	}
	for _, c := range []struct {
		name    string
		noise   float64
		level   func(step float64) float64
		most    Growth // what at least 57 of 60 runs say
		never   Growth // what no run says
		reasons []Reason
	}{
		{"nothing", 1000, func(float64) float64 { return 0 }, Flat, Leak, nil},
		{"constant", 0, func(float64) float64 { return 0 }, Flat, Leak, nil},
		{"64 bytes a step", 30_000, func(s float64) float64 { return 64 * s }, Leak, Flat, nil},
		{"2 bytes a step", 1000, func(s float64) float64 { return 2 * s }, Leak, Flat, nil},
		{"a shrinking heap", 1000, func(s float64) float64 { return -10 * s }, Flat, Leak, nil},
		{"16 KB in each thousandth step", 300, func(s float64) float64 { return 16_384 * math.Floor(s/1000) }, Leak, Flat, nil},
		{"a leak that begins at 70 %", 1000, func(s float64) float64 { return 5 * max(0, s-0.7*steps) }, Leak, Flat, nil},
		{"a leak that begins at 94 %", 1000, func(s float64) float64 { return 10 * max(0, s-0.94*steps) }, Undecided, Flat, []Reason{Late}},
		{"a step of 1 MB early, and a leak", 1000, func(s float64) float64 {
			if s > 0.4*steps {
				return 1e6 + 2*s
			}
			return 2 * s
		}, Leak, Flat, nil},
		{"a step of 1 MB early", 1000, func(s float64) float64 {
			if s > 0.4*steps {
				return 1e6
			}
			return 0
		}, Flat, Leak, nil},
		{"a step of 1 MB late", 1000, func(s float64) float64 {
			if s > 0.8*steps {
				return 1e6
			}
			return 0
		}, Undecided, Flat, []Reason{Late, Noisy, Settling}},
		{"a cache that fills at 30 %", 1000, fill(0.3), Flat, Leak, nil},
		{"a cache that fills at 60 %", 1000, fill(0.6), Undecided, Flat, []Reason{Settling}},
		{"growth that slows at 60 %", 1000, func(s float64) float64 { return 64*min(s, 0.6*steps) + 10*max(0, s-0.6*steps) }, Undecided, Flat, []Reason{Slowing}},
		{"a cache that never fills", 1000, fill(2), Leak, Flat, nil}, // nothing tells it from a leak
		{"a curve that ends early", 0, curve(1e6, 0.08), Flat, Leak, nil},
		{"a curve that goes on", 1000, curve(1e6, 0.3), Undecided, Flat, []Reason{Slowing}},
		{"a long curve", 1000, curve(1e6, 0.5), Undecided, Flat, []Reason{Slowing}},
		{"a sawtooth of three teeth", 10, func(s float64) float64 { return 3000 * math.Mod(s/steps*3, 1) }, Flat, Leak, nil},
		{"pages", 0, func(s float64) float64 { return 4096 * math.Floor(3*math.Sin(s/700)) }, Undecided, Leak, []Reason{Noisy}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(7, uint64(len(c.name))))
			said := map[Growth]int{}
			for range runs {
				v := decided(t, grown(r, steps, 100, c.noise, c.level), 1)
				said[v.Growth]++
				if v.Growth == Undecided && c.most == Undecided {
					require.Contains(t, c.reasons, v.Measures[0].Reason, v.String())
					require.Contains(t, v.String(), words[v.Measures[0].Reason])
				}
				require.NotEqual(t, c.never, v.Growth, v.String())
			}
			require.GreaterOrEqual(t, said[c.most], 57, fmt.Sprint(said))
		})
	}
}

// TestRareLeak plants 16 KB in one of a thousand steps, at random.
func TestRareLeak(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	found := map[Growth]int{}
	for range 60 {
		s := Series{Name: "bytes in use"}
		sum := int64(0)
		for step := range int64(40_000) {
			if r.IntN(1000) == 0 {
				sum += 16_384
			}
			if step%400 == 0 {
				s.Samples = append(s.Samples, Sample{Step: step, Bytes: sum + int64(300*r.NormFloat64())})
			}
		}
		found[decided(t, s, 1).Growth]++
	}
	require.GreaterOrEqual(t, found[Leak], 57)
	require.Zero(t, found[Flat])
}

// TestMoreDecides goes on for as many steps as an undecided verdict asks for.
func TestMoreDecides(t *testing.T) {
	t.Parallel()
	for name, level := range map[string]func(float64) float64{
		"noise":                func(float64) float64 { return 0 },
		"a leak in noise":      func(s float64) float64 { return 3 * s },
		"a cache that fills":   func(s float64) float64 { return 64 * min(s, 12_000) },
		"a curve that settles": func(s float64) float64 { return 1e6 * (1 - math.Exp(-s/5000)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(5, uint64(len(name))))
			noise, steps, samples := 30_000.0, 20_000, 100
			if name == "a cache that fills" || name == "a curve that settles" {
				noise = 1000
			}
			v := decided(t, grown(r, steps, samples, noise, level), 1)
			require.Equal(t, Undecided, v.Growth, v.String())
			for round := 0; v.Growth == Undecided; round++ {
				require.Less(t, round, 4, v.String())
				require.Positive(t, v.More, v.String())
				longer := steps + int(v.More)
				samples = samples * longer / steps
				steps = longer
				v = decided(t, grown(r, steps, samples, noise, level), 1)
			}
		})
	}
}

func TestUnevenSamples(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2, 9))
	for _, leak := range []float64{0, 2} {
		said := map[Growth]int{}
		for range 60 {
			s, step := Series{Name: "x"}, int64(0)
			for range 100 {
				step += int64(1 + math.Exp(2*r.NormFloat64())*100)
				s.Samples = append(s.Samples, Sample{Step: step, Bytes: int64(leak*float64(step) + 500*r.NormFloat64())})
			}
			said[decided(t, s, 1).Growth]++
		}
		require.GreaterOrEqual(t, said[map[float64]Growth{0: Flat, 2: Leak}[leak]], 57, fmt.Sprint(leak, said))
	}
}

// TestLargeSizes has sizes of which a float64 would lose the last thousand bytes.
func TestLargeSizes(t *testing.T) {
	t.Parallel()
	s := Series{Name: "x"}
	for i := range int64(100) {
		s.Samples = append(s.Samples, Sample{Step: 1<<61 + i, Bytes: 1<<62 - 1000 + i})
	}
	m := decided(t, s, 0.5).Measures[0]
	require.Equal(t, Leak, m.Growth)
	require.InDelta(t, 1, m.Slope, 1e-9)
	require.EqualValues(t, 1<<61, m.WarmUpEnd)
}

// TestManySamples joins neighbours, and says the same.
func TestManySamples(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	m := decided(t, grown(r, 100_000, 20_000, 1000, func(s float64) float64 { return 2 * s }), 1).Measures[0]
	require.Equal(t, Leak, m.Growth)
	require.InDelta(t, 2, m.Slope, 0.02)
	require.LessOrEqual(t, m.Samples, maxSamples)
}

// TestQuantumLimits says that growth by less than a page cannot be excluded.
func TestQuantumLimits(t *testing.T) {
	t.Parallel()
	s := Series{Name: "RSS", Quantum: 4096}
	for i := range int64(100) {
		s.Samples = append(s.Samples, Sample{Step: i * 10, Bytes: 40 << 20})
	}
	v := decided(t, s, 1)
	require.Equal(t, Undecided, v.Growth)
	require.Greater(t, v.Measures[0].High, 4096.0/990)
	s.Quantum = 0
	require.Equal(t, Flat, decided(t, s, 1).Growth)
}
