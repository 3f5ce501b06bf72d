package report

import (
	"math"
	"slices"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

type point struct{ x, y float64 }

// mostDots is how many samples a large plot shows, about one for each two pixels.
const mostDots = 400

// curve is a measure as a plot shows it.
type curve struct {
	dots  []point
	trend *trend
	moved float64 // what was added to each value, to bring another version near
}

// trend is the line through the samples that count.
type trend struct {
	from, to         float64 // steps
	middle           point
	slope, low, high float64
	warm             bool // something was cut off before it
}

func curveOf(m soak.Measure, most int) curve {
	points := samples(m)
	c := curve{dots: thinned(points, most)}
	if m.Trend == nil || len(points) == 0 {
		return c
	}
	t := trend{from: float64(m.Trend.WarmUpEnd), to: float64(m.Trend.LastStep), slope: m.Trend.Slope, low: m.Trend.Low, high: m.Trend.High}
	t.from = math.Max(t.from, points[0].x)
	if t.to <= t.from {
		t.to = points[len(points)-1].x
	}
	t.warm = t.from > points[0].x
	var rests []float64
	for _, p := range points {
		if p.x >= t.from && p.x <= t.to {
			rests = append(rests, p.y-t.slope*p.x)
		}
	}
	if len(rests) == 0 || t.to <= t.from || !finite(t.slope) {
		return c
	}
	t.middle.x = (t.from + t.to) / 2
	t.middle.y = median(rests) + t.slope*t.middle.x
	c.trend = &t
	return c
}

// at is the line's height, with one of the slopes of its band.
func (t trend) at(x, slope float64) float64 { return t.middle.y + slope*(x-t.middle.x) }

// bounded reports whether the band has two ends.
func (t trend) bounded() bool { return finite(t.low) && finite(t.high) }

// move adds to each value of the curve.
func (c *curve) move(by float64) {
	c.moved = by
	for i := range c.dots {
		c.dots[i].y += by
	}
	if c.trend != nil {
		c.trend.middle.y += by
	}
}

// span is the lowest and the highest dot.
func (c curve) span() (low, high float64) { return spanOf(c.dots) }

// counted is the span of the dots after the warm-up.
func (c curve) counted() (low, high float64) {
	if c.trend == nil {
		return c.span()
	}
	return spanOf(slices.DeleteFunc(slices.Clone(c.dots), func(p point) bool { return p.x < c.trend.from }))
}

func spanOf(dots []point) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, p := range dots {
		low, high = math.Min(low, p.y), math.Max(high, p.y)
	}
	return low, high
}

// start is where the curve begins after its warm-up.
func (c curve) start() float64 {
	if c.trend != nil {
		return c.trend.at(c.trend.from, c.trend.slope)
	}
	return c.dots[0].y
}

// beside moves the other curve to the start of this one if they lie so far apart that
// neither would be more than a line. What is compared is how they grow.
func (c curve) beside(other *curve) {
	if len(c.dots) == 0 || len(other.dots) == 0 {
		return
	}
	low, high := c.span()
	otherLow, otherHigh := other.span()
	gap := math.Max(otherLow-high, low-otherHigh)
	if gap > math.Max(high-low, otherHigh-otherLow)/2 {
		other.move(c.start() - other.start())
	}
}

// thinned keeps the lowest and the highest of each of most/2 columns of points.
func thinned(points []point, most int) []point {
	if len(points) <= most {
		return slices.Clone(points)
	}
	columns := most / 2
	var kept []point
	for i := range columns {
		column := points[i*len(points)/columns : (i+1)*len(points)/columns]
		low, high := 0, 0
		for j, p := range column {
			if p.y < column[low].y {
				low = j
			}
			if p.y > column[high].y {
				high = j
			}
		}
		kept = append(kept, column[min(low, high)])
		if low != high {
			kept = append(kept, column[max(low, high)])
		}
	}
	return kept
}

func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

func finite(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }
