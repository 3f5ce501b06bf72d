package report

import (
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// chart is one plot.
type chart struct {
	curves []curve // ours, and perhaps the other version's
	unit   string
	budget float64 // 0 for none
	size   float64 // of the letters
	small  bool    // one of the many: a line instead of dots, few marks, no labels of the axis
}

// chartOf is the large plot of a measure.
func chartOf(m soak.Measure, r *soak.Result, size float64) chart {
	c := chart{curves: []curve{curveOf(m, mostDots)}, unit: m.Unit, size: size}
	if m.Decides && m.Unit == bytesUnit && finite(r.Verdict.Budget) {
		c.budget = r.Verdict.Budget
	}
	if r.Against != nil {
		if other := find(r.Against.Measures, m.Key); other != nil && len(other.Values) > 0 {
			oc := curveOf(*other, mostDots)
			c.curves[0].beside(&oc)
			c.curves = append(c.curves, oc)
		}
	}
	return c
}

// smallChartOf is one of the small plots.
func smallChartOf(m soak.Measure, size float64) chart {
	return chart{curves: []curve{curveOf(m, 160)}, unit: m.Unit, size: size, small: true}
}

// draw draws the chart on the canvas.
func (c chart) draw(canvas draw.Canvas) {
	if len(c.curves[0].dots) == 0 {
		style := writing(c.size, muted)
		style.XAlign, style.YAlign = draw.XCenter, draw.YCenter
		canvas.FillText(style, canvas.Center(), "no samples")
		return
	}
	p := plot.New()
	p.BackgroundColor = nil
	a := c.axes()
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = a.left, a.right, a.bottom, a.top
	c.style(p, canvas, a)
	p.Add(backdrop(c))
	if !c.small {
		grid := plotter.NewGrid()
		grid.Vertical.Color = nil
		grid.Horizontal = draw.LineStyle{Color: rule, Width: 1}
		p.Add(grid)
	}
	p.Add(foreground(c))
	p.Draw(canvas)
}

func (c chart) axes() axes {
	least := 2.0
	if c.unit == bytesUnit {
		least = 1000
	}
	return axesOf(c.curves, c.budget, least, c.small)
}

func (c chart) style(p *plot.Plot, canvas draw.Canvas, a axes) {
	size := canvas.Size()
	labels := writing(c.size, muted)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Padding = 0
		axis.Tick.Label.Color, axis.Tick.Label.Font = labels.Color, labels.Font
		axis.Tick.LineStyle = draw.LineStyle{Color: rule, Width: 1}
		axis.LineStyle = draw.LineStyle{Color: rule, Width: 1}
		axis.Tick.Length = 4
	}
	p.Y.LineStyle.Width, p.Y.Tick.LineStyle.Width, p.Y.Tick.Length = 0, 0, vg.Length(c.size*0.6)
	p.X.Tick.Marker = stepTicks(max(int(float64(size.X)/(c.size*7)), 2), a.right)
	rows := max(int(float64(size.Y)/(c.size*3.4)), 2)
	p.Y.Tick.Marker = levelTicks(rows, c.unit, math.Max(math.Abs(a.top), math.Abs(a.bottom)))
	if c.small {
		p.X.Tick.Marker = stepTicks(3, a.right)
		if low, high := c.curves[0].span(); low == high {
			p.Y.Tick.Marker = plot.ConstantTicks{{Value: low, Label: level(low, c.unit)}}
		}
		return
	}
	p.X.Label.Text = "steps"
	p.X.Label.Position = draw.PosRight
	p.X.Label.TextStyle.Color, p.X.Label.TextStyle.Font = labels.Color, labels.Font
}

// writing is the style of letters in a plot.
func writing(size float64, c color.Color) text.Style {
	return text.Style{
		Color: c, Font: font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, vg.Length(size)),
		Handler: plot.DefaultTextHandler,
	}
}

// backdrop draws what lies below the grid: the warm-up and the bands.
type backdrop chart

