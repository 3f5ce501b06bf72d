package report

import (
	"bytes"
	"io"
	"math"
	"regexp"
	"strings"

	"github.com/cockroachdb/errors"
	"golang.org/x/image/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// WriteSVG writes the verdict and the plots of the measures that decide, as SVG on white.
func WriteSVG(w io.Writer, r *soak.Result) error {
	p := pictureOf(r)
	canvas := vgsvg.New(pictureWidth, p.height)
	p.draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return errors.Wrap(err, "draw the picture")
	}
	text := strings.ReplaceAll(b.String(), "font-family:Liberation Sans", "font-family:'Liberation Sans',Arial,Helvetica,sans-serif")
	_, err := io.WriteString(w, text)
	return errors.Wrap(err, "write the picture")
}

// WritePNG writes the picture of [WriteSVG] as PNG, with two pixels for each of its points.
func WritePNG(w io.Writer, r *soak.Result) error {
	p := pictureOf(r)
	canvas := vgimg.NewWith(vgimg.UseWH(pictureWidth, p.height), vgimg.UseDPI(144), vgimg.UseBackgroundColor(ground))
	p.draw(draw.New(canvas))
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return errors.Wrap(err, "write the picture")
}

const (
	pictureWidth  vg.Length = 960
	pictureMargin vg.Length = 28
)

// picture is the verdict with the plots of the measures that decide.
type picture struct {
	result *soak.Result
	panels []panel
	lines  []string // the sentence of the verdict
	height vg.Length
}

// panel is a plot in its place.
type panel struct {
	measure                  soak.Measure
	left, top, width, height vg.Length
}

func pictureOf(r *soak.Result) picture {
	p := picture{result: r}
	body := writing(15, ink)
	p.lines = wrapTo(sentence(r.Verdict), func(s string) bool { return body.Width(s) <= pictureWidth-2*pictureMargin })
	top := pictureMargin + 46 + vg.Length(len(p.lines))*20 + 26
	whole := pictureWidth - 2*pictureMargin
	measures := deciding(r)
	for i, m := range measures {
		one := panel{measure: m, left: pictureMargin, top: top, width: whole, height: 270}
		if i > 0 {
			one.height, one.width = 230, (whole-24)/2
			if i%2 == 0 {
				one.left += one.width + 24
			}
			if i == len(measures)-1 && i%2 == 1 {
				one.width = whole
			}
		}
		p.panels = append(p.panels, one)
		if i%2 == 0 || i == len(measures)-1 {
			top += one.height + 18
		}
	}
	p.height = top + 34
	return p
}

func (p picture) draw(c draw.Canvas) {
	c.FillPolygon(ground, []vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}})
	write := func(size float64, style func(*draw.TextStyle), left, top vg.Length, s string) {
		st := writing(size, ink)
		st.YAlign = draw.YTop
		style(&st)
		c.FillText(st, vg.Point{X: left, Y: c.Max.Y - top}, s)
	}
	v := p.result.Verdict
	colour := colourOf(v.Growth)
	drawSign(c, v.Growth, vg.Point{X: pictureMargin + 15, Y: c.Max.Y - pictureMargin - 17}, 15)
	write(34, func(s *draw.TextStyle) { s.Color = colour; s.Font.Weight = font.WeightBold }, pictureMargin+42, pictureMargin-2, word(v))
	top := pictureMargin + 46
	for _, l := range p.lines {
		write(15, func(*draw.TextStyle) {}, pictureMargin, top, l)
		top += 20
	}
	run := p.result.Run
	write(12, func(s *draw.TextStyle) { s.Color = muted }, pictureMargin, top+2, amountOfRun(run)+", "+timeOfRun(run))
	for _, one := range p.panels {
		p.drawPanel(c, one)
	}
	p.drawLegend(c)
}

func (p picture) drawPanel(c draw.Canvas, one panel) {
	size := c.Size()
	title := writing(14, ink)
	title.YAlign = draw.YTop
	title.Font.Weight = font.WeightBold
	name := wrapTo(nameOf(one.measure), func(s string) bool { return title.Width(s) <= one.width })
	if len(name) == 0 {
		name = []string{""}
	}
	c.FillText(title, vg.Point{X: one.left, Y: c.Max.Y - one.top}, name[0])
	if t := one.measure.Trend; t != nil {
		wide := title.Width(name[0])
		note := writing(12, muted)
		note.YAlign = draw.YTop
		said := growth(t.Slope, t.Low, t.High, one.measure.Unit, "step") + ", " + plain(t.Growth)
		if wide+12+note.Width(said) > one.width {
			said = growth(t.Slope, t.Low, t.High, one.measure.Unit, "step")
		}
		if wide+12+note.Width(said) <= one.width {
			c.FillText(note, vg.Point{X: one.left + wide + 12, Y: c.Max.Y - one.top - 1}, said)
		}
	}
	plotArea := draw.Crop(c, one.left, one.left+one.width-size.X, size.Y-one.top-one.height, -one.top-22)
	chartOf(one.measure, p.result, 11).draw(plotArea)
}

