package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/internal/soak/report"
)

// element is one of a page or a picture, with the text below it.
type element struct {
	name       string
	attributes map[string]string
	text       string
}

// elements parses strictly: each tag must be closed, each attribute quoted.
func elements(t *testing.T, source string) []*element {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(source))
	var all, open []*element
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			require.Empty(t, open)
			return all
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			e := &element{name: token.Name.Local, attributes: map[string]string{}}
			for _, a := range token.Attr {
				e.attributes[a.Name.Local] = a.Value
			}
			all, open = append(all, e), append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
			if strings.Contains(" td th dt dd ", " "+token.Name.Local+" ") {
				for _, e := range open {
					e.text += " "
				}
			}
		case xml.CharData:
			for _, e := range open {
				e.text += string(token)
			}
		}
	}
}

// with returns the elements whose attribute has the value.
func with(all []*element, attribute, value string) []*element {
	var found []*element
	for _, e := range all {
		if e.attributes[attribute] == value {
			found = append(found, e)
		}
	}
	return found
}

// section returns the text of a part of a page, in one line, or empty.
func section(all []*element, id string) string {
	for _, e := range with(all, "id", id) {
		return strings.Join(strings.Fields(e.text), " ")
	}
	return ""
}

func pageOf(t *testing.T, r *soak.Result) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, report.Write(&b, r))
	return b.String()
}

func TestPageSaysWhatToDoAboutALeak(t *testing.T) {
	t.Parallel()
	page := elements(t, pageOf(t, leaking()))
	var heads []string
	for _, e := range page {
		if e.name == "h1" {
			heads = append(heads, e.text)
		}
	}
	require.Equal(t, []string{"leak"}, heads)
	next := section(page, "next")
	for _, part := range []string{"Look here first", "String, 1 a task, 64 bytes a task", "handlers/charge.rb:12", "SEEN << payload.dup", "Orders::SEEN", "[1234]", "Orders::Charge: 66 bytes a call (64 to 68)"} {
		require.Contains(t, next, part)
	}
	require.Contains(t, section(page, "where"), "the suspects say who holds them")
	require.Contains(t, section(page, "classes"), "Orders::Reserve and Orders::Notify")
	require.Equal(t, 1, strings.Count(section(page, "classes"), "▲ grows"))
	require.Contains(t, section(page, "suspects"), "Array that gets larger, by 1 element a task, 8 bytes a task")
	require.Contains(t, section(page, "notes"), "MALLOC_ARENA_MAX=2")
	require.Contains(t, section(page, "measures"), "database connections 9 9 0")
	run := section(page, "run")
	for _, part := range []string{"PostgreSQL 15.14", "glibc 2.36", "Taking samples took 3.1 s of 24 s: 12.9 %.", "tasker-rb soak templates/charge.yaml --iterations 20000 --budget 1"} {
		require.Contains(t, run, part)
	}
}

func TestPageSaysWhatWouldDecide(t *testing.T) {
	t.Parallel()
	r := open()
	next := section(elements(t, pageOf(t, r)), "next")
	require.Contains(t, next, "About 12,000 more tasks would decide.")
	require.Contains(t, next, "tasker-rb soak templates/charge.yaml --iterations 13950 --budget 1")

	r.Run.Command = "tasker-rb soak x"
	require.Contains(t, section(elements(t, pageOf(t, r)), "next"), "tasker-rb soak x --iterations 13950")

	r.Verdict.MoreTasks = 0
	next = section(elements(t, pageOf(t, r)), "next")
	require.Contains(t, next, "No reasonable number of tasks would decide, but with a budget of 0.4 bytes a step there would be a verdict.")
	require.NotContains(t, next, "--iterations")

	r.Run.Interrupted = true
	require.NotContains(t, pageOf(t, r), "No reasonable number of tasks", "after so few, nobody knows")
}

func TestPageSaysWhatAFlatRunHoldsFor(t *testing.T) {
	t.Parallel()
	next := section(elements(t, pageOf(t, level())), "next")
	require.Contains(t, next, "It holds for a budget of 1 byte a step, at 99 % confidence.")
	require.Contains(t, next, "These samples could tell 0.4 bytes a step from no growth.")
}

