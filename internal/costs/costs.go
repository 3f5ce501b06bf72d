package costs

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the counted figures into testdata/costs.txt instead of comparing them")

// Sheet is a file of figures. Its methods are for one goroutine.
type Sheet struct {
	t      testing.TB
	path   string
	accept bool // the counted figures replace those of the file
	file   *file
	used   map[*row]bool
	opened map[string]bool // the sections that the test has stated
	now    *section
}

// Open reads a file, which must be of this test alone. When the test ends, figures that
// it did not state fail it, unless they belong to another version.
func Open(t testing.TB, path string) *Sheet {
	t.Helper()
	return open(t, path, *update)
}

func open(t testing.TB, path string, accept bool) *Sheet {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil && (!accept || !os.IsNotExist(err)) {
		t.Fatalf("costs: %v", err)
	}
	f, err := parse(string(content))
	if err != nil {
		t.Fatalf("costs: %s: %v", path, err)
	}
	s := &Sheet{t: t, path: path, accept: accept, file: f, used: map[*row]bool{}, opened: map[string]bool{}}
	t.Cleanup(s.end)
	return s
}

// Section begins a table with these columns.
func (s *Sheet) Section(title string, columns ...string) {
	s.t.Helper()
	s.opened[title] = true
	s.now = s.file.section(title)
	if s.now == nil {
		s.now = &section{title: title}
		s.file.sections = append(s.file.sections, s.now)
	}
	if got := strings.Join(columns, ", "); got != strings.Join(s.now.columns, ", ") {
		if !s.accept {
			s.fail("%q has the columns %s; the file has %s", title, got, strings.Join(s.now.columns, ", "))
		}
		s.now.columns, s.now.rows = columns, nil
	}
}

// Figure is one counted figure.
type Figure struct {
	text   string
	number float64
	within float64 // how far from the file's it may be, as a part of that
}

// Exact is a number that is always the same.
func Exact[N int | int64 | uint64](n N) Figure {
	return Figure{text: strconv.FormatInt(int64(n), 10), number: float64(n)}
}

// Ratio is n/of. It need not be a whole number.
func Ratio(n, of int) Figure {
	d := gcd(n, of)
	if of/d == 1 {
		return Exact(n / d)
	}
	return Figure{text: fmt.Sprintf("%d/%d", n/d, of/d), number: float64(n) / float64(of)}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, -a)
}

// Text is a figure that is described.
func Text(s string) Figure { return Figure{text: s, number: math.NaN()} }

// Within is a number that may differ by that part, such as 0.02 for 2 %.
func Within(part float64, n int) Figure {
	f := Exact(n)
	f.within = part
	return f
}

// String is what the file has for it.
func (f Figure) String() string { return f.text }

func (f Figure) accepts(recorded string) bool {
	if f.within == 0 {
		return f.text == recorded
	}
	before, err := strconv.ParseFloat(recorded, 64)
	return err == nil && math.Abs(f.number-before) <= f.within*before
}

// Is states the figures of a row, one for each column.
func (s *Sheet) Is(name string, figures ...Figure) {
	s.t.Helper()
	s.compare(name, figures)
}

// OfVersion is Is for figures that depend on the version of a tool, such as "ruby 3.1".
// The file has a row for each version that was recorded. With a version that was not, no
// figure may be more than a tenth above the highest of the others.
func (s *Sheet) OfVersion(name, version string, figures ...Figure) {
	s.t.Helper()
	whole := name + versionMark + version
	if s.accept || s.now.row(whole) != nil {
		s.compare(whole, figures)
		return
	}
	highest := make([]float64, len(figures))
	for _, r := range s.now.rows {
		if !strings.HasPrefix(r.name, name+versionMark) {
			continue
		}
		for i := range min(len(highest), len(r.cells)) {
			if n, err := strconv.ParseFloat(r.cells[i], 64); err == nil {
				highest[i] = max(highest[i], n)
			}
		}
	}
	for i, f := range figures {
		if f.number > 1.1*highest[i] {
			s.fail("%s, %s: %s is %s. No figure is recorded for %s, and the highest of other versions is %v",
				s.now.title, name, s.now.columns[i], f.text, version, highest[i])
		}
	}
	s.t.Logf("costs: no figure of %q is recorded for %s; make guard/update records %s", name, version, texts(figures))
}

