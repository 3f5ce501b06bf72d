package main

import (
	"bytes"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/cockroachdb/errors"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The colours can be told apart without seeing colours, and in grey.
var (
	rateColour  = color.RGBA{R: 0x33, G: 0x66, B: 0x99, A: 0xff}
	partColours = []color.RGBA{
		{R: 0x33, G: 0x66, B: 0x99, A: 0xff}, // the host
		{R: 0x99, G: 0xbb, B: 0xdd, A: 0xff}, // PostgreSQL
		{R: 0xdd, G: 0x88, B: 0x44, A: 0xff}, // Redis
	}
)

// The sizes of the picture.
const (
	plotWidth = 12 * vg.Inch
	rowHeight = 0.28 * vg.Inch // of one contender
	around    = 0.9 * vg.Inch  // title and axis
	barWidth  = 0.17 * vg.Inch
)

// draw draws the report as SVG and as PNG: for each shape the rates on the left, with
// their quartiles, and the processors' time on the right.
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
	p.Title.TextStyle.Font.Size = vg.Points(13)
	p.Title.Padding = vg.Points(6)
	p.X.Label.Text = unit
	p.X.Min = 0
	p.X.Tick.Marker = plot.TickerFunc(func(low, high float64) []plot.Tick {
		ticks := plot.DefaultTicks{}.Ticks(low, high)
		for i, t := range ticks {
			if t.Label != "" {
				ticks[i].Label = tickLabel(t.Value)
			}
		}
		return ticks
	})
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

// tickLabel prints a value at an axis: 2,000 and 0.5.
func tickLabel(x float64) string {
	if x == float64(int(x)) {
		return thousands(int(x))
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

// bars adds a bar for each contender. values are in the order of the contenders.
func bars(p *plot.Plot, values []float64, colour color.Color) (*plotter.BarChart, error) {
	upwards := slices.Clone(values)
	slices.Reverse(upwards)
	b, err := plotter.NewBarChart(plotter.Values(upwards), barWidth)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	b.Horizontal, b.Color, b.LineStyle.Width = true, colour, 0
	p.Add(b)
	return b, nil
}

// rateErrors are the quartiles as error bars.
type rateErrors struct {
	plotter.XYs
	plotter.XErrors
}

func drawRates(s ShapeReport) (*plot.Plot, error) {
	p := newPlot(s, s.Title, "tasks a second")
	values := make([]float64, len(s.Contenders))
	whiskers := rateErrors{}
	texts := plotter.XYLabels{}
	for i, c := range s.Contenders {
		rate := c.Rate()
		values[i] = rate.Median
		y := float64(len(s.Contenders) - 1 - i)
		whiskers.XYs = append(whiskers.XYs, plotter.XY{X: rate.Median, Y: y})
		whiskers.XErrors = append(whiskers.XErrors, struct{ Low, High float64 }{rate.Lower - rate.Median, rate.Upper - rate.Median})
		texts.XYs = append(texts.XYs, plotter.XY{X: rate.Upper, Y: y})
		texts.Labels = append(texts.Labels, figure(rate.Median))
	}
	if _, err := bars(p, values, rateColour); err != nil {
		return nil, err
	}
	quartiles, err := plotter.NewXErrorBars(whiskers)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	p.Add(quartiles)
	return p, addTexts(p, texts)
}

// drawTimes stacks the parts of the processors' time.
func drawTimes(s ShapeReport) (*plot.Plot, error) {
	p := newPlot(s, "processors' time", "ms a task")
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
		b, err := bars(p, values, partColours[i])
		if err != nil {
			return nil, err
		}
		if below != nil {
			b.StackOn(below)
		}
		below = b
		p.Legend.Add(part.name, b)
	}
	p.Legend.Top, p.Legend.XOffs = false, -vg.Points(4)
	p.Legend.YOffs = vg.Points(4)
	texts := plotter.XYLabels{}
	for i, sum := range sums {
		texts.XYs = append(texts.XYs, plotter.XY{X: sum, Y: float64(len(sums) - 1 - i)})
		texts.Labels = append(texts.Labels, figure(sum))
	}
	return p, addTexts(p, texts)
}

// addTexts writes a figure to the right of each bar.
func addTexts(p *plot.Plot, texts plotter.XYLabels) error {
	labels, err := plotter.NewLabels(texts)
	if err != nil {
		return errors.WithStack(err)
	}
	labels.Offset.X = vg.Points(5)
	for i := range labels.TextStyle {
		labels.TextStyle[i].YAlign = text.YCenter
		labels.TextStyle[i].Font.Size = vg.Points(9)
	}
	p.Add(labels)
	// The longest bar leaves room for its figure and the legend.
	p.X.Max *= 1.3
	return nil
}
