package tree

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// maxDigits is far beyond any real number and what PostgreSQL's numeric
	// holds before the point. Without it, a number of some megabytes would keep
	// the schema validator, whose cost is quadratic in digits, busy for minutes.
	maxDigits = 131072
	// maxExponent bounds what 1e999999999 would cost the validator, which works
	// on exact fractions. Every finite float64 lies well within it.
	maxExponent = 1000
)

// checkNumber reports why a number in JSON's grammar is refused, or "".
func checkNumber(text string) string {
	mantissa, exponent := text, ""
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i+1:]
	}
	if len(mantissa) > maxDigits {
		return fmt.Sprintf("a number of %d digits is beyond the limit of %d", len(mantissa), maxDigits)
	}
	if exponent == "" {
		return ""
	}
	if e, err := strconv.Atoi(exponent); err != nil || e > maxExponent || e < -maxExponent {
		return fmt.Sprintf("the exponent of %s is beyond the limit of %d", Shorten(text), maxExponent)
	}
	return ""
}
