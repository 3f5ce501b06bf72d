package main

import (
	"bytes"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/cockroachdb/errors"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// partColours are those of the host, of PostgreSQL and of Redis. They differ in
// brightness, too.
var partColours = []color.RGBA{
	{R: 0x33, G: 0x66, B: 0x99, A: 0xff},
	{R: 0x99, G: 0xbb, B: 0xdd, A: 0xff},
	{R: 0xdd, G: 0x88, B: 0x44, A: 0xff},
}

// The sizes of the picture.
const (
	plotWidth = 12 * vg.Inch
	rowHeight = 0.28 * vg.Inch // of one contender
	around    = 0.9 * vg.Inch  // title and axis
	barWidth  = 0.17 * vg.Inch
)

var sans = font.Font{Typeface: "Liberation", Variant: "Sans"}

// draw draws the report as SVG and as PNG: for each shape the rates on the left, and
// the processors' time on the right.
func (r *Report) draw(dir string) error {
	var tiles [][]*plot.Plot
	height := vg.Length(0)
	for _, s := range r.Shapes {
		rates, err := drawRates(s)
		if err != nil {
			return err
		}
		times, err := drawTimes(s)
		if err != nil {
			return err
		}
		tiles = append(tiles, []*plot.Plot{rates, times})
		height = max(height, around+rowHeight*vg.Length(len(s.Contenders)))
	}
	if len(tiles) == 0 {
		return nil
	}
	height *= vg.Length(len(tiles))
	svg := vgsvg.New(plotWidth, height)
	png := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(plotWidth, height), vgimg.UseDPI(96))}
	drawTiles(tiles, draw.New(svg))
	drawTiles(tiles, draw.New(png))
	var svgBytes, pngBytes bytes.Buffer
	if _, err := svg.WriteTo(&svgBytes); err != nil {
		return errors.WithStack(err)
	}
	if _, err := png.WriteTo(&pngBytes); err != nil {
		return errors.WithStack(err)
	}
	return errors.CombineErrors(
		errors.WithStack(os.WriteFile(filepath.Join(dir, "report.svg"), svgBytes.Bytes(), 0o644)),
		errors.WithStack(os.WriteFile(filepath.Join(dir, "report.png"), pngBytes.Bytes(), 0o644)))
}

func drawTiles(tiles [][]*plot.Plot, on draw.Canvas) {
	const gap = 0.15 * vg.Inch
	layout := draw.Tiles{Rows: len(tiles), Cols: len(tiles[0]), PadX: gap, PadY: gap, PadTop: gap, PadBottom: gap, PadLeft: gap, PadRight: 3 * gap}
	for row, canvases := range plot.Align(tiles, layout, on) {
		for column, canvas := range canvases {
			tiles[row][column].Draw(canvas)
		}
	}
}

// newPlot returns a plot with a row for each contender, the first one on top.
func newPlot(s ShapeReport, title, unit string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		style.Font = font.From(sans, vg.Points(10))
	}
	p.Title.TextStyle.Font.Size = vg.Points(12)
	p.Title.Padding = vg.Points(6)
	p.X.Label.Text = unit
	var labels []string
	for _, c := range slices.Backward(s.Contenders) {
		labels = append(labels, c.Name)
	}
	p.NominalY(labels...)
	grid := plotter.NewGrid()
	grid.Horizontal.Width = 0
	grid.Vertical.Color = color.Gray{Y: 0xdd}
	p.Add(grid)
	return p
}

// ticks writes figures at an axis as the tables do: 2,000 and 0.5.
type ticks struct{ plot.Ticker }

func (t ticks) Ticks(low, high float64) []plot.Tick {
	list := t.Ticker.Ticks(low, high)
	for i, tick := range list {
		switch {
		case tick.Label == "":
		case tick.Value == math.Trunc(tick.Value):
			list[i].Label = thousands(int(tick.Value))
		default:
			list[i].Label = strconv.FormatFloat(tick.Value, 'g', 3, 64)
		}
	}
	return list
}

