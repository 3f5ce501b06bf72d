package verdict

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"
)

func straight(samples int, slope int64) Series {
	s := Series{Name: "bytes in use"}
	for i := range int64(samples) {
		s.Samples = append(s.Samples, Sample{Step: 100 * i, Bytes: 100 * slope * i})
	}
	return s
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	broken := func(at int, v Sample) Series {
		s := straight(50, 1)
		s.Samples[at] = v
		return s
	}
	for _, c := range []struct {
		what, hint string
		measures   []Series
		options    Options
	}{
		{"there is no measure", "at least one series", nil, Options{}},
		{"bytes in use has 29 samples, and a verdict needs 40", "Take 11 more:", []Series{straight(29, 1)}, Options{}},
		{"bytes in use has 1 sample, and a verdict needs 40", "Take 39 more:", []Series{straight(1, 1)}, Options{}},
		{"the series has 0 samples", "Take 40 more", []Series{{}}, Options{}},
		{"quantum of -1 bytes", "0 means", []Series{{Name: "x", Quantum: -1, Samples: straight(50, 1).Samples}}, Options{}},
		{"sample 7 is at step 600, and the one before is at step 600", "at least one step", []Series{broken(7, Sample{600, 0})}, Options{}},
		{"sample 7 (step 700, 4611686018427387904 bytes) is out of range", "-2^62 and 2^62", []Series{broken(7, Sample{700, 1 << 62})}, Options{}},
		{"sample 0 (step -1, 0 bytes) is out of range", "counted from 0", []Series{broken(0, Sample{-1, 0})}, Options{}},
		{"the budget is NaN", "a number above 0", []Series{straight(50, 1)}, Options{Budget: math.NaN()}},
		{"the budget is +Inf", "a number above 0", []Series{straight(50, 1)}, Options{Budget: math.Inf(1)}},
		{"the budget is -1", "a number above 0", []Series{straight(50, 1)}, Options{Budget: -1}},
		{"the confidence is NaN", "0.99 is the default", []Series{straight(50, 1)}, Options{Confidence: math.NaN()}},
		{"the confidence is 1", "0.99 is the default", []Series{straight(50, 1)}, Options{Confidence: 1}},
	} {
		_, err := Decide(c.measures, c.options)
		require.ErrorContains(t, err, c.what)
		require.Contains(t, errors.FlattenHints(err), c.hint)
	}
	_, err := Compare(straight(50, 1), straight(10, 1), Options{})
	require.ErrorContains(t, err, "has 10 samples")
	_, err = Compare(straight(50, 1), straight(50, 1), Options{Budget: -1})
	require.ErrorContains(t, err, "budget")
}

func TestBadClasses(t *testing.T) {
	t.Parallel()
	s := straight(50, 1)
	calls := make([]int64, 50)
	falling := append([]int64{5}, calls[1:]...)
	for what, classes := range map[string][]Class{
		`the class "A" is given twice`:              {{"A", calls}, {"A", calls}},
		`the class "A" has 3 counts for 50 samples`: {{"A", calls[:3]}},
		`the class "A" has 0 calls at sample 1`:     {{"A", falling}},
	} {
		_, err := Attribute(s, classes, Options{})
		require.ErrorContains(t, err, what)
		require.NotEmpty(t, errors.FlattenHints(err))
	}
	many := make([]Class, 45)
	for j := range many {
		many[j] = Class{Name: string(rune('A' + j))}
		for i := range int64(50) {
			many[j].Calls = append(many[j].Calls, i*int64(j+1))
		}
	}
	_, err := Attribute(s, many, Options{})
	require.ErrorContains(t, err, "50 samples count, and 45 classes need 55")
	_, err = Attribute(straight(3, 1), nil, Options{})
	require.ErrorContains(t, err, "3 samples")
	_, err = Attribute(s, nil, Options{Budget: -1})
	require.ErrorContains(t, err, "budget")
}

// TestAskedTwice decides by two measures: the intervals are wider, one that leaks is
// enough, and both must be flat.
func TestAskedTwice(t *testing.T) {
	t.Parallel()
	calm, leaking := straight(100, 0), straight(100, 5)
	leaking.Name = "live slots"
	for i := range calm.Samples {
		calm.Samples[i].Bytes += int64(i * 7919 % 101)
	}
	one, err := Decide([]Series{calm}, Options{})
	require.NoError(t, err)
	two, err := Decide([]Series{calm, calm}, Options{})
	require.NoError(t, err)
	require.Equal(t, Flat, two.Growth)
	require.Greater(t, two.Measures[0].High-two.Measures[0].Low, one.Measures[0].High-one.Measures[0].Low)
	both, err := Decide([]Series{calm, leaking}, Options{})
	require.NoError(t, err)
	require.Equal(t, Leak, both.Growth)
	require.Zero(t, both.More)
}

func FuzzDecide(f *testing.F) {
	f.Add([]byte("some bytes that are as good as any others to begin with"), int64(40), 1.0)
	f.Add([]byte{0}, int64(0), 1e-9)
	f.Add([]byte{255, 0, 255, 0, 1}, int64(1)<<61, 1e12)
	f.Fuzz(func(t *testing.T, data []byte, scale int64, budget float64) {
		if len(data) == 0 {
			return
		}
		a, b := Series{Name: "a"}, Series{Name: "b"}
		var calls [2]Class
		calls[0].Name, calls[1].Name = "A", "B"
		step, sum := int64(0), int64(0)
		for i := range 60 {
			v := int64(data[i%len(data)]) + int64(data[(i*7+3)%len(data)])*int64(i/len(data))
			step += 1 + v*v
			sum += v
			a.Samples = append(a.Samples, Sample{step, v * scale})
			b.Samples = append(b.Samples, Sample{step, int64(binary.LittleEndian.Uint64([]byte{data[i%len(data)], byte(v), byte(i), 0, 0, 0, data[(i+1)%len(data)], 0}))})
			calls[0].Calls = append(calls[0].Calls, sum)
			calls[1].Calls = append(calls[1].Calls, step)
		}
		o := Options{Budget: budget}
		v, err := Decide([]Series{a, b}, o)
		if err != nil {
			return
		}
		for _, m := range v.Measures {
			for _, figure := range []float64{m.Slope, m.Low, m.High, m.Autocorrelation, m.EffectiveSamples, m.Resolvable} {
				require.False(t, math.IsNaN(figure) || math.IsInf(figure, 0), "%+v", m)
			}
			require.True(t, m.Low <= m.Slope && m.Slope <= m.High, "%+v", m)
			require.GreaterOrEqual(t, m.More, int64(0))
		}
		require.NotContains(t, v.String(), "NaN")
		c, err := Compare(a, b, o)
		require.NoError(t, err)
		require.NotContains(t, c.String(), "NaN")
		s, err := Attribute(b, calls[:], o)
		require.NoError(t, err)
		require.NotContains(t, s.String(), "NaN")
	})
}