// drawLegend explains the lines, below the plots.
func (p picture) drawLegend(c draw.Canvas) {
	if len(p.panels) == 0 {
		return
	}
	style := writing(12, muted)
	style.YAlign = draw.YCenter
	at := vg.Point{X: pictureMargin, Y: c.Min.Y + pictureMargin}
	entry := func(sign func(from vg.Point), wide vg.Length, s string) {
		sign(at)
		c.FillText(style, vg.Point{X: at.X + wide + 6, Y: at.Y}, s)
		at.X += wide + 6 + style.Width(s) + 22
	}
	stroke := func(s draw.LineStyle) func(vg.Point) {
		return func(from vg.Point) { c.StrokeLine2(s, from.X, from.Y, from.X+24, from.Y) }
	}
	entry(func(from vg.Point) { fillDots(c, []vg.Point{{X: from.X + 4, Y: from.Y}}, dot) }, 8, "sample")
	entry(func(from vg.Point) {
		low, high := from.Y-5, from.Y+5
		c.FillPolygon(band, []vg.Point{{X: from.X, Y: low}, {X: from.X + 24, Y: low}, {X: from.X + 24, Y: high}, {X: from.X, Y: high}})
		stroke(draw.LineStyle{Color: line, Width: 2.2})(from)
	}, 24, "trend with its interval")
	if b := p.result.Verdict.Budget; b > 0 {
		entry(stroke(draw.LineStyle{Color: budget, Width: 1.4, Dashes: []vg.Length{6, 4}}), 24, "budget: "+amount(b, bytesUnit)+" a step")
	}
	if a := p.result.Against; a != nil {
		entry(func(from vg.Point) {
			stroke(draw.LineStyle{Color: otherLine, Width: 2.2})(from)
			fillDots(c, []vg.Point{{X: from.X + 12, Y: from.Y}}, otherDot)
		}, 24, shorten(plain(a.Name), 40, "…"))
	}
}

// drawSign draws the shape of a verdict: a triangle that rises, a disc, or a square.
func drawSign(c draw.Canvas, growth string, at vg.Point, r vg.Length) {
	around := func(points ...float64) []vg.Point {
		var corners []vg.Point
		for i := 0; i < len(points); i += 2 {
			corners = append(corners, vg.Point{X: at.X + r*vg.Length(points[i]), Y: at.Y + r*vg.Length(points[i+1])})
		}
		return corners
	}
	colour := colourOf(growth)
	bar := func(points ...float64) {
		c.StrokeLines(draw.LineStyle{Color: ground, Width: r / 5}, around(points...))
	}
	switch growth {
	case leak:
		c.FillPolygon(colour, around(-1.05, -0.85, 1.05, -0.85, 0, 1))
		bar(0, 0.45, 0, -0.2)
		bar(0, -0.42, 0, -0.62)
	case flat:
		var path vg.Path
		path.Move(vg.Point{X: at.X + r, Y: at.Y})
		path.Arc(at, r, 0, 2*math.Pi)
		path.Close()
		c.SetColor(colour)
		c.Fill(path)
		bar(-0.45, 0.02, -0.12, -0.35, 0.5, 0.38)
	default:
		c.FillPolygon(colour, around(-0.9, -0.9, 0.9, -0.9, 0.9, 0.9, -0.9, 0.9))
		mark := writing(float64(r)*1.3, ground)
		mark.Font.Weight = font.WeightBold
		mark.XAlign, mark.YAlign = draw.XCenter, draw.YCenter
		c.FillText(mark, at, "?")
	}
}

var (
	fontStyle  = regexp.MustCompile(`font-family:[^;"]*;font-variant:[^;"]*;font-weight:normal;font-style:normal;?`)
	afterStyle = regexp.MustCompile(`\s*\n\s*`)
)

// inline draws a chart for a page: no size of its own, colours as variables, the page's
// letters.
func inline(c chart, width, height vg.Length) (string, error) {
	canvas := vgsvg.New(width, height)
	c.draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", errors.Wrap(err, "draw a plot")
	}
	_, body, _ := strings.Cut(b.String(), "<svg")
	_, body, _ = strings.Cut(body, ">")
	body = strings.TrimSuffix(strings.TrimSpace(body), "</svg>")
	body = afterStyle.ReplaceAllString(fontStyle.ReplaceAllString(body, ""), " ")
	return themed.Replace(body), nil
}
