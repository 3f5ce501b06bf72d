package tree

import (
	"math/big"
	"regexp"
	"strings"
)

// Plain YAML scalars mostly mean what they mean in Ruby's Psych, because
// tasker-engine reads its templates with Psych. So yes, no, on and off are
// Booleans in upper or lower case. A number with a leading zero is octal; if it
// is not a valid octal number, it is text (08540 is a postal code).
//
// Four rules of Psych are not followed, because they surprise people: 12:30 is
// not 750, 1,000 is not 1000, a date stays text, and :name is not a Symbol, since
// JSON has no Symbols.
var (
	nullPattern    = regexp.MustCompile(`^(?:~|null|Null|NULL|)$`)
	booleanPattern = regexp.MustCompile(`(?i)^(?:(yes|true|on)|no|false|off)$`)
	decimalPattern = regexp.MustCompile(`^[-+]?(?:0|[1-9](?:_?[0-9])*)$`)
	radixPattern   = regexp.MustCompile(`^([-+]?)(?:0[xX]([0-9a-fA-F_]+)|0[bB]([01_]+)|0[oO]?([0-7_]+))$`)
	floatPattern   = regexp.MustCompile(`^[-+]?(?:\.[0-9]+|(?:0|[1-9](?:_?[0-9])*)(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?$`)
	specialPattern = regexp.MustCompile(`^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
)

// resolvePlain finds the kind and the JSON text of a scalar without quotes. why
// is not empty if the value has no JSON form.
func resolvePlain(source string) (kind Kind, text, why string) {
	switch {
	case nullPattern.MatchString(source):
		return Null, "null", ""
	case booleanPattern.MatchString(source):
		if booleanPattern.FindStringSubmatch(source)[1] != "" {
			return Bool, "true", ""
		}
		return Bool, "false", ""
	case specialPattern.MatchString(source):
		return Float, "null", source + " has no JSON form"
	case decimalPattern.MatchString(source):
		text = strings.TrimPrefix(strings.ReplaceAll(source, "_", ""), "+")
		return Integer, text, checkNumber(text)
	case radixPattern.MatchString(source):
		return resolveRadix(source)
	case floatPattern.MatchString(source):
		text = floatText(source)
		return Float, text, checkNumber(text)
	default:
		return String, source, ""
	}
}

// LooksLike reports whether a text would be a value of the named kind without its
// quotes. "a number" includes integers.
func LooksLike(text, kind string) bool {
	k, _, why := resolvePlain(text)
	return why == "" && (k.String() == kind || k == Integer && kind == Float.String())
}

func resolveRadix(source string) (Kind, string, string) {
	m := radixPattern.FindStringSubmatch(source)
	for i, base := range []int{16, 2, 8} {
		digits := strings.ReplaceAll(m[i+2], "_", "")
		if digits == "" {
			continue
		}
		if len(digits) > maxDigits/base {
			return Integer, "0", "the number is too long"
		}
		n, ok := new(big.Int).SetString(m[1]+digits, base)
		if !ok {
			break
		}
		return Integer, n.String(), ""
	}
	return String, source, ""
}

// floatText turns a YAML float into JSON: +.5 becomes 0.5, and 1. becomes 1.0. It
// keeps every digit.
func floatText(source string) string {
	text := strings.ReplaceAll(source, "_", "")
	sign := ""
	if text[0] == '-' || text[0] == '+' {
		sign = strings.TrimPrefix(text[:1], "+")
		text = text[1:]
	}
	mantissa, exponent := text, ""
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i:]
	}
	if strings.HasPrefix(mantissa, ".") {
		mantissa = "0" + mantissa
	}
	if strings.HasSuffix(mantissa, ".") {
		mantissa += "0"
	}
	return sign + mantissa + exponent
}
