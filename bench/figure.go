package main

import (
	"fmt"
	"math"
	"strconv"
)

// String is the median, with the quartiles in brackets: 976 (769-1,037).
func (s Spread) String() string {
	if s.Lower == s.Upper {
		return figure(s.Median)
	}
	return fmt.Sprintf("%s (%s-%s)", figure(s.Median), figure(s.Lower), figure(s.Upper))
}

// figure prints a number with three digits, or more before the point.
func figure(x float64) string {
	switch size := math.Abs(x); {
	case size >= 99.95:
		return thousands(int(math.Round(x)))
	case size >= 9.995:
		return strconv.FormatFloat(x, 'f', 1, 64)
	default:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
}

// thousands puts commas into a number.
func thousands(n int) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
