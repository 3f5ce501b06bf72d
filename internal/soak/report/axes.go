package report

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// ticks are the marks of an axis at round numbers, at most so many.
type ticks struct {
	most  int
	whole bool // only at whole numbers
	label func(v, step float64) string
}

func (t ticks) Ticks(low, high float64) []plot.Tick {
	step := roundStep((high - low) / float64(max(t.most, 1)))
	if t.whole {
		step = math.Max(step, 1)
	}
	var marks []plot.Tick
	for i := math.Ceil(low/step - 1e-9); i*step <= high+step*1e-9; i++ {
		v := i*step + 0 // no -0
		marks = append(marks, plot.Tick{Value: v, Label: t.label(v, step)})
	}
	return marks
}

// roundStep is the next 1, 2 or 5 times a power of ten.
func roundStep(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// stepTicks label all marks alike: 5k beside 10k.
func stepTicks(most int, reach float64) ticks {
	return ticks{most: most, whole: true, label: func(v, _ float64) string { return steps(v, reach) }}
}

// levelTicks label all marks in one unit, with as many decimals as the marks need. reach
// is the largest value of the axis.
func levelTicks(most int, unit string, reach float64) ticks {
	name, scale := "", 1.0
	if unit == bytesUnit {
		name, scale = scaleOf(reach)
		name = " " + name
	}
	label := func(v, step float64) string {
		decimals := max(int(math.Ceil(-math.Log10(step/scale)-1e-9)), 0)
		if decimals > 3 && unit == bytesUnit {
			return soak.Commas(int64(math.Round(v))) + " B"
		}
		if decimals == 0 {
			return soak.Commas(int64(math.Round(v/scale))) + name
		}
		return strconv.FormatFloat(v/scale, 'f', decimals, 64) + name
	}
	return ticks{most: most, whole: true, label: label}
}

// axes are the ranges of a plot.
type axes struct{ left, right, bottom, top float64 }

// mostWarmUp is how much larger than the counted samples a warm-up may be drawn.
const mostWarmUp = 3

// axesOf fit the dots. A line or a band that leaves them is cut off after as much again,
// so that a wide band does not press the samples flat. So is a warm-up: what decides is
// after it. A plot of all shows it whole.
// Values that are all equal get a range of at least least.
func axesOf(curves []curve, budget, least float64, all bool) axes {
	a := axes{left: math.Inf(1), right: math.Inf(-1), bottom: math.Inf(1), top: math.Inf(-1)}
	lowest, highest := math.Inf(1), math.Inf(-1)
	for _, c := range curves {
		low, high := c.counted()
		a.bottom, a.top = math.Min(a.bottom, low), math.Max(a.top, high)
		low, high = c.span()
		lowest, highest = math.Min(lowest, low), math.Max(highest, high)
		for _, p := range c.dots {
			a.left, a.right = math.Min(a.left, p.x), math.Max(a.right, p.x)
		}
	}
	if a.left > a.right { // no dots at all
		return axes{right: 1, top: 1}
	}
	if a.left == a.right {
		a.left, a.right = a.left-1, a.right+1
	}
	if a.bottom > a.top {
		a.bottom, a.top = lowest, highest
	}
	a.hold(curves, budget, least)
	if room := a.top - a.bottom; all || highest-lowest <= (1+mostWarmUp)*room {
		a.bottom, a.top = math.Min(a.bottom, lowest), math.Max(a.top, highest)
	} else {
		a.bottom, a.top = math.Max(lowest, a.bottom-room/2), math.Min(math.Max(highest, a.top), a.top+room/2)
	}
	pad := (a.top - a.bottom) * 0.06
	a.bottom, a.top = a.bottom-pad, a.top+pad
	switch { // sizes and counts begin at 0, but dots do not lie on the axis
	case lowest > 0:
		a.bottom = math.Max(a.bottom, 0)
	case lowest == 0:
		a.bottom = math.Max(a.bottom, -a.top*0.06)
	}
	return a
}

// hold widens the range to the ends of the lines, and to something if it is nothing.
func (a *axes) hold(curves []curve, budget, smallest float64) {
	room := a.top - a.bottom
	if room == 0 {
		room = math.Max(math.Abs(a.top)/1000, smallest)
		a.bottom, a.top = a.bottom-room/2, a.top+room/2
	}
	least, most := a.bottom-room, a.top+room
	for _, c := range curves {
		if c.trend == nil {
			continue
		}
		for _, v := range c.trend.ends(budget) {
			a.bottom = math.Min(a.bottom, math.Max(v, least))
			a.top = math.Max(a.top, math.Min(v, most))
		}
	}
}

// ends are the heights of the lines at both ends.
func (t trend) ends(budget float64) []float64 {
	var found []float64
	for _, slope := range []float64{t.slope, t.low, t.high} {
		if finite(slope) {
			found = append(found, t.at(t.from, slope), t.at(t.to, slope))
		}
	}
	if budget > 0 {
		found = append(found, t.at(t.from, t.slope)+budget*(t.to-t.from))
	}
	return found
}
