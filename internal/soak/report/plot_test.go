package report_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// exact is a result with one measure that lies on a line after its warm-up.
func exact(slope float64) *soak.Result {
	m := soak.Measure{Key: soak.MallocInUse, Name: "native memory in use", Unit: "bytes", Decides: true}
	for step := int64(0); step <= 10_000; step += 100 {
		value := 20_000_000 + int64(slope*float64(step))
		if step < 2000 {
			value -= int64(float64(2000-step) * math.Abs(slope))
		}
		m.Steps, m.Values = append(m.Steps, step), append(m.Values, value)
	}
	m.Trend = &soak.Trend{Growth: "leak", Slope: slope, Low: slope - 10, High: slope + 10, WarmUpEnd: 2000, LastStep: 10_000}
	return &soak.Result{Verdict: soak.Verdict{Growth: "leak", Budget: 30}, Measures: []soak.Measure{m}}
}

type spot struct{ x, y float64 }

var move = regexp.MustCompile(`([ML])([-0-9.e+]+),([-0-9.e+]+)`)

// spots returns the points of the first path of a page that has the style. Paths of dots
// begin each of them at its right side.
func spots(t *testing.T, source, style string, only string) []spot {
	t.Helper()
	for _, path := range regexp.MustCompile(`<path d="([^"]*)" style="([^"]*)"`).FindAllStringSubmatch(source, -1) {
		if !strings.Contains(path[2], style) {
			continue
		}
		var found []spot
		for _, m := range move.FindAllStringSubmatch(path[1], -1) {
			if strings.Contains(only, m[1]) {
				x, err := strconv.ParseFloat(m[2], 64)
				require.NoError(t, err)
				y, err := strconv.ParseFloat(m[3], 64)
				require.NoError(t, err)
				found = append(found, spot{x, y})
			}
		}
		return found
	}
	return nil
}

func TestTheLineGoesThroughTheSamplesThatCount(t *testing.T) {
	t.Parallel()
	for _, slope := range []float64{66, 0.5, -40} {
		source := pageOf(t, exact(slope))
		dots := spots(t, source, "fill:var(--dot)", "M")
		require.Len(t, dots, 101)
		line := spots(t, source, "stroke:var(--line)", "ML")
		require.Len(t, line, 2)
		require.InDelta(t, dots[20].y, line[0].y, 0.2, "where the warm-up ends")
		require.InDelta(t, dots[100].y, line[1].y, 0.2, "at the end")
		require.InDelta(t, dots[20].x, line[0].x, 3)
		require.InDelta(t, dots[100].x, line[1].x, 3)

		warm := spots(t, source, "fill:var(--warm)", "ML")
		require.InDelta(t, line[0].x, warm[1].x, 0.2)
	}
}

func TestTheBudgetBeginsWithTheLine(t *testing.T) {
	t.Parallel()
	source := pageOf(t, exact(66))
	line := spots(t, source, "stroke:var(--line)", "ML")
	budget := spots(t, source, "stroke:var(--budget)", "ML")
	require.Len(t, budget, 2)
	require.InDelta(t, line[0].y, budget[0].y, 0.2)
	require.InDelta(t, 30.0/66, (budget[1].y-budget[0].y)/(line[1].y-line[0].y), 0.01)
	r := exact(66)
	r.Verdict.Budget = 0
	require.Empty(t, spots(t, pageOf(t, r), "stroke:var(--budget)", "ML"))
}

func TestTheBandTurnsAboutTheMiddle(t *testing.T) {
	t.Parallel()
	source := pageOf(t, exact(66))
	line := spots(t, source, "stroke:var(--line)", "ML")
	band := spots(t, source, "fill:var(--band)", "ML")
	require.GreaterOrEqual(t, len(band), 3)
	bytes := (line[1].y - line[0].y) / (66 * 8000) // the height of one
	low, high := band[0].y, band[0].y
	for _, s := range band {
		low, high = min(low, s.y), max(high, s.y)
	}
	require.InDelta(t, line[0].y-10*4000*bytes, low, 0.5)
	require.InDelta(t, (line[0].y+line[1].y)/2, high, 0.5, "this half of the band ends in the middle of the line")
}

func TestManySamplesAreThinned(t *testing.T) {
	t.Parallel()
	r := long()
	values := r.Measures[0].Values
	values[501] = 60_000_000
	values[502] = 30_000_000
	dots := spots(t, pageOf(t, r), "fill:var(--dot)", "M")
	require.LessOrEqual(t, len(dots), 400)
	require.Greater(t, len(dots), 300)
	low, high := dots[0], dots[0]
	for _, d := range dots {
		if d.y < low.y {
			low = d
		}
		if d.y > high.y {
			high = d
		}
	}
	require.Less(t, low.x-high.x, 10.0, "both extremes are still there, side by side")
	require.Greater(t, high.y-low.y, 200.0)
}

func TestALargeWarmUpDoesNotHideTheRest(t *testing.T) {
	t.Parallel()
	r := level()
	r.Measures[0].Values[0] = 1_000_000
	source := pageOf(t, r)
	require.Contains(t, section(elements(t, source), "plots"), "(the warm-up began at 1 MB)")
	counted := spots(t, source, "fill:var(--dot)", "M")
	require.Less(t, len(counted), 120)
	require.NotContains(t, section(elements(t, pageOf(t, leaking())), "plots"), "began")
}

func TestAxesHaveSensibleMarks(t *testing.T) {
	t.Parallel()
	for name, marks := range map[string][]string{
		"leaking": {"5k", "10k", "46 MB", "13.5 MB", "17"},
		"open":    {"500", "1,000", "44 MB"},
		"long":    {"0.5M", "3M"},
		"zero":    {"0"},
	} {
		var found []string
		for _, e := range elements(t, pageOf(t, odd()[name])) {
			if e.name == "text" {
				found = append(found, e.text)
			}
		}
		require.Subset(t, found, marks, name)
		require.NotRegexp(t, `(^| )-`, strings.Join(found, " "), "no memory is negative")
	}
}
