package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"gonum.org/v1/plot/vg"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"style": func() template.CSS { return template.CSS(pageStyle) }, // ours, not the result's
	"plain": plain, "place": place, "code": func(s string) string { return strings.TrimSpace(clean(s)) },
}).Parse(pageSource))

// Write writes the result as one page of HTML that needs no network and no script.
func Write(w io.Writer, r *soak.Result) error {
	p, err := pageOf(r)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return errors.Wrap(err, "make the page")
	}
	_, err = b.WriteTo(w)
	return errors.Wrap(err, "write the page")
}

// page is what the template shows, all of it in words or drawn.
type page struct {
	Growth, Sentence, Ran string
	Interrupted           bool
	Outlook               []string
	CommandToDecide       string
	First                 *suspect
	Grown                 []string // classes that grow, in words
	Large, Small          []figureOf
	Legend                legend
	Places                []placeRow
	Classes               []classRow
	Tied                  bool // some classes cannot be told apart
	Suspects              []suspect
	Notes                 []soak.Note
	Measures              []measureRow
	Compared              bool
	AgainstName           string
	Environment, Run      []pair
	Command               string
	SamplingPercent       float64 // of the time
	SamplingText          string
}

type pair struct{ Name, Value string }

// figureOf is a plot with its words.
type figureOf struct {
	Name, Now, Growth, Said, Compared, Moved, Began string
	Wide, Narrow                                    drawing
}

// drawing is an SVG for the page. Its text is drawn by us, and its names are escaped.
type drawing struct {
	Width, Height int
	Body          template.HTML
}

type legend struct {
	Budget, Other string
	WarmUp        bool
	Trend         bool
}

type placeRow struct{ Name, Growth, Text, Hint, Said string }

type classRow struct {
	Name, Measure, Said, Interval, Calls string
	Grows                                bool
	From, To, At, Zero                   float64 // in the picture of the interval, of 100
}

type suspect struct {
	Title, Example    string
	Own, Container    bool
	Allocated, Stored *soak.Line
	Path              []holder
}

type holder struct{ Name, Class, Kind, At, Code string }

type measureRow struct {
	Name, Start, End, Slope, Interval, Growth, Resolvable, Difference string
	Decides                                                           bool
}

func pageOf(r *soak.Result) (*page, error) {
	p := &page{
		Growth: word(r.Verdict), Sentence: sentence(r.Verdict), Ran: amountOfRun(r.Run) + ", " + timeOfRun(r.Run),
		Interrupted: r.Run.Interrupted, Outlook: outlook(r), CommandToDecide: clean(commandToDecide(r)),
		Notes: r.Notes, Command: clean(r.Run.Command), Compared: r.Against != nil,
	}
	if r.Against != nil {
		p.AgainstName = plain(r.Against.Name)
	}
	if err := p.draw(r); err != nil {
		return nil, err
	}
	for _, s := range r.Suspects {
		p.Suspects = append(p.Suspects, suspectOf(s))
	}
	if len(p.Suspects) > 0 && r.Verdict.Growth == leak {
		p.First = &p.Suspects[0]
	}
	for _, w := range r.Where {
		p.Places = append(p.Places, placeRow{
			Name: placeName(w.Kind), Growth: plain(w.Growth), Text: plain(w.Text), Hint: plain(w.Hint),
			Said: growth(w.Bytes, w.Low, w.High, bytesUnit, "step"),
		})
	}
	p.classes(r)
	for _, m := range r.Measures {
		p.Measures = append(p.Measures, measureRowOf(m))
	}
	p.facts(r)
	return p, nil
}

func (p *page) draw(r *soak.Result) error {
	p.Legend.Other = p.AgainstName
	for i, m := range deciding(r) {
		c := chartOf(m, r, 13)
		f := p.figure(m, c)
		var err error
		if i == 0 {
			if f.Wide, err = drawingOf(c, 1080, 340); err != nil {
				return err
			}
		}
		if f.Narrow, err = drawingOf(c, 480, 290); err != nil {
			return err
		}
		p.Large = append(p.Large, f)
		if c.budget > 0 && c.curves[0].trend != nil {
			p.Legend.Budget = amount(c.budget, bytesUnit) + " a step"
		}
		if t := c.curves[0].trend; t != nil {
			p.Legend.Trend = true
			p.Legend.WarmUp = p.Legend.WarmUp || t.warm
		}
	}
	for _, m := range drawn(r) {
		c := smallChartOf(m, 12)
		f := p.figure(m, c)
		if m.Trend != nil { // the interval is in the table
			f.Said = amount(m.Trend.Slope, m.Unit) + " a step"
		}
		var err error
		if f.Narrow, err = drawingOf(c, 250, 120); err != nil {
			return err
		}
		p.Small = append(p.Small, f)
	}
	return nil
}