// Plot implements plot.Plotter.
func (b backdrop) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	if t := b.curves[0].trend; t != nil && t.warm {
		from, to := x(p.X.Min), x(t.from)
		c.FillPolygon(warm, []vg.Point{{X: from, Y: c.Min.Y}, {X: to, Y: c.Min.Y}, {X: to, Y: c.Max.Y}, {X: from, Y: c.Max.Y}})
	}
	for i := len(b.curves) - 1; i >= 0; i-- {
		t := b.curves[i].trend
		if b.small || t == nil || !t.bounded() {
			continue
		}
		at := func(step, slope float64) vg.Point { return vg.Point{X: x(step), Y: y(t.at(step, slope))} }
		middle := at(t.middle.x, t.slope)
		fill := []color.Color{band, otherBand}[min(i, 1)]
		c.FillPolygon(fill, c.ClipPolygonXY([]vg.Point{at(t.from, t.low), middle, at(t.from, t.high)}))
		c.FillPolygon(fill, c.ClipPolygonXY([]vg.Point{at(t.to, t.low), middle, at(t.to, t.high)}))
	}
}

// foreground draws the samples and the lines.
type foreground chart

// Plot implements plot.Plotter.
func (f foreground) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i := len(f.curves) - 1; i >= 0; i-- {
		dots := make([]vg.Point, len(f.curves[i].dots))
		for j, d := range f.curves[i].dots {
			dots[j] = vg.Point{X: x(d.x), Y: y(d.y)}
		}
		colour := []color.Color{dot, otherDot}[min(i, 1)]
		if f.small {
			c.StrokeLines(draw.LineStyle{Color: colour, Width: 1.2}, dots)
		} else {
			fillDots(c, slices.DeleteFunc(dots, func(p vg.Point) bool { return !c.Contains(p) }), colour)
		}
	}
	for i := len(f.curves) - 1; i >= 0; i-- {
		t := f.curves[i].trend
		if t == nil {
			continue
		}
		ends := func(start, slope float64) []vg.Point {
			return []vg.Point{{X: x(t.from), Y: y(start)}, {X: x(t.to), Y: y(start + slope*(t.to-t.from))}}
		}
		start := t.at(t.from, t.slope)
		if i == 0 && f.budget > 0 && !f.small {
			dashes := []vg.Length{6, 4}
			c.StrokeLines(draw.LineStyle{Color: budget, Width: 1.4, Dashes: dashes}, c.ClipLinesXY(ends(start, f.budget))...)
		}
		width := vg.Length(2.2)
		if f.small {
			width = 1.2
		}
		colour := []color.Color{line, otherLine}[min(i, 1)]
		c.StrokeLines(draw.LineStyle{Color: colour, Width: width}, c.ClipLinesXY(ends(start, t.slope))...)
	}
	if t := f.curves[0].trend; t != nil && t.warm && !f.small {
		f.labelWarmUp(c, x(t.from))
	}
}

// labelWarmUp writes into the shade as much as its width has room for. The legend says
// the rest.
func (f foreground) labelWarmUp(c draw.Canvas, end vg.Length) {
	style := writing(f.size, muted)
	style.YAlign = draw.YTop
	labels := []string{"warm-up"}
	if from := chart(f).began(); from != "" {
		labels = []string{"warm-up from " + from, "warm-up"}
	}
	for _, label := range labels {
		if style.Width(label)+8 <= end-c.Min.X {
			c.FillText(style, vg.Point{X: c.Min.X + 5, Y: c.Max.Y - 4}, label)
			return
		}
	}
}

// began is the value of the first sample, if the plot has no room for it.
func (c chart) began() string {
	if dots := c.curves[0].dots; len(dots) > 0 && !c.small {
		if a := c.axes(); dots[0].y < a.bottom || dots[0].y > a.top {
			return level(dots[0].y, c.unit)
		}
	}
	return ""
}

// fillDots fills all dots as one path, which is a quarter of the size of one path each.
func fillDots(c draw.Canvas, dots []vg.Point, colour color.Color) {
	radius := vg.Length(2.4)
	switch {
	case len(dots) > 250:
		radius = 1.5
	case len(dots) > 120:
		radius = 1.9
	}
	var path vg.Path
	for _, d := range dots {
		path.Move(vg.Point{X: d.X + radius, Y: d.Y})
		path.Arc(d, radius, 0, 2*math.Pi)
		path.Close()
	}
	c.SetColor(colour)
	c.Fill(path)
}