// versionMark stands between the name of a row and its version.
const versionMark = " @ "

func texts(figures []Figure) string {
	all := make([]string, len(figures))
	for i, f := range figures {
		all[i] = f.text
	}
	return strings.Join(all, ", ")
}

func (s *Sheet) compare(name string, figures []Figure) {
	s.t.Helper()
	if len(figures) != len(s.now.columns) {
		s.t.Fatalf("costs: %s, %s: %d figures for %d columns", s.now.title, name, len(figures), len(s.now.columns))
	}
	r := s.now.row(name)
	if r == nil {
		r = &row{name: name}
		if !s.accept {
			s.fail("%s, %s: the file has no such row; counted were %s", s.now.title, name, texts(figures))
			return
		}
		s.now.insert(r)
	}
	s.used[r] = true
	r.cells = append(r.cells, make([]string, max(0, len(figures)-len(r.cells)))...)
	for i, f := range figures {
		switch {
		case f.accepts(r.cells[i]):
		case s.accept:
			r.cells[i] = f.text
		default:
			s.fail("%s, %s: %s %s", s.now.title, name, s.now.columns[i], change(r.cells[i], f))
		}
	}
}

// change says how a figure has changed.
func change(before string, f Figure) string {
	verb := "changed"
	if n, err := number(before); err == nil && !math.IsNaN(f.number) {
		verb = "fell"
		if f.number > n {
			verb = "rose"
		}
	}
	limits := ""
	if f.within > 0 {
		limits = fmt.Sprintf(", by more than %g %%", 100*f.within)
	}
	return fmt.Sprintf("%s from %s to %s%s", verb, before, f.text, limits)
}

// number reads a whole number or a ratio.
func number(text string) (float64, error) {
	n, of, found := strings.Cut(text, "/")
	if !found {
		of = "1"
	}
	a, err := strconv.ParseFloat(n, 64)
	if err != nil {
		return 0, err
	}
	b, err := strconv.ParseFloat(of, 64)
	return a / b, err
}

// fail also says how to accept the figure.
func (s *Sheet) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("costs: "+format+"\n    If that is meant, run `make guard/update` and commit %s with the reason.", append(args, s.place())...)
}

// place is the file with the folder of its package.
func (s *Sheet) place() string {
	dir, err := os.Getwd()
	if err != nil || filepath.IsAbs(s.path) {
		return s.path
	}
	return filepath.Join(filepath.Base(dir), s.path)
}

// end looks for rows that no test has stated, and writes the file.
func (s *Sheet) end() {
	s.t.Helper()
	for _, section := range s.file.sections {
		var kept []*row
		for _, r := range section.rows {
			switch {
			case s.used[r] || s.opened[section.title] && strings.Contains(r.name, versionMark):
				kept = append(kept, r)
			case !s.accept && !s.t.Failed():
				s.fail("%s, %s: the file has this row, and no test has counted it", section.title, r.name)
			}
		}
		section.rows = kept
	}
	s.file.sections = slices.DeleteFunc(s.file.sections, func(now *section) bool { return len(now.rows) == 0 })
	if !s.accept || s.t.Failed() {
		return
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o777); err != nil {
		s.t.Errorf("costs: %v", err)
	}
	if err := os.WriteFile(s.path, []byte(s.file.text()), 0o666); err != nil {
		s.t.Errorf("costs: %v", err)
	}
}

func width(s string) int { return utf8.RuneCountInString(s) }