func (p *page) figure(m soak.Measure, c chart) figureOf {
	row := cellsOf(m)
	f := figureOf{Name: row.name, Now: row.end, Growth: row.growth}
	if m.Trend != nil {
		f.Said = growth(m.Trend.Slope, m.Trend.Low, m.Trend.High, m.Unit, "step")
	}
	if m.Difference != nil {
		f.Compared = differenceText(m.Difference, m.Unit)
	}
	f.Began = c.began()
	if len(c.curves) > 1 && c.curves[1].moved != 0 {
		moved := c.curves[1].moved
		direction := "up"
		if moved < 0 {
			direction = "down"
		}
		f.Moved = "moved " + direction + " by " + level(math.Abs(moved), m.Unit) + " to compare"
	}
	return f
}

func drawingOf(c chart, width, height int) (drawing, error) {
	if len(c.curves[0].dots) == 0 { // a line of text needs no room
		height = 50
	}
	body, err := inline(c, vg.Length(width), vg.Length(height))
	return drawing{Width: width, Height: height, Body: template.HTML(body)}, err
}

func suspectOf(s soak.Suspect) suspect {
	out := suspect{Title: suspectText(s), Example: plain(s.Example), Own: s.Own, Container: s.Kind == "container", Allocated: s.Allocated, Stored: s.Stored}
	for _, h := range s.Path {
		one := holder{Name: holderName(h), At: place(h.At)}
		if c := plain(h.Class); c != "" && h.Name != "" {
			one.Class = c
		}
		if h.At != nil {
			one.Code = plain(h.At.Code)
		}
		out.Path = append(out.Path, one)
	}
	return out
}

// classes fills the table, and places each interval beside the others of its measure.
func (p *page) classes(r *soak.Result) {
	low, high := map[string]float64{}, map[string]float64{}
	for _, s := range r.Classes {
		for _, v := range []float64{s.Low, s.High, s.Bytes} {
			if finite(v) {
				low[s.Measure], high[s.Measure] = math.Min(low[s.Measure], v), math.Max(high[s.Measure], v)
			}
		}
	}
	for _, s := range r.Classes {
		unit := unitOf(r, s.Measure)
		name := plain(s.Measure)
		if m := find(r.Measures, s.Measure); m != nil {
			name = nameOf(*m)
		}
		at := func(v float64) float64 {
			from, to := low[s.Measure], high[s.Measure]
			if !(to > from) || math.IsNaN(v) {
				return 50
			}
			return 4 + 92*math.Min(math.Max((v-from)/(to-from), 0), 1)
		}
		p.Classes = append(p.Classes, classRow{
			Name: classNames(s), Measure: name, Said: amount(s.Bytes, unit), Interval: interval(s.Low, s.High), Calls: soak.Commas(s.Calls),
			Grows: s.Grows, From: at(s.Low), To: at(s.High), At: at(s.Bytes), Zero: at(0),
		})
		p.Tied = p.Tied || len(s.Classes) > 1
		if s.Grows {
			p.Grown = append(p.Grown, classNames(s)+": "+growth(s.Bytes, s.Low, s.High, unit, "call")+" of "+name)
		}
	}
}

func measureRowOf(m soak.Measure) measureRow {
	c := cellsOf(m)
	row := measureRow{Name: c.name, Start: c.start, End: c.end, Slope: c.slope, Interval: c.interval, Growth: c.growth, Decides: m.Decides}
	if m.Trend != nil && m.Trend.Resolvable > 0 {
		row.Resolvable = slopeText(m.Trend.Resolvable, m.Unit)
	}
	if m.Difference != nil {
		row.Difference = differenceText(m.Difference, m.Unit)
	}
	return row
}

// facts fills the lists about the run and the machine. What is not known is left out.
func (p *page) facts(r *soak.Result) {
	add := func(to *[]pair, name, value string) {
		if value != "" {
			*to = append(*to, pair{name, plain(value)})
		}
	}
	run, e := r.Run, r.Environment
	for i, t := range run.Templates {
		add(&p.Run, first(i, "templates"), t)
	}
	add(&p.Run, "contexts", run.Contexts)
	add(&p.Run, "tasks", soak.Commas(run.Tasks))
	add(&p.Run, "steps", soak.Commas(run.Steps))
	add(&p.Run, "threads", soak.Commas(int64(run.Threads)))
	add(&p.Run, "samples", soak.Commas(int64(run.Samples)))
	if run.NoDatabase {
		add(&p.Run, "database", "none: the steps ran through the bridge alone")
	}
	if !run.Began.IsZero() {
		add(&p.Run, "began", run.Began.Format(time.RFC3339))
	}
	add(&p.Run, "took", duration(run.Took))
	add(&p.Run, "ran tasks for", duration(run.Ran))
	add(&p.Environment, "tasker-rb", e.Version)
	add(&p.Environment, "Ruby", e.Ruby)
	add(&p.Environment, "Go", e.Go)
	add(&p.Environment, "database", e.Database)
	add(&p.Environment, "allocator", e.Allocator)
	add(&p.Environment, "system", e.System)
	if e.CPUs > 0 {
		add(&p.Environment, "CPUs", soak.Commas(int64(e.CPUs)))
	}
	if run.Took > 0 && run.Sampling > 0 {
		p.SamplingPercent = 100 * math.Min(float64(run.Sampling)/float64(run.Took), 1)
		p.SamplingText = fmt.Sprintf("Taking samples took %s of %s: %s.", duration(run.Sampling), duration(run.Took), share(run.Sampling, run.Took))
	}
}
