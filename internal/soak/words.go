package soak

import (
	"fmt"
	"math"
	"strconv"

	"github.com/tasker-rb/tasker-rb/internal/verdict"
)

// bytes is a size with its unit.
func bytes(n float64) string {
	if verdict.Figure(n) == "1" {
		return "1 byte"
	}
	return verdict.Figure(n) + " bytes"
}

// growth is the slope of a measure in bytes, with its interval.
func growth(m verdict.Measure) string { return growthIn(m, "bytes") }

func growthIn(m verdict.Measure, unit string) string {
	return fmt.Sprintf("%s %s a step (%s to %s)", verdict.Figure(m.Slope), unit, verdict.Figure(m.Low), verdict.Figure(m.High))
}

// thousands is a whole number with two digits that count, and commas.
func thousands(n int64) string {
	if n >= 1000 {
		unit := int64(math.Pow10(len(strconv.FormatInt(n, 10)) - 2))
		n = (n + unit - 1) / unit * unit
	}
	return Commas(n)
}

// Commas is a whole number with commas between thousands.
func Commas(n int64) string {
	text, sign := strconv.FormatInt(n, 10), ""
	if n < 0 {
		text, sign = text[1:], "-"
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}
