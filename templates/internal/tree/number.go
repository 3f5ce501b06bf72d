package tree

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// maxDigits is how many digits PostgreSQL's numeric holds before the point,
	// far more than any real number has. The schema validator's cost is quadratic
	// in the digits. Without the limit, a number of some megabytes would keep it
	// busy for minutes.
	maxDigits = 131072
	// maxExponent limits the exponent. The validator uses exact fractions, so
	// 1e999999999 would cost too much. Every finite float64 is within the limit.
	maxExponent = 1000
)

// checkNumber returns why a number is refused, or "". The number is valid in
// JSON's grammar.
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