func TestPageComparesVersions(t *testing.T) {
	t.Parallel()
	source := pageOf(t, compared())
	page := elements(t, source)
	plots := section(page, "plots")
	require.Contains(t, plots, "main (1f2e3d4)")
	require.Contains(t, plots, "compared: 63 bytes a step faster (61 to 65): leak")
	require.Contains(t, section(page, "measures"), "than main (1f2e3d4)")
	require.Contains(t, source, "stroke:var(--other-line)")
	require.NotContains(t, pageOf(t, leaking()), "stroke:var(--other-line)")
}

func TestPageMovesAVersionThatLiesFarAway(t *testing.T) {
	t.Parallel()
	r := compared()
	require.NotContains(t, section(elements(t, pageOf(t, r)), "plots"), "moved")
	for i := range r.Against.Measures[0].Values {
		r.Against.Measures[0].Values[i] -= 30e6
	}
	require.Regexp(t, `main \(1f2e3d4\) is moved up by 30\.\d MB to compare`, section(elements(t, pageOf(t, r)), "plots"))
}

func TestPageLeavesOutWhatIsMissing(t *testing.T) {
	t.Parallel()
	page := elements(t, pageOf(t, &soak.Result{}))
	for _, id := range []string{"next", "plots", "explaining", "where", "classes", "suspects", "notes", "measures"} {
		require.Empty(t, with(page, "id", id), id)
	}
	require.Contains(t, section(page, "run"), "tasks 0")

	page = elements(t, pageOf(t, odd()["unexplained"]))
	for _, id := range []string{"where", "classes", "suspects", "notes"} {
		require.Empty(t, with(page, "id", id), id)
	}
	require.Contains(t, section(page, "next"), "The plots show which memory grows.")
	require.Contains(t, section(elements(t, pageOf(t, odd()["native"])), "next"), "run with a heap profiler of malloc")
	require.Contains(t, section(elements(t, pageOf(t, odd()["none"])), "plots"), "no samples")
	require.Contains(t, section(elements(t, pageOf(t, odd()["untried"])), "measures"), "too few samples")
}

var hexColour = regexp.MustCompile(`(fill|stroke):#`)

func TestPagesStandAlone(t *testing.T) {
	t.Parallel()
	for name, r := range odd() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := pageOf(t, r)
			require.Less(t, len(source), 400_000)
			require.NotRegexp(t, hexColour, source, "a colour that a dark page cannot change")
			require.NotContains(t, source, "font-family:Liberation")
			require.NotRegexp(t, `NaN|[+-]Inf|&amp;lt;|ZgotmplZ`, source)
			for _, e := range elements(t, source) {
				require.NotContains(t, []string{"script", "link", "img", "iframe", "image"}, e.name)
				for _, a := range []string{"src", "href", "onerror"} {
					require.NotContains(t, e.attributes, a)
				}
			}
		})
	}
}

func TestPageShowsHostileTextsAsText(t *testing.T) {
	t.Parallel()
	page := elements(t, pageOf(t, hostile()))
	said := `?[31m</style><script>alert('x')</script>"><img src=x onerror=1>??{{.}}`
	for _, id := range []string{"next", "plots", "explaining", "where", "classes", "suspects", "notes", "measures", "run"} {
		require.Contains(t, section(page, id), said, id)
	}
	for _, e := range page {
		require.NotRegexp(t, `[\x00-\x08\x0b-\x1f\x{202e}]`, e.text)
	}
}

func TestPageSaysThatARunWasInterrupted(t *testing.T) {
	t.Parallel()
	page := pageOf(t, odd()["interrupted"])
	require.Contains(t, page, "The run was interrupted.")
	require.Contains(t, page, "none: the steps ran through the bridge alone")
	require.NotContains(t, page, "Repeat it")
	require.NotContains(t, pageOf(t, open()), "The run was interrupted.")
}
