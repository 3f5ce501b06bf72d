package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/internal/verdict"
)

const bytesUnit = "bytes"

// figure has three significant digits, no exponent, and commas between thousands.
func figure(v float64) string {
	a := math.Abs(v)
	switch {
	case !finite(v):
		return "unknown"
	case a >= 1e15:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a >= 99.95:
		return soak.Commas(int64(math.Round(v)))
	}
	return verdict.Figure(v)
}

// trimZeros drops the zeros at the end of a fraction.
func trimZeros(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// amount is a figure with its unit: 66 bytes, 1 thread.
func amount(v float64, unit string) string {
	text := figure(v)
	if text == "1" {
		unit = strings.TrimSuffix(unit, "s")
	}
	return strings.TrimSpace(text + " " + unit)
}

// counted is a number of things: 1 task, 20,000 tasks.
func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return soak.Commas(n) + " " + what + "s"
}

// interval is 64 to 68.
func interval(low, high float64) string {
	if !finite(low) || !finite(high) {
		return "interval unknown"
	}
	return figure(low) + " to " + figure(high)
}

// scales are the units of sizes, the largest first.
var scales = []struct {
	unit  string
	bytes float64
}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1}}

// scaleOf returns the unit in which a size has one to three digits before the point.
func scaleOf(v float64) (unit string, bytes float64) {
	for _, s := range scales {
		if math.Abs(v) >= s.bytes {
			return s.unit, s.bytes
		}
	}
	return "B", 1
}

// level is the value of a measure: 45.2 MB, or 8.
func level(v float64, unit string) string {
	if unit != bytesUnit {
		return figure(v)
	}
	name, bytes := scaleOf(v)
	return figure(v/bytes) + " " + name
}

// steps is a number of steps at an axis that reaches so far: 500, 10k, 2.5M.
func steps(v, reach float64) string {
	switch {
	case v == 0:
		return "0"
	case reach >= 1e6:
		return trimZeros(strconv.FormatFloat(v/1e6, 'f', 3, 64)) + "M"
	case reach >= 1e4:
		return trimZeros(strconv.FormatFloat(v/1e3, 'f', 3, 64)) + "k"
	}
	return soak.Commas(int64(math.Round(v)))
}

// duration has two significant parts: 350 ms, 3.1 s, 24 s, 2 min 5 s, 1 h 3 min.
func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d < 10*time.Second:
		return trimZeros(strconv.FormatFloat(d.Seconds(), 'f', 1, 64)) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int64(d.Round(time.Second).Seconds()))
	case d < time.Hour:
		s := int64(d.Round(time.Second).Seconds())
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	}
	m := int64(d.Round(time.Minute).Minutes())
	return fmt.Sprintf("%d h %d min", m/60, m%60)
}

// share is a part of a whole in percent.
func share(part, whole time.Duration) string {
	if whole <= 0 {
		return ""
	}
	return percent(float64(part) / float64(whole))
}

func percent(v float64) string { return figure(100*v) + " %" }

// place is a line of a file: handlers/charge.rb:12.
func place(l *soak.Line) string {
	if l == nil {
		return ""
	}
	return plain(l.File) + ":" + strconv.Itoa(l.Line)
}

// plain is a text in one line, without control characters.
func plain(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }

// clean replaces control characters: neither a terminal nor XML should see them.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == 0xFFFE || r == 0xFFFF:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