// rates are points with the quartiles around them.
type rates struct {
	plotter.XYs
	plotter.XErrors
}

// drawRates has a logarithmic axis: the floor and the slowest contender are far apart.
func drawRates(s ShapeReport) (*plot.Plot, error) {
	p := newPlot(s, s.Title, "tasks a second (median and quartiles)")
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, ticks{plot.LogTicks{}}
	points, texts := rates{}, plotter.XYLabels{}
	low, high := math.Inf(1), 0.0
	for i, c := range s.Contenders {
		rate := c.Rate()
		y := float64(len(s.Contenders) - 1 - i)
		points.XYs = append(points.XYs, plotter.XY{X: rate.Median, Y: y})
		points.XErrors = append(points.XErrors, struct{ Low, High float64 }{rate.Lower - rate.Median, rate.Upper - rate.Median})
		texts.XYs = append(texts.XYs, plotter.XY{X: rate.Upper, Y: y})
		texts.Labels = append(texts.Labels, figure(rate.Median))
		low, high = min(low, rate.Lower), max(high, rate.Upper)
	}
	quartiles, err := plotter.NewXErrorBars(points)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	medians, err := plotter.NewScatter(points)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	medians.Shape, medians.Color, medians.Radius = draw.CircleGlyph{}, partColours[0], vg.Points(4)
	p.Add(quartiles, medians)
	if err := addTexts(p, texts); err != nil {
		return nil, err
	}
	p.X.Min = math.Pow(10, math.Floor(math.Log10(low)))
	p.X.Max = high * math.Pow(high/p.X.Min, 0.25)
	return p, nil
}

// drawTimes stacks the parts of the processors' time.
func drawTimes(s ShapeReport) (*plot.Plot, error) {
	p := newPlot(s, "processors' time", "ms a task")
	p.X.Min, p.X.Tick.Marker = 0, ticks{plot.DefaultTicks{}}
	sums := make([]float64, len(s.Contenders))
	var below *plotter.BarChart
	for i, part := range []struct {
		name string
		of   func(ContenderReport) Spread
	}{{"host", ContenderReport.Host}, {"PostgreSQL", ContenderReport.Postgres}, {"Redis", ContenderReport.Redis}} {
		values := make([]float64, len(s.Contenders))
		for j, c := range s.Contenders {
			values[j] = max(0, part.of(c).Median)
			sums[j] += values[j]
		}
		slices.Reverse(values) // from the bottom to the top
		b, err := plotter.NewBarChart(plotter.Values(values), barWidth)
		if err != nil {
			return nil, errors.WithStack(err)
		}
		b.Horizontal, b.Color, b.LineStyle.Width = true, partColours[i], 0
		if below != nil {
			b.StackOn(below)
		}
		below = b
		p.Add(b)
		p.Legend.Add(part.name, b)
	}
	texts := plotter.XYLabels{}
	for i, sum := range sums {
		texts.XYs = append(texts.XYs, plotter.XY{X: sum, Y: float64(len(sums) - 1 - i)})
		texts.Labels = append(texts.Labels, figure(sum))
	}
	if err := addTexts(p, texts); err != nil {
		return nil, err
	}
	p.X.Max = slices.Max(sums) * 1.75 // room for the figures and the legend
	return p, nil
}

// addTexts writes a figure to the right of each bar.
func addTexts(p *plot.Plot, texts plotter.XYLabels) error {
	labels, err := plotter.NewLabels(texts)
	if err != nil {
		return errors.WithStack(err)
	}
	labels.Offset.X = vg.Points(7)
	for i := range labels.TextStyle {
		labels.TextStyle[i].YAlign = text.YCenter
		labels.TextStyle[i].Font = font.From(sans, vg.Points(9))
	}
	p.Add(labels)
	return nil
}
